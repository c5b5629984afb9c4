//! A trust domain in a temporary directory, with one node and the entries that a test gives it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use futures_util::future::BoxFuture;
use platform::sealing::FileKeySource;
use rustls::pki_types::CertificateDer;
use trust_domains::class::CredentialClass;
use trust_domains::clock::{Clock, ManualClock};
use trust_domains::entry::EntrySpec;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::node::{NodeRecord, NodeSvid};
use trust_domains::plan::authority::{AuthorityId, Missing};
use trust_domains::public_key::{KeyHash, PublicKey};
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::audit::AuditEvent;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResponse, IssueResult, IssuedLeaf, KeyRequest};
use trust_domains::{EntryId, RegistrationEntry, Revision, SelectorSet, Serial, SpiffeId, Timestamp, TrustDomain};

use crate::authority::{Authorities, AuthoritySettings, BundleWitness, Vault};
use crate::config::{DataDir, RawServerConfig, ServerConfig};
use crate::init::{InitParams, RecoveryChoice, init};
use crate::issuance::{AuthenticatedCaller, EntryLookup, Issuance, IssueError, Recorder};
use crate::journal::{Journal, JournalError};
use crate::seal::open_store;
use crate::store::disk::Disk;
use crate::store::{SharedStore, SledStore};

pub(crate) const NOW: i64 = 1_795_338_000;

/// The journal with a switch that makes it fail, and a list of what it took.
pub(crate) struct Tap {
    journal: Journal,
    pub(crate) fails: AtomicBool,
    pub(crate) taken: Mutex<Vec<AuditEvent>>,
}

impl Recorder for Tap {
    fn append(&self, events: Vec<AuditEvent>) -> BoxFuture<'_, Result<u64, JournalError>> {
        Box::pin(async move {
            if self.fails.load(Ordering::SeqCst) {
                return Err(JournalError::Unavailable);
            }
            let seq = self.journal.append(events.clone()).await?;
            self.taken.lock().unwrap().extend(events);
            Ok(seq)
        })
    }
}

/// Every node has seen everything.
pub(crate) struct NobodyAway;

impl BundleWitness for NobodyAway {
    fn concerned(&self, _now: Timestamp) -> usize {
        0
    }

    fn list_out_since(&self, _: &AuthorityId) -> Option<u64> {
        Some(0)
    }

    fn missing_connected(&self, _counter: u64, _now: Timestamp) -> Missing {
        Missing::default()
    }

    fn missing(&self, _counter: u64, _now: Timestamp) -> Missing {
        Missing::default()
    }
}

/// What the registry would know.
#[derive(Default)]
pub(crate) struct Known {
    entries: Mutex<HashMap<EntryId, Arc<RegistrationEntry>>>,
    nodes: Mutex<HashMap<SpiffeId, Arc<NodeRecord>>>,
    /// Answers with entries of every node: a registry that is wrong.
    pub(crate) confused: AtomicBool,
}

impl EntryLookup for Known {
    fn entry(&self, node: &SpiffeId, id: &EntryId) -> Option<(Arc<RegistrationEntry>, Revision)> {
        let entries = self.entries.lock().unwrap();
        let entry = entries
            .get(id)
            .filter(|entry| entry.parent_id() == node || self.confused.load(Ordering::SeqCst))?;
        Some((Arc::clone(entry), Revision::new(7, 42)))
    }

    fn node(&self, node: &SpiffeId) -> Option<Arc<NodeRecord>> {
        self.nodes.lock().unwrap().get(node).cloned()
    }
}

/// A node as the handshake proved it.
pub(crate) struct Node {
    pub(crate) id: SpiffeId,
    pub(crate) key: PublicKey,
}

impl AuthenticatedCaller for Node {
    fn spiffe_id(&self) -> &SpiffeId {
        &self.id
    }

    fn key_hash(&self) -> KeyHash {
        self.key.hash()
    }
}

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    raw: RawServerConfig,
    pub(crate) clock: ManualClock,
    pub(crate) store: SharedStore,
    pub(crate) tap: Arc<Tap>,
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) known: Arc<Known>,
    pub(crate) issuance: Arc<Issuance>,
    pub(crate) node: Node,
}

pub(crate) fn trust_domain() -> TrustDomain {
    "example.org".parse().unwrap()
}

pub(crate) fn node_id(name: &str) -> SpiffeId {
    format!("spiffe://example.org/troth/agent/join_token/{name}").parse().unwrap()
}

pub(crate) fn new_key() -> PublicKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    PublicKey::from_sec1(pair.public_key().as_ref()).unwrap()
}

pub(crate) fn settings() -> AuthoritySettings {
    config(RawServerConfig::default()).authority_settings()
}

/// The options of a server that issues WIT-SVIDs.
pub(crate) fn with_wit() -> RawServerConfig {
    RawServerConfig {
        enable: Some(vec!["wit".to_owned()]),
        ..RawServerConfig::default()
    }
}

fn config(raw: RawServerConfig) -> ServerConfig {
    ServerConfig::new(
        RawServerConfig {
            data_dir: Some("/unused".to_owned()),
            ..raw
        },
        &platform::paths::Environment::default(),
    )
    .unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_disk(Disk::real()).await
    }

    /// Makes a trust domain; `disk` is that of the journal once the server runs.
    pub(crate) async fn with_disk(disk: Disk) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_unix(NOW));
        let params = InitParams {
            trust_domain: trust_domain(),
            data_dir: directory.path().join("server"),
            key_source: None,
            signing_keys: crate::config::SigningKeysPlace::Store,
            recovery: RecoveryChoice::None,
            jwt_algorithm: TokenAlgorithm::default(),
            upstream: None,
            clock: clock.shared(),
        };
        init(params).await.unwrap();
        Self::open(directory, clock, disk, RawServerConfig::default()).await
    }

    /// Returns what opens the authorities of this world's store.
    pub(crate) fn vault(&self) -> Vault {
        self.authorities.vault()
    }

    /// Ends the server and starts it again.
    pub(crate) async fn restarted(self) -> Self {
        let raw = self.raw.clone();
        self.restarted_with(raw).await
    }

    /// Ends the server and starts it with other options.
    pub(crate) async fn restarted_with(self, raw: RawServerConfig) -> Self {
        let Self {
            directory,
            clock,
            store,
            tap,
            authorities,
            issuance,
            ..
        } = self;
        drop((issuance, authorities, tap, store));
        Self::open(directory, clock, Disk::real(), raw).await
    }

    async fn open(directory: tempfile::TempDir, clock: ManualClock, disk: Disk, raw: RawServerConfig) -> Self {
        let data_dir = DataDir::new(directory.path().join("server"));
        let store: SharedStore = Arc::new(SledStore::open(&data_dir.store(), Disk::real()).unwrap());
        let key_source = FileKeySource::open(&data_dir.default_key_file()).unwrap();
        let opened = open_store(store.as_ref(), &key_source).await.unwrap();
        let (journal, _) = Journal::open(&data_dir.journal(), clock.shared(), disk).unwrap();
        let tap = Arc::new(Tap {
            journal,
            fails: AtomicBool::new(false),
            taken: Mutex::default(),
        });
        let recorder: Arc<dyn Recorder> = tap.clone();
        let authorities = Authorities::load(
            opened.trust_domain,
            Arc::clone(&store),
            Vault::local(opened.records),
            Arc::clone(&recorder),
            clock.shared(),
            config(raw.clone()).authority_settings(),
            Arc::new(NobodyAway),
        )
        .await
        .unwrap();
        let known = Arc::new(Known::default());
        let policy = config(RawServerConfig {
            max_class: Some("slow".to_owned()),
            ..RawServerConfig::default()
        })
        .issuance_policy();
        let issuance = Arc::new(Issuance::new(Arc::clone(&authorities), known.clone(), recorder, clock.shared(), policy));
        let node = Node {
            id: node_id("a"),
            key: new_key(),
        };
        let world = Self {
            directory,
            raw,
            clock,
            store,
            tap,
            authorities,
            known,
            issuance,
            node,
        };
        world.know_node(&world.node);
        world
    }

    /// Changes how long certificates may live.
    pub(crate) fn granting_at_most(mut self, max_class: CredentialClass) -> Self {
        let raw = RawServerConfig {
            max_class: Some(max_class.to_string()),
            ..RawServerConfig::default()
        };
        let policy = config(raw).issuance_policy();
        self.issuance = Arc::new(Issuance::new(
            Arc::clone(&self.authorities),
            self.known.clone(),
            self.tap.clone(),
            self.clock.shared(),
            policy,
        ));
        self
    }

    pub(crate) fn know_node(&self, node: &Node) {
        self.know_node_until(node, self.now() + Duration::from_secs(86_400 * 400));
    }

    pub(crate) fn know_node_until(&self, node: &Node, expires_at: Timestamp) {
        let svid = NodeSvid {
            key: node.key.hash(),
            serial: Serial::from_parts([0; 4], [0; 11]),
            expires_at,
        };
        self.put_node(NodeRecord::new(node.id.clone(), SelectorSet::default(), self.now(), svid).unwrap());
    }

    pub(crate) fn put_node(&self, record: NodeRecord) {
        self.known.nodes.lock().unwrap().insert(record.spiffe_id().clone(), Arc::new(record));
    }

    pub(crate) fn forget_node(&self) {
        self.known.nodes.lock().unwrap().clear();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// Gives the node an entry.
    pub(crate) fn entry(&self, change: impl FnOnce(&mut EntryDraft)) -> EntryId {
        self.entry_under(&self.node.id, change)
    }

    pub(crate) fn entry_under(&self, parent: &SpiffeId, change: impl FnOnce(&mut EntryDraft)) -> EntryId {
        let mut draft = EntryDraft {
            spiffe_id: "/web".to_owned(),
            selectors: vec!["unix:uid:1000".to_owned()],
            ..EntryDraft::default()
        };
        change(&mut draft);
        let spec = EntrySpec::check(&draft, &trust_domain(), parent.clone()).unwrap();
        let id = EntryId::in_sequence(0, platform::random::array().unwrap());
        self.known
            .entries
            .lock()
            .unwrap()
            .insert(id.clone(), Arc::new(RegistrationEntry::new(id.clone(), spec, self.now())));
        id
    }

    pub(crate) async fn issue(&self, requests: Vec<KeyRequest>) -> Result<IssueResponse, IssueError> {
        self.issuance.issue_batch(&self.node, "4bf92f3577b34da6a3ce929d0e0e4736", requests).await
    }

    /// Issues for one entry and expects the certificate.
    pub(crate) async fn issued(&self, entry: &EntryId) -> (IssuedLeaf, Vec<CertificateDer<'static>>) {
        let response = self.issue(vec![request(entry, &new_key())]).await.unwrap();
        let [IssueResult::Issued(leaf)] = &response.results[..] else {
            panic!("{:?}", response.results)
        };
        let chain = [&leaf.leaf, &response.issuers[leaf.issuer]].map(|der| CertificateDer::from(der.0.clone()));
        (leaf.clone(), chain.to_vec())
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.authorities.active_root().unwrap().to_vec())
    }
}

pub(crate) fn request(entry: &EntryId, key: &PublicKey) -> KeyRequest {
    KeyRequest {
        entry_id: entry.clone(),
        public_key: Base64(key.spki().to_vec()),
    }
}
