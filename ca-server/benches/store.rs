//! What a durable commit and a durable journal record cost, one at a time and in groups that share a sync.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has to stop")]

use std::sync::atomic::{AtomicU64, Ordering};

use ca_server::journal::Journal;
use ca_server::store::disk::Disk;
use ca_server::store::{Commit, Key, RecordName, SledStore, Store};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use trust_domains::clock::ManualClock;
use trust_domains::wire::audit::{AuditEvent, Issuance};
use trust_domains::{Serial, Timestamp};

/// What waits at once.
const GROUPS: [u64; 3] = [1, 100, 1_000];

/// About the length of a stored entry.
const VALUE: [u8; 400] = [7; 400];

/// Distinct keys, spread over the key space as random ids are.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn number() -> u64 {
    // An odd factor visits every number once: as good as random, and the same in each run.
    NUMBER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn commit(writes: u64) -> Commit {
    (0..writes).fold(Commit::new("bench"), |commit, _| {
        let name = RecordName::new(&format!("{:016x}", number())).expect("hex digits are a name");
        commit.put(Key::authority(&name), &VALUE[..])
    })
}

fn issuance() -> AuditEvent {
    let mut random = [0; 11];
    random[3..].copy_from_slice(&number().to_be_bytes());
    AuditEvent::Issued(Issuance {
        serial: Serial::from_parts([1, 2, 3, 4], random),
        spiffe_id: "spiffe://prod.example.org/workloads/web".parse().expect("it is a SPIFFE ID"),
        entry: Some("5f0c6a1e9d3b47c28a61f0e4d2b7c935".parse().expect("it is an entry's id")),
        node: Some("spiffe://prod.example.org/troth/agent/join_token/web-1".parse().expect("it is a SPIFFE ID")),
        issuer: "9c1185a5c5e9fc54612808977ee8f548b2258d31".to_owned(),
        not_after: Timestamp::from_unix(2_000_000_000),
        actor: "agent".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime starts")
}

fn store(criterion: &mut Criterion) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a directory is made");
    let store = SledStore::create(&directory.path().join("store"), 1, Disk::real()).expect("a store is made");
    let mut group = criterion.benchmark_group("store");
    for size in GROUPS {
        group.throughput(Throughput::Elements(size));
        group.bench_with_input(BenchmarkId::new("waiting commits of one write", size), &size, |bencher, size| {
            bencher.iter(|| runtime.block_on(join_all((0..*size).map(|_| store.commit(commit(1))))));
        });
        group.bench_with_input(BenchmarkId::new("one commit of writes", size), &size, |bencher, size| {
            bencher.iter(|| runtime.block_on(store.commit(commit(*size))).expect("the commit is performed"));
        });
    }
    group.finish();
}

fn journal(criterion: &mut Criterion) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a directory is made");
    let clock = ManualClock::new(Timestamp::from_unix(1_900_000_000));
    let (journal, _) = Journal::open(directory.path(), clock.shared(), Disk::real()).expect("a journal is made");
    let mut group = criterion.benchmark_group("journal");
    for size in GROUPS {
        group.throughput(Throughput::Elements(size));
        group.bench_with_input(BenchmarkId::new("waiting appends of one record", size), &size, |bencher, size| {
            bencher.iter(|| runtime.block_on(join_all((0..*size).map(|_| journal.append(vec![issuance()])))));
        });
        group.bench_with_input(BenchmarkId::new("one append of records", size), &size, |bencher, size| {
            bencher.iter(|| {
                runtime
                    .block_on(journal.append((0..*size).map(|_| issuance()).collect()))
                    .expect("the append is performed")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, store, journal);
criterion_main!(benches);
