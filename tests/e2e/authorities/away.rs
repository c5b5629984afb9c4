//! A node that was off for a whole emergency: it does not know the new root, and a new link brings it back.

use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use trust_domains::x509::{X509Svid, verify_svid};

use super::{bundle, node_with_identity, replace};

/// Joins a node with a workload, stops its agent, and replaces the root that it knows by another.
fn away_in_an_emergency(name: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let mut agent = node_with_identity(&domain, "n1", "/job");
    assert!(is_believed(&domain, &agent), "before");
    let _ = agent.process().terminate();
    let _ = domain.operator(&replace("x509-issuing", &["--compromised"]));
    until("the old root to be gone", || (bundle(&domain).x509_authorities().len() == 1).then_some(()));
    (domain, agent)
}

/// Fetches the SVID of the workload, and returns whether it verifies by what the server has as its bundle.
fn is_believed(domain: &Domain, agent: &Agent) -> bool {
    let folder = domain.folder().join("svid");
    let fetch = ["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(&folder)];
    let _ = run(&fetch).exits(0);
    let svid = X509Svid::from_pem(&std::fs::read(folder.join("svid.0.pem")).expect("the file")).expect("an SVID");
    verify_svid(svid.chain(), &bundle(domain), svid.leaf().not_before()).is_ok()
}

#[test]
fn a_node_that_was_off_for_a_whole_emergency_is_brought_back_by_a_new_link_and_nothing_is_deleted() {
    let (domain, mut agent) = away_in_an_emergency("away.test");
    agent.launch(None);
    until("the agent to say what would help", || {
        let said = agent.operator(&["health", "agent"]).stdout;
        said.contains("troth token create --node-id n1; then here troth agent run --join LINK")
            .then_some(())
    });
    assert!(!is_believed(&domain, &agent), "it serves what it held, of the old root");
    let _ = agent.process().terminate();

    agent.launch(Some(&domain.link("n1")));
    agent.ready();
    until("an SVID under the new root", || is_believed(&domain, &agent).then_some(()));
    assert_eq!(agent.process().log().matches("it joins anew").count(), 1, "{}", agent.process().log());
    assert_eq!(domain.told(&["node", "show", "n1"])["state"], "active");

    // What it sealed is the new identity: the next start needs no link.
    let _ = agent.process().terminate();
    agent.launch(None);
    agent.ready();
}

#[test]
fn a_link_of_another_server_does_not_make_a_node_give_up_its_identity() {
    let (domain, mut agent) = away_in_an_emergency("kept.test");
    let other = Domain::start("kept.test");
    let identity = std::fs::read(agent.data.join("identity.sealed")).expect("a sealed identity");
    let link = other.link("n1");
    agent.launch(Some(&link));
    until("the agent to say why", || {
        let said = agent.operator(&["health", "agent"]).stdout;
        said.contains("does not prove itself by what this node joins by either").then_some(())
    });
    assert!(agent.process().is_running(), "{}", agent.process().log());
    assert!(!is_believed(&domain, &agent), "it serves what it held");
    assert_eq!(std::fs::read(agent.data.join("identity.sealed")).expect("a sealed identity"), identity);
    assert_eq!(other.told(&["node", "list"])["items"].as_array().map(Vec::len), Some(0), "nobody joined there");
    assert_eq!(
        other.told(&["token", "list"])["items"].as_array().map(Vec::len),
        Some(1),
        "the link was not used up"
    );
}
