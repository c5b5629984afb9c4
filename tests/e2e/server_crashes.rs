//! kill -9 of the server, again and again, in a storm of entry creations and issuing: nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tests::admin::{admin, create, draft, runtime};
use tests::domain::Domain;
use tests::workload::Watch;

/// How often the server is killed.
const KILLS: u64 = 50;

/// Creates entries as fast as the server takes them until it is killed; returns the ids that were acknowledged.
async fn storm(client: UnixHttpClient, round: u64, worker: u64, over: Arc<AtomicBool>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // One in twenty is for the workload that watches, so that issuing goes on through the storm.
        let uid = if number % 20 == 0 && worker == 0 { 4401 } else { 59_999 };
        match create(&client, vec![draft(format!("/storm/{round}/{worker}/{number}"), "n1", uid)]).await {
            Ok(created) => acknowledged.extend(created.entries.iter().map(|entry| entry.id.to_string())),
            // Killed: what was on its way may or may not be there.
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_in_fifty_kills() {
    let runtime = runtime();
    let mut domain = Domain::start("storm.test");
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/watched", 4401, "10s");
    let mut watch = Watch::open(4401, &agent.socket);
    let mut serials = BTreeSet::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let client = admin(&domain, Duration::from_secs(20));
        let over = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..4)
            .map(|worker| runtime.spawn(storm(client.clone(), round, worker, Arc::clone(&over))))
            .collect();
        // A different moment of the storm each time.
        std::thread::sleep(Duration::from_millis(20 + (round * 37) % 120));
        domain.server().kill_9();
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            acknowledged.extend(runtime.block_on(worker).expect("a worker"));
        }
        domain.start_server();
        let there = domain.listed("id");
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round}: {} acknowledged entries are lost: {lost:?}", lost.len());
    }
    assert!(acknowledged.len() as u64 > KILLS, "the storm was no storm: {} entries", acknowledged.len());

    // Whatever the workload ever held is in the journal, and no serial was given twice.
    let last = domain.told(&["entry", "create", "--spiffe-id", "/last", "--selector", "unix:uid:4401", "--parent", "n1"]);
    let end = last["spiffe_id"].clone();
    loop {
        let update = watch.next();
        let svids = update["svids"].as_array().expect("svids").clone();
        serials.extend(svids.iter().map(|svid| svid["serial"].as_str().expect("a serial").to_owned()));
        if svids.iter().any(|svid| svid["spiffe_id"] == end) {
            break;
        }
    }
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let mut issued = BTreeSet::new();
    for record in exported.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record")) {
        if record["event"] == "issued" {
            let serial = record["serial"].as_str().expect("a serial").to_owned();
            assert!(issued.insert(serial.clone()), "serial {serial} was given twice");
        }
    }
    let unrecorded: Vec<_> = serials.difference(&issued).collect();
    assert!(unrecorded.is_empty(), "held and not recorded: {unrecorded:?}");
}
