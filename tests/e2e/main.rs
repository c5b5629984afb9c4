//! End to end, with the built binary and real programs.

mod bad_input;
mod changes;
mod identities;
mod main_job;
mod quickstart;
mod readme;
mod server_crashes;
mod side_by_side;
