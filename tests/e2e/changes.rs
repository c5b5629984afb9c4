//! Entries change while streams are open.

use tests::domain::Domain;
use tests::workload::{Watch, fetch_as, ids_of};

#[test]
fn created_changed_and_deleted_entries_reach_an_open_stream() {
    let domain = Domain::start("change.test");
    let agent = domain.agent("n1");
    let first = domain.told(&["entry", "create", "--spiffe-id", "/one", "--selector", "unix:uid:4201", "--wait"]);
    let mut watch = Watch::open(4201, &agent.socket);
    assert_eq!(ids_of(&watch.next()), ["spiffe://change.test/one"]);

    let _ = domain.told(&["entry", "create", "--spiffe-id", "/two", "--selector", "unix:uid:4201", "--wait"]);
    let update = watch.until(|update| ids_of(update).len() == 2);
    assert_eq!(ids_of(&update), ["spiffe://change.test/one", "spiffe://change.test/two"]);

    let id = first["id"].as_str().expect("an id");
    let changed = domain.told(&["entry", "update", id, "--spiffe-id", "/uno", "--hint", "first", "--wait"]);
    assert_eq!(changed["result"], "updated");
    let update = watch.until(|update| ids_of(update).contains(&"spiffe://change.test/uno".to_owned()));
    assert_eq!(update["svids"][0]["hint"], "first");
    assert_eq!(ids_of(&update), ["spiffe://change.test/uno", "spiffe://change.test/two"]);

    let _ = domain.told(&["entry", "delete", "/two", "--wait"]);
    let update = watch.until(|update| ids_of(update).len() == 1);
    assert_eq!(ids_of(&update), ["spiffe://change.test/uno"]);

    let _ = domain.told(&["entry", "delete", id, "--wait"]);
    assert_eq!(watch.ended(), 1);
    assert_eq!(fetch_as(4201, &agent.socket).exits(1).problem(), "no_entries");
}

#[test]
fn an_equal_entry_is_not_made_twice_and_a_different_one_is_refused() {
    let domain = Domain::start("equal.test");
    let _agent = domain.agent("n1");
    let create = ["entry", "create", "--spiffe-id", "/e", "--selector", "unix:uid:1"];
    let first = domain.told(&create);
    let second = domain.told(&create);
    assert_eq!((&second["id"], second["result"].as_str()), (&first["id"], Some("unchanged")));
    let other = domain
        .operator(&["entry", "create", "--spiffe-id", "/e", "--selector", "unix:uid:1", "--class", "slow"])
        .exits(1);
    assert_eq!(other.problem(), "entry_exists");
    assert!(other.json()["hint"].as_str().is_some_and(|hint| hint.contains("entry update")));
    assert_eq!(domain.told(&["entry", "count"])["count"], 1);
}
