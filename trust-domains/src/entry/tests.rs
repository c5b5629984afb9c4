use conformance::covers;
use proptest::prelude::*;

use super::*;
use crate::problem::{Code, Coded, Problem};
use crate::selector::{ParseSelectorError, UnixKey};
use crate::spiffe_id::ParseSpiffeIdError;
use crate::wire::admin::EntryDraft;

const REVISION: Revision = Revision { epoch: 1, counter: 7 };

const NODE: &str = "spiffe://td/troth/agent/join_token/web-1";

fn td() -> TrustDomain {
    "td".parse().unwrap()
}

fn node() -> SpiffeId {
    NODE.parse().unwrap()
}

fn draft() -> EntryDraft {
    EntryDraft {
        spiffe_id: "/web".to_owned(),
        selectors: vec!["unix:uid:1000".to_owned()],
        ..EntryDraft::default()
    }
}

fn check(change: impl FnOnce(&mut EntryDraft)) -> Result<EntrySpec, EntryRefused> {
    let mut draft = draft();
    change(&mut draft);
    EntrySpec::check(&draft, &td(), node())
}

fn entry(spec: EntrySpec) -> RegistrationEntry {
    RegistrationEntry::new(EntryId::in_sequence(7, [7; 12]), spec, Timestamp::from_unix(1_000))
}

#[test]
fn a_short_draft_gets_the_defaults_of_class_medium() {
    let spec = check(|_| {}).unwrap();
    assert_eq!((spec.spiffe_id().as_str(), spec.parent_id().as_str()), ("spiffe://td/web", NODE));
    assert_eq!(
        (spec.class(), spec.x509_ttl().as_secs(), spec.jwt_ttl().as_secs()),
        (CredentialClass::Medium, 5_400, 300)
    );
    assert_eq!((spec.hint(), spec.expires_at()), (None, None));
}

#[test]
fn each_class_has_defaults_that_it_allows() {
    for class in CredentialClass::ALL {
        let spec = check(|draft| draft.class = Some(class)).unwrap();
        assert_eq!(spec.x509_ttl(), class.longest_life());
        assert!(spec.jwt_ttl() <= class.longest_life());
    }
}

#[covers("X509-03")]
#[test]
fn identities_that_are_no_workloads_are_refused() {
    let id = |text: &str| text.parse::<SpiffeId>().unwrap();
    let table = [
        (
            "/troth",
            EntryRefused::ReservedPath {
                spiffe_id: id("spiffe://td/troth"),
            },
        ),
        (
            "/troth/server",
            EntryRefused::ReservedPath {
                spiffe_id: id("spiffe://td/troth/server"),
            },
        ),
        (NODE, EntryRefused::ReservedPath { spiffe_id: node() }),
        ("spiffe://td", EntryRefused::RootPath { spiffe_id: id("spiffe://td") }),
        ("/", EntryRefused::SpiffeId(ParseSpiffeIdError::TrailingSlash)),
        ("/a/../troth/server", EntryRefused::SpiffeId(ParseSpiffeIdError::DotSegment)),
        ("/troth%2fserver", EntryRefused::SpiffeId(ParseSpiffeIdError::PercentEncoded)),
        (
            "spiffe://other/web",
            EntryRefused::SpiffeId(ParseSpiffeIdError::ForeignTrustDomain {
                expected: td(),
                presented: "other".parse().unwrap(),
            }),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(check(|draft| draft.spiffe_id = text.to_owned()), Err(expected), "{text}");
    }
}

#[test]
fn a_parent_is_a_node_or_an_alias_of_this_trust_domain() {
    assert!(EntrySpec::check(&draft(), &td(), "spiffe://td/web-nodes".parse().unwrap()).is_ok());
    for text in [
        "spiffe://td/troth",
        "spiffe://td/troth/agent",
        "spiffe://td",
        "spiffe://other/troth/agent/join_token/web-1",
    ] {
        let parent_id: SpiffeId = text.parse().unwrap();
        assert_eq!(
            EntrySpec::check(&draft(), &td(), parent_id.clone()),
            Err(EntryRefused::ParentNotANode { parent_id })
        );
    }
}

#[test]
fn selectors_that_nothing_proves_are_refused_with_the_nearest_that_something_does() {
    let nearest = [
        ("unx:uid:0", Some(UnixKey::Uid)),
        ("unix:uuid:0", Some(UnixKey::Uid)),
        ("uid:0", Some(UnixKey::Uid)),
        ("unix:grop:adm", Some(UnixKey::Group)),
        ("unix:supplementary_gids:4", Some(UnixKey::SupplementaryGid)),
        ("unix:exe:/bin/x", None),
        ("k8s:ns:default", None),
        ("docker:label:a", None),
    ];
    for (text, nearest) in nearest {
        let expected = EntryRefused::UnknownSelector {
            text: text.to_owned(),
            nearest,
        };
        assert_eq!(check(|draft| draft.selectors = vec![text.to_owned()]), Err(expected), "{text}");
    }
    let wrong = |text: &str, key| EntryRefused::SelectorValue {
        text: text.to_owned(),
        key: UnixKey::into(key),
    };
    for (text, expected) in [
        ("unix:uid:root", wrong("unix:uid:root", UnixKey::Uid)),
        ("unix:path:x", wrong("unix:path:x", UnixKey::Path)),
    ] {
        assert_eq!(check(|draft| draft.selectors.push(text.to_owned())), Err(expected), "{text}");
    }
    let refused = check(|draft| draft.selectors.push("unix".to_owned())).unwrap_err();
    assert_eq!(
        refused,
        EntryRefused::Selector {
            text: "unix".to_owned(),
            reason: ParseSelectorError::NoColon
        }
    );
    assert_eq!(Problem::of(&refused).detail, "\"unix\" is not a selector: a selector has the form type:value");
}

#[test]
fn an_entry_has_1_to_64_selectors() {
    assert_eq!(check(|draft| draft.selectors.clear()), Err(EntryRefused::NoSelectors));
    let many = |count: u32| (0..count).map(|gid| format!("unix:supplementary_gid:{gid}")).collect::<Vec<_>>();
    assert_eq!(check(|draft| draft.selectors = many(64)).unwrap().selectors().len(), 64);
    assert_eq!(
        check(|draft| draft.selectors = many(65)),
        Err(EntryRefused::TooManySelectors { limit: 64, actual: 65 })
    );
}

#[test]
fn a_life_is_at_least_ten_seconds_and_at_most_that_of_the_class() {
    let ttl = |class, seconds| check(|draft| (draft.class, draft.x509_ttl_s) = (Some(class), Some(seconds)));
    let exceeded = |class, seconds, allowed_by| EntryRefused::ClassExceeded {
        field: "x509_ttl_s",
        asked: Duration::from_secs(seconds),
        class,
        allowed_by,
    };
    let (fast, medium, slow) = (CredentialClass::Fast, CredentialClass::Medium, CredentialClass::Slow);
    assert!(ttl(fast, 10).is_ok() && ttl(fast, 180).is_ok() && ttl(slow, 86_400).is_ok());
    assert_eq!(ttl(fast, 181), Err(exceeded(fast, 181, Some(medium))));
    assert_eq!(ttl(medium, 86_400), Err(exceeded(medium, 86_400, Some(slow))));
    assert_eq!(ttl(slow, 86_401), Err(exceeded(slow, 86_401, None)));
    assert_eq!(ttl(slow, u64::MAX), Err(exceeded(slow, u64::MAX, None)));
    for seconds in [0, 9] {
        let asked = Duration::from_secs(seconds);
        assert_eq!(
            ttl(fast, seconds),
            Err(EntryRefused::TtlTooShort {
                field: "x509_ttl_s",
                asked,
                least: EntrySpec::LEAST_TTL
            })
        );
    }
    let jwt = check(|draft| (draft.class, draft.jwt_ttl_s) = (Some(fast), Some(300)));
    assert!(matches!(jwt, Err(EntryRefused::ClassExceeded { field: "jwt_ttl_s", .. })));
    assert_eq!(
        ttl(medium, 86_400).unwrap_err().to_string(),
        "x509_ttl_s of 1d is above the 1h30m of class medium"
    );
    assert!(ttl(medium, 86_400).unwrap_err().hint().contains("--class slow"));
}

#[test]
fn names_beside_the_spiffe_id_are_kept_changed_and_taken_away() {
    let spec = check(|draft| (draft.dns_names, draft.subject_cn) = (vec!["web.example".to_owned()], Some("web".to_owned()))).unwrap();
    let entry = RegistrationEntry::new("e".parse().unwrap(), spec, Timestamp::from_unix(0));
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<RegistrationEntry>(&json).unwrap(), entry);
    let revision = Revision::new(1, 1);
    assert_eq!(entry.view(revision).dns_names, ["web.example"]);
    assert_eq!(entry.node_entry(revision).subject_cn.as_deref(), Some("web"));
    let change = |dns_names, subject_cn| {
        let change = EntryChange {
            dns_names,
            subject_cn,
            ..EntryChange::default()
        };
        let changed = entry.change(&change, &td(), None).unwrap();
        (
            changed.names().dns().len(),
            changed.names().cn().map(ToString::to_string),
            entry.differences(&changed),
        )
    };
    assert_eq!(change(None, None), (1, Some("web".to_owned()), vec![]));
    assert_eq!(change(Some(vec![]), None), (0, Some("web".to_owned()), vec!["dns_names"]));
    assert_eq!(change(None, Some(String::new())), (1, None, vec!["subject_cn"]));
    assert!(check(|draft| draft.dns_names.push("WEB".to_owned())).is_err());
}

#[test]
fn an_alias_has_selectors_of_nodes_and_nothing_that_only_credentials_have() {
    let server: SpiffeId = "spiffe://td/troth/server".parse().unwrap();
    let alias = |change: fn(&mut EntryDraft)| {
        let mut draft = EntryDraft {
            spiffe_id: "/web-nodes".to_owned(),
            selectors: vec!["x509pop:subject:cn:web-1".to_owned()],
            ..EntryDraft::default()
        };
        change(&mut draft);
        EntrySpec::check(&draft, &td(), server.clone())
    };
    let good = alias(|_| {}).unwrap();
    assert!(good.is_node_alias() && good.warnings().is_empty());
    for (field, change) in [
        ("dns_names", (|draft| draft.dns_names.push("a.test".to_owned())) as fn(&mut EntryDraft)),
        ("expires_at", |draft| draft.expires_at = Some(Timestamp::from_unix(1))),
        ("federates_with", |draft| draft.federates_with.push("other.test".parse().unwrap())),
        ("hint", |draft| draft.hint = Some("h".to_owned())),
        ("subject_cn", |draft| draft.subject_cn = Some("c".to_owned())),
    ] {
        assert_eq!(alias(change), Err(EntryRefused::AliasField { field }));
    }
    for text in ["unix:uid:0", "x509pop:subject:ou:a", "x509pop:fingerprint:abc"] {
        let refused = EntrySpec::check(
            &EntryDraft {
                spiffe_id: "/web-nodes".to_owned(),
                selectors: vec![text.to_owned()],
                ..EntryDraft::default()
            },
            &td(),
            server.clone(),
        );
        assert_eq!(refused.unwrap_err().code(), Code::InvalidSelector, "{text}");
    }
    assert!(matches!(alias(|draft| draft.selectors.clear()), Err(EntryRefused::NoSelectors)));
}

#[covers("WAPI-24")]
#[test]
fn hints_have_at_most_1024_printable_bytes_and_an_empty_one_is_none() {
    let hint = |text: &str| check(|draft| draft.hint = Some(text.to_owned()));
    assert_eq!(hint("").unwrap().hint(), None);
    assert_eq!(hint("external").unwrap().hint().unwrap().as_str(), "external");
    assert!(hint(&"h".repeat(1024)).is_ok());
    assert_eq!(
        hint(&"h".repeat(1025)),
        Err(EntryRefused::Hint(ParseHintError::Length { limit: 1024, actual: 1025 }))
    );
    assert_eq!(hint("a\u{7}"), Err(EntryRefused::Hint(ParseHintError::NotPrintable)));
}

#[test]
fn every_refusal_has_a_code_and_a_step_to_take() {
    let refusals = [
        check(|draft| draft.spiffe_id = "/troth/x".to_owned()),
        check(|draft| draft.spiffe_id = "spiffe://td".to_owned()),
        check(|draft| draft.spiffe_id = "web".to_owned()),
        check(|draft| draft.selectors.clear()),
        check(|draft| draft.selectors = vec!["uid:1".to_owned()]),
        check(|draft| draft.selectors = vec!["k8s:ns:a".to_owned()]),
        check(|draft| draft.selectors = vec!["unix:uid:x".to_owned()]),
        check(|draft| draft.selectors = vec!["unix".to_owned()]),
        check(|draft| draft.x509_ttl_s = Some(1)),
        check(|draft| draft.x509_ttl_s = Some(86_400)),
        check(|draft| draft.x509_ttl_s = Some(86_401)),
        check(|draft| draft.dns_names.push("A".to_owned())),
        check(|draft| draft.hint = Some("\n".to_owned())),
        EntrySpec::check(&draft(), &td(), td().id()),
    ];
    for refused in refusals {
        let refused = refused.unwrap_err();
        assert_ne!(refused.code(), Code::Internal, "{refused}");
        assert!(!refused.hint().is_empty() && refused.code().facts().status < 500, "{refused}");
    }
}

#[test]
fn path_and_hash_alone_draw_a_warning_and_the_price_is_always_said() {
    let path = check(|draft| draft.selectors = vec!["unix:path:/usr/bin/web".to_owned()]).unwrap();
    assert!(
        path.warnings()[0].starts_with("spiffe://td/web: only path or sha256 selectors"),
        "{:?}",
        path.warnings()
    );
    let both = check(|draft| draft.selectors.push("unix:path:/usr/bin/web".to_owned())).unwrap();
    assert_eq!(both.warnings(), ["class medium lives through 45 min without its server"]);
    let fast = check(|draft| (draft.class, draft.x509_ttl_s) = (Some(CredentialClass::Fast), Some(60))).unwrap();
    assert_eq!(fast.price(), "class fast lives through 30 s without its server");
}

#[test]
fn order_and_repetition_of_selectors_make_no_other_entry() {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let one = check(|draft| draft.selectors = texts(&["unix:uid:1", "unix:gid:2"])).unwrap();
    let two = check(|draft| draft.selectors = texts(&["unix:gid:2", "unix:uid:1", "unix:gid:2"])).unwrap();
    assert!(entry(one.clone()).same_identity(&two));
    assert_eq!(entry(one).differences(&two), Vec::<&str>::new());
}

#[test]
fn differences_are_named() {
    let before = entry(check(|_| {}).unwrap());
    let after = check(|draft| {
        draft.class = Some(CredentialClass::Fast);
        draft.hint = Some("h".to_owned());
        draft.expires_at = Some(Timestamp::from_unix(5_000));
    })
    .unwrap();
    assert!(before.same_identity(&after));
    assert_eq!(before.differences(&after), ["class", "x509_ttl_s", "jwt_ttl_s", "hint", "expires_at"]);
    let moved = check(|draft| draft.spiffe_id = "/api".to_owned()).unwrap();
    assert!(!before.same_identity(&moved));
    assert_eq!(before.differences(&moved), ["spiffe_id"]);
}

#[test]
fn a_change_keeps_what_it_does_not_name_and_a_default_life_follows_the_class() {
    let before = entry(check(|draft| draft.hint = Some("h".to_owned())).unwrap());
    let change = EntryChange {
        class: Some(CredentialClass::Fast),
        ..EntryChange::default()
    };
    let after = before.change(&change, &td(), None).unwrap();
    assert_eq!(
        (after.x509_ttl().as_secs(), after.jwt_ttl().as_secs(), after.hint().unwrap().as_str()),
        (180, 180, "h")
    );
    let nothing = before.change(&EntryChange::default(), &td(), None).unwrap();
    assert_eq!(before.differences(&nothing), Vec::<&str>::new());
    let no_hint = before
        .change(
            &EntryChange {
                hint: Some(String::new()),
                ..EntryChange::default()
            },
            &td(),
            None,
        )
        .unwrap();
    assert_eq!(no_hint.hint(), None);
}

#[test]
fn a_change_is_checked_like_a_draft() {
    let before = entry(check(|draft| draft.x509_ttl_s = Some(3_600)).unwrap());
    let fast = EntryChange {
        class: Some(CredentialClass::Fast),
        ..EntryChange::default()
    };
    assert!(
        matches!(before.change(&fast, &td(), None), Err(EntryRefused::ClassExceeded { .. })),
        "a life that was asked for is not shortened in silence"
    );
    let reserved = EntryChange {
        spiffe_id: Some("/troth/server".to_owned()),
        ..EntryChange::default()
    };
    assert!(matches!(before.change(&reserved, &td(), None), Err(EntryRefused::ReservedPath { .. })));
    let nothing = EntryChange {
        selectors: Some(Vec::new()),
        ..EntryChange::default()
    };
    assert_eq!(before.change(&nothing, &td(), None), Err(EntryRefused::NoSelectors));
    let foreign = before.change(&EntryChange::default(), &td(), Some("spiffe://other/troth/agent/join_token/a".parse().unwrap()));
    assert!(matches!(foreign, Err(EntryRefused::ParentNotANode { .. })));
}

#[test]
fn a_stored_entry_comes_back_and_one_that_breaks_a_rule_does_not() {
    let full = |draft: &mut EntryDraft| {
        draft.hint = Some("h".to_owned());
        draft.expires_at = Some(Timestamp::from_unix(5_000));
    };
    for spec in [check(|_| {}).unwrap(), check(full).unwrap()] {
        let entry = entry(spec);
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<RegistrationEntry>(&json).unwrap(), entry);
        for (good, bad) in [
            ("spiffe://td/web", "spiffe://td/troth/server"),
            ("5400", "5401"),
            ("[\"unix:uid:1000\"]", "[]"),
            (NODE, "spiffe://td/troth"),
        ] {
            assert!(json.contains(good), "{json}");
            assert!(serde_json::from_str::<RegistrationEntry>(&json.replace(good, bad)).is_err(), "{bad}");
        }
    }
}

#[test]
fn the_stored_form_of_this_version_is_fixed() {
    let entry = entry(check(|_| {}).unwrap());
    let expected = r#"{"id":"00000007070707070707070707070707","spiffe_id":"spiffe://td/web","parent_id":"spiffe://td/troth/agent/join_token/web-1","selectors":["unix:uid:1000"],"class":"medium","x509_ttl_s":5400,"jwt_ttl_s":300,"created_at":"1970-01-01T00:16:40Z"}"#;
    assert_eq!(serde_json::to_string(&entry).unwrap(), expected);
}

#[test]
fn a_list_that_was_printed_can_be_read_back_as_drafts() {
    let entry = entry(check(|draft| draft.hint = Some("h".to_owned())).unwrap());
    let printed = serde_json::to_string(&entry.view(Revision::new(1, 2))).unwrap();
    let draft: EntryDraft = serde_json::from_str(&printed).unwrap();
    let parent = draft.parent_id.as_deref().unwrap().parse().unwrap();
    assert_eq!(EntrySpec::check(&draft, &td(), parent).unwrap(), *entry.spec());
}

#[test]
fn an_entry_ends_at_its_end() {
    let entry = entry(check(|draft| draft.expires_at = Some(Timestamp::from_unix(5_000))).unwrap());
    assert!(!entry.is_expired(Timestamp::from_unix(4_999)) && entry.is_expired(Timestamp::from_unix(5_000)));
}

#[test]
fn an_entry_is_small_in_memory() {
    // A server holds a million: the fixed part, without the texts. Claims, partners and names, which few have, cost a pointer each.
    assert!(size_of::<RegistrationEntry>() <= 144, "{}", size_of::<RegistrationEntry>());
}

proptest! {
    #[test]
    fn an_accepted_draft_keeps_every_rule(
        spiffe_id in "(spiffe://(td|other))?(/(troth|server|web|\\.\\.|))?(/[a-z]{0,4})?",
        selectors in proptest::collection::vec("(unix:(uid|gid|user|path|sha256|x):)?[/a-z0-9]{0,6}", 0..4),
        class in proptest::option::of(proptest::sample::select(CredentialClass::ALL.to_vec())),
        x509_ttl_s in proptest::option::of(0..100_000u64),
        jwt_ttl_s in proptest::option::of(0..100_000u64),
        hint in proptest::option::of(any::<String>()),
    ) {
        let draft = EntryDraft { spiffe_id, selectors, class, x509_ttl_s, jwt_ttl_s, hint, ..EntryDraft::default() };
        if let Ok(spec) = EntrySpec::check(&draft, &td(), node()) {
            prop_assert!(spec.spiffe_id().is_member_of(&td()) && !spec.spiffe_id().is_reserved() && !spec.spiffe_id().path().is_empty());
            prop_assert!(!spec.selectors().is_empty());
            for life in [spec.x509_ttl(), spec.jwt_ttl()] {
                prop_assert!(life >= EntrySpec::LEAST_TTL && life <= spec.class().longest_life());
            }
            let entry = entry(spec);
            let json = serde_json::to_string(&entry).unwrap();
            prop_assert_eq!(serde_json::from_str::<RegistrationEntry>(&json).unwrap(), entry);
        }
    }

    #[test]
    fn any_text_is_no_id_or_comes_back_unchanged(text in any::<String>().prop_union("[a-z0-9-]{0,66}")) {
        if let Ok(id) = text.parse::<EntryId>() {
            prop_assert_eq!(id.as_str(), &text);
        }
        if let Ok(hint) = text.parse::<Hint>() {
            prop_assert_eq!(hint.as_str(), &text);
        }
    }
}

#[test]
fn an_entry_names_its_partners_and_a_change_replaces_them_all() {
    let name = |text: &str| text.parse::<TrustDomain>().unwrap();
    let spec = check(|draft| draft.federates_with = vec![name("two.test"), name("one.test"), name("two.test")]).unwrap();
    let before = entry(spec.clone());
    assert_eq!(before.view(REVISION).federates_with, [name("one.test"), name("two.test")]);
    assert_eq!(before.node_entry(REVISION).federates_with, [name("one.test"), name("two.test")]);
    let changed = |partners: Option<Vec<TrustDomain>>| {
        let change = EntryChange {
            federates_with: partners,
            ..EntryChange::default()
        };
        before.change(&change, &td(), None)
    };
    assert_eq!(changed(None).unwrap(), spec);
    let none = changed(Some(Vec::new())).unwrap();
    assert!(none.federates_with().is_empty());
    assert_eq!(spec.differences(&none), ["federates_with"]);
    let own = changed(Some(vec![td()])).unwrap_err();
    assert_eq!(own, EntryRefused::FederatesWithItself { trust_domain: td() });
    assert_eq!(check(|draft| draft.federates_with = vec![td()]).unwrap_err(), own);
}

#[test]
fn an_entry_stored_before_federation_opens_and_one_with_partners_comes_back_whole() {
    let spec = check(|draft| draft.federates_with = vec!["one.test".parse().unwrap()]).unwrap();
    let (with, without) = (entry(spec), entry(check(|_| {}).unwrap()));
    let written = serde_json::to_string(&without).unwrap();
    assert!(!written.contains("federates_with"), "{written}");
    for kept in [with, without] {
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<RegistrationEntry>(&written).unwrap(), kept);
    }
    let forged = written.replace(r#""class":"#, r#""federates_with":["td"],"class":"#);
    assert!(serde_json::from_str::<RegistrationEntry>(&forged).is_err(), "{forged}");
}
