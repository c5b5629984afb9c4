//! Relationships without a link, and what becomes of them.

use conformance::covers;
use tests::wait::until;

use super::{Domain, accepts, federated, has_fields, is_time, link_of, path_text, relationships, text_of, typed};

/// The options by which `partner` is set up without a link.
fn options(partner: &Domain) -> Vec<String> {
    let invite = partner.told(&["federation", "invite"]);
    let bundle = partner.folder().join("bundle.json");
    std::fs::write(&bundle, partner.operator(&["bundle", "show"]).exits(0).stdout).expect("the bundle");
    let words = ["--trust-domain", &partner.name, "--url", text_of(&invite, "url"), "--profile", "https_spiffe"];
    let proof = ["--endpoint-id", "/troth/server", "--bootstrap-bundle", path_text(&bundle)];
    words.iter().chain(&proof).map(ToString::to_string).collect()
}

fn create(domain: &Domain, options: &[String], more: &[&str]) -> tests::command::Run {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    domain.operator(&[&["federation", "create"], &options[..], more].concat())
}

#[covers("FED-19", "FED-20")]
#[test]
fn a_relationship_is_created_shown_changed_fetched_and_deleted() {
    let (ours, partner) = (federated("creating.test"), federated("created.test"));
    let options = options(&partner);
    let created = create(&ours, &options, &[]).exits(0);
    assert_eq!(text_of(&created.json(), "result"), "created");
    let shown = until("the first fetch", || {
        let shown = ours.told(&["federation", "show", "created.test"]);
        (shown["status"] == "current").then_some(shown)
    });
    has_fields(
        &shown,
        &[
            "trust_domain",
            "url",
            "profile",
            "endpoint_id",
            "status",
            "last_success",
            "next_fetch",
            "last_error",
            "sequence",
        ],
    );
    is_time(&shown, "last_success");
    is_time(&shown, "next_fetch");
    assert_eq!(text_of(&shown, "endpoint_id"), "spiffe://created.test/troth/server");
    assert_eq!(
        (&shown["redirects"], &shown["all_entries"], &shown["last_error"]),
        (&true.into(), &false.into(), &().into())
    );
    let text = typed(&ours, &["federation", "show", "created.test"]).exits(0).stdout;
    assert!(text.contains("this way ") && text.contains("the other way "), "{text}");
    let list = typed(&ours, &["federation", "list"]).exits(0).stdout;
    assert!(
        list.starts_with("TRUST DOMAIN") && list.contains("created.test") && list.contains("current"),
        "{list}"
    );

    let update = ["federation", "update", "created.test"];
    let changed = ours.told(&[&update[..], &["--all-entries", "--no-redirects", "--wait"]].concat());
    assert_eq!(
        (&changed["all_entries"], &changed["redirects"], text_of(&changed, "result")),
        (&true.into(), &false.into(), "updated")
    );
    let back = ours.told(&[&update[..], &["--no-all-entries", "--redirects"]].concat());
    assert_eq!((&back["all_entries"], &back["redirects"]), (&false.into(), &true.into()));
    assert_eq!(ours.operator(&update).exits(2).problem(), "usage", "nothing is named that should change");

    let fetched = ours.told(&["federation", "refresh", "created.test"]);
    assert_eq!((text_of(&fetched, "status"), &fetched["last_error"]), ("current", &().into()));
    let deleted = ours.told(&["federation", "delete", "created.test", "--wait"]);
    assert_eq!(deleted["bundle_deleted"], true);
    assert!(relationships(&ours).is_empty());
    assert_eq!(
        ours.operator(&["bundle", "show", "--trust-domain", "created.test"]).exits(3).problem(),
        "bundle_not_found"
    );
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_fetched() {
    let (ours, partner) = (federated("strict.test"), federated("loose.test"));
    let all = options(&partner);
    let without = |option: &str| {
        let at = all.iter().position(|word| word == option).expect("the option");
        let mut left = all.clone();
        left.drain(at..at + 2);
        left
    };
    for missing in ["--trust-domain", "--url", "--profile"] {
        assert_eq!(create(&ours, &without(missing), &[]).exits(2).problem(), "usage", "{missing}");
    }
    assert_eq!(create(&ours, &without("--endpoint-id"), &[]).exits(2).problem(), "federation_invalid");
    assert_eq!(
        create(&ours, &without("--bootstrap-bundle"), &[]).exits(1).problem(),
        "federation_source_missing"
    );
    let plain: Vec<String> = all.iter().map(|word| word.replace("https://", "http://")).collect();
    assert_eq!(create(&ours, &plain, &[]).exits(2).problem(), "usage");
    let web: Vec<String> = all.iter().map(|word| word.replace("https_spiffe", "https_web")).collect();
    assert_eq!(
        create(&ours, &web, &[]).exits(2).problem(),
        "federation_invalid",
        "https_web takes no endpoint ID"
    );
    assert!(relationships(&ours).is_empty());
}

#[test]
fn a_trust_domain_without_a_relationship_is_not_found() {
    let domain = Domain::start("lonely.test");
    for arguments in [
        &["federation", "show", "nobody.test"][..],
        &["federation", "refresh", "nobody.test"],
        &["federation", "delete", "nobody.test"],
        &["federation", "update", "nobody.test", "--all-entries"],
    ] {
        assert_eq!(domain.operator(arguments).exits(3).problem(), "federation_not_found", "{arguments:?}");
    }
    assert_eq!(domain.operator(&["federation", "show", "No Name"]).exits(2).problem(), "usage");
}

#[test]
fn a_partner_that_is_away_is_said_to_be_and_its_bundle_stays() {
    let (ours, mut partner) = (federated("staying.test"), federated("leaving.test"));
    let _ = accepts(&ours, &partner);
    let held = ours.told(&["bundle", "show", "--trust-domain", "leaving.test"]);
    partner.server().terminate();
    let refreshed = ours.operator(&["federation", "refresh", "leaving.test"]).exits(1);
    let view = refreshed.json();
    assert_eq!(
        (text_of(&view, "status"), text_of(&view["last_error"], "code")),
        ("unreachable", "endpoint_unreachable")
    );
    is_time(&view, "last_success");
    assert_eq!(ours.told(&["bundle", "show", "--trust-domain", "leaving.test"]), held);
    let list = typed(&ours, &["federation", "list"]).exits(0).stdout;
    assert!(list.contains("unreachable (endpoint_unreachable)"), "{list}");
}

#[test]
fn an_entry_may_name_a_partner_that_is_not_there_and_its_operator_is_told() {
    let (ours, partner) = (federated("early.test"), federated("late.test"));
    let _agent = ours.agent("n1");
    let create = [
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--selector",
        "unix:uid:4001",
        "--federates-with",
        "late.test",
    ];
    let told = ours.operator(&create).exits(0).stderr;
    assert!(
        told.contains("there is no bundle of late.test yet") && told.contains("troth federation accept"),
        "{told}"
    );
    let update = ["entry", "update", "/web", "--federates-with", "late.test"];
    let told = ours.operator(&update).exits(0).stderr;
    assert!(
        told.contains("there is no bundle of late.test yet") && told.contains("troth federation accept"),
        "{told}"
    );

    let accepted = accepts(&ours, &partner);
    assert_eq!(accepted["relationship"]["entries"], 1, "{accepted}");
    assert_eq!(ours.operator(&update).exits(0).stderr, "", "there is a bundle now");
    let refused = ours.operator(&["bundle", "delete", "--trust-domain", "late.test", "--force"]).exits(1);
    assert!(text_of(&refused.json(), "hint").contains("troth federation delete"), "{refused:?}");
}

#[test]
fn a_link_is_accepted_with_the_address_of_the_lists_and_every_node_is_waited_for() {
    let (ours, partner) = (federated("lists.test"), federated("listed.test"));
    let _agent = ours.agent("n1");
    let _ = ours.told(&["entry", "create", "--spiffe-id", "/web", "--selector", "unix:uid:4710"]);
    let url = format!("{}crls.pem", text_of(&partner.told(&["federation", "invite"]), "url"));
    let accepted = ours.operator(&[
        "federation",
        "accept",
        &link_of(&partner),
        "--yes",
        "--all-entries",
        "--crl-url",
        &url,
        "--wait",
    ]);
    let accepted = accepted.exits(0);
    assert!(accepted.stderr.contains("1 of 1 connected node"), "{}", accepted.stderr);
    // A partner that revoked nothing has no lists yet: that is no failure.
    let told = until("what there is of lists", || {
        let shown = ours.told(&["federation", "show", "listed.test"]);
        let code = shown["crls"]["last_error"]["code"].as_str().map(str::to_owned);
        code.map(|code| (code, shown))
    });
    assert_eq!(told.0, "crls_not_published", "{}", told.1);
    assert_eq!(text_of(&told.1, "crl_url"), url);
    // Accepted again without the address it stays as it is.
    assert_eq!(text_of(&accepts(&ours, &partner), "result"), "unchanged");
}
