//! How nodes join, renew and come back.

use std::time::Duration;

use tokio::task::JoinSet;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{NodeView, TokenCreated};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{NodeCredential, RENEWAL_GRACE_S, RenewExpiredRequest, possession_message};

use super::world::{DEADLINE, Key, Node, Stream, World, attest_request, code, until};
use crate::config::RawServerConfig;

async fn attest(world: &World, token: &TokenCreated, key: &Key) -> Result<NodeCredential, platform::client::CallError> {
    let connection = world.stranger(token).await;
    connection.post("/v1/node/attest", &attest_request(&connection, token, key), DEADLINE).await
}

#[tokio::test]
async fn a_node_joins_with_a_link_and_is_known_from_then_on() {
    let world = World::new().await;
    let node = world.node("web-1").await;
    assert_eq!(node.credential.spiffe_id.as_str(), "spiffe://example.org/troth/agent/join_token/web-1");
    assert_eq!(node.credential.expires_in_s, 86_400);
    let mut stream = Stream::open(&node.connect(&world).await, None).await.unwrap();
    stream.snapshot().await;
    let view: NodeView = world.admin.get("/v1/admin/nodes/web-1").await.unwrap();
    assert!(view.connected);
    assert_eq!(view.expires_at, node.credential.expires_at);
}

#[tokio::test]
async fn possession_that_is_not_proved_is_refused_and_uses_nothing_up() {
    let world = World::new().await;
    let token = world.token("a").await;
    let (key, other) = (Key::new(), Key::new());
    let connection = world.stranger(&token).await;
    let another_connection = world.stranger(&token).await;
    let good = attest_request(&connection, &token, &key);
    let evidence = token.token.expose().as_bytes();
    let message = |connection: &platform::tls::Connection, key: &Key, evidence: &[u8]| possession_message(connection.exporter(), &key.spki(), evidence);
    let cases = [
        ("another key signed", other.sign(&message(&connection, &key, evidence))),
        ("it was signed for another connection", key.sign(&message(&another_connection, &key, evidence))),
        ("it was signed for another token", key.sign(&message(&connection, &key, b"another"))),
        ("it is no signature", Base64(b"none".to_vec())),
        ("it is empty", Base64(Vec::new())),
    ];
    for (name, proof) in cases {
        let request = trust_domains::wire::node::AttestRequest { proof, ..good.clone() };
        assert_eq!(
            code(connection.post::<NodeCredential>("/v1/node/attest", &request, DEADLINE).await),
            Code::AttestationRefused,
            "{name}"
        );
    }
    assert!(
        connection.post::<NodeCredential>("/v1/node/attest", &good, DEADLINE).await.is_ok(),
        "the token is still good"
    );
}

#[tokio::test]
async fn a_token_is_for_one_key_until_it_ends() {
    let world = World::new().await;
    let token = world.token("a").await;
    let key = Key::new();
    let first = attest(&world, &token, &key).await.unwrap();
    let again = attest(&world, &token, &key).await.unwrap();
    assert_eq!(first.spiffe_id, again.spiffe_id, "a lost answer costs nothing");
    assert_eq!(code(attest(&world, &token, &Key::new()).await), Code::TokenUsed);
    Node {
        key: key.again(),
        credential: again,
    }
    .connect(&world)
    .await;
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(code(attest(&world, &token, &key).await), Code::TokenExpired);
}

#[tokio::test]
async fn an_unknown_or_deleted_token_is_refused() {
    let world = World::new().await;
    let (token, other) = (world.token("a").await, World::new().await.token("a").await);
    let unknown = TokenCreated {
        token: other.token.clone(),
        ..token.clone()
    };
    assert_eq!(code(attest(&world, &unknown, &Key::new()).await), Code::TokenUnknown);
    world.admin.delete::<()>(&format!("/v1/admin/tokens/{}", token.id)).await.unwrap();
    assert_eq!(code(attest(&world, &token, &Key::new()).await), Code::TokenUnknown);
    assert_eq!(
        code(world.admin.delete::<()>(&format!("/v1/admin/tokens/{}", token.id)).await),
        Code::TokenNotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_keys_at_once_exactly_one_wins_the_token() {
    let world = std::sync::Arc::new(World::new().await);
    let token = world.token("a").await;
    let mut attempts = JoinSet::new();
    for _ in 0..100 {
        let (world, token) = (world.clone(), token.clone());
        attempts.spawn(async move {
            let key = Key::new();
            let outcome = loop {
                match attest(&world, &token, &key).await {
                    // Strangers may do only so much at once: come again.
                    Err(error) if trust_domains::problem::Coded::code(&error) == Code::Overloaded => tokio::task::yield_now().await,
                    outcome => break outcome,
                }
            };
            outcome.map(|credential| Node { key, credential })
        });
    }
    let outcomes = attempts.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|outcome| {
        outcome
            .map(|_| ())
            .is_err_and(|error| trust_domains::problem::Coded::code(&error) == Code::TokenUsed)
    }));
    let winner = won.into_iter().next().unwrap().map_err(|error| error.to_string()).unwrap();
    Stream::open(&winner.connect(&world).await, None).await.unwrap();
}

#[tokio::test]
async fn a_renewed_key_replaces_the_old_one_at_its_first_use() {
    let world = World::new().await;
    let node = world.node("a").await;
    let old = node.connect(&world).await;
    let mut stream = Stream::open(&old, None).await.unwrap();
    stream.snapshot().await;
    assert_eq!(
        code(node.renew(&old, node.key.again()).await.map(|_| ())),
        Code::KeyUnacceptable,
        "a new key is a new one"
    );
    let renewed = node.renew(&old, Key::new()).await.unwrap();
    let once_more = node.renew(&old, Key::new()).await.unwrap();
    let lost = renewed.connect(&world).await;
    assert_eq!(code(Stream::open(&lost, None).await.map(|_| ())), Code::NodeUnknown, "the later renewal counts");
    let new = once_more.connect(&world).await;
    Stream::open(&new, None).await.unwrap();
    assert_eq!(
        stream.end().await,
        Code::ConnectionIdentityExpired,
        "the old stream ends by itself, and its agent connects again"
    );
    let late = node.connect(&world).await;
    assert_eq!(
        code(Stream::open(&late, None).await.map(|_| ())),
        Code::NodeUnknown,
        "a connection of the same moment may be the node's own"
    );
    Stream::open(&new, None).await.expect("the node is served on");
}

#[tokio::test]
async fn a_key_that_the_node_gave_up_shows_a_copy_and_bans_the_node() {
    let world = World::new().await;
    let node = world.node("a").await;
    let old = node.connect(&world).await;
    let renewed = node.renew(&old, Key::new()).await.unwrap();
    let new = renewed.connect(&world).await;
    let mut stream = Stream::open(&new, None).await.unwrap();
    stream.snapshot().await;
    assert_eq!(
        code(Stream::open(&old, None).await.map(|_| ())),
        Code::NodeUnknown,
        "an old connection is no copy"
    );
    world.clock.advance(Duration::from_secs(1));
    let copy = node.connect(&world).await;
    assert_eq!(code(Stream::open(&copy, None).await.map(|_| ())), Code::NodeBanned);
    assert_eq!(stream.end().await, Code::NodeBanned, "nobody can say which of the two is the node");
    let lawful = renewed.connect(&world).await;
    assert_eq!(code(Stream::open(&lawful, None).await.map(|_| ())), Code::NodeBanned);
}

#[tokio::test]
async fn a_copy_that_comes_back_after_its_end_shows_itself_too() {
    let world = World::new().await;
    let node = world.node("a").await;
    let renewed = node.renew(&node.connect(&world).await, Key::new()).await.unwrap();
    Stream::open(&renewed.connect(&world).await, None).await.unwrap();
    world.clock.advance(Duration::from_secs(2 * 86_400));
    let token = world.token("other").await;
    let connection = until(async || world.stranger_if_there(&token).await).await;
    let copy = renew_expired(&node, &connection, &Key::new());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &copy, DEADLINE).await),
        Code::NodeBanned
    );
    let late = renew_expired(&renewed, &connection, &Key::new());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &late, DEADLINE).await),
        Code::NodeBanned,
        "a ban comes before the grace"
    );
}

#[tokio::test]
async fn without_a_grace_period_an_ended_svid_is_renewed_for_nobody() {
    let world = World::with(RawServerConfig {
        renewal_grace: Some("0s".to_owned()),
        ..RawServerConfig::default()
    })
    .await;
    let node = world.node("a").await;
    world.clock.advance(Duration::from_secs(86_400 + 1));
    let token = world.token("other").await;
    let connection = until(async || world.stranger_if_there(&token).await).await;
    let late = renew_expired(&node, &connection, &Key::new());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &late, DEADLINE).await),
        Code::NodeExpired
    );
}

pub(super) fn renew_expired(node: &Node, connection: &platform::tls::Connection, new: &Key) -> RenewExpiredRequest {
    let message = possession_message(connection.exporter(), &new.spki(), &node.credential.chain[0].0);
    RenewExpiredRequest {
        chain: node.credential.chain.clone(),
        current_proof: node.key.sign(&message),
        public_key: Base64(new.spki()),
        proof: new.sign(&message),
    }
}

#[tokio::test]
async fn a_node_that_was_off_for_some_days_comes_back_by_itself() {
    let world = World::new().await;
    let node = world.node("a").await;
    let token = world.token("other").await;
    world.clock.advance(Duration::from_secs(3 * 86_400));
    assert!(node.try_connect(&world).await.is_err(), "the ended SVID opens no connection");
    let connection = until(async || world.stranger_if_there(&token).await).await;
    let (new, thief) = (Key::new(), Key::new());
    let good = renew_expired(&node, &connection, &new);
    let stolen = RenewExpiredRequest {
        current_proof: thief.sign(b"not the message"),
        ..good.clone()
    };
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &stolen, DEADLINE).await),
        Code::AttestationRefused
    );
    let credential = connection.post("/v1/node/renew-expired", &good, DEADLINE).await.unwrap();
    let back = Node { key: new, credential };
    Stream::open(&back.connect(&world).await, None).await.unwrap();
    let early = renew_expired(&back, &connection, &Key::new());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &early, DEADLINE).await),
        Code::InvalidRequest,
        "it has not ended"
    );
    let replayed = renew_expired(&node, &connection, &Key::new());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &replayed, DEADLINE).await),
        Code::NodeUnknown,
        "the old key is out"
    );
    world.clock.step_wall(i64::try_from(RENEWAL_GRACE_S).unwrap());
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/renew-expired", &good, DEADLINE).await),
        Code::NodeExpired
    );
}
