//! Where workloads find the agent.

use std::os::unix::net::UnixListener as HandedListener;

use platform::service_manager::HandedSockets;
use platform::sockets::{BindError, SocketPath, UnixSocketGuard, bind_unix, serve_handed};
use tokio::net::UnixListener;

use crate::config::AgentConfig;

/// The names of the sockets that a service manager may hand over: the Workload API's and that of the secret discovery.
pub const HANDED_SOCKETS: &[&str] = &[WORKLOAD, SDS];

const WORKLOAD: &str = "workload";

const SDS: &str = "sds";

/// Every user of the machine may call: who calls is attested.
const EVERYBODY: u32 = 0o777;

/// A socket that is served until its name is given up.
pub(super) type Listening = (UnixListener, UnixSocketGuard);

/// Listens for workloads and for Envoy: on what the service manager made, else on sockets of our own.
pub(super) fn listen(mut handed: HandedSockets, config: &AgentConfig) -> Result<(Listening, Listening), BindError> {
    let workload = one(handed.remove(WORKLOAD), &config.workload_socket)?;
    let sds = one(handed.remove(SDS), &config.sds_socket)?;
    Ok((workload, sds))
}

fn one(handed: Option<HandedListener>, at: &SocketPath) -> Result<Listening, BindError> {
    match handed {
        Some(socket) => serve_handed(socket, at),
        None => bind_unix(at, EVERYBODY),
    }
}
