//! Makes the files that later builds must open: `tests/fixtures/make v1` runs this.
//!
//! A server and an agent of this build run, as processes, in a temporary directory; a node that speaks for itself records a conversation with the
//! server; then both processes end and their directories are copied.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agent::node::KeyPair;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use platform::clock::SystemClock;
use platform::tls::{Connection, ServerTrust, ServerVerifier, TlsIdentity, client_config, connect};
use serde::Serialize;
use serde_json::{Value, json};
use tests::domain::{Agent, Domain, path_text};
use trust_domains::EntryId;
use trust_domains::join_link::JoinLink;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{Ack, AttestRequest, Evidence, IssueRequest, KeyRequest, NodeCredential, RenewRequest, SyncMessage, possession_message};

const DEADLINE: Duration = Duration::from_secs(20);

const SERVER_TOML: &str = r#"# Every option of the server in this version.
data_dir = "/var/lib/troth/server"
key_file = "/var/lib/troth/server.seal.key"
listen = "0.0.0.0:8443"
advertise = "ca.example.org:8443"
store = "sled"
telemetry_listen = "127.0.0.1:9464"
issuing_ttl = "7d"
node_ttl = "24h"
max_class = "slow"
clock_skew = "60s"
"#;

const AGENT_TOML: &str = r#"# Every option of the agent in this version.
data_dir = "/var/lib/troth/agent"
key_file = "/var/lib/troth/agent.seal.key"
join_file = "/etc/troth/join"
workload_socket = "unix:///run/troth/workload.sock"
telemetry_listen = "off"
max_streams_per_uid = 1000
no_cache = false

[[sink]]
spiffe_id = "/web"
directory = "/etc/web/svid"
owner = "0"
group = "0"
mode = "0640"
on_withdraw = "keep"
"#;

fn main() {
    let target = PathBuf::from(std::env::args().nth(1).expect("where to, as tests/fixtures/v1"));
    std::fs::create_dir(&target).expect("a directory that is not there yet: fixtures are made once");
    let mut domain = Domain::start("fixture.test");
    let mut agent = domain.agent("web-1");
    make_entries(&domain);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let conversation = runtime.block_on(converse(&domain));
    let entries = domain.told(&["entry", "list"]);
    let nodes = domain.told(&["node", "list"]);
    end(&mut domain, &mut agent);

    let write = |name: &str, text: &str| std::fs::write(target.join(name), text).expect("a file");
    write("server.toml", SERVER_TOML);
    write("agent.toml", AGENT_TOML);
    write(
        "conversation.jsonl",
        &conversation.iter().map(|exchange| format!("{exchange}\n")).collect::<String>(),
    );
    for (from, to) in [(domain.server_data(), "server"), (agent.data.clone(), "agent")] {
        copy(&from, &target.join(to));
        copy(&from.with_extension("seal.key"), &target.join(format!("{to}.seal.key")));
    }
    let store_len = without_zeros(&target.join("server/store/db"));
    let facts = json!({ "made_at": now(), "trust_domain": domain.name, "store_len": store_len, "entries": entries["items"], "nodes": nodes["items"] });
    write("facts.json", &format!("{facts:#}\n"));
}

fn make_entries(domain: &Domain) {
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--selector",
        "unix:uid:1000",
        "--class",
        "slow",
        "--hint",
        "public",
        "--wait",
    ]);
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/job",
        "--selector",
        "unix:gid:7",
        "--class",
        "slow",
        "--expires-at",
        "2099-01-01T00:00:00Z",
        "--wait",
    ]);
    // Longer than one value of the store.
    let paths: Vec<_> = (0..40).map(|number| format!("unix:path:/opt/{}{number}", "long/".repeat(30))).collect();
    let mut long = vec!["entry", "create", "--spiffe-id", "/long", "--class", "slow", "--wait"];
    paths.iter().for_each(|path| long.extend(["--selector", path]));
    let _ = domain.told(&long);
    let _ = domain.told(&["token", "create", "--node-id", "unused", "--ttl", "7d"]);
}

/// Speaks as a node would and keeps every word.
async fn converse(domain: &Domain) -> Vec<Value> {
    let link: JoinLink = domain.link("talker").parse().expect("a link");
    let entry = domain.told(&["entry", "create", "--spiffe-id", "/talk", "--parent", "talker", "--selector", "unix:uid:1"]);
    let entry_id: EntryId = entry["id"].as_str().expect("an id").parse().expect("an entry id");
    let mut said = Vec::new();

    let (key, stranger) = (KeyPair::generate().expect("a key"), open(&link, None).await);
    let message = possession_message(stranger.exporter(), key.public().spki(), link.token.expose().as_bytes());
    let attest = AttestRequest {
        evidence: Evidence::JoinToken { token: link.token.clone() },
        public_key: spki(&key),
        proof: sign(&key, &message),
    };
    let credential: NodeCredential = serde_json::from_value(tell(&mut said, &stranger, "/v1/node/attest", &attest).await).expect("a credential");

    let node = open(&link, Some((&credential, &key))).await;
    let shown = follow(&mut said, &node).await;
    tell(&mut said, &node, "/v1/node/ack", &Ack { revision: shown }).await;
    let ask = |id: &EntryId| KeyRequest {
        entry_id: id.clone(),
        public_key: spki(&KeyPair::generate().expect("a key")),
    };
    // One that is issued, and one that is refused.
    let batch = IssueRequest {
        requests: vec![ask(&entry_id), ask(&"no-such-entry".parse().expect("an id"))],
    };
    tell(&mut said, &node, "/v1/node/issue", &batch).await;

    let next = KeyPair::generate().expect("a key");
    let message = possession_message(node.exporter(), next.public().spki(), &credential.chain[0].0);
    let renew = RenewRequest {
        public_key: spki(&next),
        proof: sign(&next, &message),
    };
    tell(&mut said, &node, "/v1/node/renew", &renew).await;
    // A problem: the stranger has no certificate.
    tell(&mut said, &stranger, "/v1/node/issue", &batch).await;
    said
}

async fn open(link: &JoinLink, identity: Option<(&NodeCredential, &KeyPair)>) -> Connection {
    let trust = ServerTrust::Roots {
        trust_domain: link.trust_domain.clone(),
        roots: link.roots().to_vec(),
    };
    let verifier = Arc::new(ServerVerifier::new(trust, SystemClock::shared()));
    let identity = identity.map(|(credential, key)| TlsIdentity::new(&credential.chain, key.pkcs8()).expect("a TLS identity"));
    connect(&link.server, client_config(identity.as_ref(), verifier).expect("a TLS configuration"), DEADLINE)
        .await
        .expect("a connection")
}

/// Posts a request, and keeps it with its answer.
async fn tell(said: &mut Vec<Value>, connection: &Connection, path: &str, request: &impl Serialize) -> Value {
    let body = serde_json::to_vec(request).expect("JSON");
    let post = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
    let answer = connection
        .send(post.body(Full::new(Bytes::from(body))).expect("a request"))
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.expect("a body").to_bytes();
    let answer: Value = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&text).expect("JSON")
    };
    said.push(json!({ "call": format!("POST {path}"), "request": request, "status": status, "answer": answer }));
    answer
}

/// Follows the entries until the stream is up to date and a heartbeat came, and keeps each line.
async fn follow(said: &mut Vec<Value>, connection: &Connection) -> trust_domains::Revision {
    let mut stream = connection.lines("/v1/node/sync", DEADLINE).await.expect("a stream");
    let (mut lines, mut shown) = (Vec::new(), None);
    loop {
        let line: Value = tokio::time::timeout(DEADLINE, stream.next())
            .await
            .expect("a line in time")
            .expect("a line")
            .expect("an open stream");
        lines.push(line.clone());
        match serde_json::from_value(line).expect("a message") {
            SyncMessage::Snapshot { revision, .. } => shown = Some(revision),
            SyncMessage::Heartbeat { .. } => break,
            _ => {}
        }
    }
    said.push(json!({ "call": "GET /v1/node/sync", "lines": lines }));
    shown.expect("a snapshot")
}

fn spki(key: &KeyPair) -> Base64 {
    Base64(key.public().spki().to_vec())
}

fn sign(key: &KeyPair, message: &[u8]) -> Base64 {
    Base64(key.sign(message).expect("a signature"))
}

/// Ends both processes as an operator does: what they hold is on the disk then.
fn end(domain: &mut Domain, agent: &mut Agent) {
    assert!(agent.process().terminate().success());
    assert!(domain.server().terminate().success());
}

fn now() -> trust_domains::Timestamp {
    SystemClock::shared().now().wall
}

/// Cuts the zeros at the end of a file, nearly all of a young store, and returns how long it was.
fn without_zeros(path: &Path) -> usize {
    let octets = std::fs::read(path).expect("a file");
    let kept = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    std::fs::write(path, &octets[..kept]).expect("a file");
    octets.len()
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-r", path_text(from), path_text(to)]).status().expect("cp starts");
    assert!(done.success(), "{} is not copied", from.display());
    // A checkout has no empty directories.
    let _ = std::fs::remove_dir(to.join("store/blobs"));
}
