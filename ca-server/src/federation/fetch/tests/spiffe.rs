//! `https_spiffe`: exactly one SPIFFE ID, by the bundle of its own trust domain or by a pinned root.

use std::sync::Arc;

use conformance::covers;
use trust_domains::join_link::RootHash;
use trust_domains::problem::Code;

use super::super::{EndpointTrust, FetchTarget};
use super::issuing::{Ca, LIFE};
use super::serving::{Endpoint, ok};
use super::world::{World, target};

const ID: &str = "spiffe://a.test/troth/server";

/// By an address that stands in none of the certificates.
fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}/")
}

fn by_bundle(port: u16, ca: &Ca) -> FetchTarget {
    let trust = EndpointTrust::Spiffe {
        id: ID.parse().unwrap(),
        bundle: ca.bundle("a.test"),
        lists: Arc::default(),
    };
    target(&url(port), trust)
}

fn by_pins(port: u16, roots: Vec<RootHash>) -> FetchTarget {
    let id = ID.parse().unwrap();
    target(&url(port), EndpointTrust::Pinned { id, roots })
}

#[tokio::test]
#[covers("FED-07", "FED-24")]
async fn an_endpoint_that_proves_the_configured_id_is_believed_whatever_its_host_is_called() {
    let (world, ca) = (World::new(), Ca::of("a.test"));
    for identity in [ca.svid(ID), ca.short_svid(ID)] {
        let endpoint = Endpoint::start(&identity, |_| ok("the bundle")).await;
        assert_eq!(world.document(&by_bundle(endpoint.port, &ca)).await, "the bundle");
        let named = FetchTarget {
            url: format!("https://localhost:{}/", endpoint.port).parse().unwrap(),
            ..by_bundle(endpoint.port, &ca)
        };
        assert_eq!(world.document(&named).await, "the bundle");
    }
}

#[tokio::test]
#[covers("FED-24", "FED-06")]
async fn another_id_another_domain_and_another_domains_root_are_not_believed() {
    let (world, ca, other) = (World::new(), Ca::of("a.test"), Ca::of("b.test"));
    let impostors = [
        ("another ID of the same domain", ca.svid("spiffe://a.test/somebody")),
        ("an ID that begins alike", ca.svid("spiffe://a.test/troth/server/x")),
        ("the same path of another domain", other.svid("spiffe://b.test/troth/server")),
        ("the ID under another domain's root", other.svid(ID)),
        ("another domain's ID under this root", ca.svid("spiffe://b.test/troth/server")),
        ("a certificate of the web for the host", world.ca.host(&["127.0.0.1"])),
    ];
    for (what, identity) in impostors {
        let mut endpoint = Endpoint::start(&identity, |_| ok("a bundle")).await;
        let (code, text) = world.refused(&by_bundle(endpoint.port, &ca)).await;
        assert_eq!(code, Code::EndpointUntrusted, "{what}: {text}");
        assert!(endpoint.seen().is_empty(), "{what}: nothing was asked of it");
    }
    let endpoint = Endpoint::start(&ca.svid("spiffe://a.test/somebody"), |_| ok("a bundle")).await;
    let (_, text) = world.refused(&by_bundle(endpoint.port, &ca)).await;
    assert!(
        text.contains("the peer is spiffe://a.test/somebody, not spiffe://a.test/troth/server"),
        "{text}"
    );
}

#[tokio::test]
#[covers("FED-25")]
async fn the_bundle_of_the_moment_decides_and_no_other() {
    let (world, old, new) = (World::new(), Ca::of("a.test"), Ca::of("a.test"));
    let endpoint = Endpoint::start(&old.svid(ID), |_| ok("the bundle")).await;
    world.document(&by_bundle(endpoint.port, &old)).await;
    assert_eq!(world.refused(&by_bundle(endpoint.port, &new)).await.0, Code::EndpointUntrusted);
    let mut nothing = by_bundle(endpoint.port, &old);
    nothing.trust = EndpointTrust::Spiffe {
        id: ID.parse().unwrap(),
        bundle: trust_domains::bundle::TrustBundle::new("a.test".parse().unwrap()).into(),
        lists: Arc::default(),
    };
    let (_, text) = world.refused(&nothing).await;
    assert!(text.contains("holds no X.509 authority"), "{text}");

    world.clock.advance(LIFE + LIFE);
    assert_eq!(world.refused(&by_bundle(endpoint.port, &old)).await.0, Code::EndpointUntrusted);
}

#[tokio::test]
#[covers("FED-24")]
async fn at_first_an_endpoint_is_believed_by_a_pinned_root_in_its_chain_and_its_id() {
    let (world, ca, other) = (World::new(), Ca::of("a.test"), Ca::of("a.test"));
    let endpoint = Endpoint::start(&ca.svid(ID), |_| ok("the bundle")).await;
    let pins = vec![other.root_hash(), ca.root_hash()];
    assert_eq!(world.document(&by_pins(endpoint.port, pins.clone())).await, "the bundle");

    let (code, text) = world.refused(&by_pins(endpoint.port, vec![other.root_hash()])).await;
    assert_eq!(code, Code::EndpointUntrusted);
    assert!(text.contains("no certificate of the chain is one of the 1 pinned roots"), "{text}");
    for (what, identity) in [
        ("no root in the chain", ca.short_svid(ID)),
        ("another ID", ca.svid("spiffe://a.test/somebody")),
        ("another domain", ca.svid("spiffe://b.test/troth/server")),
    ] {
        let endpoint = Endpoint::start(&identity, |_| ok("a bundle")).await;
        let (code, text) = world.refused(&by_pins(endpoint.port, pins.clone())).await;
        assert_eq!(code, Code::EndpointUntrusted, "{what}: {text}");
    }
}

#[tokio::test]
async fn an_endpoint_whose_certificate_is_on_a_list_of_its_domain_is_not_believed() {
    let (world, ca) = (World::new(), Ca::of("a.test"));
    let endpoint = Endpoint::start(&ca.svid(ID), |_| ok("the bundle")).await;
    let by_lists = |lists| FetchTarget {
        trust: EndpointTrust::Spiffe {
            id: ID.parse().unwrap(),
            bundle: ca.bundle("a.test"),
            lists,
        },
        ..by_bundle(endpoint.port, &ca)
    };
    let chain = world.fetch(&by_lists(ca.revoking(&[]))).await.unwrap().peer_chain;
    let (code, text) = world.refused(&by_lists(ca.revoking(&chain[..1]))).await;
    assert_eq!(code, Code::EndpointUntrusted);
    assert!(text.contains("revoked"), "{text}");
}
