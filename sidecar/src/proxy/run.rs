//! The whole proxy, from start to end.

use std::path::PathBuf;
use std::sync::Arc;

use platform::process::{disable_core_dumps, raise_open_file_limit};
use platform::service_manager::Notifier;
use platform::sockets::BindError;
use platform::telemetry::{HealthHandle, Metrics, serve_telemetry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use trust_domains::clock::SharedClock;
use trust_domains::problem::{Code, Coded};

use super::config::{ListenerConfig, ProxyConfig};
use super::connection::Room;
use super::direction::Direction;
use super::identity::{Follower, Presence};
use super::listener::{Listening, accept};
use super::metrics::ProxyMetrics;
use super::open::{OpenConnections, follow};
use super::places::Places;
use super::record::Telling;
use crate::source::X509Source;

/// The part of all places that one source may take with handshakes that it has not finished: an eighth.
const HANDSHAKES_OF_SOURCE: usize = 8;

/// Files that are open beside connections: the Workload API, telemetry, logs.
const OTHER_FILES: u64 = 64;

/// A connection has two sockets.
const FILES_A_CONNECTION: u64 = 2;

/// The proxy cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A listener cannot listen.
    #[error("listener {listener:?} cannot be opened")]
    Bind {
        /// Which.
        listener: String,
        /// Why not.
        #[source]
        source: BindError,
    },
}

impl Coded for ProxyError {
    fn code(&self) -> Code {
        match self {
            Self::Bind { source, .. } => source.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Bind { source, .. } => source.hint(),
        }
    }
}

/// Runs the proxy until `shutdown`: then nothing is accepted any more, and what is open has the time of `drain` to finish.
///
/// Listeners listen from the start; without credentials, connections are refused at once. `socket` is where the Workload API is.
///
/// # Errors
/// A listener cannot listen.
pub async fn run(config: ProxyConfig, socket: PathBuf, clock: SharedClock, shutdown: CancellationToken) -> Result<(), ProxyError> {
    let files = raise_open_file_limit().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files stays as it is");
        platform::process::open_file_limit()
    });
    if let Err(error) = disable_core_dumps() {
        tracing::warn!(%error, "core dumps stay possible, and with them keys on disk");
    }
    let (health, metrics) = (HealthHandle::starting(), Metrics::default());
    let counts = ProxyMetrics::new(&metrics);
    let (sender, presence) = watch::channel(Presence::default());
    let over = CancellationToken::new();
    let (tasks, accepting) = (TaskTracker::new(), TaskTracker::new());
    let mut watching = Vec::new();
    for listener in &config.listeners {
        let listening = Listening::bind(listener).map_err(|source| ProxyError::Bind {
            listener: listener.name.clone(),
            source,
        })?;
        let (at, to, allowed) = (listening.at(listener), listener.target.to_string(), listener.allowed.to_string());
        tracing::info!(listener = listener.name, direction = %listener.direction, at, to, allowed, "the proxy listens");
        let open = OpenConnections::default();
        let followed = follow(open.clone(), Arc::clone(&listener.allowed), presence.clone(), Arc::clone(&clock));
        watching.push(AbortOnDropHandle::new(tokio::spawn(followed)));
        let room = Arc::new(Room {
            config: Arc::clone(listener),
            presence: presence.clone(),
            open,
            clock: Arc::clone(&clock),
            metrics: counts.clone(),
            telling: Telling::default(),
            over: over.clone(),
        });
        accepting.spawn(accept(
            listening,
            room,
            places(listener, files, config.listeners.len()),
            tasks.clone(),
            shutdown.clone(),
        ));
    }
    // Until the very end: who watches the proxy sees that it drains, and how much is open.
    let telemetry = CancellationToken::new();
    let _telemetry_ends = telemetry.clone().drop_guard();
    serve_telemetry(config.telemetry_listen, metrics, health.clone(), telemetry);
    let source = X509Source::connect(socket, Arc::clone(&clock));
    let follower = Follower {
        wanted: config.spiffe_id,
        clock,
        health: health.clone(),
        metrics: counts,
    };
    let following = AbortOnDropHandle::new(tokio::spawn(follower.run(source.states(), sender)));
    let ending = health.clone();
    let notifying = tokio::spawn(notify(health, presence, shutdown.clone()));

    shutdown.cancelled().await;
    ending.set_ending();
    accepting.close();
    accepting.wait().await;
    tasks.close();
    tracing::info!(open = tasks.len(), drain_s = config.drain.as_secs(), "no connection is accepted any more");
    if tokio::time::timeout(config.drain, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "the time is over: what is open is closed");
        over.cancel();
        tasks.wait().await;
    }
    drop((following, watching));
    notifying.abort();
    Ok(())
}

/// Returns the room of a listener, as far as open files go: it would run out of them in the middle of a connection otherwise.
fn places(listener: &ListenerConfig, files: u64, listeners: usize) -> Arc<Places> {
    let share = files.saturating_sub(OTHER_FILES) / FILES_A_CONNECTION;
    let room = usize::try_from(share).unwrap_or(usize::MAX) / listeners.max(1);
    let most = listener.max_connections.min(room.max(1));
    if most < listener.max_connections {
        tracing::info!(
            listener = listener.name,
            most,
            files,
            "the limit of open files leaves room for so many connections"
        );
    }
    // A smaller whole keeps the proportion: no source may take all of it.
    let of_source = (listener.max_per_source * most / listener.max_connections).max(1);
    let handshakes = match listener.direction {
        Direction::Inbound => (most / HANDSHAKES_OF_SOURCE).max(1),
        // All come from this machine, and the handshake is with the target.
        Direction::Outbound => most,
    };
    Places::new(most, of_source, handshakes)
}

/// Tells the service manager that the proxy serves, once there are credentials to serve with, and then how it is.
async fn notify(health: HealthHandle, mut presence: watch::Receiver<Presence>, shutdown: CancellationToken) {
    let Some(notifier) = Notifier::from_environment(health, None) else { return };
    let held = presence.wait_for(|presence| matches!(presence, Presence::Held(_))).await.is_ok();
    if held {
        notifier.run(shutdown).await;
    }
}
