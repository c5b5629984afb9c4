//! What partners may send, and what becomes of it: endpoints that answer as a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::covers;
use trust_domains::federation::PartnerState;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{Health, HealthState};
use trust_domains::wire::bundles::{BundleFormat, SetBundle};
use trust_domains::wire::federation::{CreateRelationship, RelationshipView, UpdateRelationship};

use super::federation::{accept, accepting, create, decisions, held, options, refresh, show, update};
use super::world::{World, code, until};
use crate::config::RawServerConfig;
use crate::federation::fetch::tests::issuing::Ca;
use crate::federation::fetch::tests::serving::{Endpoint, Reply, ok};

/// A server that believes this CA of the web.
async fn believing(ca: &Ca, directory: &tempfile::TempDir) -> World {
    let roots = directory.path().join("roots.pem");
    std::fs::write(&roots, &ca.root_pem).unwrap();
    World::with(RawServerConfig {
        federation_web_roots: Some(roots.display().to_string()),
        ..options()
    })
    .await
}

/// A relationship with an endpoint of the web on this machine.
fn on_the_web(trust_domain: &str, port: u16) -> CreateRelationship {
    let request = serde_json::json!({ "trust_domain": trust_domain, "url": format!("https://localhost:{port}/"), "profile": "https_web" });
    serde_json::from_value(request).unwrap()
}

/// A relationship with an endpoint on this machine that proves a SPIFFE ID.
fn by_svid(trust_domain: &str, port: u16, endpoint_id: &str) -> CreateRelationship {
    let request = serde_json::json!({
        "trust_domain": trust_domain, "url": format!("https://localhost:{port}/"), "profile": "https_spiffe", "endpoint_id": endpoint_id
    });
    serde_json::from_value(request).unwrap()
}

async fn fetched(world: &World, partner: &str) -> RelationshipView {
    until(async || show(world, partner).await.ok().filter(|shown| shown.fetching.last_attempt.is_some())).await
}

async fn health(world: &World) -> Health {
    world.admin.get("/v1/admin/health").await.unwrap()
}

#[covers("FED-05", "BUN-07")]
#[tokio::test]
async fn what_a_partner_sends_is_taken_refused_or_means_that_nothing_is_trusted() {
    let (ca, directory) = (Ca::web(), tempfile::tempdir().unwrap());
    let world = believing(&ca, &directory).await;
    let (first, second) = (Ca::of("partner.test").bundle("partner.test"), Ca::of("partner.test").bundle("partner.test"));
    let (fifth, fourth) = ((*first).clone().with_sequence(5), (*second).clone().with_sequence(4));
    let pem = first.to_pem();
    let keys = vec![serde_json::json!({ "use": "of-tomorrow", "kty": "EC" }); 600];
    let many = serde_json::json!({ "keys": keys }).to_string();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let empty = "{\"keys\":[],\"spiffe_sequence\":6}".to_owned();
    let document = Arc::new(Mutex::new(fifth.to_spiffe_json()));
    let served = Arc::clone(&document);
    let endpoint = Endpoint::start(&ca.host(&["localhost"]), move |_| ok(&served.lock().unwrap())).await;
    let refreshed = async |next: String| {
        *document.lock().unwrap() = next;
        refresh(&world, "partner.test").await
    };
    create(&world, &on_the_web("partner.test", endpoint.port)).await.unwrap();
    assert_eq!(fetched(&world, "partner.test").await.fetching.status, PartnerState::Current);
    assert_eq!(held(&world, "partner.test").await.unwrap(), fifth);
    for (name, next, expected) in [
        ("an older one with other keys", fourth.to_spiffe_json(), Code::BundleOutdated),
        ("PEM", pem, Code::EndpointDocumentInvalid),
        ("too many keys", many, Code::EndpointDocumentTooLarge),
        ("too deep", deep, Code::EndpointDocumentInvalid),
    ] {
        let shown = refreshed(next).await;
        assert_eq!(shown.fetching.status, PartnerState::Refused, "{name}");
        let error = shown.fetching.last_error.unwrap();
        assert_eq!(error.code, expected.word(), "{name}: {}", error.detail);
        assert_eq!(held(&world, "partner.test").await.unwrap(), fifth, "{name}: the last good one stays");
    }
    let withdrawn = refreshed(empty).await;
    assert_eq!((withdrawn.fetching.status, withdrawn.fetching.sequence), (PartnerState::Withdrawn, Some(6)));
    assert!(held(&world, "partner.test").await.unwrap().is_empty(), "trust nothing is a word");
    assert_eq!(
        refreshed(fifth.to_spiffe_json()).await.fetching.status,
        PartnerState::Refused,
        "what came before it does not come back"
    );
    let recorded = decisions(&world, "partner.test").await;
    let failed = recorded.iter().filter(|decision| decision.action == "federation_fetch_failed").count();
    assert_eq!(failed, 5, "{recorded:?}");
}

#[tokio::test]
async fn partners_that_hang_keep_nobody_from_being_fetched_on_time() {
    let (ca, directory) = (Ca::web(), tempfile::tempdir().unwrap());
    let world = believing(&ca, &directory).await;
    let document = Arc::new(Mutex::new(Ca::of("good.test").bundle("good.test").to_spiffe_json()));
    let served = Arc::clone(&document);
    let good = Endpoint::start(&ca.host(&["localhost"]), move |_| ok(&served.lock().unwrap())).await;
    create(&world, &on_the_web("good.test", good.port)).await.unwrap();
    assert_eq!(fetched(&world, "good.test").await.fetching.status, PartnerState::Current);
    let slow = Endpoint::start(&ca.host(&["localhost"]), |_| Reply::Slow("HTTP/1.1 200 OK\r\n\r\n".to_owned())).await;
    for number in 0..80 {
        create(&world, &on_the_web(&format!("slow{number}.test"), slow.port)).await.unwrap();
    }
    let next = Ca::of("good.test").bundle("good.test");
    *document.lock().unwrap() = next.to_spiffe_json();
    world.clock.advance(Duration::from_secs(300));
    until(async || (held(&world, "good.test").await.as_ref() == Some(&*next)).then_some(())).await;
    let untouched = show(&world, "slow79.test").await.unwrap();
    assert_eq!((untouched.fetching.status, untouched.has_bundle), (PartnerState::NeverFetched, false));
}

#[covers("FED-19", "FED-21", "FED-24", "FED-25")]
#[tokio::test]
async fn an_endpoint_of_another_domain_proves_itself_by_that_domains_newest_bundle() {
    let world = World::with(options()).await;
    let (host, partner) = (Ca::of("host.test"), Ca::of("partner.test").bundle("partner.test"));
    let document = partner.to_spiffe_json();
    let endpoint = Endpoint::start(&host.svid("spiffe://host.test/bundles"), move |_| ok(&document)).await;
    let request = by_svid("partner.test", endpoint.port, "spiffe://host.test/bundles");
    assert_eq!(code(create(&world, &request).await), Code::FederationSourceMissing);
    let set = async |ca: &Ca| {
        let request = SetBundle {
            format: BundleFormat::Spiffe,
            document: ca.bundle("host.test").to_spiffe_json(),
        };
        let path = "/v1/admin/bundles/host.test";
        world.admin.call::<serde_json::Value>(http::Method::PUT, path, Some(&request)).await.unwrap();
    };
    set(&host).await;
    create(&world, &request).await.unwrap();
    assert_eq!(fetched(&world, "partner.test").await.fetching.status, PartnerState::Current);
    assert_eq!(held(&world, "partner.test").await.unwrap(), *partner);
    // The partner's own roots vouch for nothing here, and neither do those that the host no longer has.
    set(&Ca::of("host.test")).await;
    for attempt in 1..=3 {
        assert_eq!(health(&world).await.state, HealthState::Ready, "before attempt {attempt}");
        assert_eq!(refresh(&world, "partner.test").await.fetching.last_error.unwrap().code, "endpoint_untrusted");
    }
    let problems = until(async || Some(health(&world).await.problems).filter(|problems| !problems.is_empty())).await;
    assert!(problems[0].contains("partner.test (endpoint_untrusted)"), "{problems:?}");
    set(&host).await;
    assert_eq!(refresh(&world, "partner.test").await.fetching.status, PartnerState::Current);
    until(async || (health(&world).await.state == HealthState::Ready).then_some(())).await;
    let own = by_svid("other.test", endpoint.port, "spiffe://example.org/bundles");
    create(&world, &own).await.unwrap();
    assert_eq!(
        fetched(&world, "other.test").await.fetching.last_error.unwrap().code,
        "endpoint_untrusted",
        "our own bundle is there, and this endpoint is not ours"
    );
}

#[covers("FED-20", "FED-25")]
#[tokio::test]
async fn a_bundle_to_begin_with_counts_for_the_first_fetch_and_again_when_it_is_given_anew() {
    let world = World::with(options()).await;
    let (old, new) = (Ca::of("partner.test"), Ca::of("partner.test"));
    let documents = [old.bundle("partner.test").to_spiffe_json(), new.bundle("partner.test").to_spiffe_json()];
    let begin = |ca: &Ca| SetBundle {
        format: BundleFormat::Pem,
        document: ca.bundle("partner.test").to_pem(),
    };
    let first = Endpoint::start(&old.svid("spiffe://partner.test/e"), move |count| ok(&documents[count.min(1)])).await;
    let request = CreateRelationship {
        bootstrap: Some(begin(&old)),
        ..by_svid("partner.test", first.port, "spiffe://partner.test/e")
    };
    create(&world, &request).await.unwrap();
    assert_eq!(fetched(&world, "partner.test").await.fetching.status, PartnerState::Current);
    assert_eq!(refresh(&world, "partner.test").await.fetching.status, PartnerState::Current);
    assert_eq!(held(&world, "partner.test").await.unwrap(), *new.bundle("partner.test"));
    let shown = refresh(&world, "partner.test").await;
    assert_eq!(
        shown.fetching.last_error.unwrap().code,
        "endpoint_untrusted",
        "the bundle to begin with has had its day"
    );
    let change = UpdateRelationship {
        bootstrap: Some(begin(&new)),
        ..UpdateRelationship::default()
    };
    update(&world, "partner.test", &change).await.unwrap();
    let change = UpdateRelationship {
        bootstrap: Some(begin(&old)),
        ..UpdateRelationship::default()
    };
    let updated = update(&world, "partner.test", &change).await.unwrap();
    assert!(updated.warnings[0].contains("is replaced by the one that was given"), "{updated:?}");
    until(async || (show(&world, "partner.test").await.unwrap().fetching.status == PartnerState::Current).then_some(())).await;
}

#[tokio::test]
async fn an_endpoint_on_this_machine_is_refused_unless_it_is_allowed_and_the_operator_hears_of_it() {
    let (ca, directory) = (Ca::web(), tempfile::tempdir().unwrap());
    let world = believing(&ca, &directory).await;
    let world = world.restarted_with(RawServerConfig::default()).await;
    let endpoint = Endpoint::start(&ca.host(&["localhost"]), |_| panic!("nobody connects")).await;
    create(&world, &on_the_web("partner.test", endpoint.port)).await.unwrap();
    let shown = fetched(&world, "partner.test").await;
    assert_eq!(shown.fetching.status, PartnerState::Refused);
    let error = shown.fetching.last_error.unwrap();
    assert_eq!(error.code, "endpoint_address_refused");
    assert!(error.detail.contains("--federation-allow-loopback"), "{}", error.detail);
    let problems = until(async || Some(health(&world).await.problems).filter(|problems| !problems.is_empty())).await;
    assert!(problems[0].contains("partner.test (endpoint_address_refused)"), "{problems:?}");
}

#[covers("FED-17")]
#[tokio::test]
async fn a_link_of_the_web_is_believed_by_the_web_and_pinned_by_the_roots_in_its_bundle() {
    let (ca, directory) = (Ca::web(), tempfile::tempdir().unwrap());
    let world = believing(&ca, &directory).await;
    let (partner, other) = (Ca::of("partner.test"), Ca::of("partner.test"));
    let document = partner.bundle("partner.test").to_spiffe_json();
    let endpoint = Endpoint::start(&ca.host(&["localhost"]), move |_| ok(&document)).await;
    let link = |root: &Ca| {
        let text = format!("troth://localhost:{}/federation/partner.test/https_web/{}/-", endpoint.port, root.root_hash());
        text.parse().unwrap()
    };
    assert_eq!(code(accept(&world, &accepting(&link(&other))).await), Code::FederationPinMismatch);
    assert!(held(&world, "partner.test").await.is_none());
    let accepted = accept(&world, &accepting(&link(&partner))).await.unwrap();
    assert_eq!(accepted.relationship.fetching.status, PartnerState::Current);
    assert!(accepted.bundle.roots[0].pinned);
}
