//! P12 over a fleet: how soon a revocation is on the open stream of a workload of every agent.
//!
//! The agents run in this process, and so do the workloads: on a machine of few cores what is measured holds their work for all N, one after the other.

use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trust_domains::Serial;
use trust_domains::wire::admin::RevokeTarget;

use super::fleet::Fleet;
use super::meter::{Times, cpu_of, millis};
use super::node::{Node, admin, create};
use super::report::{Figure, Value};
use super::revoke::{APART, REVOCATIONS, issue, revoke};
use super::subject::Effort;
use super::workload_api::{Stream, first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::Domain;

/// Measures it.
pub(super) fn revocations(effort: Effort) -> Figure {
    let agents = effort.agents;
    let (mut domain, runtime) = (Domain::start_with("load.test", &["--crl", "always"]), runtime());
    let fleet = Fleet::start(&domain, &runtime, agents, 1, own_uid());
    let client = admin(&domain);
    let (serials, mut streams) = runtime.block_on(async {
        // Certificates of a node that only asks: none of the fleet's is replaced.
        let node = Node::join(&domain, "load").await;
        let entries = create(&client, vec![draft("/one".to_owned(), "load", 1)]).await;
        let serials = issue(&node, &entries[0], REVOCATIONS).await;
        let mut streams = Vec::new();
        for socket in fleet.sockets() {
            streams.push(first(&socket).await);
        }
        (serials, streams)
    });
    let cpu = cpu_of(domain.server());
    let (mut each, mut last) = (Vec::new(), Vec::new());
    for serial in serials {
        let times;
        (times, streams) = runtime.block_on(one(&client, streams, serial));
        last.extend(times.iter().max().copied());
        each.extend(times);
    }
    let cpu = cpu_of(domain.server()) - cpu;
    let (each, last) = (Times::of(each), Times::of(last));
    Figure {
        id: "P12, fleet",
        what: "svid revoke → the list is on the workload's open stream of every agent",
        how: format!(
            "{REVOCATIONS} serials, {} ms apart; {agents} agents in the process that measures, each with one open Workload API stream; server CPU with its idle work",
            APART.as_millis()
        ),
        values: vec![
            Value::plain("p50", millis(each.percentile(50)), "ms"),
            Value::judged("p99", millis(each.percentile(99)), "ms", 200.0),
            Value::plain("last stream, p50", millis(last.percentile(50)), "ms"),
            Value::plain("last stream, p99", millis(last.percentile(99)), "ms"),
            Value::plain("server CPU each", millis(cpu) / REVOCATIONS as f64, "ms"),
        ],
    }
}

/// Revokes one certificate; returns how long each stream took to have the list that names it, and the streams.
async fn one(client: &UnixHttpClient, streams: Vec<Stream>, serial: Serial) -> (Vec<Duration>, Vec<Stream>) {
    tokio::time::sleep(APART).await;
    let mut waiting = JoinSet::new();
    let started = Instant::now();
    for mut stream in streams {
        waiting.spawn(async move {
            stream.until_revoked(&serial).await.expect("an open stream");
            (started.elapsed(), stream)
        });
    }
    let revoked = revoke(client, RevokeTarget::Serial(serial)).await;
    assert_eq!(revoked.certificates, 1);
    waiting.join_all().await.into_iter().unzip()
}
