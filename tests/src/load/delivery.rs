//! P3 and P4: how soon a workload has what it was given.

use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tokio::time::Instant;
use trust_domains::wire::admin::EntryDeleted;

use super::meter::{Times, millis};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::workload_api::{Stream, first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::{Agent, Domain};

/// Entries that are made for P3.
const ENTRIES: u32 = 200;

/// Agents that are started for P4.
const AGENTS: u32 = 20;

/// P3.
pub(super) fn new_entries() -> Figure {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let agent = domain.agent("n1");
    let times = runtime.block_on(async {
        let admin = admin(&domain);
        // One identity stays, so that the stream does.
        create(&admin, vec![draft("/stays".to_owned(), "n1", own_uid())]).await;
        let mut stream = first(&agent.socket).await;
        let mut times = Vec::new();
        for number in 0..ENTRIES {
            times.push(deliver(&admin, &mut stream, number).await);
        }
        Times::of(times)
    });
    Figure {
        id: "P3",
        what: "entry created → SVID on the workload's open stream",
        how: format!("{ENTRIES} entries, one after the other, from the admin call to the message"),
        values: vec![
            Value::plain("p50", millis(times.percentile(50)), "ms"),
            Value::judged("p99", millis(times.percentile(99)), "ms", 50.0),
            Value::plain("longest", millis(times.percentile(100)), "ms"),
        ],
    }
}

/// Makes an entry, waits for its SVID, and takes it away again.
async fn deliver(admin: &UnixHttpClient, stream: &mut Stream, number: u32) -> Duration {
    let path = format!("/new/{number}");
    let id = format!("spiffe://load.test{path}");
    let started = Instant::now();
    let made = create(admin, vec![draft(path, "n1", own_uid())]).await;
    while !stream.next().await.expect("an update").contains(&id) {}
    let took = started.elapsed();
    let _: EntryDeleted = admin.delete(&format!("/v1/admin/entries/{}", made[0])).await.expect("a deleted entry");
    while stream.next().await.expect("an update").contains(&id) {}
    took
}

/// P4.
pub(super) fn agent_starts() -> Figure {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let times = (0..AGENTS).map(|number| {
        let name = format!("n{number}");
        let link = domain.link(&name);
        runtime.block_on(create(&admin(&domain), vec![draft("/web".to_owned(), &name, own_uid())]));
        let mut agent = Agent::new(domain.folder(), &name);
        let started = Instant::now();
        agent.launch(Some(&link));
        runtime.block_on(first(&agent.socket));
        started.elapsed()
    });
    let times = Times::of(times.collect());
    Figure {
        id: "P4",
        what: "agent start → first SVID, with attestation",
        how: format!("{AGENTS} agents, each a new process that joins, with a workload that asks every millisecond"),
        values: vec![
            Value::judged("median", millis(times.percentile(50)), "ms", 300.0),
            Value::plain("longest", millis(times.percentile(100)), "ms"),
        ],
    }
}
