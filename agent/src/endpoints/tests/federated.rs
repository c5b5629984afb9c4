//! Partners' bundles on X.509 streams.

use conformance::covers;
use trust_domains::TrustBundle;

use super::*;
use crate::svids::Update;
use crate::svids::testing::{bundle_of, with_empty_list};

fn federating(entry: NodeEntry) -> NodeEntry {
    NodeEntry {
        federates_with: vec!["empty.test".parse().unwrap(), "partner.test".parse().unwrap()],
        ..entry
    }
}

fn give(world: &World, counter: u64, bundles: Vec<TrustBundle>) {
    world.cache.apply(Update {
        federated: Some(bundles.into()),
        ..delta(counter, vec![], &[])
    });
}

fn by_id(bundles: &[&TrustBundle]) -> HashMap<String, bytes::Bytes> {
    let of = |bundle: &&TrustBundle| (bundle.trust_domain().id().to_string(), bundle.x509_der_concat().into());
    bundles.iter().map(of).collect()
}

async fn next_bundles(stream: &mut Streaming<workload_api::messages::X509BundlesResponse>) -> HashMap<String, bytes::Bytes> {
    let message = tokio::time::timeout(Duration::from_secs(60), stream.message()).await;
    message.unwrap().unwrap().unwrap().bundles
}

#[covers("FED-06", "FED-10", "WAPI-14")]
#[tokio::test]
async fn partners_come_under_their_ids_beside_the_own_bundle_and_go_when_they_are_withdrawn() {
    let world = World::new();
    world.entries(1, vec![federating(own("web", 1))]);
    let mut svids = world.svids().await;
    let mut bundles = world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap().into_inner();
    assert!(next(&mut svids).await.federated_bundles.is_empty());
    assert_eq!(next_bundles(&mut bundles).await, by_id(&[&bundle()]));

    let (partner, empty) = (bundle_of("partner.test"), TrustBundle::new("empty.test".parse().unwrap()));
    give(&world, 2, vec![partner.clone(), empty]);
    let message = next(&mut svids).await;
    assert_eq!(message.federated_bundles, by_id(&[&partner]), "a partner without roots is left out");
    assert_eq!(message.svids[0].bundle, bundle().x509_der_concat(), "and none is pooled with the own bundle");
    assert_eq!(next_bundles(&mut bundles).await, by_id(&[&bundle(), &partner]));

    let replaced = bundle_of("partner.test");
    give(&world, 3, vec![replaced.clone()]);
    assert_eq!(next(&mut svids).await.federated_bundles, by_id(&[&replaced]));
    assert_eq!(next_bundles(&mut bundles).await, by_id(&[&bundle(), &replaced]));
    give(&world, 4, vec![]);
    assert!(next(&mut svids).await.federated_bundles.is_empty());
    assert_eq!(next_bundles(&mut bundles).await, by_id(&[&bundle()]));
}

#[tokio::test]
async fn lists_of_a_partner_that_change_alone_are_news_to_open_streams() {
    let world = World::new();
    world.entries(1, vec![federating(own("web", 1))]);
    let (bundle, lists) = with_empty_list("partner.test");
    give(&world, 2, vec![bundle]);
    let mut svids = world.svids().await;
    let mut bundles = world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap().into_inner();
    assert!(next(&mut svids).await.crl.is_empty());
    assert_eq!(next_bundles(&mut bundles).await.len(), 2);
    world.cache.apply(Update {
        federated_crls: vec![("partner.test".parse().unwrap(), lists)],
        ..delta(3, vec![], &[])
    });
    assert_eq!(next(&mut svids).await.crl.len(), 1);
    let message = tokio::time::timeout(Duration::from_secs(60), bundles.message()).await;
    assert_eq!(message.unwrap().unwrap().unwrap().crl.len(), 1);
}

#[tokio::test]
async fn a_stream_of_a_workload_that_does_not_federate_sees_no_message() {
    let world = World::new();
    world.entries(1, vec![own("web", 1), federating(with_selectors("other", 1, &["unix:uid:4000000"]))]);
    let (mut svids, mut bundles) = (
        world.svids().await,
        world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap().into_inner(),
    );
    next(&mut svids).await;
    next_bundles(&mut bundles).await;
    give(&world, 2, vec![bundle_of("partner.test")]);
    // What comes next is what happens next, and not what was given to the other.
    world.change(3, vec![own("db", 2)], &[]);
    let message = next(&mut svids).await;
    assert_eq!((ids(&message).len(), message.federated_bundles.len()), (2, 0));
    let replaced = bundle_of("td.example");
    world.cache.apply(Update {
        bundle: Some(replaced.clone()),
        ..delta(4, vec![], &[])
    });
    assert_eq!(next_bundles(&mut bundles).await, by_id(&[&replaced]));
}

#[tokio::test]
async fn a_partner_that_publishes_too_much_costs_its_own_bundle_and_nothing_else() {
    let world = World::new();
    world.entries(1, vec![federating(own("web", 1))]);
    let mut svids = world.svids().await;
    next(&mut svids).await;
    let huge = (0..145).fold(TrustBundle::new("empty.test".parse().unwrap()), |bundle, _| {
        bundle.with_x509_authority(&large_root()).unwrap()
    });
    assert!(huge.x509_der_concat().len() > 2 * 1024 * 1024);
    let partner = bundle_of("partner.test");
    give(&world, 2, vec![huge, partner.clone()]);
    let message = next(&mut svids).await;
    assert_eq!(ids(&message), ["web"]);
    assert_eq!(message.federated_bundles, by_id(&[&partner]));
}

/// A root of 15 KB, close to the largest that is read.
fn large_root() -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let padding = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![0; 15_000]);
    params.custom_extensions = vec![padding];
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
}
