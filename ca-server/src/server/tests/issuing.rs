//! Certificates for the workloads of a node.

use rustls::pki_types::CertificateDer;
use trust_domains::clock::Clock as _;
use trust_domains::problem::Code;
use trust_domains::wire::audit::{AuditEvent, AuditRecord};
use trust_domains::wire::node::{IssueResult, MAX_ISSUE_BATCH};
use trust_domains::x509::verify_svid;

use super::world::{Key, World, code, issue, refusal};

#[tokio::test]
async fn a_node_gets_certificates_for_its_own_entries_and_for_no_other() {
    let world = World::new().await;
    let node = world.node("a").await;
    world.node("b").await;
    let (own, foreign) = (world.entry("/web", "a").await, world.entry("/db", "b").await);
    let connection = node.connect(&world).await;
    let keys = [Key::new(), Key::new(), Key::new()];
    let nowhere = "00000000000000000000000000000000".parse().unwrap();
    let response = issue(&connection, &[(own.id.clone(), &keys[0]), (foreign.id, &keys[1]), (nowhere, &keys[2])])
        .await
        .unwrap();
    let codes: Vec<_> = response.results.iter().map(refusal).collect();
    assert_eq!(codes, [None, Some(Code::EntryNotOfNode), Some(Code::EntryNotOfNode)]);

    let IssueResult::Issued(issued) = &response.results[0] else {
        panic!("it was issued")
    };
    assert_eq!(issued.entry_revision, own.revision);
    let chain = [&issued.leaf, &response.issuers[issued.issuer]].map(|der| CertificateDer::from(der.0.clone()));
    let peer = verify_svid(&chain, node.credential.bundle.bundle(), world.clock.now().wall).unwrap();
    assert_eq!(peer.spiffe_id(), &own.spiffe_id);
    assert_eq!(peer.leaf().spki(), keys[0].spki());

    let mut lines = world.admin.lines("/v1/admin/audit").await.unwrap();
    let mut recorded = Vec::new();
    while let Some(record) = lines.next::<AuditRecord>().await.unwrap() {
        if let AuditEvent::Issued(issuance) = record.event {
            recorded.push(issuance);
        }
    }
    let of_leaf = recorded.iter().find(|issuance| issuance.serial == issued.serial).unwrap();
    assert_eq!(of_leaf.entry.as_ref(), Some(&own.id));
    assert!(recorded.iter().all(|issuance| issuance.spiffe_id.as_str() != "spiffe://example.org/db"));
}

#[tokio::test]
async fn a_batch_has_its_limit() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let connection = node.connect(&world).await;
    let keys: Vec<_> = (0..=MAX_ISSUE_BATCH).map(|_| Key::new()).collect();
    let requests: Vec<_> = keys.iter().map(|key| (entry.id.clone(), key)).collect();
    assert_eq!(code(issue(&connection, &requests).await), Code::BatchTooLarge);
    let full = issue(&connection, &requests[..MAX_ISSUE_BATCH]).await.unwrap();
    assert!(full.results.iter().all(|result| refusal(result).is_none()));
}
