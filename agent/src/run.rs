//! The agent's process: everything put together, started in order and ended in order.

mod broker;
mod cached;
mod joined;
mod listening;
mod observe;
mod sinks;
mod waking;

use std::sync::Arc;
use std::time::Duration;

use platform::config::ConfigMistakes;
use platform::files::{self, FileError};
use platform::lock::{DirectoryLock, LockError};
use platform::machine::machine_tag;
use platform::service_manager::{HandedSockets, Notifier, Probe};
use platform::sockets::{BindError, UnixSocketGuard, bind_unix};
use platform::telemetry::{HealthHandle, Metrics, serve_telemetry};
use platform::unix_http::{UnixLimits, serve_unix};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::TrustBundle;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::join_link::ParseJoinLinkError;
use trust_domains::plan::restart::MachineTag;
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::{Code, Coded, with_causes};
use zeroize::Zeroizing;

pub use self::listening::HANDED_SOCKETS;

use self::broker::BrokerStarter;
use self::cached::CacheOpener;
use self::listening::Listening;
use self::observe::{Observer, follow_identity, follow_link};
use self::sinks::SinkStarter;
use self::waking::watch_for_absence;
use crate::admin::{self, Admin, Sinks};
use crate::config::{AgentConfig, Feature, JoinSource};
use crate::endpoints::{Endpoints, Served};
use crate::issuing::{Upstream, keep_fresh};
use crate::jwt_svids::{JwtCache, JwtIssuing};
use crate::metrics::AgentMetrics;
use crate::node::{Admission, IdentityUnreadable, Leaver, Membership, MembershipEnded, NodeIdentity, SealedError, SealedRecords, Standing};
use crate::reload;
use crate::sinks::SinkSurroundings;
use crate::svids::{self, Issuing, LastSeen, Saver, SvidCache};
use crate::sync::jitter;
use crate::wit_svids::{WitCache, WitIssuing};
use crate::workload::{Attestor, Rights, unprovable};

/// The longest file that holds a join link.
const LONGEST_JOIN_FILE: usize = 4_096;

/// How long parts have to end: the last files and the cache are written, open streams are told.
const END_GRACE: Duration = Duration::from_secs(10);

/// The agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A socket.
    #[error("a socket cannot be made")]
    Bind(#[from] BindError),
    /// The configuration does not fit the trust domain that the node is in.
    #[error(transparent)]
    Config(#[from] ConfigMistakes),
    /// The data directory.
    #[error("the data directory cannot be used")]
    DataDir(#[source] FileError),
    /// The sealed identity.
    #[error("the sealed identity cannot be used")]
    Identity(#[from] IdentityUnreadable),
    /// The file with the link.
    #[error("the file with the join link cannot be read")]
    JoinFile(#[source] FileError),
    /// The link.
    #[error("the join link cannot be used")]
    JoinLink(#[from] ParseJoinLinkError),
    /// Another agent runs.
    #[error("another agent runs on this data directory")]
    Lock(#[from] LockError),
    /// The node did not join, or is a member no longer.
    #[error(transparent)]
    Membership(#[from] MembershipEnded),
    /// There is neither identity nor link.
    #[error("this agent has no identity yet and was given no join link")]
    NoJoinLink,
    /// Processes cannot be looked at.
    #[error("processes cannot be attested without /proc")]
    Proc(#[source] std::io::Error),
    /// The sealed records.
    #[error("the sealed records cannot be opened")]
    Sealed(#[from] SealedError),
}

impl Coded for RunError {
    fn code(&self) -> Code {
        match self {
            Self::Bind(error) => error.code(),
            Self::Config(error) => error.code(),
            Self::DataDir(error) | Self::JoinFile(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::JoinLink(error) => error.code(),
            Self::Lock(error) => error.code(),
            Self::Membership(error) => error.code(),
            Self::NoJoinLink => Code::JoinLinkRequired,
            Self::Proc(_) => Code::Internal,
            Self::Sealed(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Bind(error) => error.hint(),
            Self::DataDir(error) | Self::JoinFile(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Membership(error) => error.hint(),
            Self::Sealed(error) => error.hint(),
            Self::Config(_) | Self::JoinLink(_) | Self::NoJoinLink | Self::Proc(_) => self.code().facts().hint.to_owned(),
        }
    }
}

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

/// Failing to get more files or fewer dumps is no reason not to serve.
fn prepare_process() {
    if let Err(error) = platform::process::raise_open_file_limit() {
        tracing::warn!(error = %error, "the limit of open files could not be raised");
    }
    if let Err(error) = platform::process::disable_core_dumps() {
        tracing::warn!(error = %error, "core dumps could not be switched off");
    }
}

fn read_link(source: &JoinSource) -> Result<Admission, RunError> {
    let text = match source {
        JoinSource::Certificate(admission) => return Ok(Admission::Certificate(admission.clone())),
        JoinSource::Link(text) => text.clone(),
        JoinSource::File(path) => {
            let octets = files::read_secret(path, LONGEST_JOIN_FILE).map_err(RunError::JoinFile)?;
            Zeroizing::new(String::from_utf8_lossy(&octets).into_owned())
        }
    };
    Ok(Admission::Link(text.trim().parse()?))
}

/// Waiting for a dying predecessor blocks, so it is done off the runtime.
async fn lock(config: &AgentConfig) -> Result<DirectoryLock, RunError> {
    let directory = config.data_dir.clone();
    match tokio::task::spawn_blocking(move || DirectoryLock::acquire(&directory, "lock")).await {
        Ok(lock) => Ok(lock?),
        Err(error) => Err(RunError::Proc(std::io::Error::other(error))),
    }
}

/// A passphrase may be asked for, or a token: waiting for those blocks, so it is done off the runtime.
async fn open_records(config: &AgentConfig) -> Result<SealedRecords, RunError> {
    let (directory, source) = (config.data_dir.clone(), config.key_source.clone());
    match tokio::task::spawn_blocking(move || SealedRecords::open(&directory, &source)).await {
        Ok(records) => Ok(records?),
        Err(error) => Err(RunError::Proc(std::io::Error::other(error))),
    }
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

/// Says once which selectors nobody can rely on here.
fn tell_unprovable() {
    match Rights::of_agent() {
        Ok(rights) => {
            for unknown in unprovable(rights) {
                tracing::warn!(selector = %unknown.kind, reason = %unknown.reason, "this agent cannot prove a selector");
            }
        }
        Err(error) => tracing::warn!(error = %error, "the agent's own rights cannot be read"),
    }
}

#[cfg(test)]
mod tests;
