//! What a node's stream tells it.

use trust_domains::problem::Code;
use trust_domains::wire::admin::{EntryChange, EntryDeleted, EntryView, NodeView, WaitOutcome, WaitRequest};
use trust_domains::wire::node::SyncMessage;

use super::world::{Stream, World, acknowledge, code, draft};

#[tokio::test]
async fn a_stream_starts_with_everything_and_goes_on_with_what_changes() {
    let world = World::new().await;
    let node = world.node("a").await;
    world.node("b").await;
    let first = world.entry("/first", "a").await;
    world.entry("/foreign", "b").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    assert_eq!(stream.snapshot().await.1, std::slice::from_ref(&first.id), "its own entries only");

    world.entry("/another-foreign", "b").await;
    let second = world.entry("/second", "a").await;
    assert_eq!(stream.delta().await, (second.revision, vec![second.id.clone()], vec![]));
    let change = EntryChange {
        hint: Some("blue".to_owned()),
        ..EntryChange::default()
    };
    let changed: EntryView = world.admin.patch(&format!("/v1/admin/entries/{}", first.id), &change).await.unwrap();
    assert_eq!(stream.delta().await, (changed.revision, vec![first.id.clone()], vec![]));
    let gone: EntryDeleted = world.admin.delete(&format!("/v1/admin/entries/{}", second.id)).await.unwrap();
    assert_eq!(stream.delta().await, (gone.revision, vec![], vec![second.id]));
    let change = EntryChange {
        parent_id: Some("b".to_owned()),
        ..EntryChange::default()
    };
    let moved: EntryView = world.admin.patch(&format!("/v1/admin/entries/{}", first.id), &change).await.unwrap();
    assert_eq!(
        stream.delta().await,
        (moved.revision, vec![], vec![first.id]),
        "an entry that moved to another node is gone here"
    );
}

#[tokio::test]
async fn a_lost_stream_resumes_where_it_was() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/first", "a").await;
    let lost = node.connect(&world).await;
    let mut stream = Stream::open(&lost, None).await.unwrap();
    let (shown, _) = stream.snapshot().await;
    drop((stream, lost));

    let missed = world.entry("/missed", "a").await;
    world.admin.delete::<EntryDeleted>(&format!("/v1/admin/entries/{}", entry.id)).await.unwrap();
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, Some(shown)).await.unwrap();
    let (revision, upserted, removed) = stream.delta().await;
    assert_eq!((upserted, removed), (vec![missed.id.clone()], vec![entry.id]));

    let mut stream = Stream::open(&connection, Some(revision)).await.unwrap();
    assert!(matches!(stream.next().await, Some(SyncMessage::Current { .. })), "nothing was missed");

    let other_epoch = trust_domains::Revision {
        epoch: revision.epoch ^ 1,
        ..revision
    };
    let future = trust_domains::Revision {
        counter: revision.counter + 1_000,
        ..revision
    };
    for elsewhere in [other_epoch, future] {
        let mut stream = Stream::open(&connection, Some(elsewhere)).await.unwrap();
        assert_eq!(
            stream.snapshot().await.1,
            std::slice::from_ref(&missed.id),
            "{elsewhere} is no place to resume at"
        );
    }
}

#[tokio::test]
async fn a_place_to_resume_at_that_is_none_is_refused() {
    let world = World::new().await;
    let connection = world.node("a").await.connect(&world).await;
    for query in ["?epoch=1&after=2", "?after=2", "?epoch=0000000000000001", "?epoch=0000000000000001&after=-1"] {
        let outcome = connection.lines(&format!("/v1/node/sync{query}"), super::world::DEADLINE).await;
        assert_eq!(code(outcome), Code::InvalidRequest, "{query}");
    }
}

#[tokio::test]
async fn a_snapshot_of_many_entries_comes_in_parts() {
    let world = World::new().await;
    let node = world.node("a").await;
    let drafts = (0..2_500).map(|number| draft(&format!("/w/{number}"), "a")).collect();
    assert_eq!(world.create(drafts).await.unwrap().entries.len(), 2_500);
    let mut stream = Stream::open(&node.connect(&world).await, None).await.unwrap();
    let mut parts = Vec::new();
    loop {
        let Some(SyncMessage::Snapshot { entries, bundle, last, .. }) = stream.next().await else {
            panic!("a part of a snapshot was expected")
        };
        assert_eq!(bundle.is_some(), last);
        parts.push(entries.len());
        if last {
            break;
        }
    }
    assert_eq!(parts, [1_000, 1_000, 500]);
}

#[tokio::test]
async fn a_third_stream_ends_the_first() {
    let world = World::new().await;
    let connection = world.node("a").await.connect(&world).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = Stream::open(&connection, None).await.unwrap();
        stream.snapshot().await;
        streams.push(stream);
    }
    assert_eq!(streams[0].end().await, Code::TooManyRequests);
    let entry = world.entry("/web", "a").await;
    for stream in &mut streams[1..] {
        assert_eq!(stream.delta().await.1, std::slice::from_ref(&entry.id));
    }
}

#[tokio::test]
async fn a_ban_ends_the_stream_at_once_and_the_connection_with_it() {
    let world = World::new().await;
    let node = world.node("a").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    stream.snapshot().await;
    let banned: NodeView = world.admin.post("/v1/admin/nodes/a/ban", &()).await.unwrap();
    assert_eq!(banned.state, trust_domains::node::NodeState::Banned);
    assert_eq!(stream.end().await, Code::NodeBanned);
    assert_eq!(code(Stream::open(&node.connect(&world).await, None).await.map(|_| ())), Code::NodeBanned);
    let rejected = super::world::Node::join(&world, &refused_token(&world).await, super::world::Key::new())
        .await
        .map(|_| ());
    assert_eq!(code(rejected), Code::TokenUnknown, "no link was made for a banned node");
    world.admin.post::<NodeView>("/v1/admin/nodes/a/evict", &()).await.unwrap();
    world.node("a").await;
}

/// A banned node gets no link; what is returned is the link of another trust domain.
async fn refused_token(world: &World) -> trust_domains::wire::admin::TokenCreated {
    let request = trust_domains::wire::admin::TokenRequest {
        ttl_s: 60,
        node_id: Some("a".parse().unwrap()),
    };
    let refused = world.admin.post::<trust_domains::wire::admin::TokenCreated>("/v1/admin/tokens", &request).await;
    assert_eq!(code(refused), Code::NodeBanned);
    let own = world.token("b").await;
    trust_domains::wire::admin::TokenCreated {
        token: World::new().await.token("b").await.token,
        ..own
    }
}

#[tokio::test]
async fn an_evicted_node_and_one_that_leaves_lose_their_streams_and_keep_their_entries() {
    let world = World::new().await;
    for (name, leaves) in [("evicted", false), ("leaving", true)] {
        let node = world.node(name).await;
        let entry = world.entry("/web", name).await;
        let connection = node.connect(&world).await;
        let mut stream = Stream::open(&connection, None).await.unwrap();
        stream.snapshot().await;
        if leaves {
            connection.post::<()>("/v1/node/leave", &(), super::world::DEADLINE).await.unwrap();
        } else {
            world.admin.post::<NodeView>(&format!("/v1/admin/nodes/{name}/evict"), &()).await.unwrap();
        }
        assert_eq!(stream.end().await, Code::NodeUnknown, "{name}");
        assert_eq!(code(world.admin.get::<NodeView>(&format!("/v1/admin/nodes/{name}")).await), Code::NodeNotFound);
        let back = world.node(name).await;
        let mut stream = Stream::open(&back.connect(&world).await, None).await.unwrap();
        assert_eq!(stream.snapshot().await.1, [entry.id], "{name}");
    }
}

#[tokio::test]
async fn a_writer_can_wait_until_the_nodes_concerned_show_the_change() {
    let world = World::new().await;
    let (one, _away) = (world.node("one").await, world.node("away").await);
    let connection = one.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    acknowledge(&connection, stream.snapshot().await.0).await.unwrap();
    let entry = world.entry("/web", "one").await;
    let nodes = ["one", "away"]
        .map(|name| format!("spiffe://example.org/troth/agent/join_token/{name}").parse().unwrap())
        .to_vec();
    let wait = |timeout_s| WaitRequest {
        revision: entry.revision,
        nodes: nodes.clone(),
        timeout_s,
    };

    let late: WaitOutcome = world.admin.post("/v1/admin/wait", &wait(0)).await.unwrap();
    assert_eq!((late.missing.len(), late.acknowledged.len(), late.away.len()), (1, 0, 1));
    assert_eq!(late.missing[0].as_str(), "one");
    let waiting = async { world.admin.post::<WaitOutcome>("/v1/admin/wait", &wait(20)).await.unwrap() };
    let acknowledging = async { acknowledge(&connection, stream.delta().await.0).await.unwrap() };
    let (done, ()) = tokio::join!(waiting, acknowledging);
    assert_eq!((done.missing.len(), done.acknowledged.len(), done.away.len()), (0, 1, 1));

    let future = trust_domains::Revision {
        counter: entry.revision.counter + 1_000,
        ..entry.revision
    };
    assert_eq!(
        code(acknowledge(&connection, future).await),
        Code::InvalidRequest,
        "what was never sent is not acknowledged"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_many_entries_is_told_whole_before_anybody_can_acknowledge_it() {
    const MANY: usize = 400;
    let world = World::new().await;
    let node = world.node("a").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    stream.snapshot().await;
    for round in 0..10 {
        let drafts = (0..MANY).map(|number| draft(&format!("/{round}/{number}"), "a")).collect();
        let revision = world.create(drafts).await.unwrap().revision;
        let mut told = 0;
        loop {
            let (shown, upserted, _) = stream.delta().await;
            told += upserted.len();
            if shown.includes(revision) {
                break;
            }
        }
        assert_eq!(told, MANY, "the rest of the commit came after what acknowledges it");
    }
}
