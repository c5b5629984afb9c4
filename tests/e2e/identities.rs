//! Each workload gets its own identities, and nothing of others.

use conformance::covers;
use tests::domain::Domain;
use tests::workload::{fetch_as, ids};

#[covers("EP-10")]
#[test]
fn two_agents_and_three_users_get_only_their_own() {
    let domain = Domain::start("own.test");
    let (one, two) = (domain.agent("one"), domain.agent("two"));
    for (path, uid, node) in [
        ("/a", "unix:uid:4101", "one"),
        ("/b", "unix:uid:4102", "one"),
        ("/b2", "unix:uid:4102", "one"),
        ("/c", "unix:uid:4103", "two"),
    ] {
        let _ = domain.told(&["entry", "create", "--spiffe-id", path, "--selector", uid, "--parent", node, "--wait"]);
    }
    assert_eq!(ids(&fetch_as(4101, &one.socket)), ["spiffe://own.test/a"]);
    assert_eq!(ids(&fetch_as(4102, &one.socket)), ["spiffe://own.test/b", "spiffe://own.test/b2"]);
    assert_eq!(ids(&fetch_as(4103, &two.socket)), ["spiffe://own.test/c"]);
    for (uid, agent) in [(4103, &one), (4101, &two), (4102, &two), (4104, &one)] {
        let refused = fetch_as(uid, &agent.socket).exits(1);
        assert_eq!(refused.problem(), "no_entries");
        let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(
            detail.starts_with("no entry of this node matches this process; on the node, as its operator: troth explain --pid "),
            "{detail}"
        );
        assert!(!detail.contains("own.test"), "it says something about other entries: {detail}");
    }
}

#[test]
fn an_entry_needs_all_of_its_selectors() {
    let domain = Domain::start("all.test");
    let agent = domain.agent("n1");
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/both",
        "--selector",
        "unix:uid:4111",
        "--selector",
        "unix:gid:9",
        "--wait",
    ]);
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/right",
        "--selector",
        "unix:uid:4111",
        "--selector",
        "unix:gid:4111",
        "--wait",
    ]);
    assert_eq!(ids(&fetch_as(4111, &agent.socket)), ["spiffe://all.test/right"]);
}
