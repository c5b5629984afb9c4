//! What a certificate costs beside the signature in it (design P1): a batch of 50 through the whole issuance, with its durable record, against the raw
//! aws-lc-rs P-256 signature over 600 bytes in the same run. TLS and JSON are measured by the load tool, not here.
//!
//! `cargo bench -p ca-server --bench sign`; the ratio is printed at the end.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program: it stops at the first error"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use ca_server::authority::{Authorities, BundleWitness, Vault};
use ca_server::config::{DataDir, RawServerConfig, ServerConfig};
use ca_server::init::{InitParams, RecoveryChoice, init};
use ca_server::issuance::{AuthenticatedCaller, EntryLookup, Issuance, Recorder};
use ca_server::journal::Journal;
use ca_server::seal::open_store;
use ca_server::store::disk::Disk;
use ca_server::store::{SharedStore, SledStore};
use criterion::{Criterion, Throughput};
use platform::clock::SystemClock;
use platform::sealing::FileKeySource;
use trust_domains::clock::Clock;
use trust_domains::entry::EntrySpec;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::node::{NodeRecord, NodeSvid};
use trust_domains::plan::authority::{AuthorityId, Missing};
use trust_domains::public_key::{KeyHash, PublicKey};
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResult, KeyRequest};
use trust_domains::{EntryId, RegistrationEntry, Revision, SelectorSet, Serial, SpiffeId, Timestamp, TrustDomain};

/// The batch of P1.
const BATCH: usize = 50;

/// The length of what a certificate's signature covers, rounded: the yardstick of the design.
const MESSAGE: usize = 600;

struct Known {
    entries: HashMap<EntryId, Arc<RegistrationEntry>>,
    node: Arc<NodeRecord>,
}

impl EntryLookup for Known {
    fn entry(&self, _node: &SpiffeId, id: &EntryId) -> Option<(Arc<RegistrationEntry>, Revision)> {
        Some((Arc::clone(self.entries.get(id)?), Revision::new(1, 1)))
    }

    fn node(&self, _node: &SpiffeId) -> Option<Arc<NodeRecord>> {
        Some(Arc::clone(&self.node))
    }
}

/// There are no nodes to wait for.
struct NobodyAway;

impl BundleWitness for NobodyAway {
    fn concerned(&self, _now: Timestamp) -> usize {
        0
    }

    fn missing_connected(&self, _counter: u64, _now: Timestamp) -> Missing {
        Missing::default()
    }

    fn missing(&self, _counter: u64, _now: Timestamp) -> Missing {
        Missing::default()
    }

    fn list_out_since(&self, _ca: &AuthorityId) -> Option<u64> {
        None
    }
}

struct Caller {
    id: SpiffeId,
    key: KeyHash,
}

impl AuthenticatedCaller for Caller {
    fn spiffe_id(&self) -> &SpiffeId {
        &self.id
    }

    fn key_hash(&self) -> KeyHash {
        self.key
    }
}

fn new_key() -> PublicKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    PublicKey::from_sec1(pair.public_key().as_ref()).unwrap()
}

struct Desk {
    issuance: Issuance,
    caller: Caller,
    requests: Vec<KeyRequest>,
    _directory: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = SystemClock::shared();
        let trust_domain: TrustDomain = "bench.example.org".parse().unwrap();
        let path = directory.path().join("server");
        let params = InitParams {
            trust_domain: trust_domain.clone(),
            data_dir: path.clone(),
            key_source: None,
            signing_keys: ca_server::config::SigningKeysPlace::Store,
            recovery: RecoveryChoice::None,
            jwt_algorithm: TokenAlgorithm::default(),
            upstream: None,
            clock: clock.clone(),
        };
        init(params).await.unwrap();

        let data_dir = DataDir::new(&path);
        let raw = RawServerConfig {
            data_dir: Some(path.display().to_string()),
            ..RawServerConfig::default()
        };
        let config = ServerConfig::new(raw, &platform::paths::Environment::default()).unwrap();
        let store: SharedStore = Arc::new(SledStore::open(&data_dir.store(), Disk::real()).unwrap());
        let opened = open_store(store.as_ref(), &FileKeySource::open(&data_dir.default_key_file()).unwrap())
            .await
            .unwrap();
        let (journal, _) = Journal::open(&data_dir.journal(), clock.clone(), Disk::real()).unwrap();
        let recorder: Arc<dyn Recorder> = Arc::new(journal);
        let authorities = Authorities::load(
            trust_domain.clone(),
            store,
            Vault::local(opened.records),
            recorder.clone(),
            clock.clone(),
            config.authority_settings(),
            Arc::new(NobodyAway),
        )
        .await
        .unwrap();

        let (known, caller) = known(&trust_domain, &clock);
        let requests = known
            .entries
            .keys()
            .map(|id| KeyRequest {
                entry_id: id.clone(),
                public_key: Base64(new_key().spki().to_vec()),
            })
            .collect();
        let issuance = Issuance::new(authorities, Arc::new(known), recorder, clock, config.issuance_policy());
        Self {
            issuance,
            caller,
            requests,
            _directory: directory,
        }
    }

    async fn issue(&self) {
        let response = self
            .issuance
            .issue_batch(&self.caller, "4bf92f3577b34da6a3ce929d0e0e4736", self.requests.clone())
            .await
            .unwrap();
        assert!(response.results.iter().all(|result| matches!(result, IssueResult::Issued(_))));
        black_box(response);
    }
}

fn known(trust_domain: &TrustDomain, clock: &dyn Clock) -> (Known, Caller) {
    let now = clock.now().wall;
    let node: SpiffeId = format!("spiffe://{trust_domain}/troth/agent/join_token/bench").parse().unwrap();
    let key = new_key().hash();
    let svid = NodeSvid {
        key,
        serial: Serial::from_parts([0; 4], [0; 11]),
        expires_at: now + Duration::from_secs(86_400),
    };
    let record = NodeRecord::new(node.clone(), SelectorSet::default(), now, svid).unwrap();
    let entries = (0..BATCH).map(|number| {
        let draft = EntryDraft {
            spiffe_id: format!("/workload/{number}"),
            selectors: vec![format!("unix:uid:{number}")],
            ..EntryDraft::default()
        };
        let spec = EntrySpec::check(&draft, trust_domain, node.clone()).unwrap();
        let id: EntryId = format!("{number:032x}").parse().unwrap();
        (id.clone(), Arc::new(RegistrationEntry::new(id, spec, now)))
    });
    (
        Known {
            entries: entries.collect(),
            node: Arc::new(record),
        },
        Caller { id: node, key },
    )
}

/// The CPU time of the process so far: what P1 counts, whatever else the machine does.
fn cpu_time() -> Duration {
    let spec = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(spec.tv_sec).unwrap(), u32::try_from(spec.tv_nsec).unwrap())
}

fn cpu_of(times: u32, mut act: impl FnMut()) -> Duration {
    let before = cpu_time();
    (0..times).for_each(|_| act());
    (cpu_time() - before) / times
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let desk = runtime.block_on(Desk::open());
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let (random, message) = (SystemRandom::new(), [7_u8; MESSAGE]);
    let sign = || {
        black_box(pair.sign(&random, black_box(&message)).unwrap());
    };

    let mut group = criterion.benchmark_group("sign");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raw_p256_600_bytes", |bencher| bencher.iter(sign));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("issue_batch_50", |bencher| {
        bencher.iter_custom(|times| {
            #[expect(clippy::disallowed_methods, reason = "a bench measures with the real clock")]
            let start = Instant::now();
            runtime.block_on(async {
                for _ in 0..times {
                    desk.issue().await;
                }
            });
            start.elapsed()
        });
    });
    group.finish();

    let raw = cpu_of(5_000, sign);
    let issued = cpu_of(200, || runtime.block_on(desk.issue())) / u32::try_from(BATCH).unwrap();
    let ratio = issued.as_secs_f64() / raw.as_secs_f64();
    println!("CPU: raw signature {raw:.1?}, certificate in a batch of {BATCH} {issued:.1?}, ratio {ratio:.2}");
}
