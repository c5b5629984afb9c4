//! End to end, with the built binary and real programs.

mod agent_crashes;
mod attackers;
mod bad_input;
mod changes;
mod disk_full;
mod envoy;
mod federation;
mod fixtures;
mod forged_processes;
mod identities;
mod jwt_svids;
mod main_job;
mod mtls_service;
mod oidc;
mod openssl_view;
mod operators;
mod outage;
mod outside_clients;
mod power_loss;
mod quickstart;
mod readme;
mod sds;
mod sds_abuse;
mod server_crashes;
mod side_by_side;
mod wit_svids;
