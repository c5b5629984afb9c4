//! What a server finds again.

use trust_domains::wire::admin::{Count, NodeView, Page, TokenView};
use trust_domains::wire::node::SyncMessage;

use super::world::{Key, Node, Stream, World, acknowledge};

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
