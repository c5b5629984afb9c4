//! `troth node`, `troth agent status` and `agent leave`.

use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use tests::workload::{Watch, fetch_as, ids};

use super::{has_fields, is_time, items, text_of, typed};

/// Waits until the agent has ended with this code as its reason.
fn ends_saying(agent: &mut Agent, code: &str) {
    assert_eq!(agent.process().ended().code(), Some(1), "{}", agent.process().log());
    assert!(agent.process().log().contains(&format!("({code})")), "no {code}: {}", agent.process().log());
}

#[test]
fn a_banned_node_gives_back_everything_and_ends_until_it_is_evicted_and_joins_again() {
    let domain = Domain::start("ban.test");
    let files = domain.folder().join("files");
    let mut agent = domain.agent_with("n1", &["--sink", &format!("/job={}", path_text(&files))]);
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4501", "--wait"]);
    let mut watch = Watch::open(4501, &agent.socket);
    let _ = watch.next();
    assert!(files.join("svid.pem").exists());
    let link = domain.told(&["token", "create", "--node-id", "n1"])["link"].clone();

    let banned = domain.told(&["node", "ban", "n1"]);
    assert_eq!(banned["state"], "banned");
    assert_eq!(watch.ended(), 1, "the workload's stream goes on");
    ends_saying(&mut agent, "node_banned");
    assert!(agent.process().log().contains("troth node evict n1"), "no next step: {}", agent.process().log());
    assert!(
        !files.join("svid.pem").exists() && !files.join("svid_key.pem").exists(),
        "the files are still there"
    );
    assert!(!agent.socket.exists());
    for kept in ["identity.sealed", "cache.sealed"] {
        assert!(!agent.data.join(kept).exists(), "{kept} is still there");
    }
    until("the node to be away", || {
        (domain.told(&["node", "show", "n1"])["connected"] == false).then_some(())
    });

    // Neither a restart nor a link gets round the ban, and no new link is made for the node.
    assert_eq!(domain.operator(&["token", "create", "--node-id", "n1"]).exits(1).problem(), "node_banned");
    agent.launch(link.as_str());
    ends_saying(&mut agent, "node_banned");
    let mut other = Agent::new(domain.folder(), "other-directory");
    other.launch(link.as_str());
    ends_saying(&mut other, "node_banned");
    assert_eq!(domain.told(&["node", "show", "n1"])["state"], "banned");

    // Evicting forgets the node and lifts the ban; its entries stay.
    let _ = domain.told(&["node", "evict", "n1"]);
    assert_eq!(domain.operator(&["node", "show", "n1"]).exits(3).problem(), "node_not_found");
    assert_eq!(domain.told(&["entry", "count"])["count"], 1);
    agent.launch(Some(&domain.link("n1")));
    agent.ready();
    assert_eq!(ids(&fetch_as(4501, &agent.socket)), ["spiffe://ban.test/job"]);
}

#[test]
fn an_evicted_node_ends_and_is_told_how_to_join_again() {
    let domain = Domain::start("evict.test");
    let mut agent = domain.agent("n1");
    let evicted = typed(&domain, &["node", "evict", "spiffe://evict.test/troth/agent/join_token/n1"]).exits(0);
    assert!(evicted.stdout.contains("troth token create --node-id n1"), "{evicted:?}");
    ends_saying(&mut agent, "node_unknown");
    assert!(
        agent.process().log().contains("troth token create --node-id n1"),
        "no next step: {}",
        agent.process().log()
    );
    assert!(items(&domain.told(&["node", "list"])).is_empty());
}

#[test]
fn nodes_are_shown_with_every_field_of_the_contract() {
    let domain = Domain::start("nodes.test");
    let mut agent = domain.agent("n1");
    for node in [domain.told(&["node", "show", "n1"]), items(&domain.told(&["node", "list"]))[0].clone()] {
        has_fields(&node, &["spiffe_id", "name", "state", "connected", "attestation", "selectors", "expires_at"]);
        assert_eq!(
            (text_of(&node, "name"), text_of(&node, "state"), &node["connected"]),
            ("n1", "active", &true.into())
        );
        assert_eq!(node["attestation"], "join_token");
        is_time(&node, "expires_at");
    }
    let listed = typed(&domain, &["node", "list"]).exits(0).stdout;
    assert!(listed.contains("n1") && listed.contains("active"), "{listed}");
    assert!(typed(&domain, &["node", "show", "n1"]).exits(0).stdout.contains("join_token"));
    agent.process().kill_9();
    until("the node to be away", || {
        (domain.told(&["node", "show", "n1"])["connected"] == false).then_some(())
    });
}

#[test]
fn the_agent_says_how_it_is() {
    let domain = Domain::start("status.test");
    let sink = domain.folder().join("files");
    let agent = domain.agent_with("n1", &["--sink", &format!("/job={}", path_text(&sink))]);
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/job", "--selector", "unix:uid:4502", "--wait"]);
    let mut watch = Watch::open(4502, &agent.socket);
    let update = watch.next();
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    assert_eq!(status["spiffe_id"], "spiffe://status.test/troth/agent/join_token/n1");
    assert_eq!((text_of(&status, "server"), &status["connected"]), (domain.address.as_str(), &true.into()));
    assert_eq!((&status["entries"], &status["svids"], &status["streams"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(status["workload_socket"], path_text(&agent.socket));
    assert_eq!(
        (&status["sinks"][0]["serial"], &status["sinks"][0]["directory"]),
        (&update["svids"][0]["serial"], &path_text(&sink).into())
    );
    let text = run(&["agent", "status", "--data-dir", path_text(&agent.data)]).exits(0).stdout;
    assert!(
        text.contains("spiffe://status.test/troth/agent/join_token/n1") && text.contains("sink"),
        "{text}"
    );
}

#[test]
fn an_agent_that_leaves_is_forgotten_and_ends() {
    let domain = Domain::start("leave.test");
    let mut agent = domain.agent("n1");
    assert_eq!(agent.operator(&["agent", "leave"]).exits(0).json()["left"], true);
    assert!(agent.process().ended().success(), "{}", agent.process().log());
    assert!(items(&domain.told(&["node", "list"])).is_empty());
    assert!(!agent.socket.exists(), "the workload socket is still there");
    // Its identity is gone: without a link there is nothing to start with.
    agent.launch(None);
    assert_eq!(agent.process().ended().code(), Some(2));
    assert!(agent.process().log().contains("join_link_required"), "{}", agent.process().log());
    agent.launch(Some(&domain.link("n1")));
    agent.ready();
}
