//! `entry create --file` and `entry apply` of what a SPIRE server prints.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::domain::{Domain, path_text};

/// The place of the file that `spire-server entry show -output json` printed, with this user's id in it.
pub(super) fn printed() -> String {
    include_str!("spire-entries.json").replace("@UID@", &nix::unistd::getuid().to_string())
}

fn write(domain: &Domain, text: &str) -> String {
    let file = domain.folder().join("spire.json");
    std::fs::write(&file, text).expect("the file");
    path_text(&file).to_owned()
}

#[test]
fn a_file_of_spire_is_taken_as_a_whole_or_not_at_all() {
    let domain = Domain::start("example.org");
    let file = write(&domain, &printed());
    let refused = domain.operator(&["entry", "create", "--file", &file]).exits(1);
    assert_eq!(refused.problem(), "no_counterpart");
    let told = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    for expected in ["2 of 4 entries", "selector k8s_psat", "selector k8s:"] {
        assert!(told.contains(expected), "no {expected:?} in {told}");
    }
    assert_eq!(domain.told(&["entry", "count"])["count"], 0);

    let created = domain.operator(&["entry", "create", "--file", &file, "--leave-out"]).exits(0);
    let entry = &created.json()["items"][0];
    let expected = json!({
        "spiffe_id": "spiffe://example.org/web",
        "parent_id": "spiffe://example.org/troth/agent/join_token/web-1",
        "class": "medium",
        "x509_ttl_s": 3600,
        "dns_names": ["web.example.org"],
        "subject_cn": "web.example.org",
        "federates_with": ["partner.test"],
        "hint": "main",
        "result": "created",
    });
    for (field, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&entry[field], value, "{field}");
    }
    assert_eq!(domain.told(&["entry", "count"])["count"], 1);
    for expected in [
        "left out: entry 3 (spiffe://example.org/pods)",
        "left out: entry 4",
        "admin is not taken over",
        "--node-id web-1",
    ] {
        assert!(created.stderr.contains(expected), "no {expected:?} in {}", created.stderr);
    }
    let again = domain.told(&["entry", "apply", &file, "--leave-out"]);
    assert_eq!((&again["unchanged"], again["steps"].as_array().map(Vec::len)), (&json!(1), Some(0)));
}

#[test]
fn entries_of_another_trust_domain_come_over_when_the_operator_says_so() {
    let domain = Domain::start("new.test");
    let _agent = domain.agent("edge-1");
    let file = write(&domain, &printed());
    let refused = domain.operator(&["entry", "create", "--file", &file, "--leave-out"]).exits(2);
    assert_eq!(refused.problem(), "invalid_spiffe_id");
    assert!(
        refused.json()["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--from-trust-domain example.org"))
    );

    let slip = ["--from-trust-domain", "example.org", "--map-parent", "/hosts/web-2=edge-1"];
    let refused = domain
        .operator(&[&["entry", "create", "--file", &file, "--leave-out"], &slip[..]].concat())
        .exits(2);
    assert!(refused.stdout.contains("/hosts/web-2"), "{refused:?}");

    // The aliases of Kubernetes nodes become one node; their entries still have selectors that nothing proves.
    let named = [
        "--from-trust-domain",
        "example.org",
        "--map-parent",
        "/hosts/web-1=edge-1",
        "--map-parent",
        "/pods=edge-1",
    ];
    let created = domain
        .operator(&[&["entry", "create", "--file", &file, "--leave-out", "--wait"], &named[..]].concat())
        .exits(0);
    let items = created.json()["items"].as_array().cloned().unwrap_or_default();
    let told: BTreeSet<_> = items
        .iter()
        .map(|entry| (entry["spiffe_id"].clone().to_string(), entry["parent_id"].to_string()))
        .collect();
    let web = (
        json!("spiffe://new.test/web").to_string(),
        json!("spiffe://new.test/troth/agent/join_token/edge-1").to_string(),
    );
    assert_eq!(told, BTreeSet::from([web]));
}

#[test]
fn options_of_a_move_are_refused_for_files_of_ours() {
    let domain = Domain::start("ours.test");
    let file = write(&domain, &Value::to_string(&json!([{ "spiffe_id": "/web", "selectors": ["unix:uid:1"] }])));
    let refused = domain.operator(&["entry", "create", "--file", &file, "--leave-out"]).exits(2);
    assert_eq!(refused.problem(), "usage");
    let refused = domain
        .operator(&["entry", "create", "--spiffe-id", "/web", "--selector", "unix:uid:1", "--leave-out"])
        .exits(2);
    assert_eq!(refused.problem(), "usage");
}
