//! An emergency: from the taint of an authority to the last SVID replaced on the last agent, and what it costs the server.
//!
//! The agents are whole: they join, follow the stream, renew their own SVID, ask for the others and acknowledge, in this process. They hold their SVIDs ahead
//! and nobody watches them, so that what is measured is the replacement and not this program's reading of it.

use std::sync::Arc;
use std::time::Duration;

use agent::config::{AgentConfig, RawAgentConfig};
use platform::clock::SystemClock;
use platform::paths::Environment;
use platform::service_manager::HandedSockets;
use platform::unix_http::UnixHttpClient;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use trust_domains::plan::authority::{AuthorityKind, Phase};
use trust_domains::wire::admin::{NodeView, Page, TokenCreated, TokenRequest};
use trust_domains::wire::authorities::{AuthorityView, ReplaceRequest, ReplacementView, StepKind, StepState};

use super::meter::{cpu_of, millis};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::subject::Effort;
use crate::admin::{draft, runtime};
use crate::domain::{Domain, path_text};
use crate::wait::until_within;

/// SVIDs of each agent.
const SVIDS: usize = 10;

/// Agents that join at the same time: strangers wait for each other at the server.
const JOINING: usize = 16;

/// Longer than anything here takes: nobody is left behind because of a slow machine.
const DEADLINE: &str = "10m";

/// The longest wait for the agents to be ready, and for the replacement.
const LIMIT: Duration = Duration::from_secs(600);

/// How often the steps are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often the SVIDs are counted: an answer holds every authority.
const COUNT_EVERY: Duration = Duration::from_millis(200);

/// Measures it.
pub(super) fn replacement(effort: Effort) -> Figure {
    let agents = effort.agents;
    let (mut domain, runtime) = (Domain::start_with("load.test", &["--emergency-ack-deadline", DEADLINE]), runtime());
    let fleet = Fleet::start(&domain, &runtime, agents);
    let client = admin(&domain);
    let before = cpu_of(domain.server());
    let begun = Instant::now();
    let times = runtime.block_on(replace(&client));
    let (whole, cpu) = (begun.elapsed(), cpu_of(domain.server()) - before);
    let signed = runtime.block_on(signed(&client));
    drop(fleet);
    let svids = agents * (SVIDS + 1);
    assert!(signed >= svids as u64, "{signed} of {svids} SVIDs were replaced");
    Figure {
        id: "taint",
        what: "an issuing CA in other hands: taint → the last SVID replaced",
        how: format!(
            "`replace --kind x509-issuing --compromised` with {agents} agents of {SVIDS} SVIDs each in the process that measures; each agent acknowledges when all of its SVIDs and its own are replaced"
        ),
        values: vec![
            Value::plain("taint to last", millis(times.reissued - times.tainted), "ms"),
            Value::plain("order to taint", millis(times.tainted - begun), "ms"),
            Value::plain("order to revoked", millis(whole), "ms"),
            Value::plain("server CPU", millis(cpu), "ms"),
            Value::plain("server CPU an SVID", millis(cpu) * 1e3 / svids as f64, "us"),
        ],
    }
}

/// Agents that run until this is dropped.
struct Fleet {
    stop: CancellationToken,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Fleet {
    /// Joins agents with their entries, and waits until each has acknowledged all that there is.
    fn start(domain: &Domain, runtime: &Runtime, agents: usize) -> Self {
        let stop = CancellationToken::new();
        let client = admin(domain);
        runtime.block_on(async {
            let gate = Arc::new(Semaphore::new(JOINING));
            let mut joining = JoinSet::new();
            for number in 0..agents {
                let (client, gate, stop, folder) = (client.clone(), Arc::clone(&gate), stop.clone(), domain.folder().to_owned());
                joining.spawn(async move {
                    let _turn = gate.acquire().await.expect("an open gate");
                    start_agent(&client, &folder, number, stop).await;
                });
            }
            joining.join_all().await;
            let drafts = (0..agents * SVIDS).map(|number| draft(format!("/workload/{number}"), &name(number / SVIDS), 1));
            create(&client, drafts.collect()).await;
            until_shown(&client, agents).await;
        });
        Self { stop }
    }
}

fn name(number: usize) -> String {
    format!("n{number}")
}

/// Starts an agent in this process, and waits until the server knows it.
async fn start_agent(client: &UnixHttpClient, folder: &std::path::Path, number: usize, stop: CancellationToken) {
    let request = TokenRequest {
        ttl_s: 600,
        node_id: Some(name(number).parse().expect("a node's name")),
    };
    let token: TokenCreated = client.post("/v1/admin/tokens", &request).await.expect("a join token");
    let raw = RawAgentConfig {
        data_dir: Some(path_text(&folder.join(name(number))).to_owned()),
        workload_socket: Some(path_text(&folder.join(format!("{number}.sock"))).to_owned()),
        telemetry_listen: Some("off".to_owned()),
        no_cache: Some(true),
        join: Some(token.link.to_link()),
        ..RawAgentConfig::default()
    };
    let config = AgentConfig::new(raw, &Environment::default()).expect("a configuration");
    tokio::spawn(async move { agent::run::run(config, HandedSockets::default(), SystemClock::shared(), stop).await });
    // A loop of its own: what a task runs has to be Send, and an async closure that borrows cannot promise it.
    let end = Instant::now() + LIMIT;
    while client.get::<NodeView>(&format!("/v1/admin/nodes/{}", name(number))).await.is_err() {
        assert!(Instant::now() < end, "agent {number} did not join");
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until every agent is connected and shows all of its entries.
async fn until_shown(client: &UnixHttpClient, agents: usize) {
    let all = (agents * (SVIDS + 1)) as u64;
    until_within(LIMIT, COUNT_EVERY, "SVIDs for all agents", async || (signed(client).await >= all).then_some(())).await;
}

/// Returns how much the active issuing CA has signed.
async fn signed(client: &UnixHttpClient) -> u64 {
    let list: Page<AuthorityView> = client.get("/v1/admin/authorities").await.expect("the authorities");
    let active = list
        .items
        .iter()
        .find(|authority| authority.kind == AuthorityKind::X509Issuing && authority.state == Phase::Active);
    active.and_then(|authority| authority.signed).unwrap_or_default()
}

/// When what was seen.
struct Seen {
    tainted: Instant,
    reissued: Instant,
}

/// Orders the replacement and follows it to its end.
async fn replace(client: &UnixHttpClient) -> Seen {
    let request = ReplaceRequest {
        kind: AuthorityKind::X509Issuing,
        compromised: true,
        because: "a measurement".to_owned(),
        dry_run: false,
    };
    let begun: ReplacementView = client.post("/v1/admin/authorities/replace", &request).await.expect("a replacement");
    let (mut tainted, mut reissued) = (None, None);
    until_within(LIMIT, LOOK_EVERY, "the replacement", async || {
        let all: Page<ReplacementView> = client.get("/v1/admin/authorities/replacements").await.expect("the replacements");
        let view = all.items.into_iter().find(|view| view.id == begun.id).expect("the replacement");
        let is_done = |what| view.steps.iter().any(|step| step.what == what && step.state == StepState::Done);
        let now = Instant::now();
        tainted = tainted.or_else(|| is_done(StepKind::Taint).then_some(now));
        reissued = reissued.or_else(|| is_done(StepKind::Reissue).then_some(now));
        if let (Some(tainted), Some(reissued), Some(_)) = (tainted, reissued, view.finished_at) {
            assert_eq!(view.outcome, None, "nobody is left behind");
            return Some(Seen { tainted, reissued });
        }
        None
    })
    .await
}
