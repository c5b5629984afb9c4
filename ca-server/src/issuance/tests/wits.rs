//! WIT-SVIDs with time in hand: no loop makes keys here, and the clock is moved.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use conformance::covers;
use trust_domains::EntryId;
use trust_domains::class::CredentialClass;
use trust_domains::clock::Clock as _;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::EXPORTER_LEN;
use trust_domains::wire::tokens::{TokenResult, WitRequest, wit_possession_message};

use super::world::{World, with_wit};
use crate::issuance::IssueError;

const EXPORTER: [u8; EXPORTER_LEN] = [3; EXPORTER_LEN];

fn request(entry: &EntryId) -> WitRequest {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let key = PublicKey::from_sec1(pair.public_key().as_ref()).unwrap();
    let proof = pair.sign(&SystemRandom::new(), &wit_possession_message(&EXPORTER, key.spki(), entry)).unwrap();
    WitRequest {
        entry_id: entry.clone(),
        public_key: Base64(key.spki().to_vec()),
        proof: Base64(proof.as_ref().to_vec()),
    }
}

/// A server with a WIT key that signs.
async fn world() -> World {
    let world = World::new().await.restarted_with(with_wit()).await;
    world.authorities.look().await.unwrap();
    world
}

async fn ask(world: &World, entries: &[EntryId]) -> Result<Vec<Option<Code>>, IssueError> {
    let requests = entries.iter().map(request).collect();
    let response = world.issuance.issue_wits(&world.node, &EXPORTER, "", requests).await?;
    Ok(response
        .results
        .iter()
        .map(|result| match result {
            TokenResult::Issued(_) => None,
            TokenResult::Refused { problem, .. } => Some(problem.code()),
        })
        .collect())
}

#[covers("WIT-10", "WIT-22")]
#[tokio::test]
async fn no_wit_svid_outlives_its_key_and_none_is_clipped_for_that() {
    let world = world().await;
    let of = |class| world.entry(|draft| draft.class = Some(class));
    let entries = [of(CredentialClass::Slow), of(CredentialClass::Fast)];
    assert_eq!(ask(&world, &entries).await.unwrap(), [None, None]);
    // Seven days less an hour: the key is good, and not for another day.
    world.clock.advance(Duration::from_secs(7 * 86_400 - 3_600));
    assert_eq!(ask(&world, &entries).await.unwrap(), [Some(Code::IssuerUnavailable), None]);
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(ask(&world, &entries).await.unwrap_err().code(), Code::IssuerUnavailable, "it has ended");
}

#[tokio::test]
async fn a_journal_that_fails_or_a_clock_that_is_behind_means_that_nothing_is_issued() {
    let world = world().await;
    let entry = [world.entry(|_| {})];
    world.tap.fails.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(ask(&world, &entry).await.unwrap_err().code(), Code::JournalUnavailable);
    world.tap.fails.store(false, std::sync::atomic::Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(2 * 3_600));
    world.authorities.look().await.unwrap();
    world.clock.step_wall(-3_600);
    assert_eq!(ask(&world, &entry).await.unwrap_err().code(), Code::IssuerUnavailable);
    world.clock.step_wall(3_600);
    assert_eq!(ask(&world, &entry).await.unwrap(), [None]);
}

#[tokio::test]
async fn turned_off_nothing_signs_though_the_key_is_there_and_the_key_goes_when_it_has_ended() {
    let world = world().await;
    let key = world.authorities.wit_key(world.clock.now()).unwrap();
    let world = world.restarted_with(crate::config::RawServerConfig::default()).await;
    let entry = [world.entry(|_| {})];
    let published = |world: &World| world.authorities.bundle().borrow().wit_authorities().len();
    let mut sequence = world.authorities.bundle().borrow().sequence();
    while world.now() <= key.not_after() + Duration::from_secs(60) {
        assert_eq!(ask(&world, &entry).await.unwrap_err().code(), Code::WitDisabled);
        world.authorities.look().await.unwrap();
        assert_eq!(published(&world), 1, "what it signed is good");
        assert!(world.authorities.bundle().borrow().sequence() >= sequence);
        sequence = world.authorities.bundle().borrow().sequence();
        world.clock.advance(Duration::from_secs(6 * 3_600));
    }
    world.authorities.look().await.unwrap();
    assert_eq!(published(&world), 0);
    assert!(world.authorities.bundle().borrow().sequence() > sequence, "BUN-03");
}
