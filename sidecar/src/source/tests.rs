use std::time::Duration;

use agent::workload_api::messages::X509svid;
use conformance::covers;
use platform::clock::SystemClock;
use tokio::sync::watch;
use tonic::Status;
use trust_domains::Timestamp;
use trust_domains::clock::Clock as _;

use super::testing::{FakeAgent, message, response};
use super::*;

fn read(svids: Vec<X509svid>) -> Result<X509Context, InvalidMessage> {
    X509Context::read(response(svids), SystemClock.now().wall)
}

#[covers("WAPI-06")]
#[test]
fn an_empty_field_means_that_and_not_what_an_earlier_message_said() {
    let hint = |message| read(vec![message]).unwrap().default_svid().hint().map(str::to_owned);
    assert_eq!(hint(message()).as_deref(), Some("main"));
    let without = X509svid {
        hint: String::new(),
        ..message()
    };
    assert_eq!(hint(without), None);
}

#[covers("WAPI-07", "WAPI-09")]
#[test]
fn a_message_without_a_mandatory_field_is_reported_and_not_used() {
    assert!(matches!(read(vec![]), Err(InvalidMessage::NoSvids)));
    /// Takes one field from a message.
    type Spoil = fn(&mut X509svid);
    let table: [(&str, Spoil); 6] = [
        ("no SPIFFE ID", |svid| svid.spiffe_id.clear()),
        ("another SPIFFE ID", |svid| svid.spiffe_id.push('x')),
        ("no chain", |svid| svid.x509_svid.clear()),
        ("no key", |svid| svid.x509_svid_key.clear()),
        ("the key of another", |svid| svid.x509_svid_key = message().x509_svid_key),
        ("no bundle", |svid| svid.bundle.clear()),
    ];
    for (what, change) in table {
        let mut broken = message();
        change(&mut broken);
        assert!(read(vec![message(), broken]).is_err(), "{what}");
    }
}

#[test]
fn a_certificate_that_has_ended_or_not_begun_is_not_used() {
    let at = |now| X509Context::read(response(vec![message()]), now);
    assert!(
        matches!(at(Timestamp::from_unix(0)), Err(InvalidMessage::Unverified(_))),
        "the usual certificate of a test begins in 1975"
    );
    assert!(
        matches!(at(Timestamp::from_unix(100_000_000_000)), Err(InvalidMessage::Unverified(_))),
        "and ends in 4096"
    );
}

#[test]
fn the_bundle_of_the_own_trust_domain_is_that_of_the_identity_whatever_the_partners_are_called() {
    let (own, other) = (message(), message());
    let mut update = response(vec![own]);
    update.federated_bundles.insert("spiffe://example.org".to_owned(), other.bundle.clone());
    update.federated_bundles.insert("spiffe://partner.test".to_owned(), other.bundle);
    let context = X509Context::read(update, SystemClock.now().wall).unwrap();
    let svid = context.default_svid();
    assert_eq!(context.bundles().of(&svid.spiffe_id().trust_domain()), Some(svid.bundle()));
    let partners: Vec<_> = context.bundles().federated().map(|bundle| bundle.trust_domain().to_string()).collect();
    assert_eq!(partners, ["partner.test"]);
}

/// Waits until the state is as wanted; a test that waits for ever is ended here.
async fn until(states: &mut watch::Receiver<SourceState>, wanted: impl FnMut(&SourceState) -> bool) -> SourceState {
    let waited = tokio::time::timeout(Duration::from_secs(60), states.wait_for(wanted)).await;
    waited.expect("the state came within a minute").unwrap().clone()
}

#[tokio::test]
async fn a_source_goes_on_when_the_agent_comes_back_and_keeps_what_it_has_until_then() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("workload.sock");
    let source = X509Source::connect(&socket, SystemClock::shared());
    let mut states = source.states();
    let away = until(&mut states, |state| state.trouble.is_some()).await;
    assert!(matches!(*away.trouble.unwrap(), SourceError::Connect { .. }) && away.context.is_none());

    let mut agent = FakeAgent::listen(&socket);
    let stream = agent.streams.recv().await.unwrap();
    stream.send(Ok(response(vec![message()]))).await.unwrap();
    let first = until(&mut states, |state| state.context.is_some()).await;
    assert!(first.trouble.is_none());
    let serial = *first.context.unwrap().default_svid().serial();

    stream.send(Err(Status::permission_denied("no entry of this node matches"))).await.unwrap();
    let denied = until(&mut states, |state| state.trouble.is_some()).await;
    assert!(denied.trouble.unwrap().is_denied());
    assert_eq!(*denied.context.unwrap().default_svid().serial(), serial, "what has not ended is kept");

    let stream = agent.streams.recv().await.unwrap();
    stream.send(Ok(response(vec![]))).await.unwrap();
    let invalid = until(&mut states, |state| state.trouble.as_ref().is_some_and(|trouble| !trouble.is_denied())).await;
    assert!(matches!(*invalid.trouble.unwrap(), SourceError::Invalid(InvalidMessage::NoSvids)));

    let stream = agent.streams.recv().await.unwrap();
    stream.send(Ok(response(vec![message()]))).await.unwrap();
    let again = until(&mut states, |state| state.trouble.is_none()).await;
    assert_ne!(*again.context.unwrap().default_svid().serial(), serial);
}
