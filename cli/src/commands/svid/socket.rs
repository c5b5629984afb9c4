//! Where the Workload API is: `--socket`, `SPIFFE_ENDPOINT_SOCKET`, then the default places.

use std::path::{Path, PathBuf};

use clap::Args;
use platform::paths::Environment;
use platform::sockets::SocketPath;

use crate::failure::{Failure, usage};

/// Says where the Workload API is.
#[derive(Debug, Args)]
pub(crate) struct SocketArgs {
    /// The Workload API socket, as a path or unix:// [default: $SPIFFE_ENDPOINT_SOCKET, then /run/troth/workload.sock or that of this user].
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
}

impl SocketArgs {
    /// Takes the place that was named elsewhere, if one was.
    pub(crate) fn of(socket: Option<String>) -> Self {
        Self { socket }
    }

    /// Finds the socket.
    pub(crate) fn find(&self) -> Result<PathBuf, Failure> {
        if let Some(named) = &self.socket {
            return parse(named);
        }
        let environment = Environment::of_process();
        let candidates = environment.workload_socket_candidates();
        if environment.spiffe_endpoint_socket.is_some() {
            return candidates.first().map_or_else(|| Err(nowhere()), |named| parse(named));
        }
        // The first that is there; else the first, so that the failure names a place.
        let there = candidates.iter().find(|path| Path::new(path.trim_start_matches("unix://")).exists());
        there.or(candidates.first()).map_or_else(|| Err(nowhere()), |path| parse(path))
    }
}

fn parse(text: &str) -> Result<PathBuf, Failure> {
    if text.starts_with("tcp:") {
        return Err(usage(format!("{text} is no Unix socket")).with_hint("name a socket: --socket /run/troth/workload.sock"));
    }
    let socket: SocketPath = text.parse().map_err(|error| Failure::of(&error))?;
    Ok(socket.path().to_owned())
}

fn nowhere() -> Failure {
    usage("no Workload API socket is named").with_hint("name one: --socket PATH, or SPIFFE_ENDPOINT_SOCKET")
}
