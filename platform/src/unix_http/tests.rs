use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use trust_domains::problem::{Code, Coded, Problem};

use super::{UnixHttpClient, UnixLimits, serve_unix};
use crate::client::CallError;
use crate::sockets::{PeerCredentials, SocketPath, UnixSocketGuard, bind_unix};
use crate::trace::{ApiError, ApiJson, edge};

struct World {
    client: UnixHttpClient,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<()>,
    _guard: UnixSocketGuard,
    _dir: tempfile::TempDir,
}

fn world(limits: UnixLimits) -> World {
    let dir = tempfile::tempdir().unwrap();
    let socket = SocketPath::new(&dir.path().join("s/admin.sock")).unwrap();
    let (listener, guard) = bind_unix(&socket, 0o600).unwrap();
    let router = edge(
        Router::new()
            .route(
                "/whoami",
                get(|Extension(peer): Extension<PeerCredentials>| async move { ApiJson::<_>(json!({ "uid": peer.uid })) }),
            )
            .route("/echo", post(|ApiJson(value): ApiJson<Value>| async move { ApiJson::<_>(value) }))
            .route("/gone", post(|| async { http::StatusCode::NO_CONTENT }))
            .route("/refuse", get(|| async { Err::<(), _>(ApiError::new(Problem::new(Code::NodeBanned, "no"))) }))
            .route("/lines", get(|| async { Body::from("{\"n\":1}\n{\"n\":2}\n") }))
            .route("/torn", get(|| async { Body::from("{\"n\":1}\n{\"n\"") }))
            .route("/hang", get(std::future::pending::<()>)),
    );
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve_unix(listener, router, limits, shutdown.clone()));
    World {
        client: UnixHttpClient::new(socket, Duration::from_secs(20)),
        shutdown,
        server,
        _guard: guard,
        _dir: dir,
    }
}

#[tokio::test]
async fn calls_are_answered_and_the_caller_is_known() {
    let world = world(UnixLimits::default());
    let whoami: Value = world.client.get("/whoami").await.unwrap();
    assert_eq!(whoami["uid"], crate::process::effective_uid());
    let echo: Value = world.client.post("/echo", &json!({"a": [1]})).await.unwrap();
    assert_eq!(echo, json!({"a": [1]}));
    let () = world.client.post("/gone", &json!({})).await.unwrap();
}

#[tokio::test]
async fn a_refusal_arrives_as_its_problem() {
    let world = world(UnixLimits::default());
    let error = world.client.get::<Value>("/refuse").await.unwrap_err();
    assert_eq!(error.code(), Code::NodeBanned);
    let CallError::Refused(problem) = error else { panic!("{error}") };
    assert!(problem.trace_id.is_some());
    assert_eq!(world.client.get::<Value>("/nowhere").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn lines_arrive_one_by_one_and_a_torn_one_is_told() {
    let world = world(UnixLimits::default());
    let mut lines = world.client.lines("/lines").await.unwrap();
    assert_eq!(lines.next::<Value>().await.unwrap(), Some(json!({"n": 1})));
    assert_eq!(lines.next::<Value>().await.unwrap(), Some(json!({"n": 2})));
    assert_eq!(lines.next::<Value>().await.unwrap(), None);
    let mut torn = world.client.lines("/torn").await.unwrap();
    torn.next::<Value>().await.unwrap();
    assert!(matches!(torn.next::<Value>().await, Err(CallError::NotExpected { .. })));
}

#[tokio::test]
async fn nobody_at_the_socket_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let client = UnixHttpClient::new(SocketPath::new(&dir.path().join("none.sock")).unwrap(), Duration::from_secs(20));
    assert_eq!(client.get::<Value>("/whoami").await.unwrap_err().code(), Code::CannotReach);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let world = world(UnixLimits::default());
    let giant = [b"GET /".to_vec(), vec![b'a'; 1 << 20]].concat();
    let junk = (0..=255_u8).cycle().take(1 << 16).collect::<Vec<_>>();
    for garbage in [
        b"\0\0\0".to_vec(),
        junk,
        giant,
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ] {
        let mut stream = UnixStream::connect(world.client.socket().path()).await.unwrap();
        // The server may close before all is written.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < 4_096);
        let _: Value = world.client.get("/whoami").await.unwrap();
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let world = world(UnixLimits { connections: 1 });
    let held = UnixStream::connect(world.client.socket().path()).await.unwrap();
    let mut refused = UnixStream::connect(world.client.socket().path()).await.unwrap();
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
    drop(held);
}

#[tokio::test]
async fn shutdown_ends_requests_that_hang() {
    let world = world(UnixLimits::default());
    let client = world.client.clone();
    let hanging = tokio::spawn(async move { client.get::<Value>("/hang").await });
    let _: Value = world.client.get("/whoami").await.unwrap();
    world.shutdown.cancel();
    world.server.await.unwrap();
    assert_eq!(hanging.await.unwrap().unwrap_err().code(), Code::CannotReach);
}
