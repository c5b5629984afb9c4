//! What end-to-end tests share: the built `troth`, servers and agents as processes in directories of their own, and limits on every wait.

pub mod admin;
pub mod broker;
pub mod command;
pub mod credulous;
pub mod docs;
pub mod domain;
pub mod envoy;
pub mod expecting;
pub mod go_peers;
pub mod https;
pub mod load;
pub mod ports;
pub mod process;
pub mod python;
pub mod sds;
pub mod set_readers;
pub mod softhsm;
pub mod steady_load;
pub mod wait;
pub mod walk;
pub mod web;
pub mod workload;
