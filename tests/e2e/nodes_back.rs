//! Nodes that were away, and directories that were copied: who comes back by itself, and who shows a theft.

use std::path::Path;

use serde_json::Value;
use tests::domain::{Agent, Domain};
use tests::wait::until;
use tests::workload::{fetch_as, ids};

/// The shortest node SVID: it is renewed every five seconds.
const SHORT: [&str; 2] = ["--node-ttl", "10s"];

/// Returns the actions that the journal has about a node.
fn recorded(domain: &Domain, node: &str) -> Vec<String> {
    let exported = domain.operator(&["audit", "export"]).exits(0);
    let events = exported.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_node = events.filter(|event| event["subject"].as_str().is_some_and(|subject| subject.ends_with(node)));
    of_node.filter_map(|event| event["action"].as_str().map(str::to_owned)).collect()
}

fn state(domain: &Domain, node: &str) -> String {
    domain.told(&["node", "show", node])["state"].as_str().expect("a state").to_owned()
}

#[test]
fn a_node_that_was_off_past_the_end_of_its_svid_comes_back_without_a_link() {
    let domain = Domain::start_with("back.test", &SHORT);
    let mut agent = domain.agent("n1");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4601", "--wait"]);
    let _ = agent.process().terminate();
    until("the node's SVID to end", || (state(&domain, "n1") == "expired").then_some(()));
    agent.launch(None);
    agent.ready();
    assert_eq!(ids(&fetch_as(4601, &agent.socket)), ["spiffe://back.test/job"]);
    // What was cached may be served in the last moments of it, before the node is back.
    until("the node to be active again", || (state(&domain, "n1") == "active").then_some(()));
    assert!(recorded(&domain, "/n1").contains(&"node_renewed_after_expiry".to_owned()));
}

#[test]
fn without_a_grace_period_the_node_is_told_that_it_needs_a_new_link() {
    let domain = Domain::start_with("grace.test", &[&SHORT[..], &["--renewal-grace", "0s"]].concat());
    let mut agent = domain.agent("n1");
    let _ = agent.process().terminate();
    until("the node's SVID to end", || (state(&domain, "n1") == "expired").then_some(()));
    agent.launch(None);
    until("the refusal", || agent.process().log().contains("node_expired").then_some(()));
    let health = agent.operator(&["health", "agent"]).exits(1).stdout;
    assert!(health.contains("troth token create"), "{health}");
    let status = agent.operator(&["agent", "status"]).exits(0).stdout;
    assert!(status.contains("renews none that has ended"), "{status}");
    agent.process().terminate();
    agent.launch(Some(&domain.link("n1")));
    agent.ready();
}

/// Copies an agent's directory and the key that opens it, as a thief with the disk would.
fn copy_of(agent: &Agent, folder: &Path) -> Agent {
    let copy = Agent::new(folder, "copy");
    std::fs::create_dir(&copy.data).expect("a directory");
    for entry in std::fs::read_dir(&agent.data).expect("a directory").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(entry.path(), copy.data.join(entry.file_name())).expect("a copied file");
        }
    }
    let key = |agent: &Agent| {
        agent
            .data
            .with_file_name(format!("{}.seal.key", agent.data.file_name().unwrap().to_str().unwrap()))
    };
    std::fs::copy(key(agent), key(&copy)).expect("a copied key");
    copy
}

#[test]
fn a_copied_directory_that_is_used_after_the_node_went_on_bans_the_node() {
    let domain = Domain::start_with("copied.test", &SHORT);
    let mut agent = domain.agent("n1");
    let mut copy = copy_of(&agent, domain.folder());
    let end = || domain.told(&["node", "show", "n1"])["expires_at"].to_string();
    for renewal in ["the first renewal", "the second renewal"] {
        let before = end();
        until(renewal, || (end() != before).then_some(()));
    }
    assert_eq!(state(&domain, "n1"), "active");
    copy.launch(None);
    until("the ban", || (state(&domain, "n1") == "banned").then_some(()));
    let recorded = recorded(&domain, "/n1");
    for action in ["node_key_copied", "node_banned"] {
        assert!(recorded.contains(&action.to_owned()), "no {action} in {recorded:?}");
    }
    for agent in [&mut agent, &mut copy] {
        assert_eq!(agent.process().ended().code(), Some(1), "{}", agent.process().log());
    }
}
