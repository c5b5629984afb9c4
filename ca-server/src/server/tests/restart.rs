//! What a server finds again.

use std::time::Duration;

use trust_domains::problem::{Code, Coded as _};
use trust_domains::wire::admin::{Count, NodeView, Page, TokenView};
use trust_domains::wire::node::{NodeCredential, SyncMessage};

use super::attestation::renew_expired;
use super::world::{DEADLINE, Key, Node, Stream, World, acknowledge};

#[tokio::test]
async fn a_restarted_server_knows_its_nodes_entries_and_tokens_and_agents_resume() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let token = world.token("b").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    let (revision, _) = stream.snapshot().await;
    acknowledge(&connection, revision).await.unwrap();
    let world = world.restarted().await;
    assert!(matches!(stream.next().await, Some(SyncMessage::End { .. }) | None), "a stop ends the streams");

    let view: NodeView = world.admin.get("/v1/admin/nodes/a").await.unwrap();
    assert!(!view.connected && view.acknowledged.is_none());
    assert_eq!(world.admin.get::<Count>("/v1/admin/entries/count").await.unwrap().count, 1);
    let tokens: Page<TokenView> = world.admin.get("/v1/admin/tokens").await.unwrap();
    assert_eq!(
        tokens.items.iter().map(|token| (token.node_id.as_str(), token.used)).collect::<Vec<_>>().len(),
        2
    );
    Node::join(&world, &token, Key::new()).await.map_err(|error| error.to_string()).unwrap();

    let mut stream = Stream::open(&node.connect(&world).await, Some(revision)).await.unwrap();
    match stream.next().await {
        Some(SyncMessage::Snapshot { entries, .. }) => assert_eq!(entries[0].id, entry.id),
        Some(SyncMessage::Delta { upserted, bundle, .. }) => assert!(upserted.is_empty() && bundle.is_some()),
        other => panic!("the stream was expected to resume, not {other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_was_off_for_months_heals_and_tells_nodes_what_they_need() {
    let world = World::new().await;
    let node = world.node("a").await;
    world.entry("/web", "a").await;
    let (directory, clock) = world.stopped().await;
    clock.advance(Duration::from_secs(100 * 86_400));
    let world = World::started(directory, clock).await;

    let token = world.token("b").await;
    let connection = world.stranger(&token).await;
    let late = renew_expired(&node, &connection, &Key::new());
    let refused = connection.post::<NodeCredential>("/v1/node/renew-expired", &late, DEADLINE).await.unwrap_err();
    assert_eq!(refused.code(), Code::NodeExpired);
    assert!(refused.hint().contains("troth token create"), "{}", refused.hint());

    // With a new link the node of that name gets its entries again.
    let again = world.node("a").await;
    let mut stream = Stream::open(&again.connect(&world).await, None).await.unwrap();
    let (revision, entries) = stream.snapshot().await;
    assert_eq!(entries.len(), 1);
    acknowledge(&again.connect(&world).await, revision).await.unwrap();
}
