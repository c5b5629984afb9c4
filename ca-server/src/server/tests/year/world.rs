//! A server, its fleet, and what happens to them.

use std::time::Duration;

use platform::paths::Environment;
use tokio::sync::{mpsc, oneshot};
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::wire::admin::EntryDraft;
use trust_domains::{EntryId, Timestamp};

use super::agent::{Agent, Counts, Whereabouts};
use super::believed::Partners;
use super::chance::Chance;
use super::checks::Checks;
use super::plot::Crash;
use super::running::{Running, operator};
use crate::config::{RawServerConfig, ServerConfig};
use crate::init::{InitParams, RecoveryChoice, init};
use crate::server::tests::world::draft;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

const BEGINNING: Timestamp = Timestamp::from_unix(1_795_338_000);

/// What happened to the server.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Events {
    pub(super) restarts: usize,
    pub(super) crashes: usize,
    pub(super) departures: usize,
    pub(super) jobs: usize,
}

/// An entry that is there for a while.
struct Job {
    entry: EntryId,
    until: Duration,
    quantum: Duration,
}

pub(super) struct World {
    config: ServerConfig,
    /// The server's clock, and everybody else's.
    pub(super) clock: ManualClock,
    pub(super) clock_of_agents: ManualClock,
    server: Option<Running>,
    pub(super) agents: Vec<Agent>,
    pub(super) chance: Chance,
    pub(super) checks: Checks,
    pub(super) partners: Partners,
    pub(super) events: Events,
    jobs: Vec<Job>,
    interludes: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    tell: mpsc::UnboundedSender<oneshot::Sender<()>>,
    /// Who did not take part in the last emergency: their place in the list.
    left_behind: Vec<usize>,
    _directory: tempfile::TempDir,
}

/// The options of a server whose authorities change often: an issuing CA is followed by the next after five or six days, a root after three months.
pub(super) fn options() -> RawServerConfig {
    let text = |text: &str| Some(text.to_owned());
    RawServerConfig {
        listen: text("127.0.0.1:0"),
        telemetry_listen: text("off"),
        max_class: text("slow"),
        node_ttl: text("120h"),
        issuing_ttl: text("504h"),
        jwt_key_ttl: text("336h"),
        root_ttl: text("4560h"),
        ..RawServerConfig::default()
    }
}

impl World {
    /// A new trust domain with agents that have joined; each has a workload of the slow class.
    pub(super) async fn new(agents: usize, seed: u64) -> Self {
        Self::with(agents, seed, options(), Partners::default()).await
    }

    /// The same of a server with these options, and partners that fetch its bundle.
    pub(super) async fn with(agents: usize, seed: u64, options: RawServerConfig, partners: Partners) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("server");
        let (clock, clock_of_agents) = (ManualClock::new(BEGINNING), ManualClock::new(BEGINNING));
        let params = InitParams {
            trust_domain: "example.org".parse().unwrap(),
            data_dir: data_dir.clone(),
            key_source: None,
            signing_keys: crate::config::SigningKeysPlace::Store,
            recovery: RecoveryChoice::None,
            jwt_algorithm: TokenAlgorithm::default(),
            upstream: None,
            clock: clock.shared(),
        };
        init(params).await.unwrap();
        let raw = RawServerConfig {
            data_dir: Some(data_dir.display().to_string()),
            ..options
        };
        let config = ServerConfig::new(raw, &Environment::default()).unwrap();
        let server = Running::start(&config, &clock).await.unwrap();
        let (tell, interludes) = mpsc::unbounded_channel();
        let mut world = Self {
            agents: (0..agents)
                .map(|number| Agent::new(&server, &format!("node-{number}"), &clock_of_agents))
                .collect(),
            config,
            clock,
            clock_of_agents,
            server: Some(server),
            chance: Chance::of(seed),
            checks: Checks::default(),
            partners,
            events: Events::default(),
            jobs: Vec::new(),
            interludes,
            tell,
            left_behind: Vec::new(),
            _directory: directory,
        };
        world.agents_turn().await;
        for number in 0..agents {
            world.create_entry(number, "slow").await;
        }
        world.turn().await;
        world
    }

    pub(super) fn server(&self) -> &Running {
        self.server.as_ref().unwrap()
    }

    /// The true time, which is the agents'.
    pub(super) fn now(&self) -> Timestamp {
        self.clock_of_agents.now().wall
    }

    pub(super) fn since_boot(&self) -> Duration {
        self.clock_of_agents.now().since_boot
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.clock_of_agents.advance(by);
    }

    async fn create_entry(&mut self, agent: usize, class: &str) -> EntryId {
        let draft = EntryDraft {
            class: Some(class.parse().unwrap()),
            x509_ttl_s: None,
            jwt_ttl_s: (class == "slow").then_some(86_400),
            ..draft(&format!("/{class}/{agent}"), self.agents[agent].name.as_str())
        };
        let mut created = self.server().rooms.editor.create(vec![draft], &operator()).await.unwrap();
        created.entries.remove(0).id
    }

    /// Starts a workload of a class on some agents for a while; while it is there, no step is longer than its credentials allow.
    pub(super) async fn run_job(&mut self, class: &str, agents: usize, life: Duration, quantum: Duration) {
        self.events.jobs += 1;
        for _ in 0..agents {
            let agent = self.chance.below(self.agents.len());
            let entry = self.create_entry(agent, class).await;
            if self.jobs.iter().all(|job| job.entry != entry) {
                let until = self.since_boot() + life;
                self.jobs.push(Job { entry, until, quantum });
            }
        }
    }

    async fn end_jobs(&mut self) {
        let now = self.since_boot();
        let (over, on) = std::mem::take(&mut self.jobs).into_iter().partition(|job| job.until <= now);
        self.jobs = on;
        let over: Vec<Job> = over;
        for job in over {
            self.server().rooms.editor.delete(job.entry.as_str(), &operator()).await.unwrap();
        }
    }

    /// Somebody who is here goes away, or freezes.
    pub(super) fn depart(&mut self, to: fn(Duration) -> Whereabouts, least: Duration, most: Duration) {
        let number = self.chance.below(self.agents.len());
        let until = self.since_boot() + self.chance.between(least, most);
        let is_here = self.agents[number].is_here();
        let here = self.agents.iter().filter(|agent| agent.is_here()).count();
        if is_here && here * 2 > self.agents.len() {
            self.events.departures += 1;
            match to(until) {
                Whereabouts::Away(until) => self.agents[number].leave(self.server.as_ref(), until),
                frozen => self.agents[number].whereabouts = frozen,
            }
        }
    }

    /// Returns how long the next step is: until something is due for somebody, but not shorter than is worth a look.
    pub(super) fn pause(&self, least: Duration, most: Duration) -> Duration {
        let least = self.jobs.iter().map(|job| job.quantum).min().map_or(least, |quantum| quantum.min(least));
        let now = self.since_boot();
        let due = self
            .agents
            .iter()
            .map(|agent| agent.due_at)
            .chain(self.partners.due_at())
            .min()
            .unwrap_or(now + most);
        due.saturating_sub(now).clamp(least, most)
    }

    /// Lets everything happen that is due at this moment, and checks it.
    pub(super) async fn step(&mut self) {
        self.agents.iter_mut().for_each(Agent::come_back_when_due);
        self.end_jobs().await;
        self.turn().await;
        self.check();
        let (now, server) = (self.clock_of_agents.now(), self.server.as_ref().unwrap());
        self.partners.step(server, &self.agents, now, &mut self.chance);
    }

    /// Somebody copies what an authority of this kind signed, with its key.
    pub(super) fn steal(&mut self, kind: AuthorityKind) {
        let (now, server) = (self.clock_of_agents.now(), self.server.as_ref().unwrap());
        self.partners.steal(kind, server, &self.agents, now);
    }

    /// The emergency is over.
    pub(super) fn settle_emergency(&mut self) {
        let (since_boot, server) = (self.since_boot(), self.server.as_ref().unwrap());
        self.partners.settle(server, since_boot);
    }

    /// The server looks, the agents have their turn; what they acknowledged is looked at when time has passed.
    pub(super) async fn turn(&mut self) {
        self.look().await;
        while self.server().plot.is_dead() {
            self.events.crashes += 1;
            self.restart(Duration::ZERO).await;
            self.look().await;
        }
        self.agents_turn().await;
    }

    pub(super) fn check(&mut self) {
        let now = self.now();
        let server = self.server.as_ref().unwrap();
        let left_behind: Vec<_> = self.left_behind.iter().map(|number| self.agents[*number].name.clone()).collect();
        let is_left_behind = |agent: &Agent| !agent.is_here() && left_behind.contains(&agent.name);
        self.checks.step(server, &self.agents, now, &is_left_behind, &mut self.chance);
    }

    /// Checks the fleet alone, while its server is astray.
    pub(super) fn check_fleet(&mut self) {
        let now = self.now();
        let server = self.server.as_ref().unwrap();
        self.checks.fleet(server, &self.agents, now, &mut self.chance);
    }

    async fn agents_turn(&mut self) {
        let Some(server) = &self.server else { return };
        server.settled().await;
        for agent in &mut self.agents {
            agent.turn(server, &mut self.chance).await;
        }
    }

    /// The server looks after its authorities. In between two steps of that, agents may have their turn: they hear of a commit before the server itself
    /// has read it back.
    pub(super) async fn look(&mut self) {
        let server = self.server.as_mut().unwrap();
        server.plot.tell(self.chance.one_in(2).then(|| self.tell.clone()));
        let authorities = std::sync::Arc::clone(&server.rooms.authorities);
        let look = authorities.look();
        tokio::pin!(look);
        let looked = loop {
            tokio::select! {
                biased;
                looked = &mut look => break looked,
                Some(go_on) = self.interludes.recv() => {
                    self.agents_turn().await;
                    // The step goes on, or was given up.
                    let _ = go_on.send(());
                }
            }
        };
        let server = self.server.as_mut().unwrap();
        server.plot.tell(None);
        match looked {
            Ok(()) => server.keep_identity().await,
            Err(error) => assert!(server.plot.is_dead(), "{error}"),
        }
    }

    /// Ends the server, and starts it again after a while.
    pub(super) async fn restart(&mut self, away: Duration) {
        self.events.restarts += 1;
        self.server.take().unwrap().end().await;
        self.agents.iter_mut().for_each(|agent| agent.hang_up(None));
        self.advance(away);
        self.server = Some(Running::start(&self.config, &self.clock).await.unwrap());
    }

    /// Ends the server, tries to start it by whatever clock there is, and says whether that went well.
    pub(super) async fn try_restart(&mut self) -> bool {
        self.server.take().unwrap().end().await;
        self.agents.iter_mut().for_each(|agent| agent.hang_up(None));
        self.server = Running::start(&self.config, &self.clock).await.ok();
        self.server.is_some()
    }

    /// Starts the server that did not start.
    pub(super) async fn start(&mut self) {
        self.server = Some(Running::start(&self.config, &self.clock).await.unwrap());
    }

    /// Lets the server end at a step of its authorities' life, some steps from now.
    pub(super) fn crash_soon(&mut self) {
        let how = if self.chance.one_in(2) { Crash::BeforeCommit } else { Crash::AfterCommit };
        let steps = self.chance.below(8);
        self.server().plot.crash_after(steps, how);
    }

    /// Notes who takes no part in the emergency that begins: they are left behind.
    pub(super) fn begin_emergency(&mut self) {
        self.left_behind = (0..self.agents.len()).filter(|number| !self.agents[*number].is_here()).collect();
    }

    /// Does now and then what a running server does in the background.
    pub(super) async fn keep_house(&mut self) {
        let (server, now) = (self.server(), self.clock.now());
        server.rooms.tokens.sweep().await.unwrap();
        if server.rooms.authorities.may_destroy(now) {
            server.rooms.journal.prune(now.wall).await.unwrap();
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.agents.iter().map(|agent| agent.counts).fold(Counts::default(), |sum, one| Counts {
            svids: sum.svids + one.svids,
            tokens: sum.tokens + one.tokens,
            node_renewals: sum.node_renewals + one.node_renewals,
            renewals_after_expiry: sum.renewals_after_expiry + one.renewals_after_expiry,
            rejoined: sum.rejoined + one.rejoined,
            connections: sum.connections + one.connections,
        })
    }
}
