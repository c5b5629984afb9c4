//! Reload hooks: what makes a program read the files that were delivered to it.

pub mod http;
pub mod probe;
pub mod systemd_unit;
