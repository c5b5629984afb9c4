//! Free ports on loopback.

use std::net::TcpListener;

/// Returns a port of loopback that nobody listens on now.
///
/// # Panics
///
/// When the machine has none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .expect("a free port")
        .local_addr()
        .expect("its address")
        .port()
}
