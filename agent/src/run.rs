//! The agent's process: everything put together, started in order and ended in order.

mod broker;
mod cached;
mod error;
mod joined;
mod listening;
mod observe;
mod opening;
mod sinks;
mod waking;

use std::sync::Arc;
use std::time::Duration;

use platform::files;
use platform::machine::machine_tag;
use platform::service_manager::{HandedSockets, Notifier, Probe};
use platform::sockets::{UnixSocketGuard, bind_unix};
use platform::telemetry::{HealthHandle, Metrics, serve_telemetry};
use platform::unix_http::{UnixLimits, serve_unix};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::TrustBundle;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::plan::restart::MachineTag;
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::with_causes;

pub use self::error::RunError;
pub use self::listening::HANDED_SOCKETS;

use self::broker::BrokerStarter;
use self::cached::CacheOpener;
use self::listening::Listening;
use self::observe::{Observer, follow_identity, follow_link};
use self::opening::{lock, open_records, prepare_process, read_link, tell_unprovable};
use self::sinks::SinkStarter;
use self::waking::watch_for_absence;
use crate::admin::{self, Admin, Sinks};
use crate::config::{AgentConfig, Feature};
use crate::endpoints::{Endpoints, Served};
use crate::issuing::{Upstream, keep_fresh};
use crate::jwt_svids::{JwtCache, JwtIssuing};
use crate::metrics::AgentMetrics;
use crate::node::{Admission, Leaver, Membership, NodeIdentity, SealedRecords, Standing};
use crate::reload;
use crate::sinks::SinkSurroundings;
use crate::svids::{self, Issuing, LastSeen, Saver, SvidCache};
use crate::sync::jitter;
use crate::wit_svids::{WitCache, WitIssuing};
use crate::workload::Attestor;

/// How long parts have to end: the last files and the cache are written, open streams are told.
const END_GRACE: Duration = Duration::from_secs(10);

/// Runs the agent until `shutdown` is cancelled, or it left its trust domain, or was taken out of it. Sockets that were handed to it are served, the others it
/// makes itself.
///
/// # Errors
/// [`RunError`] when it cannot start, cannot join for good, or was banned or evicted.
pub async fn run(config: AgentConfig, handed: HandedSockets, clock: SharedClock, shutdown: CancellationToken) -> Result<(), RunError> {
    prepare_process();
    reload::check_permitted(&config.sinks)?;
    let link = config.join.as_ref().map(read_link);
    files::ensure_private_dir(&config.data_dir, 0o700).map_err(RunError::DataDir)?;
    let _lock = lock(&config).await?;
    let records = Arc::new(open_records(&config).await?);
    let sealed = NodeIdentity::load(&records, clock.now(), Jitter::new(jitter()))?;
    let link = match (link, &sealed) {
        // The file may be gone once it was used.
        (Some(Err(RunError::JoinFile(_))), Some(_)) => None,
        (link, _) => link.transpose()?,
    };
    if link.is_none() && sealed.is_none() {
        return Err(RunError::NoJoinLink);
    }
    let agent = Agent::open(config, handed, clock, records, shutdown)?;
    agent.run(sealed, link).await
}

/// Everything that runs, before it does.
struct Agent {
    config: AgentConfig,
    clock: SharedClock,
    records: Arc<SealedRecords>,
    machine: Option<MachineTag>,
    cache: SvidCache,
    tokens: JwtCache,
    wits: Option<WitCache>,
    standing: Standing,
    health: HealthHandle,
    metrics: Arc<AgentMetrics>,
    attestor: Arc<Attestor>,
    endpoints: Endpoints,
    sinks: Sinks,
    trouble: watch::Sender<Option<String>>,
    workload: Listening,
    sds: Listening,
    admin: (UnixListener, UnixSocketGuard),
    broker: Option<BrokerStarter>,
    shutdown: CancellationToken,
}

impl Agent {
    /// Binds what it serves on: from here on a workload gets an answer.
    fn open(
        config: AgentConfig,
        handed: HandedSockets,
        clock: SharedClock,
        records: Arc<SealedRecords>,
        shutdown: CancellationToken,
    ) -> Result<Self, RunError> {
        let registry = Metrics::default();
        let health = HealthHandle::starting();
        let cache = SvidCache::new(clock.clone());
        let standing = Standing::new();
        let tokens = JwtCache::new(clock.clone(), standing.link.subscribe());
        let wits = config.features.has(Feature::Wit).then(|| WitCache::new(clock.clone()));
        let attestor = Arc::new(Attestor::new().map_err(RunError::Proc)?);
        tell_unprovable();
        let metrics = Arc::new(AgentMetrics::new(&registry));
        let served = Served {
            cache: cache.clone(),
            tokens: tokens.clone(),
            attestor: attestor.clone(),
            clock: clock.clone(),
            jwt_leeway: config.jwt_leeway,
            wits: wits.clone(),
        };
        let endpoints = Endpoints::new(served, config.max_streams_per_uid, metrics.sds());
        let admin = bind_unix(&config.admin_socket, 0o600)?;
        let (workload, sds) = listening::listen(handed, &config)?;
        let broker = config
            .broker
            .clone()
            .map(|broker| BrokerStarter::bind(broker, &[&workload.1, &sds.1, &admin.1]))
            .transpose()?;
        serve_telemetry(config.telemetry_listen, registry, health.clone(), shutdown.child_token());
        Ok(Self {
            config,
            clock,
            records,
            machine: machine_tag().map(MachineTag),
            cache,
            tokens,
            wits,
            standing,
            health,
            metrics,
            attestor,
            endpoints,
            sinks: Sinks::default(),
            trouble: watch::Sender::new(None),
            workload,
            sds,
            admin,
            broker,
            shutdown,
        })
    }

    async fn run(self, sealed: Option<(NodeIdentity, TrustBundle)>, link: Option<Admission>) -> Result<(), RunError> {
        let tasks = TaskTracker::new();
        let ending = self.shutdown.child_token();
        match &sealed {
            _ if self.config.no_cache => cached::forget(&self.records),
            Some((identity, _)) => self.take_up_cache(identity, &tasks, &ending),
            None => {}
        }
        self.spawn_parts(&tasks, &ending);
        let (workload, _workload_name) = self.workload;
        tasks.spawn({
            let (endpoints, ending) = (self.endpoints.clone(), ending.clone());
            async move { endpoints.serve_workload_api(workload, ending).await }
        });
        let (sds, _sds_name) = self.sds;
        tasks.spawn({
            let (endpoints, ending) = (self.endpoints.clone(), ending.clone());
            async move { endpoints.serve_sds(sds, ending).await }
        });
        let broker_addresses = self.broker.as_ref().map(BrokerStarter::addresses).unwrap_or_default();
        let _broker_name = self.broker.map(|broker| {
            let (serving, name) = broker.run(
                self.endpoints.clone(),
                self.standing.identity.subscribe(),
                self.metrics.broker(),
                ending.clone(),
            );
            tasks.spawn(serving);
            name
        });
        let leaver = Leaver {
            standing: self.standing.clone(),
            records: self.records.clone(),
            cache: self.cache.clone(),
            shutdown: self.shutdown.clone(),
        };
        let admin = Admin {
            standing: self.standing.clone(),
            cache: self.cache.clone(),
            tokens: self.tokens.clone(),
            wits: self.wits.clone(),
            endpoints: self.endpoints,
            attestor: self.attestor,
            health: self.health.clone(),
            sinks: self.sinks,
            leaver,
            workload_socket: self.config.workload_socket.to_string(),
            sds_socket: self.config.sds_socket.to_string(),
            broker_addresses,
        };
        let (admin_listener, _admin_name) = self.admin;
        tasks.spawn(serve_unix(admin_listener, admin::router(admin), UnixLimits::default(), ending.clone()));
        // From here on every caller gets an answer, if only that there is nothing yet: whoever waits for identities waits on a stream, not on this process.
        let probe = Probe {
            socket: self.config.admin_socket.clone(),
            path: admin::STATUS_PATH,
        };
        if let Some(notifier) = Notifier::from_environment(self.health.clone(), probe) {
            tasks.spawn(notifier.run(ending.clone()));
        }
        let membership = Membership {
            records: self.records,
            clock: self.clock,
            cache: self.cache,
            standing: self.standing,
            health: self.health,
            link,
            trouble: self.trouble,
        };
        let outcome = membership.run(sealed, ending.clone()).await;
        ending.cancel();
        tasks.close();
        if tokio::time::timeout(END_GRACE, tasks.wait()).await.is_err() {
            tracing::warn!(grace_s = END_GRACE.as_secs(), "some parts did not end in time");
        }
        tracing::info!("the agent ended");
        Ok(outcome?)
    }

    /// Puts what an earlier run sealed in place, so that workloads are served before the server answers.
    fn take_up_cache(&self, identity: &NodeIdentity, tasks: &TaskTracker, ending: &CancellationToken) {
        let opener = CacheOpener {
            cache: self.cache.clone(),
            records: self.records.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            node: identity.spiffe_id.clone(),
            svid: identity.times,
            machine: self.machine,
        };
        if let Some(refused) = opener.open() {
            tasks.spawn(opener.open_later(refused, ending.clone()));
        }
    }

    /// Keeps the cache sealed on disk, with the time and for this machine.
    fn keep_cache(&self, tasks: &TaskTracker, ending: &CancellationToken) {
        let earlier = svids::last_seen(&self.records).unwrap_or_else(|error| {
            tracing::warn!(error = %with_causes(&error), "the time that was seen last cannot be read");
            None
        });
        let last_seen = LastSeen::new(earlier, self.clock.clone(), self.standing.link.subscribe());
        tasks.spawn(last_seen.clone().keep(self.records.clone(), ending.clone()));
        let saver = Saver {
            cache: self.cache.clone(),
            records: self.records.clone(),
            node: self.standing.identity.subscribe(),
            machine: self.machine,
            last_seen,
        };
        tasks.spawn(saver.run(ending.clone()));
    }

    fn spawn_parts(&self, tasks: &TaskTracker, ending: &CancellationToken) {
        let upstream = Upstream::new(&self.standing, &self.cache, &self.clock);
        let issuing = Issuing::new(self.cache.clone(), self.metrics.clone());
        tasks.spawn(keep_fresh(issuing, upstream.clone(), ending.clone()));
        let issuing = JwtIssuing {
            tokens: self.tokens.clone(),
            replacer: self.cache.register_replacer(),
            metrics: self.metrics.clone(),
        };
        tasks.spawn(issuing.run(self.cache.clone(), upstream.clone(), ending.clone()));
        if let Some(tokens) = self.wits.clone() {
            let issuing = WitIssuing {
                tokens,
                replacer: self.cache.register_replacer(),
                metrics: self.metrics.clone(),
            };
            tasks.spawn(issuing.run(self.cache.clone(), upstream, ending.clone()));
        }
        if !self.config.no_cache {
            self.keep_cache(tasks, ending);
        }
        tasks.spawn(follow_identity(self.standing.identity.subscribe(), self.cache.clone(), ending.clone()));
        tasks.spawn(watch_for_absence(
            self.clock.clone(),
            self.cache.clone(),
            self.standing.woken.clone(),
            ending.clone(),
        ));
        tasks.spawn(follow_link(
            self.standing.link.subscribe(),
            self.cache.clone(),
            self.health.clone(),
            ending.clone(),
        ));
        let starter = SinkStarter {
            around: SinkSurroundings {
                cache: self.cache.clone(),
                tokens: self.tokens.clone(),
                clock: self.clock.clone(),
                attestor: self.attestor.clone(),
                counts: self.metrics.reload(),
            },
            health: self.health.clone(),
            sinks: self.sinks.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(starter.run(self.config.sinks.clone(), self.standing.identity.subscribe(), ending.clone()));
        let observer = Observer {
            cache: self.cache.clone(),
            tokens: self.tokens.clone(),
            wits: self.wits.clone(),
            standing: self.standing.clone(),
            endpoints: self.endpoints.clone(),
            health: self.health.clone(),
            sinks: self.sinks.clone(),
            metrics: self.metrics.clone(),
            trouble: self.trouble.subscribe(),
        };
        tasks.spawn(observer.run(ending.clone()));
    }
}

#[cfg(test)]
mod tests;
