//! What a tainted authority signed: replaced at once, shown meanwhile, and acknowledged when it is gone.

use std::sync::Arc;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use trust_domains::clock::Reading;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::tainted::Tainted;
use trust_domains::x509::Certificate;

use super::super::slot::Held;
use super::super::{IssuedSvid, Update};
use super::*;

/// A leaf of an issuing CA of its own, and that CA's id.
fn leaf() -> (Bytes, AuthorityId) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let issuer = Issuer::new(params, KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let der = Bytes::copy_from_slice(certificate.der());
    let id = AuthorityId::from_key_id(Certificate::parse(&der).unwrap().authority_key_id().unwrap()).unwrap();
    (der, id)
}

fn signed(entry: &NodeEntry, leaf: &Bytes, now: Reading) -> Held {
    let held = held(entry, now);
    let svid = Arc::into_inner(held.svid).unwrap();
    let chain = vec![leaf.clone(), Bytes::from_static(b"issuer")];
    Held {
        svid: Arc::new(IssuedSvid { chain, ..svid }),
        ..held
    }
}

fn tainting(counter: u64, ids: &[&AuthorityId]) -> Update {
    Update {
        tainted: Some(ids.iter().map(|&id| id.clone()).collect()),
        ..delta(counter, vec![], &[])
    }
}

impl World {
    /// Answers what is due with SVIDs of this leaf's issuer; returns the ids, in the order in which they were asked for.
    fn issue_by(&self, leaf: &Bytes) -> Vec<String> {
        let (due, now) = (self.cache.due(&POLICY).issue, self.clock.now());
        let ids = due.iter().map(|entry| entry.id.to_string()).collect();
        let issued = due.into_iter().map(|entry| {
            let held = signed(&entry, leaf, now);
            (entry, Outcome::Issued(held))
        });
        self.cache.settle(issued.collect(), Jitter::NONE);
        ids
    }

    /// A world in which these entries have SVIDs of that leaf's issuer, and everything is acknowledged.
    fn by(leaf: &Bytes, entries: &[&str]) -> Self {
        let world = Self::new();
        world.cache.apply(snapshot(5, entries.iter().zip(1..).map(|(id, at)| entry(id, at)).collect()));
        world.issue_by(leaf);
        assert_eq!(world.acknowledgeable(), Some(5));
        world
    }
}

#[tokio::test]
async fn what_a_tainted_authority_signed_is_due_at_once_and_shown_until_another_is_there() {
    let ((old, tainted), (new, other)) = (leaf(), leaf());
    let world = World::by(&old, &["a"]);
    let mut subscription = world.cache.subscribe(user(1_000));
    subscription.next().await.unwrap();
    world.cache.apply(tainting(6, &[&other]));
    assert_eq!(
        (world.issue(), world.acknowledgeable()),
        (0, Some(6)),
        "another authority is no concern of its SVIDs"
    );

    world.cache.apply(tainting(7, &[&tainted]));
    assert_eq!(world.acknowledgeable(), Some(6), "not before it is replaced");
    assert!(is_quiet(&mut subscription).await);
    assert_eq!(world.cache.svid_count(), 1, "it is shown meanwhile");
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert_eq!(world.acknowledgeable(), Some(6));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.issue_by(&new), ["a"]);
    assert_eq!(subscription.next().await.unwrap().svids[0].chain[0], new);
    assert_eq!(world.acknowledgeable(), Some(7));
    assert_eq!(world.issue(), 0);
}

#[tokio::test]
async fn a_list_that_is_told_before_its_commit_holds_the_next_commit_back() {
    let (old, tainted) = leaf();
    let world = World::by(&old, &["a"]);
    world.cache.apply(tainting(5, &[&tainted]));
    world.cache.apply(delta(6, vec![], &[]));
    assert_eq!(world.acknowledgeable(), Some(5));
    assert_eq!(world.issue_by(&leaf().0), ["a"]);
    assert_eq!(world.acknowledgeable(), Some(6));
}

#[tokio::test]
async fn what_most_see_is_replaced_first() {
    let (old, tainted) = leaf();
    let world = World::new();
    world
        .cache
        .apply(snapshot(5, vec![for_user("idle", 1, 1), for_user("few", 2, 2), for_user("many", 3, 3)]));
    world.issue_by(&old);
    let mut subscriptions = vec![world.cache.subscribe(user(2)), world.cache.subscribe(user(3))];
    subscriptions.push(world.cache.subscribe_identity(&"spiffe://td.example/many".parse().unwrap()));
    world.cache.apply(tainting(6, &[&tainted]));
    assert_eq!(world.issue_by(&leaf().0), ["many", "few", "idle"]);
}

#[tokio::test]
async fn a_server_that_signs_on_with_a_tainted_authority_is_not_asked_again_at_once() {
    let (old, tainted) = leaf();
    let world = World::by(&old, &["a"]);
    world.cache.apply(tainting(6, &[&tainted]));
    assert_eq!(world.issue_by(&old), ["a"]);
    assert_eq!((world.issue(), world.acknowledgeable()), (0, Some(5)));
    assert_eq!(world.cache.svid_count(), 1);
    world.clock.advance(TTL / 10);
    assert_eq!(world.issue_by(&leaf().0), ["a"]);
    assert_eq!(world.acknowledgeable(), Some(6));
}

#[tokio::test]
async fn an_agent_that_restarts_hears_the_list_again_and_replaces() {
    let ((old, tainted), (new, _)) = (leaf(), leaf());
    let world = World::new();
    let entry = entry("a", 1);
    world.cache.restore(super::super::saved::Restored {
        update: snapshot(5, vec![entry.clone()]),
        held: vec![signed(&entry, &old, world.clock.now())],
        is_complete: true,
        lists_epoch: None,
    });
    assert_eq!((world.cache.svid_count(), world.issue()), (1, 0));
    world.cache.apply(tainting(7, &[&tainted]));
    assert_eq!(world.issue_by(&new), ["a"]);
    assert_eq!(world.acknowledgeable(), Some(7));
}

#[tokio::test]
async fn the_commit_waits_for_every_kind_of_credential_and_only_for_the_list_as_it_is() {
    let (one, two) = (leaf().1, leaf().1);
    let world = World::with(&["a"]);
    let (tokens, node) = (world.cache.register_replacer(), world.cache.register_replacer());
    world.cache.apply(tainting(6, &[&one]));
    let first: Tainted = tokens.changes().borrow().clone();
    assert!(first.holds(&one));
    assert_eq!(world.acknowledgeable(), Some(5));
    tokens.replaced(&first);
    assert_eq!(world.acknowledgeable(), Some(5), "the node's own is not replaced");
    world.cache.apply(tainting(7, &[&one, &two]));
    node.replaced(&first);
    assert_eq!(world.acknowledgeable(), Some(5), "the list is another by now");
    let second = tokens.changes().borrow().clone();
    node.replaced(&second);
    assert_eq!(world.acknowledgeable(), Some(6), "the tokens of the second list are not replaced");
    drop(tokens);
    assert_eq!(world.acknowledgeable(), Some(7), "nobody holds tokens any more");
}
