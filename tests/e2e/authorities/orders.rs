//! The commands of authorities as an operator uses them: what they show, and what they refuse.

use tests::command::run;
use tests::domain::{Domain, path_text};
use tests::wait::until;
use tests::workload::fetch_as;

use super::{authorities, id_of, node_with_identity, replace};

#[test]
fn a_list_shows_what_each_has_signed_and_who_has_acknowledged_it() {
    let domain = Domain::start("listed.test");
    let agent = node_with_identity(&domain, "n1", "/job");
    let _ = fetch_as(nix::unistd::getuid().as_raw(), &agent.socket).exits(0);
    let issuing = &authorities(&domain, "x509-issuing")[0];
    assert!(
        issuing["signed"].as_u64().is_some_and(|signed| signed >= 3),
        "server, node and workload: {issuing}"
    );
    let root = &authorities(&domain, "x509-root")[0];
    assert!(root["signed"].as_u64().is_some_and(|signed| signed >= 1), "{root}");
    let key = until("a key that the node knows", || {
        let keys = authorities(&domain, "jwt");
        keys.into_iter()
            .find(|key| key["acknowledged"]["nodes"] == 1 && key["acknowledged"]["missing_count"] == 0)
    });
    assert_eq!(key["partners_behind"], serde_json::json!([]));
    let text = run(&["authority", "list", "--data-dir", path_text(&domain.server_data())]).exits(0).stdout;
    let id = root["id"].as_str().and_then(|id| id.get(..16)).expect("an id");
    assert!(text.starts_with("ID ") && text.contains(id) && text.contains("1 node, all"), "{text}");
}

#[test]
fn an_authority_is_prepared_ahead_and_activated_by_the_beginning_of_its_id() {
    let domain = Domain::start("prepared.test");
    let _agent = node_with_identity(&domain, "n1", "/job");
    let before = id_of(&domain, "jwt", "active");
    let prepared = domain.told(&["authority", "prepare", "--kind", "jwt", "--because", "a drill"]);
    assert_eq!((prepared["state"].as_str(), prepared["kind"].as_str()), (Some("prepared"), Some("jwt")));
    let id = prepared["id"].as_str().expect("an id");
    let _ = domain.told(&["authority", "activate", &id[..12], "--because", "a drill"]);
    until("the new key to sign", || {
        let keys = authorities(&domain, "jwt");
        keys.iter().any(|key| key["id"] == *id && key["state"] == "active").then_some(())
    });
    assert_ne!(id, before);
    assert_eq!(domain.operator(&["authority", "taint", "ffff"]).exits(3).problem(), "authority_not_found");
}

#[test]
fn a_plan_is_told_before_it_begins_and_a_planned_issuing_ca_leaves_the_root_alone() {
    let domain = Domain::start("told.test");
    let _agent = node_with_identity(&domain, "n1", "/job");
    let (root, issuing) = (id_of(&domain, "x509-root", "active"), id_of(&domain, "x509-issuing", "active"));
    let done = domain.operator(&replace("x509-issuing", &[])).exits(0);
    assert!(done.stderr.contains(&format!("replaces x509-issuing {}", &issuing[..16])), "{}", done.stderr);
    assert!(done.stderr.contains("done: "), "{}", done.stderr);
    assert_eq!(id_of(&domain, "x509-root", "active"), root);
    assert_ne!(id_of(&domain, "x509-issuing", "active"), issuing);
}

#[test]
fn words_of_other_systems_and_mistakes_draw_what_was_meant() {
    for (words, meant) in [
        (&["localauthority", "x509", "prepare"][..], "troth authority prepare --kind x509-root"),
        (&["authority", "rotate"], "troth authority replace --kind KIND --because TEXT"),
    ] {
        let refused = run(words).exits(2);
        assert!(refused.stderr.contains(meant), "{}", refused.stderr);
    }
    let without_reason = run(&["authority", "replace", "--kind", "jwt"]).exits(2);
    assert!(without_reason.stderr.contains("--because"), "{}", without_reason.stderr);
    let unknown = run(&["authority", "prepare", "--kind", "rsa"]).exits(2);
    assert!(unknown.stderr.contains("x509-issuing"), "{}", unknown.stderr);
}
