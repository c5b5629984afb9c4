//! A partner that is away for a while, and one that is left for good.

use std::time::Duration;

use conformance::covers;
use tests::admin::runtime;
use tests::wait::within;

use super::load::Load;
use super::shows_roots;
use super::three::Trio;
use crate::mtls_service::source;

/// A partner is fetched every 30 s, failed or not; twice that, and room for a busy machine.
const HEALED_WITHIN: Duration = Duration::from_secs(120);

#[covers("FED-04")]
#[test]
fn a_partner_that_is_away_costs_nobody_anything_and_is_fetched_again_when_it_is_back() {
    let mut trio = Trio::start(["here.test", "away.test", "there.test"], "30s", "180s");
    let load = Load::start(&trio);
    trio.members[1].domain.server().kill_9();
    let [here, away, there] = &trio.members;
    let held = here.roots_of(away);
    let failed = here.domain.operator(&["federation", "refresh", "away.test"]).exits(1).json();
    assert_eq!(
        (&failed["status"], &failed["last_error"]["code"]),
        (&"unreachable".into(), &"endpoint_unreachable".into()),
        "{failed}"
    );
    assert_eq!(here.roots_of(away), held, "the last good bundle was given up");
    here.refreshes(there);
    there.refreshes(here);
    // Who names it is issued for, and everybody else's partners change as ever.
    let entry = [
        "entry",
        "create",
        "--spiffe-id",
        "/late",
        "--selector",
        "unix:uid:4711",
        "--federates-with",
        "away.test",
        "--wait",
    ];
    let _ = here.domain.told(&entry);
    let _ = there
        .domain
        .told(&["authority", "replace", "--kind", "x509-issuing", "--because", "a drill", "--wait", "2m"]);

    trio.members[1].domain.start_server();
    let [here, away, _] = &trio.members;
    let current = within(HEALED_WITHIN, || (here.relationship(away)["status"] == "current").then_some(()));
    assert!(current.is_some(), "{}", here.relationship(away));
    load.ends_without_a_failure(200);
}

#[covers("FED-11")]
#[test]
fn a_relationship_that_is_ended_is_withdrawn_from_open_streams_at_once_and_from_nobody_elses() {
    let trio = Trio::start(["leaving.test", "left.test", "kept.test"], "5m", "180s");
    let [leaving, left, kept] = &trio.members;
    let runtime = runtime();
    let open = runtime.block_on(source(&leaving.agent));
    runtime.block_on(async {
        shows_roots(&open, "left.test", 1).await;
        shows_roots(&open, "kept.test", 1).await;
    });
    let _ = leaving.domain.told(&["federation", "delete", "left.test", "--wait"]);
    runtime.block_on(async {
        shows_roots(&open, "left.test", 0).await;
        shows_roots(&open, "kept.test", 1).await;
        shows_roots(&open, "leaving.test", 1).await;
    });
    assert_eq!(
        leaving.domain.operator(&["federation", "show", "left.test"]).exits(3).problem(),
        "federation_not_found"
    );
    // It is one way: the others believe as before.
    assert_eq!(left.roots_of(leaving).len(), 1);
    assert_eq!(kept.roots_of(left).len(), 1);
    let _ = leaving.domain.operator(&["bundle", "show", "--trust-domain", "left.test"]).exits(3);
}
