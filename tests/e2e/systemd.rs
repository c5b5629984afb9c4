//! What runs under systemd: the units as they are shipped, readiness, status, signs of life, sockets that systemd made, the rights that the units give.
//!
//! No systemd is booted here: its own tools read the units and hand over sockets, and a socket of the test hears what the processes say.

mod notified;
mod rights;
mod sinks;
mod sockets;
mod units;
