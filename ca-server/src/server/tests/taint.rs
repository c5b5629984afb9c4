//! A tainted authority: what nodes are told, what one with an SVID of it may still do, and what the server itself shows.

use std::time::Duration;

use trust_domains::plan::authority::{AuthorityId, AuthorityKind};
use trust_domains::plan::tainted::Tainted;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::wire::admin::Page;
use trust_domains::wire::authorities::{AuthorityView, ReplaceRequest, ReplacementView};
use trust_domains::wire::node::SyncMessage;
use trust_domains::{Revision, TrustBundle};

use super::world::{DEADLINE, Key, Node, Stream, World, acknowledge, code, issue, refusal};

/// Longer than the plan waits between two looks.
const PATIENCE: Duration = Duration::from_secs(40);

async fn order(world: &World) -> ReplacementView {
    let request = ReplaceRequest {
        kind: AuthorityKind::X509Issuing,
        compromised: true,
        because: "a test".to_owned(),
        dry_run: false,
    };
    world.admin.post("/v1/admin/authorities/replace", &request).await.unwrap()
}

fn roots(bundle: &trust_domains::SpiffeBundle) -> usize {
    TrustBundle::from(bundle.clone()).x509_authorities().len()
}

/// Reads on until a list of tainted authorities comes, and acknowledges everything before it, as an agent does that holds nothing of theirs. Returns the list,
/// and how many roots the bundle had by then.
async fn until_tainted(stream: &mut Stream, connection: &platform::tls::Connection) -> (Vec<AuthorityId>, usize) {
    let mut known = 0;
    loop {
        match stream.next().await.expect("the stream goes on") {
            SyncMessage::Delta { revision, bundle, tainted, .. } => {
                known = bundle.as_ref().map_or(known, roots);
                match tainted {
                    Some(list) if !list.is_empty() => return (list, known),
                    // The authority may be tainted before this node hears of it: then it is told so in answer to whatever it asks.
                    _ => match acknowledge(connection, revision).await {
                        Err(refused) if refused.code() == Code::NodeIssuerTainted => {}
                        acknowledged => acknowledged.unwrap(),
                    },
                }
            }
            SyncMessage::Heartbeat { .. } => {}
            other => panic!("a delta was expected, not {other:?}"),
        }
    }
}

async fn served_by(node: &Node, world: &World, tainted: &Tainted) -> platform::tls::Connection {
    let connecting = async {
        loop {
            let connection = node.connect(world).await;
            if !tainted.signed_certificate(&connection.peer_chain()[0]) {
                return connection;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("the server's own SVID is replaced")
}

#[tokio::test]
async fn under_a_tainted_authority_a_node_hears_of_it_renews_and_does_nothing_else() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let old = node.connect(&world).await;
    let mut stream = Stream::open(&old, None).await.unwrap();
    let (revision, _) = stream.snapshot().await;
    acknowledge(&old, revision).await.unwrap();
    let begun = order(&world).await;
    let (list, known) = tokio::time::timeout(PATIENCE, until_tainted(&mut stream, &old)).await.expect("a list");
    assert_eq!(known, 2, "the successor's root is known before anything of the old one is to be replaced");
    let tainted: Tainted = list.iter().cloned().collect();
    assert!(tainted.signed_certificate(&node.credential.chain[0].0));

    let key = Key::new();
    assert_eq!(code(issue(&old, &[(entry.id.clone(), &key)]).await), Code::NodeIssuerTainted);
    assert_eq!(code(Stream::open(&old, None).await.map(|_| ())), Code::NodeIssuerTainted);
    assert_eq!(code(acknowledge(&old, revision).await), Code::NodeIssuerTainted);

    let lost = node.renew(&old, Key::new()).await.unwrap();
    let renewed = node.renew(&old, Key::new()).await.expect("a lost answer locks nobody out");
    assert!(!tainted.signed_certificate(&renewed.credential.chain[0].0));
    let new = served_by(&renewed, &world, &tainted).await;
    let mut resumed = Stream::open(&new, None).await.unwrap();
    let Some(SyncMessage::Snapshot { tainted: told, revision, .. }) = resumed.next().await else {
        panic!("a snapshot was expected")
    };
    assert_eq!(told, list, "who comes back hears it too");
    let answer = issue(&new, &[(entry.id.clone(), &key)]).await.unwrap();
    assert_eq!(refusal(&answer.results[0]), None);
    // The renewed one is in use: the stream of the old one ended with that, and took its connection along.
    let refused = code(node.renew(&old, Key::new()).await.map(|_| ()));
    assert!(matches!(refused, Code::NodeUnknown | Code::CannotReach), "{refused:?}");
    drop(lost);

    let view = until_finished(&world, &begun, &new, &mut resumed, revision).await;
    assert_eq!(view.outcome, None, "{view:?}");
    let authorities: Page<AuthorityView> = world.admin.get("/v1/admin/authorities").await.unwrap();
    let signed = |id: &AuthorityId| {
        authorities
            .items
            .iter()
            .find(|authority| authority.id == *id)
            .and_then(|authority| authority.signed)
    };
    assert!(
        signed(&list[0]).is_some_and(|signed| signed >= 2),
        "the first server and node SVIDs: {:?}",
        authorities.items
    );
}

/// Acknowledges whatever comes until the replacement has come to its end.
async fn until_finished(
    world: &World,
    begun: &ReplacementView,
    connection: &platform::tls::Connection,
    stream: &mut Stream,
    first: Revision,
) -> ReplacementView {
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut revision = first;
    loop {
        acknowledge(connection, revision).await.unwrap();
        let all: Page<ReplacementView> = world.admin.get("/v1/admin/authorities/replacements").await.unwrap();
        let view = all.items.into_iter().find(|view| view.id == begun.id).unwrap();
        if view.finished_at.is_some() {
            return view;
        }
        assert!(tokio::time::Instant::now() < end, "it goes on: {view:?}");
        if let Ok(Some(SyncMessage::Delta { revision: next, .. } | SyncMessage::Heartbeat { revision: next, .. })) =
            tokio::time::timeout(DEADLINE, stream.next()).await
        {
            revision = next;
        }
    }
}
