//! `troth entry`: create, show, update, delete, list, count.

use tests::domain::Domain;

use super::{has_fields, is_time, items, text_of, typed};

const ENTRY_FIELDS: &[&str] = &[
    "id",
    "spiffe_id",
    "parent_id",
    "selectors",
    "class",
    "x509_ttl_s",
    "jwt_ttl_s",
    "dns_names",
    "federates_with",
    "hint",
    "expires_at",
    "revision",
];

#[test]
fn an_entry_has_every_field_of_the_contract_and_takes_short_forms() {
    let domain = Domain::start("entry.test");
    let _agent = domain.agent("n1");
    let created = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--parent",
        "n1",
        "--selector",
        "unix:uid:1000",
        "--selector",
        "unix:gid:7",
        "--class",
        "fast",
        "--x509-ttl",
        "2m",
        "--jwt-ttl",
        "1m",
        "--hint",
        "front",
        "--expires-at",
        "2036-01-01T00:00:00Z",
    ]);
    has_fields(&created, ENTRY_FIELDS);
    assert_eq!(created["result"], "created");
    assert_eq!(created["spiffe_id"], "spiffe://entry.test/web");
    assert_eq!(created["parent_id"], "spiffe://entry.test/troth/agent/join_token/n1");
    assert_eq!(created["selectors"], serde_json::json!(["unix:gid:7", "unix:uid:1000"]));
    assert_eq!(
        (&created["class"], created["x509_ttl_s"].as_u64(), created["jwt_ttl_s"].as_u64()),
        (&"fast".into(), Some(120), Some(60))
    );
    assert_eq!((&created["hint"], &created["expires_at"]), (&"front".into(), &"2036-01-01T00:00:00Z".into()));
    is_time(&created, "created_at");

    // By id, by SPIFFE ID, by path.
    let id = text_of(&created, "id");
    for name in [id, "spiffe://entry.test/web", "/web"] {
        let shown = domain.told(&["entry", "show", name]);
        has_fields(&shown, ENTRY_FIELDS);
        assert_eq!(shown["id"], id);
    }
    assert_eq!(domain.told(&["entry", "count"])["count"], 1);

    let updated = domain.told(&[
        "entry",
        "update",
        "/web",
        "--class",
        "medium",
        "--x509-ttl",
        "30m",
        "--hint",
        "",
        "--selector",
        "unix:uid:1001",
    ]);
    assert_eq!((&updated["result"], &updated["id"]), (&"updated".into(), &id.into()));
    assert_eq!(
        (updated["x509_ttl_s"].as_u64(), updated["jwt_ttl_s"].as_u64()),
        (Some(1800), Some(60)),
        "what is not named stays"
    );
    assert!(updated["hint"].is_null(), "an empty hint removes it");
    assert_eq!(updated["selectors"], serde_json::json!(["unix:uid:1001"]));
    assert_ne!(updated["revision"], created["revision"]);

    let deleted = domain.told(&["entry", "delete", "/web"]);
    assert_eq!(deleted["id"], id);
    assert_eq!(domain.operator(&["entry", "show", id]).exits(3).problem(), "entry_not_found");
}

#[test]
fn entries_are_read_by_people_too() {
    let domain = Domain::start("text.test");
    let _agent = domain.agent("n1");
    let created = typed(
        &domain,
        &["entry", "create", "--spiffe-id", "/web", "--selector", "unix:user:root", "--class", "fast"],
    )
    .exits(0);
    assert!(
        created.stdout.contains("spiffe://text.test/web") && created.stdout.contains("created"),
        "{created:?}"
    );
    assert!(created.stderr.contains("n1"), "the only node was taken without a word: {created:?}");
    assert!(created.stderr.contains("lives through"), "the price of the class is not said: {created:?}");
    let again = typed(
        &domain,
        &["entry", "create", "--spiffe-id", "/web", "--selector", "unix:user:root", "--class", "fast"],
    )
    .exits(0);
    assert!(again.stdout.contains("unchanged"), "{again:?}");
    let weak = typed(&domain, &["entry", "create", "--spiffe-id", "/weak", "--selector", "unix:path:/usr/bin/true"]).exits(0);
    assert!(weak.stderr.contains("warning: ") && weak.stderr.contains("path"), "{weak:?}");
    for arguments in [&["entry", "list"][..], &["entry", "show", "/web"]] {
        assert!(typed(&domain, arguments).exits(0).stdout.contains("unix:user:root"));
    }
    assert_eq!(typed(&domain, &["entry", "count"]).exits(0).stdout, "2\n");
    let updated = typed(&domain, &["entry", "update", "/web", "--hint", "x"]).exits(0);
    assert!(updated.stdout.contains("updated"), "{updated:?}");
    assert!(
        typed(&domain, &["entry", "delete", "/web"])
            .exits(0)
            .stdout
            .contains("deleted spiffe://text.test/web")
    );
    let refused = typed(&domain, &["entry", "show", "/web"]).exits(3);
    assert!(refused.stdout.is_empty());
    assert!(refused.stderr.contains("(entry_not_found)") && refused.stderr.contains("hint: "), "{refused:?}");
    assert_eq!(refused.stderr.matches("entry_not_found").count(), 1, "the code is said twice: {refused:?}");
}

#[test]
fn with_several_nodes_the_parent_is_asked_for_and_the_nodes_are_named() {
    let domain = Domain::start("parents.test");
    let create = ["entry", "create", "--spiffe-id", "/web", "--selector", "unix:uid:1"];
    assert_eq!(domain.operator(&create).exits(2).problem(), "node_parent_ambiguous");
    let _agents = ["n1", "n2"].map(|node| domain.agent(node));
    let refused = domain.operator(&create).exits(2);
    assert_eq!(refused.problem(), "node_parent_ambiguous");
    assert!(["n1", "n2"].iter().all(|node| text_of(&refused.json(), "detail").contains(node)), "{refused:?}");
    let parent = "spiffe://parents.test/troth/agent/join_token/n2";
    assert_eq!(domain.told(&[&create[..], &["--parent", parent]].concat())["parent_id"], parent);
}

#[test]
fn a_spiffe_id_that_two_entries_have_names_neither() {
    let domain = Domain::start("twice.test");
    let _agent = domain.agent("n1");
    let [one, two] = ["unix:uid:1", "unix:uid:2"].map(|selector| domain.told(&["entry", "create", "--spiffe-id", "/web", "--selector", selector]));
    let refused = domain.operator(&["entry", "delete", "/web"]);
    assert_ne!(refused.code, 0);
    let detail = refused.json()["detail"].to_string() + &refused.json()["hint"].to_string();
    assert!([&one, &two].iter().all(|entry| detail.contains(text_of(entry, "id"))), "{refused:?}");
    assert_eq!(domain.told(&["entry", "count"])["count"], 2);
}

#[test]
fn lists_are_fetched_whole_or_as_far_as_asked() {
    let domain = Domain::start("lists.test");
    let _agents = ["n1", "n2"].map(|node| domain.agent(node));
    for number in 0..5 {
        let node = if number % 2 == 0 { "n1" } else { "n2" };
        let _ = domain.told(&[
            "entry",
            "create",
            "--spiffe-id",
            &format!("/e{number}"),
            "--parent",
            node,
            "--selector",
            "unix:uid:1",
        ]);
    }
    let all = domain.told(&["entry", "list"]);
    assert_eq!(items(&all).len(), 5);
    assert!(all["next"].is_null());
    let some = domain.told(&["entry", "list", "--limit", "2"]);
    assert_eq!(items(&some)[..], items(&all)[..2]);
    assert!(some["next"].is_string());
    assert!(domain.told(&["entry", "list", "--limit", "5"])["next"].is_null(), "there is nothing more");
    assert_eq!(items(&domain.told(&["entry", "list", "--parent", "n1"])).len(), 3);
    assert_eq!(items(&domain.told(&["entry", "list", "--spiffe-id", "/e3"])).len(), 1);
    let nodes = domain.told(&["node", "list", "--limit", "1"]);
    assert_eq!(items(&nodes).len(), 1);
    assert!(nodes["next"].is_string());
}
