//! The server, its operator, and nodes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use platform::client::{CallError, JsonLines};
use platform::paths::Environment;
use platform::sealing::FileKeySource;
use platform::sockets::SocketPath;
use platform::tls::{ConnectError, Connection, ServerTrust, ServerVerifier, TlsIdentity, client_config, connect};
use platform::unix_http::UnixHttpClient;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::ManualClock;
use trust_domains::join_link::ServerAddress;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::admin::{CreateEntries, EntriesCreated, EntryDraft, EntryView, TokenCreated, TokenRequest};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{
    Ack, AttestRequest, Evidence, IssueRequest, IssueResponse, IssueResult, KeyRequest, NodeCredential, RenewRequest, SyncMessage, possession_message,
};
use trust_domains::{EntryId, Revision, Timestamp, TrustBundle};

use crate::config::{DataDir, RawServerConfig, ServerConfig};
use crate::init::{InitParams, RecoveryChoice, init};
use crate::seal::open_store;
use crate::server::Server;
use crate::store::SledStore;
use crate::store::disk::Disk;

const NOW: i64 = 1_795_338_000;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) admin: UnixHttpClient,
    address: ServerAddress,
    server: Option<Server>,
    shutdown: CancellationToken,
    directory: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::named("example.org", tempfile::tempdir().unwrap()).await
    }

    pub(super) async fn named(trust_domain: &str, directory: tempfile::TempDir) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(NOW));
        let params = InitParams {
            trust_domain: trust_domain.parse().unwrap(),
            data_dir: directory.path().join("server"),
            key_source: None,
            signing_keys: crate::config::SigningKeysPlace::Store,
            recovery: RecoveryChoice::None,
            jwt_algorithm: TokenAlgorithm::default(),
            upstream: None,
            clock: clock.shared(),
        };
        init(params).await.unwrap();
        Self::start(directory, clock, RawServerConfig::default()).await
    }

    /// A server with these options beside the tests' own.
    pub(super) async fn with(raw: RawServerConfig) -> Self {
        Self::new().await.restarted_with(raw).await
    }

    /// A server on what a stopped one left.
    pub(super) async fn started(directory: tempfile::TempDir, clock: ManualClock) -> Self {
        Self::start(directory, clock, RawServerConfig::default()).await
    }

    async fn start(directory: tempfile::TempDir, clock: ManualClock, raw: RawServerConfig) -> Self {
        let shutdown = CancellationToken::new();
        let config = config(directory.path(), raw);
        let server = Server::start(config, clock.shared(), shutdown.clone()).await.unwrap();
        let admin = UnixHttpClient::new(SocketPath::new(server.admin_socket()).unwrap(), DEADLINE);
        let address = server.node_address().to_string().parse().unwrap();
        Self {
            clock,
            admin,
            address,
            server: Some(server),
            shutdown,
            directory,
        }
    }

    /// Ends the server as SIGTERM does, and returns what it leaves.
    pub(super) async fn stopped(mut self) -> (tempfile::TempDir, ManualClock) {
        self.shutdown.cancel();
        self.server.take().unwrap().ended().await;
        (self.directory, self.clock)
    }

    pub(super) async fn restarted(self) -> Self {
        self.restarted_with(RawServerConfig::default()).await
    }

    pub(super) async fn restarted_with(self, raw: RawServerConfig) -> Self {
        let (directory, clock) = self.stopped().await;
        Self::start(directory, clock, raw).await
    }

    /// The same server with what its data directory held before: a backup that was copied back.
    pub(super) async fn with_data_of(self, copy: &Path) -> Self {
        let (directory, clock) = self.stopped().await;
        let data = directory.path().join("server");
        std::fs::remove_dir_all(&data).unwrap();
        copy_directory(copy, &data);
        Self::start(directory, clock, RawServerConfig::default()).await
    }

    /// Copies the data directory, between a stop and a start.
    pub(super) async fn copied_to(self, copy: &Path) -> Self {
        let (directory, clock) = self.stopped().await;
        copy_directory(&directory.path().join("server"), copy);
        Self::start(directory, clock, RawServerConfig::default()).await
    }

    /// The same server as if it had been made before there were JWT keys.
    pub(super) async fn into_version_1(self) -> Self {
        let (directory, clock) = self.stopped().await;
        let data_dir = DataDir::new(directory.path().join("server"));
        let store = SledStore::open(&data_dir.store(), Disk::real()).unwrap();
        let opened = open_store(&store, &FileKeySource::open(&data_dir.default_key_file()).unwrap()).await.unwrap();
        crate::authority::forget_token_keys(&store, &opened.records).await;
        drop(store);
        Self::start(directory, clock, RawServerConfig::default()).await
    }

    /// Where the bundle endpoint is.
    pub(super) fn bundle_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().unwrap().bundle_address()
    }

    pub(super) async fn token(&self, name: &str) -> TokenCreated {
        let request = TokenRequest {
            ttl_s: 600,
            node_id: Some(name.parse().unwrap()),
        };
        self.admin.post("/v1/admin/tokens", &request).await.unwrap()
    }

    /// A node of this name that just joined.
    pub(super) async fn node(&self, name: &str) -> Node {
        let token = self.token(name).await;
        Node::join(self, &token, Key::new()).await.unwrap()
    }

    pub(super) async fn create(&self, drafts: Vec<EntryDraft>) -> Result<EntriesCreated, CallError> {
        self.admin.post("/v1/admin/entries", &CreateEntries { entries: drafts }).await
    }

    pub(super) async fn entry(&self, path: &str, parent: &str) -> EntryView {
        self.create(vec![draft(path, parent)]).await.unwrap().entries.remove(0)
    }

    /// A connection without a client certificate, to the server that the link names.
    pub(super) async fn stranger(&self, token: &TokenCreated) -> Connection {
        self.try_stranger(token).await.unwrap()
    }

    /// The same, once the server shows an SVID that has not ended: its loop renews it, and looks every few seconds.
    pub(super) async fn stranger_if_there(&self, token: &TokenCreated) -> Option<Connection> {
        self.try_stranger(token).await.ok()
    }

    async fn try_stranger(&self, token: &TokenCreated) -> Result<Connection, ConnectError> {
        let trust = ServerTrust::Roots {
            trust_domain: token.link.trust_domain.clone(),
            roots: token.link.roots().to_vec(),
        };
        self.connect(None, trust).await
    }

    pub(super) async fn connect(&self, identity: Option<&TlsIdentity>, trust: ServerTrust) -> Result<Connection, ConnectError> {
        let verifier = Arc::new(ServerVerifier::new(trust, self.clock.shared()));
        connect(&self.address, client_config(identity, verifier).unwrap(), DEADLINE).await
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_directory(&from, &to),
            kind if kind.is_file() => drop(std::fs::copy(&from, &to).unwrap()),
            _ => {}
        }
    }
}

fn config(directory: &Path, raw: RawServerConfig) -> ServerConfig {
    let raw = RawServerConfig {
        data_dir: Some(directory.join("server").display().to_string()),
        listen: Some("127.0.0.1:0".to_owned()),
        telemetry_listen: Some("off".to_owned()),
        ..raw
    };
    ServerConfig::new(raw, &Environment::default()).unwrap()
}

pub(super) fn draft(path: &str, parent: &str) -> EntryDraft {
    EntryDraft {
        spiffe_id: path.to_owned(),
        parent_id: Some(parent.to_owned()),
        selectors: vec!["unix:uid:1000".to_owned()],
        ..EntryDraft::default()
    }
}

pub(super) fn code<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> Code {
    outcome.unwrap_err().code()
}

/// A P-256 key.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    pub(super) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
        Self { pair, pkcs8 }
    }

    pub(super) fn again(&self) -> Self {
        Self {
            pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8).unwrap(),
            pkcs8: self.pkcs8.clone(),
        }
    }

    pub(super) fn spki(&self) -> Vec<u8> {
        PublicKey::from_sec1(self.pair.public_key().as_ref()).unwrap().spki().to_vec()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Base64 {
        Base64(self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }

    pub(super) fn identity(&self, chain: &[Base64]) -> TlsIdentity {
        TlsIdentity::new(chain, &self.pkcs8).unwrap()
    }
}

pub(super) fn attest_request(connection: &Connection, token: &TokenCreated, key: &Key) -> AttestRequest {
    let message = possession_message(connection.exporter(), &key.spki(), token.token.expose().as_bytes());
    AttestRequest {
        evidence: Evidence::JoinToken { token: token.token.clone() },
        public_key: Base64(key.spki()),
        proof: key.sign(&message),
    }
}

/// A node with its SVID.
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) credential: NodeCredential,
}

impl Node {
    pub(super) async fn join(world: &World, token: &TokenCreated, key: Key) -> Result<Self, CallError> {
        let connection = world.stranger(token).await;
        let credential = connection.post("/v1/node/attest", &attest_request(&connection, token, &key), DEADLINE).await?;
        Ok(Self { key, credential })
    }

    pub(super) async fn try_connect(&self, world: &World) -> Result<Connection, ConnectError> {
        let bundle: TrustBundle = self.credential.bundle.clone().into();
        let trust = ServerTrust::Bundle(Arc::new(ArcSwap::from_pointee(bundle)));
        world.connect(Some(&self.key.identity(&self.credential.chain)), trust).await
    }

    pub(super) async fn connect(&self, world: &World) -> Connection {
        self.try_connect(world).await.unwrap()
    }

    pub(super) async fn renew(&self, connection: &Connection, key: Key) -> Result<Self, CallError> {
        let message = possession_message(connection.exporter(), &key.spki(), &self.credential.chain[0].0);
        let request = RenewRequest {
            public_key: Base64(key.spki()),
            proof: key.sign(&message),
        };
        let credential = connection.post("/v1/node/renew", &request, DEADLINE).await?;
        Ok(Self { key, credential })
    }
}

pub(super) async fn issue(connection: &Connection, requests: &[(EntryId, &Key)]) -> Result<IssueResponse, CallError> {
    let requests = requests
        .iter()
        .map(|(entry_id, key)| KeyRequest {
            entry_id: entry_id.clone(),
            public_key: Base64(key.spki()),
        })
        .collect();
    connection.post("/v1/node/issue", &IssueRequest { requests }, DEADLINE).await
}

pub(super) fn refusal(result: &IssueResult) -> Option<Code> {
    match result {
        IssueResult::Issued(_) => None,
        IssueResult::Refused { problem, .. } => Some(problem.code()),
    }
}

/// A sync stream.
pub(super) struct Stream(JsonLines);

impl Stream {
    pub(super) async fn open(connection: &Connection, shows: Option<Revision>) -> Result<Self, CallError> {
        let query = shows.map_or_else(String::new, |shown| format!("?epoch={:016x}&after={}", shown.epoch, shown.counter));
        connection.lines(&format!("/v1/node/sync{query}"), DEADLINE).await.map(Self)
    }

    /// Returns the next message that is no heartbeat; nothing when the stream ended.
    pub(super) async fn next(&mut self) -> Option<SyncMessage> {
        loop {
            match tokio::time::timeout(DEADLINE, self.0.next::<SyncMessage>()).await.unwrap() {
                Ok(Some(SyncMessage::Heartbeat { .. })) => {}
                Ok(message) => return message,
                Err(_) => return None,
            }
        }
    }

    /// Expects a snapshot in one part; returns its revision and the ids of its entries.
    pub(super) async fn snapshot(&mut self) -> (Revision, Vec<EntryId>) {
        match self.next().await {
            Some(SyncMessage::Snapshot {
                revision,
                entries,
                bundle: Some(_),
                last: true,
                ..
            }) => (revision, entries.into_iter().map(|entry| entry.id).collect()),
            other => panic!("a whole snapshot was expected, not {other:?}"),
        }
    }

    /// Expects a delta; returns its revision, what was upserted and what was removed.
    pub(super) async fn delta(&mut self) -> (Revision, Vec<EntryId>, Vec<EntryId>) {
        match self.next().await {
            Some(SyncMessage::Delta {
                revision, upserted, removed, ..
            }) => (revision, upserted.into_iter().map(|entry| entry.id).collect(), removed),
            other => panic!("a delta was expected, not {other:?}"),
        }
    }

    /// Expects the end of the stream, and returns its reason.
    pub(super) async fn end(&mut self) -> Code {
        match self.next().await {
            Some(SyncMessage::End { problem }) => {
                assert!(self.next().await.is_none(), "nothing follows the end");
                problem.code()
            }
            other => panic!("the end was expected, not {other:?}"),
        }
    }
}

pub(super) async fn acknowledge(connection: &Connection, revision: Revision) -> Result<(), CallError> {
    connection.post("/v1/node/ack", &Ack { revision }, DEADLINE).await
}

/// Waits until `ready` returns something, asking every 20 ms, at most until [`DEADLINE`].
pub(super) async fn until<T>(mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ready().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap()
}
