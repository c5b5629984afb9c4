use serde_json::{Value, json};

use super::*;
use crate::class::CredentialClass;
use crate::entry::EntrySpec;
use crate::problem::{Code, Coded as _};
use crate::spiffe_id::SpiffeId;
use crate::wire::admin::EntryDraft;

const AGENT: &str = "spiffe://example.org/spire/agent/join_token/web-1";

fn asked() -> Move {
    Move {
        own: "example.org".parse().unwrap(),
        from: None,
        parents: Vec::new(),
    }
}

fn read(entries: &[Value]) -> SpireEntries {
    SpireEntries::read(json!({ "entries": entries })).unwrap()
}

/// An entry as `-data` has it, with other fields over it.
fn entry(path: &str, more: Value) -> Value {
    let mut entry = json!({
        "spiffe_id": format!("spiffe://example.org{path}"),
        "parent_id": AGENT,
        "selectors": [{ "type": "unix", "value": "uid:1000" }],
    });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn alias(path: &str, selector: &str) -> Value {
    let (kind, value) = selector.split_once(':').unwrap();
    entry(
        path,
        json!({ "parent_id": "spiffe://example.org/spire/server", "selectors": [{ "type": kind, "value": value }] }),
    )
}

fn moved(entries: &[Value], asked: &Move) -> Moved {
    read(entries).translate(asked).unwrap()
}

fn only(entry: Value) -> EntryDraft {
    let moved = moved(&[entry], &asked());
    assert_eq!(moved.left_out, []);
    moved.drafts.into_iter().next().unwrap()
}

fn refused(entry: Value) -> NoCounterpart {
    let moved = moved(&[entry], &asked());
    assert!(moved.drafts.is_empty());
    moved.left_out.into_iter().next().unwrap().reason
}

fn remarks(moved: &Moved) -> Vec<&Remark> {
    moved.notes.iter().map(|note| &note.remark).collect()
}

/// What `spire-server entry show -output json` prints: every field that there is, 64-bit numbers as texts.
fn printed() -> Value {
    json!({
        "entries": [{
            "id": "4d3f8a52-4b7c-4f4e-9d58-0d0dbd6f3f9e",
            "spiffe_id": { "trust_domain": "example.org", "path": "/web" },
            "parent_id": { "trust_domain": "example.org", "path": "/spire/agent/join_token/web-1" },
            "selectors": [{ "type": "unix", "value": "uid:1000" }, { "type": "unix", "value": "path:/usr/bin/web" }],
            "x509_svid_ttl": 3600,
            "federates_with": ["spiffe://partner.test"],
            "admin": false,
            "downstream": false,
            "expires_at": "1893456000",
            "dns_names": ["web.example.org", "www.example.org"],
            "revision_number": "7",
            "store_svid": false,
            "jwt_svid_ttl": 60,
            "hint": "internal",
            "created_at": "1547583197",
            "additional_attributes": null,
        }],
        "next_page_token": "",
    })
}

#[test]
fn every_field_of_a_printed_entry_finds_its_place() {
    let moved = SpireEntries::read(printed()).unwrap().translate(&asked()).unwrap();
    let expected = EntryDraft {
        spiffe_id: "spiffe://example.org/web".to_owned(),
        parent_id: Some("spiffe://example.org/troth/agent/join_token/web-1".to_owned()),
        selectors: vec!["unix:uid:1000".to_owned(), "unix:path:/usr/bin/web".to_owned()],
        class: Some(CredentialClass::Medium),
        x509_ttl_s: Some(3600),
        jwt_ttl_s: Some(60),
        hint: Some("internal".to_owned()),
        federates_with: vec!["partner.test".parse().unwrap()],
        dns_names: vec!["web.example.org".to_owned(), "www.example.org".to_owned()],
        subject_cn: Some("web.example.org".to_owned()),
        expires_at: Some(crate::Timestamp::from_unix(1_893_456_000)),
        ..EntryDraft::default()
    };
    assert_eq!(moved.drafts, [expected]);
    let node = Remark::Node {
        parent_id: AGENT.parse().unwrap(),
        name: "web-1".to_owned(),
    };
    assert_eq!(remarks(&moved), [&Remark::CommonName, &node]);
}

#[test]
fn a_draft_keeps_the_rules_of_entries() {
    let drafts = SpireEntries::read(printed()).unwrap().translate(&asked()).unwrap().drafts;
    let parent: SpiffeId = drafts[0].parent_id.as_deref().unwrap().parse().unwrap();
    EntrySpec::check(&drafts[0], &asked().own, parent).unwrap();
}

#[test]
fn the_data_document_is_read_with_its_own_names() {
    let draft = only(json!({
        "selectors": ["unix:user:web"],
        "spiffe_id": "spiffe://example.org/web",
        "parent_id": AGENT,
        "ttl": 120,
        "entryExpiry": 1_893_456_000,
        "entry_id": "web-entry",
    }));
    assert_eq!(draft.selectors, ["unix:user:web"]);
    assert_eq!((draft.class, draft.x509_ttl_s), (Some(CredentialClass::Fast), Some(120)));
    assert_eq!(draft.expires_at.unwrap().unix(), 1_893_456_000);
    assert_eq!(draft.id, None);
}

#[test]
fn lives_become_the_shortest_class_that_allows_them() {
    use CredentialClass::{Fast, Medium, Slow};
    let table = [
        (0, 0, Medium, None, None, false),
        (180, 0, Fast, Some(180), None, false),
        (200, 30, Medium, Some(200), Some(30), false),
        (60, 600, Medium, Some(60), Some(600), false),
        (0, 60, Medium, None, Some(60), false),
        (0, 7_200, Slow, None, Some(7_200), false),
        (6 * 3600, 0, Slow, Some(21_600), None, false),
        (90_000, 0, Slow, Some(86_400), None, true),
        (i64::from(i32::MAX), i64::from(i32::MAX), Slow, Some(86_400), Some(86_400), true),
    ];
    for (x509, jwt, class, x509_s, jwt_s, cut) in table {
        let entry = entry("/web", json!({ "x509_svid_ttl": x509, "jwt_svid_ttl": jwt }));
        let moved = moved(&[entry], &asked());
        let draft = &moved.drafts[0];
        assert_eq!((draft.class, draft.x509_ttl_s, draft.jwt_ttl_s), (Some(class), x509_s, jwt_s), "{x509} {jwt}");
        assert_eq!(remarks(&moved).contains(&&Remark::LifeCut), cut, "{x509} {jwt}");
        assert_eq!(remarks(&moved).contains(&&Remark::DefaultLife), x509 == 0, "{x509} {jwt}");
    }
}

#[test]
fn what_has_no_counterpart_is_refused_by_its_name() {
    let selector = |kind: &str, value: &str| entry("/x", json!({ "selectors": [{ "type": kind, "value": value }] }));
    let table = [
        (entry("/x", json!({ "downstream": true })), "downstream"),
        (entry("/x", json!({ "store_svid": true })), "store_svid"),
        (selector("k8s", "ns:prod"), "selector k8s"),
        (selector("docker", "label:a:b"), "selector docker"),
        (selector("systemd", "id:web.service"), "selector systemd"),
        (selector("unix", "supplementary_group:adm"), "unix:supplementary_gid"),
        (alias("/n", "k8s_psat:cluster:prod"), "selector k8s_psat"),
        (alias("/n", "aws_iid:tag:app:web"), "selector aws_iid"),
        (alias("/n", "x509pop:ca:fingerprint:0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"), "SHA-1"),
        (alias("/n", "x509pop:san:dns:web"), "x509pop:san:dns"),
        (
            entry("/x", json!({ "parent_id": "spiffe://example.org/spire/agent/k8s_psat/prod/ab" })),
            "--map-parent /spire/agent/k8s_psat/prod/ab=NODE",
        ),
        (
            entry("/x", json!({ "parent_id": format!("{AGENT}{}", "x".repeat(64)) })),
            "gives no name of a node",
        ),
    ];
    for (entry, expected) in table {
        let told = refused(entry.clone()).to_string();
        assert!(told.contains(expected), "{told} for {entry}");
    }
}

#[test]
fn selector_values_are_never_told() {
    let told = refused(entry("/x", json!({ "selectors": [{ "type": "k8s", "value": "sa:very-secret" }] }))).to_string();
    assert!(!told.contains("very-secret"), "{told}");
    let held = format!("{:?}", read(&[entry("/x", json!({ "selectors": ["unix:user:very-secret"] }))]));
    assert!(!held.contains("very-secret"), "{held}");
}

#[test]
fn what_changes_nothing_about_identities_is_remarked_on() {
    let more = json!({
        "admin": true,
        "federates_with": ["spiffe://example.org", "spiffe://b.test"],
        "x509_svid_ttl": 60,
        "additional_attributes": { "disable_x509_svid_prefetch": true, "jwt_svid_include_jti": true },
    });
    let moved = moved(&[entry("/web", more)], &asked());
    assert_eq!(moved.drafts[0].federates_with, ["b.test".parse().unwrap()]);
    let told = remarks(&moved);
    for expected in [Remark::Admin, Remark::OwnPartner, Remark::Prefetch, Remark::TokenId] {
        assert!(told.contains(&&expected), "{expected:?}");
    }
}

#[test]
fn a_field_of_a_newer_spire_matters_only_when_it_says_something() {
    let unknown = |value: Value| SpireEntries::read(json!({ "entries": [entry("/web", json!({ "quantum": value }))] }));
    for empty in [json!(null), json!(false), json!(0), json!("0"), json!(""), json!([]), json!({ "inner": false })] {
        unknown(empty).unwrap();
    }
    for said in [json!(true), json!(1), json!("x"), json!([1]), json!({ "inner": true })] {
        let told = unknown(said).unwrap_err().to_string();
        assert!(told.contains("entry 1") && told.contains("quantum"), "{told}");
    }
}

#[test]
fn documents_that_are_not_whole_or_not_spires_are_refused() {
    let table = [
        (json!({ "entries": [] }), "no entries"),
        (json!({ "entries": [entry("/web", json!({}))], "next_page_token": "abc" }), "next_page_token"),
        (json!({ "entries": [1] }), "no document"),
        (
            json!({ "entries": [{ "selectors": ["unix:uid:1"], "parent_id": AGENT }] }),
            "entry 1: missing field `spiffe_id`",
        ),
        (json!({ "entries": [entry("/web", json!({})), entry("/a b", json!({}))] }), "entry 2"),
        (json!({ "entries": [entry("/web", json!({ "x509_svid_ttl": -5 }))] }), "less than nothing"),
        (
            json!({ "entries": [entry("/web", json!({ "federates_with": ["spiffe://B.test"] }))] }),
            "entry 1",
        ),
    ];
    for (document, expected) in table {
        assert!(SpireEntries::are_in(&document));
        let error = SpireEntries::read(document.clone()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error} for {document}");
        assert_eq!(error.code(), Code::InvalidRequest);
    }
    for ours in [json!({ "items": [] }), json!([]), json!({ "spiffe_id": "/web", "selectors": [] }), json!(1)] {
        assert!(!SpireEntries::are_in(&ours), "{ours}");
    }
}

#[test]
fn a_node_alias_stays_one() {
    let entries = [
        alias("/nodes/web", "x509pop:subject:cn:web"),
        alias("/nodes/one", "x509pop:serialnumber:0a1b"),
        entry("/web", json!({ "parent_id": "spiffe://example.org/nodes/web" })),
    ];
    let moved = moved(&entries, &asked());
    let drafts: Vec<_> = moved
        .drafts
        .iter()
        .map(|draft| (draft.spiffe_id.as_str(), draft.parent_id.as_deref().unwrap(), draft.selectors[0].as_str()))
        .collect();
    let server = "spiffe://example.org/troth/server";
    assert_eq!(
        drafts,
        [
            ("spiffe://example.org/nodes/web", server, "x509pop:subject:cn:web"),
            ("spiffe://example.org/nodes/one", server, "x509pop:serial:0a1b"),
            ("spiffe://example.org/web", "spiffe://example.org/nodes/web", "unix:uid:1000"),
        ]
    );
    for draft in &moved.drafts {
        EntrySpec::check(draft, &asked().own, draft.parent_id.as_deref().unwrap().parse().unwrap()).unwrap();
    }
}

#[test]
fn an_id_that_a_token_gave_to_an_agent_names_its_node() {
    let agent = "spiffe://example.org/spire/agent/join_token/1e3fd4a6-47ae-4b95-a2f4-b3c0d4e1b9a5";
    let given = entry(
        "/hosts/web-7",
        json!({ "parent_id": agent, "selectors": [{ "type": "spiffe_id", "value": agent }] }),
    );
    let entries = [
        given,
        entry("/web", json!({ "parent_id": "spiffe://example.org/hosts/web-7" })),
        entry("/cron", json!({ "parent_id": agent })),
    ];
    let moved = moved(&entries, &asked());
    let parents: Vec<_> = moved.drafts.iter().map(|draft| draft.parent_id.as_deref().unwrap()).collect();
    assert_eq!(parents, ["spiffe://example.org/troth/agent/join_token/web-7"; 2]);
}

#[test]
fn two_agents_are_never_one_node() {
    let entries = [
        entry("/web", json!({ "parent_id": "spiffe://example.org/spire/agent/join_token/rack-1/a" })),
        entry("/db", json!({ "parent_id": "spiffe://example.org/spire/agent/join_token/rack-2/a" })),
    ];
    let first = moved(&entries, &asked());
    assert_eq!(first.drafts.len(), 1);
    assert!(matches!(&first.left_out[0].reason, NoCounterpart::NodeShared { name, .. } if name == "a"));
    let named = Move {
        parents: vec![("/spire/agent/join_token/rack-2/a".to_owned(), "b".to_owned())],
        ..asked()
    };
    let second = moved(&entries, &named);
    assert_eq!(second.left_out, []);
    assert_eq!(second.drafts[1].parent_id.as_deref(), Some("b"));
}

#[test]
fn what_the_operator_says_of_a_parent_counts() {
    let entries = [
        alias("/nodes/k8s", "k8s_psat:cluster:prod"),
        entry("/web", json!({ "parent_id": "spiffe://example.org/nodes/k8s" })),
        entry("/db", json!({ "parent_id": "spiffe://example.org/spire/agent/tpm_devid/ab" })),
    ];
    let named = Move {
        parents: vec![
            ("spiffe://example.org/nodes/k8s".to_owned(), "edge-1".to_owned()),
            ("/spire/agent/tpm_devid/ab".to_owned(), "/nodes/db".to_owned()),
        ],
        ..asked()
    };
    let moved = moved(&entries, &named);
    assert_eq!(moved.left_out, []);
    let parents: Vec<_> = moved.drafts.iter().map(|draft| draft.parent_id.as_deref().unwrap()).collect();
    assert_eq!(parents, ["edge-1", "/nodes/db"]);

    let slip = Move {
        parents: vec![("/nodes/k9s".to_owned(), "edge-1".to_owned())],
        ..asked()
    };
    let error = read(&entries).translate(&slip).unwrap_err();
    assert!(matches!(error, MoveRefused::NoSuchParent { .. }), "{error}");
}

#[test]
fn what_is_under_an_alias_without_counterpart_is_left_out_with_it() {
    let entries = [
        entry("/web", json!({ "parent_id": "spiffe://example.org/nodes/k8s" })),
        alias("/nodes/k8s", "k8s_psat:cluster:prod"),
        entry("/db", json!({})),
    ];
    let both = moved(&entries, &asked());
    assert_eq!(both.drafts.len(), 1);
    assert_eq!(both.left_out.iter().map(|left_out| left_out.position).collect::<Vec<_>>(), [1, 2]);
    let document = read(&entries);
    let error = document.translate(&asked()).unwrap().whole(&document).unwrap_err();
    assert_eq!(error.code(), Code::NoCounterpart);
    let told = error.to_string();
    assert!(
        told.starts_with("2 of 3 entries have no counterpart here: entry 1 (spiffe://example.org/web)"),
        "{told}"
    );
}

#[test]
fn entries_of_another_trust_domain_move_only_when_that_is_said() {
    let entries = [
        alias("/nodes/web", "x509pop:subject:cn:web"),
        entry("/web", json!({ "federates_with": ["new.test"] })),
    ];
    let here = Move {
        own: "new.test".parse().unwrap(),
        ..asked()
    };
    let error = read(&entries).translate(&here).unwrap_err();
    assert_eq!(error.code(), Code::InvalidSpiffeId);
    assert!(error.hint().contains("--from-trust-domain example.org"), "{}", error.hint());
    let said = Move {
        from: Some("example.org".parse().unwrap()),
        ..here.clone()
    };
    let moved = moved(&entries, &said);
    assert_eq!(moved.drafts[0].parent_id.as_deref(), Some("spiffe://new.test/troth/server"));
    assert_eq!(moved.drafts[1].spiffe_id, "spiffe://new.test/web");
    assert_eq!(moved.drafts[1].federates_with, []);
    assert!(remarks(&moved).contains(&&Remark::OwnPartner));
    let wrong = Move {
        from: Some("other.test".parse().unwrap()),
        ..here
    };
    assert!(read(&entries).translate(&wrong).is_err());
}

#[test]
fn a_note_names_the_first_entries() {
    let note = |positions: std::ops::RangeInclusive<usize>| Note {
        remark: Remark::LifeCut,
        positions: positions.collect(),
    };
    assert!(note(3..=3).to_string().ends_with("(entry 3)"));
    assert!(note(1..=2).to_string().ends_with("(entries 1, 2)"));
    assert!(note(1..=7).to_string().ends_with("(entries 1, 2, 3, 4, 5 and 2 more)"));
}
