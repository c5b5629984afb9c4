//! Whoever should get nothing.

use platform::tls::ServerTrust;
use trust_domains::clock::Clock as _;
use trust_domains::problem::Code;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResult, NodeCredential, SyncMessage};

use super::world::{DEADLINE, Key, Node, Stream, World, acknowledge, code, issue};

#[tokio::test]
async fn without_a_certificate_nothing_but_joining_is_answered() {
    let world = World::new().await;
    let token = world.token("a").await;
    let connection = world.stranger(&token).await;
    assert_eq!(code(Stream::open(&connection, None).await.map(|_| ())), Code::NodeRequired);
    assert_eq!(code(issue(&connection, &[]).await), Code::NodeRequired);
    for path in ["/v1/node/leave", "/v1/node/renew", "/v1/node/ack"] {
        assert_eq!(code(connection.post::<()>(path, &(), DEADLINE).await), Code::NodeRequired, "{path}");
    }
    assert_eq!(
        code(connection.post::<()>("/v1/admin/nodes/a/ban", &(), DEADLINE).await),
        Code::NotFound,
        "the admin API is not there"
    );
}

#[tokio::test]
async fn a_workloads_svid_does_not_pose_as_an_agent() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let key = Key::new();
    let response = issue(&node.connect(&world).await, &[(entry.id.clone(), &key)]).await.unwrap();
    let IssueResult::Issued(issued) = &response.results[0] else {
        panic!("it was issued")
    };
    let chain = vec![issued.leaf.clone(), response.issuers[0].clone()];
    let workload = Node {
        key,
        credential: NodeCredential {
            chain,
            ..node.credential.clone()
        },
    };
    let connection = workload.connect(&world).await;
    assert_eq!(code(Stream::open(&connection, None).await.map(|_| ())), Code::NodeUnknown);
    assert_eq!(code(issue(&connection, &[(entry.id, &Key::new())]).await), Code::NodeUnknown);
    assert_eq!(code(workload.renew(&connection, Key::new()).await.map(|_| ())), Code::NodeUnknown);
}

#[tokio::test]
async fn a_certificate_from_another_ca_opens_no_connection() {
    let world = World::new().await;
    let token = world.token("a").await;
    // Another server of a trust domain of the same name: the same SPIFFE IDs under another root.
    let elsewhere = World::new().await;
    let foreign = elsewhere.node("a").await;
    let trust = ServerTrust::Roots {
        trust_domain: token.link.trust_domain.clone(),
        roots: token.link.roots().to_vec(),
    };
    let identity = foreign.key.identity(&foreign.credential.chain);
    match world.connect(Some(&identity), trust).await {
        Err(_) => {}
        // The refusal may arrive only with the first call.
        Ok(connection) => assert!(Stream::open(&connection, None).await.is_err()),
    }
}

#[tokio::test]
async fn a_server_with_another_root_is_not_believed() {
    let (world, elsewhere) = (World::new().await, World::new().await);
    let token = elsewhere.token("a").await;
    let trust = ServerTrust::Roots {
        trust_domain: token.link.trust_domain.clone(),
        roots: token.link.roots().to_vec(),
    };
    assert!(world.connect(None, trust).await.is_err());
}

#[tokio::test]
async fn a_nodes_certificate_ends_its_stream_when_it_ends() {
    let world = World::new().await;
    let node = world.node("a").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    let (revision, _) = stream.snapshot().await;
    world.clock.advance(std::time::Duration::from_secs(node.credential.expires_in_s));
    assert!(world.clock.now().wall >= node.credential.expires_at);
    assert_eq!(code(acknowledge(&connection, revision).await), Code::ConnectionIdentityExpired);
    world.entry("/web", "a").await;
    match stream.next().await {
        Some(SyncMessage::End { problem }) => assert_eq!(problem.code(), Code::ConnectionIdentityExpired),
        other => panic!("the end was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn bad_input_is_refused_with_its_reason_and_changes_nothing() {
    let world = World::new().await;
    let token = world.token("a").await;
    let connection = world.stranger(&token).await;
    let send = async |path: &str, media: &str, body: Vec<u8>| {
        let request = http::Request::post(path)
            .header("content-type", media)
            .body(http_body_util::Full::new(body.into()))
            .unwrap();
        let response = connection.send(request).await.unwrap();
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("trace-id"));
        status
    };
    let deep = [b"{\"evidence\":".as_slice(), &[b'['; 10_000]].concat();
    assert_eq!(send("/v1/node/attest", "application/json", deep).await, 400);
    assert_eq!(send("/v1/node/attest", "application/json", vec![b' '; 300 * 1024]).await, 413);
    assert_eq!(send("/v1/node/attest", "text/plain", b"{}".to_vec()).await, 415);
    assert_eq!(send("/v1/node/nothing", "application/json", b"{}".to_vec()).await, 404);
    let mut off_curve = super::world::attest_request(&connection, &token, &Key::new());
    let mut spki = off_curve.public_key.0.clone();
    *spki.last_mut().unwrap() ^= 1;
    off_curve.public_key = Base64(spki);
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/attest", &off_curve, DEADLINE).await),
        Code::KeyUnacceptable
    );
    Node::join(&world, &token, Key::new()).await.map_err(|error| error.to_string()).unwrap();
}
