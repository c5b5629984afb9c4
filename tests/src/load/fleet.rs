//! Whole agents in this process: they join, follow the stream, renew their own SVID, ask for the others and acknowledge.

use std::path::{Path, PathBuf};
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
use trust_domains::wire::authorities::AuthorityView;

use super::node::{admin, create};
use crate::admin::draft;
use crate::domain::{Domain, path_text};
use crate::wait::until_within;

/// Agents that join at the same time: strangers wait for each other at the server.
const JOINING: usize = 16;

/// The longest wait for the agents to be ready.
const LIMIT: Duration = Duration::from_secs(600);

/// How often the server is asked whether a node has joined.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often the SVIDs are counted: an answer holds every authority.
const COUNT_EVERY: Duration = Duration::from_millis(200);

/// Agents that run until this is dropped.
pub(super) struct Fleet {
    stop: CancellationToken,
    folder: PathBuf,
    agents: usize,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Fleet {
    /// Joins agents with so many entries each for a user, and waits until all SVIDs are there.
    pub(super) fn start(domain: &Domain, runtime: &Runtime, agents: usize, svids: usize, uid: u32) -> Self {
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
            let drafts = (0..agents * svids).map(|number| draft(format!("/workload/{number}"), &name(number / svids), uid));
            create(&client, drafts.collect()).await;
            until_shown(&client, agents * (svids + 1)).await;
        });
        Self {
            stop,
            folder: domain.folder().to_owned(),
            agents,
        }
    }

    /// Returns the Workload API's socket of each agent.
    pub(super) fn sockets(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..self.agents).map(|number| socket(&self.folder, number))
    }
}

fn socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.sock"))
}

fn name(number: usize) -> String {
    format!("n{number}")
}

/// Starts an agent in this process, and waits until the server knows it.
async fn start_agent(client: &UnixHttpClient, folder: &Path, number: usize, stop: CancellationToken) {
    let request = TokenRequest {
        ttl_s: 600,
        node_id: Some(name(number).parse().expect("a node's name")),
    };
    let token: TokenCreated = client.post("/v1/admin/tokens", &request).await.expect("a join token");
    let raw = RawAgentConfig {
        data_dir: Some(path_text(&folder.join(name(number))).to_owned()),
        workload_socket: Some(path_text(&socket(folder, number)).to_owned()),
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

/// Waits until so many SVIDs are signed: those of every agent, and its own.
async fn until_shown(client: &UnixHttpClient, all: usize) {
    until_within(LIMIT, COUNT_EVERY, "SVIDs for all agents", async || {
        (signed(client).await >= all as u64).then_some(())
    })
    .await;
}

/// Returns how much the active issuing CA has signed.
pub(super) async fn signed(client: &UnixHttpClient) -> u64 {
    let list: Page<AuthorityView> = client.get("/v1/admin/authorities").await.expect("the authorities");
    let active = list
        .items
        .iter()
        .find(|authority| authority.kind == AuthorityKind::X509Issuing && authority.state == Phase::Active);
    active.and_then(|authority| authority.signed).unwrap_or_default()
}
