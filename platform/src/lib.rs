//! What Troth's server and agent both need from the machine they run on.
//!
//! Clock and randomness, durable files, locks, sealing and key sources, sockets bound safely, the TLS accept loop and connector,
//! HTTP edges, telemetry, the service manager, configuration files and default places.
//!
//! It knows the trust domain's values and none of its rules: nothing here decides who gets what.

pub mod backoff;
pub mod client;
pub mod clock;
pub mod config;
pub mod exit;
pub mod file_set;
pub mod files;
pub mod inherited;
pub mod lock;
pub mod logging;
pub mod machine;
pub mod paths;
pub mod pkcs11;
pub mod privilege;
pub mod process;
pub mod processes;
pub mod random;
pub mod reload_command;
pub mod sealing;
pub mod service_manager;
mod serving;
pub mod sockets;
pub mod telemetry;
pub mod tls;
pub mod trace;
pub mod unix_http;
pub mod web;
