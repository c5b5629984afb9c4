//! P1 and P2: what a certificate costs the server, from the socket to the durable record and back.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::node::IssueRequest;

use super::meter::{cpu_of, micros, raw_signature_us};
use super::node::{Node, admin, batch_for, create};
use super::report::{Figure, Value};
use super::subject::Effort;
use crate::admin::{draft, runtime};
use crate::domain::Domain;

/// The batch of P1.
const BATCH: usize = 50;

/// Batches on their way at once: the server always has one to begin.
const BATCHES_IN_FLIGHT: usize = 4;

/// Requests of one key on their way at once: half of what one node may have.
const SINGLES_IN_FLIGHT: usize = 8;

/// Entries that the second server of P2 has beside, to see that they do not matter.
const MANY: usize = 36_000;

/// How many times each server of P2 has its turn.
const TURNS: u64 = 5;

/// The time before the measurement: caches, connection windows and the journal's first segment are warm then.
const WARM_UP: Duration = Duration::from_secs(1);

/// P1.
pub(super) fn batches(effort: Effort) -> Figure {
    let (mut domain, runtime) = (Domain::start("load.test"), runtime());
    let desk = Desk::open(&domain, &runtime);
    let before = raw_signature_us();
    let cost = desk.cost(&runtime, &mut domain, &[&desk.batch], BATCHES_IN_FLIGHT, effort);
    let raw = (before + raw_signature_us()) / 2.0;
    Figure {
        id: "P1",
        what: "server CPU per X509-SVID, batches of 50",
        how: format!("utime and stime of the server over {} s, {BATCHES_IN_FLIGHT} batches in flight", effort.seconds),
        values: vec![
            Value::plain("CPU", cost.cpu_us, "us"),
            Value::plain("raw signature", raw, "us"),
            Value::judged("ratio", cost.cpu_us / raw, "", 2.5),
            Value::plain("SVIDs/s", cost.rate, ""),
        ],
    }
}

/// P2: two servers take turns, so that neither the order nor what else the machine does makes the difference between them.
pub(super) fn single(effort: Effort) -> Figure {
    let runtime = runtime();
    let (mut small, mut large) = (Domain::start("load.test"), Domain::start("load.test"));
    let (few_desk, many_desk) = (Desk::open(&small, &runtime), Desk::open(&large, &runtime));
    runtime.block_on(create(&admin(&large), other_entries()));
    let turn = Effort {
        seconds: (effort.seconds / TURNS).max(1),
        ..effort
    };
    let before = raw_signature_us();
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        few.push(few_desk.single_cost(&runtime, &mut small, turn));
        many.push(many_desk.single_cost(&runtime, &mut large, turn));
    }
    let raw = (before + raw_signature_us()) / 2.0;
    let (few, many) = (Cost::mean(&few), Cost::mean(&many));
    Figure {
        id: "P2",
        what: "server CPU per X509-SVID, one a request",
        how: format!(
            "the same with {SINGLES_IN_FLIGHT} requests of one key in flight; two servers in {TURNS} turns each, one with {BATCH} entries, one with {MANY} more"
        ),
        values: vec![
            Value::plain("CPU", few.cpu_us, "us"),
            Value::plain("with 36,000 entries", many.cpu_us, "us"),
            Value::plain("raw signature", raw, "us"),
            Value::judged("ratio", few.cpu_us.max(many.cpu_us) / raw, "", 6.5),
            Value::plain("SVIDs/s", few.rate, ""),
        ],
    }
}

/// Entries of other nodes, which the node that asks never sees.
fn other_entries() -> Vec<EntryDraft> {
    let of = |number| {
        let parent = format!("spiffe://load.test/troth/agent/join_token/n{}", number % 100);
        draft(format!("/other/{number}"), &parent, 1)
    };
    (0..MANY).map(of).collect()
}

/// A node with entries that certificates are asked for.
struct Desk {
    node: Node,
    batch: IssueRequest,
}

/// What a certificate cost.
struct Cost {
    cpu_us: f64,
    rate: f64,
}

impl Cost {
    /// Returns the mean of turns of the same length.
    fn mean(turns: &[Self]) -> Self {
        let rate = turns.iter().map(|turn| turn.rate).sum::<f64>();
        let cpu_per_second: f64 = turns.iter().map(|turn| turn.cpu_us * turn.rate).sum();
        Self {
            cpu_us: cpu_per_second / rate,
            rate: rate / turns.len() as f64,
        }
    }
}

impl Desk {
    fn open(domain: &Domain, runtime: &Runtime) -> Self {
        runtime.block_on(async {
            let node = Node::join(domain, "load").await;
            let drafts = (0..BATCH).map(|number| draft(format!("/workload/{number}"), "load", 1));
            let entries = create(&admin(domain), drafts.collect()).await;
            Self {
                node,
                batch: batch_for(&entries),
            }
        })
    }

    /// What a certificate costs that is asked for alone.
    fn single_cost(&self, runtime: &Runtime, domain: &mut Domain, effort: Effort) -> Cost {
        let singles: Vec<_> = self
            .batch
            .requests
            .iter()
            .map(|request| IssueRequest {
                requests: vec![request.clone()],
            })
            .collect();
        self.cost(runtime, domain, &singles.iter().collect::<Vec<_>>(), SINGLES_IN_FLIGHT, effort)
    }

    fn cost(&self, runtime: &Runtime, domain: &mut Domain, batches: &[&IssueRequest], in_flight: usize, effort: Effort) -> Cost {
        runtime.block_on(self.issue_for(WARM_UP, batches, in_flight));
        let (cpu, started) = (cpu_of(domain.server()), Instant::now());
        let issued = runtime.block_on(self.issue_for(Duration::from_secs(effort.seconds), batches, in_flight));
        let (cpu, elapsed) = (cpu_of(domain.server()) - cpu, started.elapsed());
        Cost {
            cpu_us: micros(cpu) / f64::from(issued),
            rate: f64::from(issued) / elapsed.as_secs_f64(),
        }
    }

    /// Asks for certificates for some time, and returns how many there were.
    async fn issue_for(&self, time: Duration, batches: &[&IssueRequest], in_flight: usize) -> u32 {
        let end = Instant::now() + time;
        let mut askers = JoinSet::new();
        for asker in 0..in_flight {
            let node = self.node.clone();
            let batches: Vec<IssueRequest> = batches.iter().copied().cloned().collect();
            askers.spawn(async move {
                let mut issued = 0;
                for batch in batches.iter().cycle().skip(asker).step_by(in_flight) {
                    if Instant::now() >= end {
                        break;
                    }
                    node.issue(batch).await;
                    issued += u32::try_from(batch.requests.len()).expect("a small number");
                }
                issued
            });
        }
        askers.join_all().await.into_iter().sum()
    }
}
