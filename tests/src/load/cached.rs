//! A restart of an agent: the first SVID while its server is there, and out of the sealed cache while it is away.

use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::meter::{Times, millis};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::workload_api::{first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::{Agent, Domain};
use crate::wait::until;

/// Restarts of each kind.
const RESTARTS: u32 = 20;

/// Identities of other workloads, which lie in the same cache.
const OTHERS: u32 = 499;

/// From the start of an agent that was killed to the first SVID.
pub(super) fn restarts() -> Figure {
    let (mut domain, runtime) = (Domain::start("load.test"), runtime());
    let mut agent = domain.agent("n1");
    let own = draft("/web".to_owned(), "n1", own_uid());
    let others = (0..OTHERS).map(|number| draft(format!("/other/{number}"), "n1", own_uid() + 1));
    runtime.block_on(create(&admin(&domain), std::iter::once(own).chain(others).collect()));
    runtime.block_on(first(&agent.socket));
    until("every SVID", || {
        let held = agent.operator(&["agent", "status"]).json()["svids"].as_u64();
        (held == Some(u64::from(OTHERS) + 1)).then_some(())
    });
    // An orderly end seals what is held; nothing changes it from then on.
    let _ = agent.process().terminate();
    agent.launch(None);
    let online = starts(&runtime, &mut agent);
    domain.server().kill_9();
    let offline = starts(&runtime, &mut agent);
    Figure {
        id: "Cached",
        what: "agent start → first SVID, of an agent that was killed and holds 500 SVIDs sealed",
        how: format!("{RESTARTS} restarts with the server there and {RESTARTS} with it gone, a workload that asks every millisecond"),
        values: vec![
            Value::plain("server there: median", millis(online.percentile(50)), "ms"),
            Value::plain("longest", millis(online.percentile(100)), "ms"),
            Value::judged("server away: median", millis(offline.percentile(50)), "ms", 300.0),
            Value::plain("longest", millis(offline.percentile(100)), "ms"),
        ],
    }
}

fn starts(runtime: &Runtime, agent: &mut Agent) -> Times {
    let times = (0..RESTARTS).map(|_| {
        agent.process().kill_9();
        let started = Instant::now();
        agent.launch(None);
        runtime.block_on(first(&agent.socket));
        started.elapsed()
    });
    Times::of(times.collect())
}
