//! What earlier versions wrote is opened by this build: see tests/fixtures/v1/README.md.
//!
//! The clock of these tests stands at the moment when the fixtures were made, so that their certificates never end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::config::{AgentConfig, RawAgentConfig};
use ca_server::config::{RawServerConfig, ServerConfig};
use ca_server::server::Server;
use platform::paths::Environment;
use platform::service_manager::HandedSockets;
use platform::sockets::SocketPath;
use platform::unix_http::UnixHttpClient;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tests::domain::path_text;
use tests::wait::until_async;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::ManualClock;
use trust_domains::problem::Problem;
use trust_domains::wire::admin::{EntryView, NodeView, Page};
use trust_domains::wire::agent::AgentStatus;
use trust_domains::wire::node::{Ack, AttestRequest, IssueRequest, IssueResponse, IssueResult, NodeCredential, RenewRequest, SyncMessage};
use trust_domains::{SpiffeBundle, Timestamp, TrustDomain};

const DEADLINE: Duration = Duration::from_secs(20);

/// What the makers of the fixture saw.
#[derive(Deserialize)]
struct Facts {
    made_at: Timestamp,
    trust_domain: TrustDomain,
    /// How long the store's file is with the zeros that the fixture leaves out.
    store_len: u64,
    entries: Vec<EntryView>,
    nodes: Vec<NodeView>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).expect("a fixture")
}

fn facts() -> Facts {
    serde_json::from_str(&text("facts.json")).expect("facts")
}

/// A copy of a data directory with its key file, with the modes that a checkout does not keep.
fn opened(kind: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    for name in [kind.to_owned(), format!("{kind}.seal.key")] {
        copy(&fixture(&name), &folder.path().join(name));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    let mode = if from.is_dir() {
        std::fs::create_dir(to).expect("a directory");
        for entry in std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        0o700
    } else {
        std::fs::copy(from, to).expect("a copy");
        0o600
    };
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).expect("its mode");
}

fn client(socket: &Path) -> UnixHttpClient {
    UnixHttpClient::new(SocketPath::new(socket).expect("a socket path"), DEADLINE)
}

#[tokio::test]
async fn a_server_directory_of_version_1_is_opened_with_its_entries_and_nodes() {
    open_server_of_version_1(&[]).await;
}

/// Keys of a kind that did not exist are added where they are asked for, and what there was stays.
#[tokio::test]
async fn a_server_directory_of_version_1_gets_a_wit_key_where_wit_svids_are_enabled() {
    open_server_of_version_1(&["wit"]).await;
}

async fn open_server_of_version_1(enable: &[&str]) {
    let (facts, folder, shutdown) = (facts(), opened("server"), CancellationToken::new());
    let store = std::fs::File::options()
        .write(true)
        .open(folder.path().join("server/store/db"))
        .expect("the store");
    store.set_len(facts.store_len).expect("its zeros");
    let raw = RawServerConfig {
        data_dir: Some(path_text(&folder.path().join("server")).to_owned()),
        listen: Some("127.0.0.1:0".to_owned()),
        telemetry_listen: Some("off".to_owned()),
        enable: Some(enable.iter().map(|&name| name.to_owned()).collect()),
        ..RawServerConfig::default()
    };
    let config = ServerConfig::new(raw, &Environment::default()).expect("a configuration");
    let server = Server::start(config, ManualClock::new(facts.made_at).shared(), shutdown.clone())
        .await
        .expect("the server starts");
    assert_eq!(*server.trust_domain(), facts.trust_domain);
    let admin = client(server.admin_socket());
    let bundle: SpiffeBundle = admin.get("/v1/admin/bundle").await.expect("the bundle");
    assert_eq!(
        bundle.bundle().wit_authorities().len(),
        enable.len(),
        "a key for WIT-SVIDs where they are enabled"
    );
    let entries: Page<EntryView> = admin.get("/v1/admin/entries").await.expect("entries");
    assert!(facts.entries.len() > 3);
    assert_eq!(entries.items, facts.entries);
    let nodes: Page<NodeView> = admin.get("/v1/admin/nodes").await.expect("nodes");
    let known = |nodes: &[NodeView]| {
        nodes
            .iter()
            .map(|node| (node.spiffe_id.clone(), node.state, node.expires_at))
            .collect::<Vec<_>>()
    };
    assert_eq!(known(&nodes.items), known(&facts.nodes));
    let mut journal = admin.lines("/v1/admin/audit").await.expect("the journal");
    let mut records = 0;
    while journal.next::<trust_domains::wire::audit::AuditRecord>().await.expect("a record").is_some() {
        records += 1;
    }
    assert!(records > facts.entries.len());
    shutdown.cancel();
    server.ended().await;
}

#[tokio::test]
async fn an_agent_directory_of_version_1_is_opened_and_served_from() {
    let (facts, folder, shutdown) = (facts(), opened("agent"), CancellationToken::new());
    let data = folder.path().join("agent");
    let raw = RawAgentConfig {
        data_dir: Some(path_text(&data).to_owned()),
        workload_socket: Some(path_text(&folder.path().join("w.sock")).to_owned()),
        telemetry_listen: Some("off".to_owned()),
        ..RawAgentConfig::default()
    };
    let config = AgentConfig::new(raw, &Environment::default()).expect("a configuration");
    let agent = tokio::spawn(agent::run::run(
        config,
        HandedSockets::default(),
        ManualClock::new(facts.made_at).shared(),
        shutdown.clone(),
    ));
    let admin = client(&data.join("agent-admin.sock"));
    let status = until_async("the agent's status", async || {
        assert!(!agent.is_finished(), "the agent ended");
        admin.get::<AgentStatus>("/v1/agent/status").await.ok().filter(|status| status.svids > 0)
    })
    .await;
    let node = status.spiffe_id.expect("an identity");
    assert_eq!(node.path(), "/troth/agent/join_token/web-1");
    // Its server is away: everything comes from the sealed cache.
    let held = facts.entries.iter().filter(|entry| entry.parent_id == node).count();
    assert_eq!((status.connected, status.entries, status.svids), (false, held, held));
    shutdown.cancel();
    agent.await.expect("the agent").expect("the agent ends well");
}

#[test]
fn configuration_files_of_version_1_are_read() {
    let server = RawServerConfig::read(Some(&fixture("server.toml"))).expect("server.toml");
    let server = server
        .finish(|raw| ServerConfig::new(raw, &Environment::default()))
        .expect("a server's configuration");
    assert_eq!(server.advertise.expect("an address").to_string(), "ca.example.org:8443");
    let agent = RawAgentConfig::read(Some(&fixture("agent.toml"))).expect("agent.toml");
    let agent = agent
        .finish(|raw| AgentConfig::new(raw, &Environment::default()))
        .expect("an agent's configuration");
    assert_eq!(agent.sinks.len(), 1);
}

fn parsed<T: DeserializeOwned>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_else(|error| panic!("{error} in {value}"))
}

#[test]
fn every_message_of_version_1_is_understood() {
    let mut calls = Vec::new();
    for line in text("conversation.jsonl").lines() {
        let exchange: Value = serde_json::from_str(line).expect("an exchange");
        let (call, request, answer) = (exchange["call"].as_str().expect("a call"), &exchange["request"], &exchange["answer"]);
        calls.push((call.to_owned(), exchange["status"].as_u64()));
        match call {
            "POST /v1/node/attest" => drop(parsed::<AttestRequest>(request)),
            "POST /v1/node/renew" => drop(parsed::<RenewRequest>(request)),
            "POST /v1/node/ack" => drop(parsed::<Ack>(request)),
            "POST /v1/node/issue" => drop(parsed::<IssueRequest>(request)),
            "GET /v1/node/sync" => {
                let lines: Vec<SyncMessage> = parsed(&exchange["lines"]);
                assert!(matches!(
                    lines.as_slice(),
                    [
                        SyncMessage::Snapshot {
                            last: true,
                            bundle: Some(_),
                            ..
                        },
                        ..,
                        SyncMessage::Heartbeat { .. }
                    ]
                ));
                continue;
            }
            other => panic!("an unknown call: {other}"),
        }
        match (call, exchange["status"].as_u64().expect("a status")) {
            ("POST /v1/node/attest" | "POST /v1/node/renew", 200) => drop(parsed::<NodeCredential>(answer)),
            ("POST /v1/node/issue", 200) => {
                let answer: IssueResponse = parsed(answer);
                assert!(matches!(answer.results.as_slice(), [IssueResult::Issued(_), IssueResult::Refused { .. }]));
            }
            ("POST /v1/node/ack", 204) => assert!(answer.is_null()),
            (_, status) => assert_eq!(u64::from(parsed::<Problem>(answer).status), status),
        }
    }
    let named: std::collections::BTreeSet<_> = calls.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(named.len(), 5, "{calls:?}");
}
