//! Attackers on the network and with a node's files: each is refused, and gets and learns nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agent::workload_api::client;
use agent::workload_api::messages::{X509svid, X509svidRequest};
use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use platform::client::CallError;
use platform::clock::SystemClock;
use platform::tls::{Connection, ServerTrust, ServerVerifier, TlsIdentity, client_config, connect, provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tests::domain::{Agent, Domain};
use tests::wait::until;
use tests::workload::fetch_as;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use trust_domains::join_link::JoinLink;
use trust_domains::node::NodeAttestor;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{
    AttestRequest, Evidence, IssueRequest, IssueResponse, IssueResult, KeyRequest, NodeCredential, RenewRequest, SyncMessage, possession_message,
};
use trust_domains::x509::split_der;
use trust_domains::{EntryId, SpiffeId, TrustBundle};

/// The longest call.
const DEADLINE: Duration = Duration::from_secs(30);

/// A P-256 key of an attacker's own making.
struct Key {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("its form").as_ref().to_vec();
        Self { pair, pkcs8 }
    }

    fn spki(&self) -> Base64 {
        Base64(PublicKey::from_sec1(self.pair.public_key().as_ref()).expect("a point").spki().to_vec())
    }

    fn proof(&self, connection: &Connection, evidence: &[u8]) -> Base64 {
        let message = possession_message(connection.exporter(), &self.spki().0, evidence);
        Base64(self.pair.sign(&SystemRandom::new(), &message).expect("a signature").as_ref().to_vec())
    }
}

/// A node that speaks the protocol by itself, and says what no agent would.
struct HostileNode {
    key: Key,
    credential: NodeCredential,
}

impl HostileNode {
    async fn join(link: &JoinLink) -> Result<Self, CallError> {
        let key = Key::new();
        let trust = ServerTrust::Roots {
            trust_domain: link.trust_domain.clone(),
            roots: link.roots().to_vec(),
        };
        let connection = open(&link.server.to_string(), None, trust).await.expect("a connection");
        let request = AttestRequest {
            evidence: Evidence::JoinToken { token: link.token.clone() },
            public_key: key.spki(),
            proof: key.proof(&connection, link.token.expose().as_bytes()),
        };
        let credential = connection.post("/v1/node/attest", &request, DEADLINE).await?;
        Ok(Self { key, credential })
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity::new(&self.credential.chain, &self.key.pkcs8).expect("chain and key belong together")
    }

    async fn connect(&self, address: &str) -> Connection {
        open(address, Some(&self.identity()), trust(&self.credential.bundle.clone().into()))
            .await
            .expect("a connection")
    }
}

fn trust(bundle: &TrustBundle) -> ServerTrust {
    ServerTrust::Bundle(Arc::new(ArcSwap::from_pointee(bundle.clone())))
}

async fn open(address: &str, identity: Option<&TlsIdentity>, trust: ServerTrust) -> Result<Connection, platform::tls::ConnectError> {
    let verifier = Arc::new(ServerVerifier::new(trust, SystemClock::shared()));
    connect(
        &address.parse().expect("an address"),
        client_config(identity, verifier).expect("a configuration"),
        DEADLINE,
    )
    .await
}

async fn issue(connection: &Connection, entries: &[EntryId]) -> Result<IssueResponse, CallError> {
    let requests = entries
        .iter()
        .map(|entry_id| KeyRequest {
            entry_id: entry_id.clone(),
            public_key: Key::new().spki(),
        })
        .collect();
    connection.post("/v1/node/issue", &IssueRequest { requests }, DEADLINE).await
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> Code {
    outcome.expect_err("a refusal").code()
}

/// Fetches the one SVID that this very process is entitled to.
async fn own_svid(agent: &Agent) -> X509svid {
    let mut client = client::connect(&agent.socket).await.expect("the agent answers");
    let mut stream = client.fetch_x509svid(X509svidRequest {}).await.expect("a stream").into_inner();
    let update = stream.message().await.expect("an update").expect("a first one");
    update.svids.into_iter().next().expect("an SVID")
}

fn entry_of_this_process(domain: &Domain, path: &str) {
    let selector = format!("unix:uid:{}", nix::unistd::getuid());
    let _ = domain.told(&["entry", "create", "--spiffe-id", path, "--selector", &selector, "--parent", "n1", "--wait"]);
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp starts");
    assert!(status.success(), "{} to {}", from.display(), to.display());
}

fn key_file(data: &Path) -> PathBuf {
    data.with_file_name(format!("{}.seal.key", data.file_name().and_then(|name| name.to_str()).expect("a name")))
}

#[test]
fn a_copied_agent_directory_learns_nothing_after_the_original_renewed_and_has_the_node_banned() {
    let domain = Domain::start_with("copied.test", &["--node-ttl", "40s"]);
    let mut original = domain.agent("n1");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/web", "--selector", "unix:uid:4801", "--wait"]);
    let mut thief = Agent::new(domain.folder(), "thief");
    copy(&original.data, &thief.data);
    copy(&key_file(&original.data), &key_file(&thief.data));
    // What runs there is not copied, and neither is what was cached for workloads: the thief has to ask.
    for name in ["agent-admin.sock", "cache.sealed"] {
        let _ = std::fs::remove_file(thief.data.join(name));
    }
    let _ = until("the original to renew", || {
        Some(original.process().log()).filter(|log| log.contains("renewed the node's SVID"))
    });
    // The new key counts from its first use: the original asks for something with it.
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/more", "--selector", "unix:uid:4801", "--wait"]);

    thief.launch(None);
    let log = until("the copy to be refused", || {
        Some(thief.process().log()).filter(|log| log.contains("node_banned"))
    });
    assert!(!log.contains("4801"), "the copy learned of an entry: {log}");
    assert_ne!(fetch_as(4801, &thief.socket).code, 0);
    // Nobody can say which of the two is the node: what was issued to either counts no more.
    assert_eq!(domain.told(&["node", "show", "n1"])["state"], "banned");
    assert_eq!(original.process().ended().code(), Some(1));
    assert_ne!(fetch_as(4801, &original.socket).code, 0);
}

/// Accepts one connection after the other with somebody else's certificates, and notes what a client says once it believed them.
async fn pose_as_server(listener: TcpListener, chain: Vec<CertificateDer<'static>>, key: Vec<u8>, heard: tokio::sync::mpsc::UnboundedSender<Vec<u8>>) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3");
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("chain and key belong together");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        let mut octets = Vec::new();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            // An agent that believed would speak HTTP/2 now. One that does not closes with an alert, which is an error here.
            let _ = stream.read_to_end(&mut octets).await;
        }
        if heard.send(octets).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_poses_as_the_server_is_not_told_the_token() {
    let domain = Domain::start("posing.test");
    let agent = domain.agent("n1");
    entry_of_this_process(&domain, "/web");
    let svid = own_svid(&agent).await;
    let mut chain = split_der(&svid.x509_svid).expect("a chain");
    // With the root at its end, which a join link pins.
    chain.extend(split_der(&svid.bundle).expect("a bundle"));

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link: JoinLink = domain.link("n2").parse().expect("a link");
    let address = listener.local_addr().expect("its address").to_string().parse().expect("an address");
    let forged = JoinLink::new(address, link.trust_domain.clone(), link.token.clone(), link.roots().to_vec()).expect("a link");
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let posing = tokio::spawn(pose_as_server(listener, chain, svid.x509_svid_key.to_vec(), tell));
    let mut joining = Agent::new(domain.folder(), "n2");
    joining.launch(Some(&forged.to_link()));
    let log = until("the agent to refuse", || {
        Some(joining.process().log()).filter(|log| log.contains("server_identity_invalid"))
    });
    assert!(!log.contains(link.token.expose()), "the token is in the log");
    let octets = tokio::time::timeout(DEADLINE, heard.recv())
        .await
        .expect("a connection")
        .expect("the one who poses");
    assert_eq!(octets, b"", "the agent said something to whoever is not the server");
    posing.abort();
    joining.process().kill_9();
    // Nor was the token used up.
    let mut second = Agent::new(domain.folder(), "n2-again");
    second.launch(Some(&link.to_link()));
    second.ready();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_poses_as_an_agent_is_no_node() {
    let domain = Domain::start("workload.test");
    let agent = domain.agent("n1");
    entry_of_this_process(&domain, "/web");
    let svid = own_svid(&agent).await;
    let link: JoinLink = domain.link("n2").parse().expect("a link");
    let trust = ServerTrust::Roots {
        trust_domain: link.trust_domain.clone(),
        roots: link.roots().to_vec(),
    };
    let chain = split_der(&svid.x509_svid).expect("a chain");
    let identity = TlsIdentity::new(&chain, &svid.x509_svid_key).expect("chain and key belong together");
    let connection = open(&domain.address, Some(&identity), trust).await.expect("a connection");

    let listed = domain.told(&["entry", "list"]);
    let entry: EntryId = listed["items"][0]["id"].as_str().expect("an id").parse().expect("an id");
    assert_eq!(refusal(issue(&connection, &[entry]).await), Code::NodeUnknown);
    assert_eq!(refusal(connection.lines("/v1/node/sync", DEADLINE).await), Code::NodeUnknown);
    let next = Key::new();
    let renew = RenewRequest {
        public_key: next.spki(),
        proof: next.proof(&connection, &chain[0]),
    };
    assert_eq!(
        refusal(connection.post::<NodeCredential>("/v1/node/renew", &renew, DEADLINE).await),
        Code::NodeUnknown
    );
    assert_eq!(refusal(connection.post::<()>("/v1/node/leave", &(), DEADLINE).await), Code::NodeUnknown);
    assert_eq!(domain.told(&["node", "list"])["items"].as_array().expect("items").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_that_use_one_token_at_once_exactly_one_is_a_node() {
    let domain = Domain::start("token.test");
    let link: JoinLink = domain.link("n1").parse().expect("a link");
    let join = |link: JoinLink| async move {
        loop {
            match HostileNode::join(&link).await {
                // So many at once are too many: whoever is told so may come again.
                Err(error) if error.code() == Code::Overloaded => tokio::task::yield_now().await,
                outcome => return outcome.map(drop).map_err(|error| error.code()),
            }
        }
    };
    let joining: Vec<_> = (0..100).map(|_| tokio::spawn(join(link.clone()))).collect();
    let mut outcomes = Vec::new();
    for one in joining {
        outcomes.push(one.await.expect("no panic"));
    }
    let (joined, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((joined.len(), refused.len()), (1, 99));
    assert!(refused.iter().all(|code| *code == Err(Code::TokenUsed)), "{refused:?}");
    let nodes = domain.told(&["node", "list"]);
    assert_eq!(nodes["items"].as_array().expect("items").len(), 1, "{nodes}");
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let node = "spiffe://token.test/troth/agent/join_token/n1";
    let issued = exported.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record"));
    assert_eq!(
        issued.filter(|record| record["event"] == "issued" && record["spiffe_id"] == node).count(),
        1,
        "{exported}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_asks_for_every_foreign_entry_gets_its_own_only() {
    let domain = Domain::start("foreign.test");
    let _honest = domain.agent("n1");
    let hostile = HostileNode::join(&domain.link("n2").parse().expect("a link")).await.expect("it joins");
    let create = |path: &str, parent: &str| {
        let made = domain.told(&["entry", "create", "--spiffe-id", path, "--selector", "unix:uid:59999", "--parent", parent]);
        made["id"].as_str().expect("an id").parse::<EntryId>().expect("an id")
    };
    let own = create("/own", "n2");
    let mut asked: Vec<EntryId> = (0..40).map(|number| create(&format!("/foreign/{number}"), "n1")).collect();
    // One that does not exist must look the same as one of somebody else.
    asked.push(EntryId::in_sequence(7, [7; 12]));
    asked.push(own.clone());

    let connection = hostile.connect(&domain.address).await;
    let response = issue(&connection, &asked).await.expect("an answer");
    let codes = response.results.iter().map(|result| match result {
        IssueResult::Issued(issued) => Err(issued.entry_id.clone()),
        IssueResult::Refused { problem, .. } => Ok((problem.code(), problem.to_owned().detail.replace(char::is_alphanumeric, ""))),
    });
    let codes: Vec<_> = codes.collect();
    let (last, foreign) = codes.split_last().expect("answers");
    assert_eq!(*last, Err(own.clone()));
    assert!(foreign.iter().all(|code| code == &foreign[0] && code.is_ok()), "{foreign:?}");

    let mut stream = connection.lines("/v1/node/sync", DEADLINE).await.expect("a stream");
    let shown = match tokio::time::timeout(DEADLINE, stream.next::<SyncMessage>())
        .await
        .expect("a message in time")
        .expect("a message")
    {
        Some(SyncMessage::Snapshot { entries, last: true, .. }) => entries,
        other => panic!("a whole snapshot was expected: {other:?}"),
    };
    assert_eq!(shown.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&own]);
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let issued = exported
        .lines()
        .filter(|line| line.contains("\"issued\"") && line.contains("/foreign/"))
        .filter(|line| line.contains("join_token/n2"));
    assert_eq!(issued.count(), 0, "{exported}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_another_ca_with_the_same_names_are_believed_by_nobody() {
    let mut domain = Domain::start("same.test");
    let mut elsewhere = Domain::start("same.test");
    let mut agent = domain.agent("n1");
    entry_of_this_process(&domain, "/web");
    let held = own_svid(&agent).await;

    // A node of the other CA, with the same SPIFFE ID, at the server.
    let foreign = HostileNode::join(&elsewhere.link("n1").parse().expect("a link")).await.expect("it joins there");
    assert_eq!(
        foreign.credential.spiffe_id,
        SpiffeId::agent(&"same.test".parse().expect("a name"), NodeAttestor::JoinToken, &"n1".parse().expect("a name"))
    );
    let link: JoinLink = domain.link("n2").parse().expect("a link");
    let roots = || ServerTrust::Roots {
        trust_domain: link.trust_domain.clone(),
        roots: link.roots().to_vec(),
    };
    match open(&domain.address, Some(&foreign.identity()), roots()).await {
        Err(_) => {}
        Ok(connection) => panic!("the server believed it: {:?}", connection.lines("/v1/node/sync", DEADLINE).await),
    }

    // The server of the other CA, at the address of the server.
    domain.server().kill_9();
    let _ = elsewhere.server().terminate();
    elsewhere.address.clone_from(&domain.address);
    elsewhere.start_server();
    let _ = until("the agent to refuse the other server", || {
        Some(agent.process().log()).filter(|log| log.contains("does not prove that it is the server"))
    });
    assert_eq!(own_svid(&agent).await.x509_svid, held.x509_svid, "it goes on with what it has");
    assert!(!elsewhere.told(&["node", "list"]).to_string().contains("\"connected\":true"));
    let _ = elsewhere.server().terminate();
    domain.start_server();
    agent.ready();
}
