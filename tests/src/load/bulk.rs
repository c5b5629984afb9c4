//! P8: a hundred thousand entries.

use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use trust_domains::wire::admin::{Health, HealthState};

use super::meter::resident_mb;
use super::node::admin;
use super::report::{Figure, Value};
use crate::admin::{draft, runtime};
use crate::domain::{Domain, path_text};
use crate::wait::PATIENCE;

/// Entries of the file.
const ENTRIES: u32 = 100_000;

/// Nodes that they are spread over.
const NODES: u32 = 100;

/// P8.
pub(super) fn entries() -> Figure {
    let (mut domain, runtime) = (Domain::start("load.test"), runtime());
    // The same process with nothing in its store, restarted as it is with the entries.
    restart(&mut domain, &runtime);
    let empty = resident_mb(domain.server()).all;

    let file = domain.folder().join("entries.json");
    write_file(&file);
    let started = Instant::now();
    let _ = domain.operator(&["entry", "create", "--file", path_text(&file)]).exits(0);
    let created = started.elapsed();
    let after_create = resident_mb(domain.server()).all;

    let restarted = restart(&mut domain, &runtime);
    assert_eq!(domain.told(&["entry", "count"])["count"], ENTRIES);
    let each = (resident_mb(domain.server()).all - empty) * 1e6 / f64::from(ENTRIES);
    Figure {
        id: "P8",
        what: "100,000 entries in one file",
        how: format!("`troth entry create --file`, {NODES} nodes; SIGTERM and start until /v1/admin/health says ready; VmRSS above that of an empty server"),
        values: vec![
            Value::judged("create", created.as_secs_f64(), "s", 10.0),
            Value::judged("restart until ready", restarted.as_secs_f64(), "s", 1.0),
            Value::judged("memory an entry", each, "B", 600.0),
            Value::plain("server after create", after_create, "MB"),
        ],
    }
}

fn write_file(path: &std::path::Path) {
    let node = |number: u32| format!("spiffe://load.test/troth/agent/join_token/node-{}", number % NODES);
    let drafts: Vec<_> = (0..ENTRIES)
        .map(|number| draft(format!("/ns/prod/service/{number}"), &node(number), 1_000 + number / NODES))
        .collect();
    std::fs::write(path, serde_json::to_vec(&drafts).expect("entries")).expect("a file");
}

/// Ends the server, starts it again, and returns how long the start took until it was ready.
fn restart(domain: &mut Domain, runtime: &Runtime) -> Duration {
    let _ = domain.server().terminate();
    let started = Instant::now();
    domain.launch_server();
    runtime.block_on(ready(&admin(domain)));
    started.elapsed()
}

async fn ready(admin: &UnixHttpClient) {
    let end = Instant::now() + PATIENCE;
    while !admin
        .get::<Health>("/v1/admin/health")
        .await
        .is_ok_and(|health| health.state == HealthState::Ready)
    {
        assert!(Instant::now() < end, "the server is not ready within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
