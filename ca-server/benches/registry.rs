//! What finding an entry costs, and telling a node of a changed one, with few entries and with many (design P11: they cost the same).

#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a measuring program: it stops at the first error")]

use std::hint::black_box;
use std::sync::Arc;

use ca_server::registry::HeldEntry;
use ca_server::registry::entries::EntryIndex;
use ca_server::registry::feed::{Feed, FeedEvent, PartnerSet};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use trust_domains::entry::EntrySpec;
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::node::SyncMessage;
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId, Timestamp};

/// Entries in the registry; a hundred for each node.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// Ids as a server draws them, one after the other.
fn id(number: u64) -> EntryId {
    EntryId::in_sequence(u32::try_from(number).expect("fewer entries than that"), [7; 12])
}

fn node(number: u64) -> SpiffeId {
    let text = format!("spiffe://prod.example.org/troth/agent/join_token/node-{}", number / 100);
    text.parse().expect("it is a SPIFFE ID")
}

fn entry(number: u64) -> HeldEntry {
    let draft = EntryDraft {
        spiffe_id: format!("/workloads/service-{number}"),
        selectors: vec![format!("unix:uid:{number}"), "unix:path:/usr/bin/service".to_owned()],
        ..EntryDraft::default()
    };
    let trust_domain = "prod.example.org".parse().expect("it is a trust domain");
    let spec = EntrySpec::check(&draft, &trust_domain, node(number)).expect("it is an entry");
    let entry = RegistrationEntry::new(id(number), spec, Timestamp::from_unix(1_795_338_000));
    HeldEntry {
        entry: Arc::new(entry),
        modified: number,
    }
}

fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry look-up");
    for size in SIZES {
        let mut index = EntryIndex::default();
        (0..size).for_each(|number| {
            index.insert(entry(number));
        });
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                number = (number + 7_919) % size;
                black_box(index.find(&id(number)).expect("it is there").modified)
            });
        });
    }
    group.finish();
}

/// From the applied change to the line on the stream.
fn sync_delta(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let (held, feed) = (entry(1), Feed::after(0));
    let mut counter = 0;
    criterion.bench_function("sync delta", |bencher| {
        bencher.iter(|| {
            counter += 1;
            feed.push(counter, held.entry.id(), Some(&held), PartnerSet::Same);
            let FeedEvent::Changed { counter, changes, .. } = runtime.block_on(feed.next(|| ())) else {
                panic!("nothing was lost");
            };
            let revision = Revision::new(1, counter);
            let upserted = changes.into_values().flatten().map(|held| held.entry.node_entry(revision)).collect();
            let message = SyncMessage::Delta {
                revision,
                upserted,
                removed: Vec::new(),
                bundle: None,
                federated: None,
                federated_crls: Vec::new(),
                given_to_all: Vec::new(),
                tainted: None,
                crls: None,
            };
            serde_json::to_vec(&message).expect("it serializes")
        });
    });
}

criterion_group!(benches, look_up, sync_delta);
criterion_main!(benches);
