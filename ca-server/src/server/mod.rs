//! `server run`: opens what `server init` made, puts the rooms together, and serves until it is told to end.

mod background;
mod bundle_endpoint;
mod error;
mod ground;
mod listeners;
mod tls;

#[cfg(test)]
mod tests;

pub use bundle_endpoint::{EndpointDoubt, OwnEndpoint};
pub use error::RunError;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::lock::DirectoryLock;
use platform::process;
use platform::service_manager::{Notifier, Probe};
use platform::sockets::SocketPath;
use platform::telemetry::{self, HealthHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::TrustDomain;
use trust_domains::clock::SharedClock;

use crate::api::admin::HEALTH_PATH;
use crate::attestation::{Attestation, JoinTokens, Promotions, RepeatedRefusals, RestoreWindow, Restored, Turns};
use crate::authority::upstream::Following;
use crate::authority::{Authorities, open_keys};
use crate::config::ServerConfig;
use crate::decisions::DecisionLog;
use crate::federation::{Federation, Room};
use crate::issuance::{Issuance, Recorder, ServerIdentity};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::registry::{Allowed, Desk, Editor, Registry};
use crate::rekey::Rekeying;
use crate::revocation::{Publisher, Revocations};
use crate::seal;
use crate::store::SharedStore;
use crate::store::disk::Disk;
use ground::Ground;

/// Runs a server until `shutdown`, then returns when every call was answered and everything is on the disk.
///
/// # Errors
/// The server cannot start; once it started it ends by `shutdown` only.
pub async fn run(config: ServerConfig, clock: SharedClock, shutdown: CancellationToken) -> Result<(), RunError> {
    if let Err(error) = process::disable_core_dumps() {
        tracing::warn!(%error, "core dumps stay on");
    }
    if let Err(error) = process::raise_open_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    Server::start(config, clock, shutdown).await?.ended().await;
    Ok(())
}

/// A server that serves.
#[derive(Debug)]
pub struct Server {
    trust_domain: TrustDomain,
    node_address: SocketAddr,
    telemetry_address: Option<SocketAddr>,
    bundle_address: Option<SocketAddr>,
    admin_socket: PathBuf,
    health: HealthHandle,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// Let go of last.
    _lock: DirectoryLock,
}

impl Server {
    /// Starts a server: when this returns it serves.
    ///
    /// # Errors
    /// What is in the data directory cannot be opened, or a listener cannot be bound.
    pub async fn start(config: ServerConfig, clock: SharedClock, shutdown: CancellationToken) -> Result<Self, RunError> {
        let stop = shutdown.child_token();
        // A failed start ends what it began.
        let undo = stop.clone().drop_guard();
        let ground = Ground::open(&config, Disk::real()).await?;
        let rooms = Rooms::open(ground, &config, &clock, &stop).await?;
        let health = HealthHandle::starting();
        // Before the server's own SVID: its chain carries the cross-certificate too.
        let upstream = Following::start(Arc::clone(&rooms.authorities), config.upstream.clone(), health.clone()).await;
        let identity = ServerIdentity::start(Arc::clone(&rooms.issuance), Arc::clone(&clock)).await?;
        let tls = tls::NodeTls::new(rooms.authorities.bundle(), identity.credential(), Arc::clone(&clock))?;
        let listeners = listeners::Listeners::bind(&config)?;
        let (node_address, bundle_address) = (listeners.node_address(), listeners.bundle_address());
        let admin_socket = config.data_dir.admin_socket();

        let counters = telemetry::Metrics::default();
        let metrics = Metrics::registered(&counters);
        let telemetry_listen = config.telemetry_listen.map_or(telemetry::TelemetryListen::Off, telemetry::TelemetryListen::At);
        let telemetry_address = telemetry::serve_telemetry(telemetry_listen, counters, health.clone(), stop.clone());

        let context = Context {
            health: health.clone(),
            metrics,
            clock,
            shutdown: stop.clone(),
        };
        let publisher = Publisher::new(
            rooms.revocations.clone(),
            Arc::clone(&rooms.authorities),
            config.crl_settings(),
            context.metrics.clone(),
            context.health.clone(),
        );
        publisher.prepare().await;
        rooms.tasks.spawn(publisher.run(stop.clone()));
        background::spawn(&rooms, &context, identity, &tls, config.data_dir.path());
        let federation = Federation::open(Room {
            trust_domain: rooms.trust_domain.clone(),
            config: config.federation.clone(),
            store: Arc::clone(&rooms.store),
            registry: Arc::clone(&rooms.registry),
            editor: Arc::clone(&rooms.editor),
            decisions: rooms.decisions.clone(),
            seen: rooms.authorities.partners_seen(),
            own: rooms.authorities.bundle(),
            metrics: context.metrics.clone(),
            health: context.health.clone(),
            clock: Arc::clone(&context.clock),
        })
        .await?;
        rooms.tasks.spawn(Arc::clone(&federation).run(stop.clone()));
        let until = stop.clone();
        rooms.tasks.spawn(async move { until.run_until_cancelled(upstream.run()).await });
        listeners.serve(&rooms, federation, &context, &tls, &config)?;
        rooms.tasks.close();

        health.set_ready();
        let probe = Probe {
            socket: SocketPath::new(&admin_socket)?,
            path: HEALTH_PATH,
        };
        if let Some(notifier) = Notifier::from_environment(health.clone(), probe) {
            rooms.tasks.spawn(notifier.run(stop.clone()));
        }
        tracing::info!(trust_domain = %rooms.trust_domain, address = %node_address, "the server is ready");
        undo.disarm();
        Ok(Self {
            trust_domain: rooms.trust_domain,
            node_address,
            telemetry_address,
            bundle_address,
            admin_socket,
            health,
            shutdown: stop,
            tasks: rooms.tasks,
            _lock: rooms.lock,
        })
    }

    /// Returns whose server it is.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the address of the node API.
    #[must_use]
    pub const fn node_address(&self) -> SocketAddr {
        self.node_address
    }

    /// Returns the address of metrics and probes, if they are served.
    #[must_use]
    pub const fn telemetry_address(&self) -> Option<SocketAddr> {
        self.telemetry_address
    }

    /// Returns the address of the bundle endpoint, if it is served.
    #[must_use]
    pub const fn bundle_address(&self) -> Option<SocketAddr> {
        self.bundle_address
    }

    /// Returns the socket of the admin API.
    #[must_use]
    pub fn admin_socket(&self) -> &Path {
        &self.admin_socket
    }

    /// Returns how the server is.
    #[must_use]
    pub const fn health(&self) -> &HealthHandle {
        &self.health
    }

    /// Waits until the server was told to end and did.
    pub async fn ended(self) {
        self.shutdown.cancelled().await;
        self.health.set_starting();
        self.tasks.wait().await;
        tracing::info!("the server has ended");
    }
}

/// What every part of a running server shares.
struct Context {
    health: HealthHandle,
    metrics: Metrics,
    clock: SharedClock,
    shutdown: CancellationToken,
}

/// The rooms of a server, opened and put together.
struct Rooms {
    trust_domain: TrustDomain,
    lock: DirectoryLock,
    store: SharedStore,
    journal: Journal,
    authorities: Arc<Authorities>,
    registry: Arc<Registry>,
    issuance: Arc<Issuance>,
    attestation: Arc<Attestation>,
    tokens: Arc<JoinTokens>,
    editor: Arc<Editor>,
    rekeying: Arc<Rekeying>,
    decisions: DecisionLog,
    revocations: Revocations,
    tasks: TaskTracker,
}

impl Rooms {
    async fn open(ground: Ground, config: &ServerConfig, clock: &SharedClock, shutdown: &CancellationToken) -> Result<Self, RunError> {
        let Ground { lock, store, disk } = ground;
        let opened = seal::open_with(store.as_ref(), &config.key_source).await?;
        let vault = open_keys(store.as_ref(), &opened.records, config.signing_keys.as_ref()).await?;
        if let Some(algorithm) = config.authority_settings().policy.jwt().algorithm() {
            vault.keys.refuse(algorithm)?;
        }
        let (journal, report) = Journal::open(&config.data_dir.journal(), Arc::clone(clock), disk)?;
        if report.cut_bytes > 0 {
            tracing::warn!(
                bytes = report.cut_bytes,
                "a torn tail of the journal was cut; nothing in it was ever acknowledged"
            );
        }
        let recorder: Arc<dyn Recorder> = Arc::new(journal.clone());
        let registry = Registry::load(store.as_ref()).await?;
        let authorities = Authorities::load(
            opened.trust_domain.clone(),
            Arc::clone(&store),
            vault,
            Arc::clone(&recorder),
            Arc::clone(clock),
            config.authority_settings(),
            registry.clone(),
        )
        .await?;
        authorities.check_keys().await?;
        // The issuing CA may have ended while the server was off.
        if let Err(error) = authorities.look().await {
            tracing::warn!(%error, "a step in the life of an authority failed; it is tried again");
        }
        let tasks = TaskTracker::new();
        tasks.spawn(follow(Arc::clone(&registry), Arc::clone(&store), shutdown.clone()));

        let issuance = Issuance::new(
            Arc::clone(&authorities),
            registry.clone(),
            Arc::clone(&recorder),
            Arc::clone(clock),
            config.issuance_policy(),
        );
        let issuance = Arc::new(issuance);
        let decisions = DecisionLog::new(recorder);
        let rekeying = Arc::new(Rekeying::new(
            Arc::clone(&store),
            opened.records.clone(),
            decisions.clone(),
            config.key_source.clone(),
        ));
        let sealer = opened.records.sealer();
        let tokens = Arc::new(JoinTokens::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&sealer),
            Arc::clone(clock),
        ));
        let restored = Restored::load(store.as_ref(), &opened.records).await?;
        let attestation = Arc::new(Attestation {
            trust_domain: opened.trust_domain.clone(),
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            issuance: Arc::clone(&issuance),
            decisions: decisions.clone(),
            sealer,
            bundle: authorities.bundle(),
            renewal_grace: config.renewal_grace,
            x509pop: config.x509pop.clone(),
            certificate_refusals: RepeatedRefusals::default(),
            promotions: Promotions::default(),
            turns: Turns::default(),
            restore_window: RestoreWindow::after(restored, config.node_ttl),
            clock: Arc::clone(clock),
        });
        let revocations = Revocations::new(
            opened.trust_domain.clone(),
            Arc::clone(&store),
            Arc::clone(&registry),
            journal.clone(),
            decisions.clone(),
            Arc::clone(clock),
        );
        let editor = Arc::new(Editor::new(
            opened.trust_domain.clone(),
            Allowed {
                max_class: config.max_class,
                claims: config.jwt_claims.clone(),
                dns: config.allow_dns.clone(),
                permitted: config.permitted.clone(),
            },
            Desk {
                store: Arc::clone(&store),
                registry: Arc::clone(&registry),
                tokens: Arc::clone(&tokens),
                decisions: decisions.clone(),
                revocations: revocations.clone(),
                clock: Arc::clone(clock),
            },
        ));
        Ok(Self {
            trust_domain: opened.trust_domain,
            lock,
            store,
            journal,
            authorities,
            registry,
            issuance,
            attestation,
            tokens,
            editor,
            rekeying,
            decisions,
            revocations,
            tasks,
        })
    }
}

async fn follow(registry: Arc<Registry>, store: SharedStore, shutdown: CancellationToken) {
    registry.follow(store.as_ref(), &shutdown).await;
}
