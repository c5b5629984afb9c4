use conformance::covers;
use serde_json::{Value, json};

use super::*;
use crate::x509::testing::TestCa;

fn td(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

fn bundle(name: &str) -> TrustBundle {
    TrustBundle::new(td(name)).with_x509_authority(&TestCa::root("root", name).der).unwrap()
}

fn spiffe(endpoint_id: &str) -> EndpointProfile {
    EndpointProfile::of(ProfileName::HttpsSpiffe, Some(endpoint_id.parse().unwrap())).unwrap()
}

fn spec(profile: EndpointProfile, bootstrap: Option<TrustBundle>) -> RelationshipSpec {
    RelationshipSpec {
        trust_domain: td("a.test"),
        url: "https://bundles.a.test/".parse().unwrap(),
        profile,
        redirects: true,
        all_entries: false,
        crl_url: None,
        bootstrap: bootstrap.map(SpiffeBundle::from),
    }
}

fn relationship(profile: EndpointProfile, bootstrap: Option<TrustBundle>) -> Result<Relationship, RelationshipError> {
    Relationship::new(spec(profile, bootstrap), Timestamp::from_unix(1_000), "local:uid:0".to_owned())
}

#[covers("FED-19", "FED-20", "FED-21")]
#[test]
fn a_bundle_to_begin_with_is_taken_where_the_endpoint_serves_its_own_trust_domain_and_nowhere_else() {
    let (own, other) = (spiffe("spiffe://a.test/endpoint"), spiffe("spiffe://b.test/endpoint"));
    assert!(relationship(own.clone(), Some(bundle("a.test"))).is_ok(), "FED-20");
    assert_eq!(
        relationship(other, Some(bundle("a.test"))),
        Err(RelationshipError::BootstrapOfOther {
            trust_domain: td("a.test"),
            endpoint_id: "spiffe://b.test/endpoint".parse().unwrap()
        }),
        "FED-21: the endpoint's own trust domain is set up by itself"
    );
    assert_eq!(
        relationship(EndpointProfile::HttpsWeb, Some(bundle("a.test"))),
        Err(RelationshipError::BootstrapForWeb)
    );
    assert_eq!(
        relationship(own.clone(), Some(bundle("b.test"))),
        Err(RelationshipError::OtherTrustDomain {
            stored: td("a.test"),
            offered: td("b.test")
        })
    );
    assert_eq!(
        relationship(own, Some(TrustBundle::new(td("a.test")))),
        Err(RelationshipError::BootstrapWithoutRoot)
    );
}

#[covers("FED-19", "FED-21")]
#[test]
fn it_says_whose_bundle_must_be_there_before_the_first_fetch() {
    let needs = |profile, bootstrap| relationship(profile, bootstrap).unwrap().needs_bundle_of();
    assert_eq!(needs(EndpointProfile::HttpsWeb, None), None);
    assert_eq!(needs(spiffe("spiffe://a.test/endpoint"), Some(bundle("a.test"))), None);
    assert_eq!(
        needs(spiffe("spiffe://a.test/endpoint"), None),
        Some(td("a.test")),
        "one that was set by hand, say"
    );
    assert_eq!(needs(spiffe("spiffe://b.test/endpoint"), None), Some(td("b.test")));
}

#[covers("FED-25")]
#[test]
fn an_endpoint_proves_itself_by_the_newest_bundle_of_its_ids_trust_domain() {
    let (first, newest) = (bundle("a.test"), bundle("a.test"));
    let own = relationship(spiffe("spiffe://a.test/endpoint"), Some(first.clone())).unwrap();
    let bundle_for = |authority: EndpointAuthority<'_>| match authority {
        EndpointAuthority::Spiffe { endpoint_id, bundle } => Some((endpoint_id.to_string(), bundle.clone())),
        EndpointAuthority::Missing { .. } | EndpointAuthority::Web => None,
    };
    let id = "spiffe://a.test/endpoint".to_owned();
    assert_eq!(bundle_for(own.authority(None)), Some((id.clone(), first.clone())), "the first fetch");
    assert_eq!(bundle_for(own.authority(Some(&newest))), Some((id.clone(), newest)), "FED-25");
    let empty = TrustBundle::new(td("a.test"));
    assert_eq!(
        bundle_for(own.authority(Some(&empty))),
        Some((id.clone(), empty.clone())),
        "the partner withdrew everything: what there was to begin with is not taken again"
    );
    assert_eq!(
        bundle_for(own.authority(Some(&bundle("b.test")))),
        Some((id, first)),
        "a bundle of another trust domain vouches for nothing here"
    );
    let other = relationship(spiffe("spiffe://b.test/endpoint"), None).unwrap();
    assert_eq!(other.endpoint_trust_domain(), Some(td("b.test")));
    for held in [None, Some(&empty)] {
        assert_eq!(
            other.authority(held),
            EndpointAuthority::Missing { trust_domain: td("b.test") },
            "the bundle that is served vouches for nobody of another trust domain"
        );
    }
    let of_b = bundle("b.test");
    assert!(matches!(other.authority(Some(&of_b)), EndpointAuthority::Spiffe { bundle, .. } if *bundle == of_b));
    let web = relationship(EndpointProfile::HttpsWeb, None).unwrap();
    assert_eq!(web.authority(Some(&of_b)), EndpointAuthority::Web, "FED-09: no profile stands in for another");
}

#[test]
fn a_change_keeps_who_set_it_up_and_whom_it_is_with() {
    let web = relationship(EndpointProfile::HttpsWeb, None).unwrap();
    let mut changed = web.spec().clone();
    changed.redirects = false;
    let now = web.with_spec(changed.clone()).unwrap();
    assert_eq!(
        (now.redirects(), now.created_at(), now.created_by()),
        (false, web.created_at(), web.created_by())
    );
    changed.trust_domain = td("b.test");
    assert!(matches!(web.with_spec(changed), Err(RelationshipError::OtherTrustDomain { .. })));
}

#[test]
fn a_stored_relationship_reads_back_as_it_was_written_and_one_that_breaks_a_rule_does_not() {
    let mut full = spec(spiffe("spiffe://a.test/endpoint"), Some(bundle("a.test")));
    full.crl_url = Some("https://bundles.a.test/crl".parse().unwrap());
    let full = Relationship::new(full, Timestamp::from_unix(1_000), "local:uid:0".to_owned()).unwrap();
    for kept in [full, relationship(EndpointProfile::HttpsWeb, None).unwrap()] {
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Relationship>(&written).unwrap(), kept, "{written}");
    }
    let record = json!({
        "trust_domain": "a.test", "url": "https://bundles.a.test/", "profile": "https_web",
        "redirects": true, "all_entries": false, "created_at": "2026-11-22T09:00:00Z", "created_by": "local:uid:0",
    });
    assert!(serde_json::from_value::<Relationship>(record.clone()).is_ok());
    for (name, value) in [
        ("profile", json!("https_spiffe")),
        ("endpoint_id", json!("spiffe://a.test/endpoint")),
        ("url", json!("http://bundles.a.test/")),
        ("trust_domain", json!("A.test")),
        ("bootstrap", json!({ "trust_domain": "a.test", "bundle": { "keys": [] } })),
        ("unknown", Value::Null),
    ] {
        let mut wrong = record.clone();
        wrong[name] = value;
        assert!(serde_json::from_value::<Relationship>(wrong).is_err(), "{name}");
    }
}
