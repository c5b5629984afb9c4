//! Requests to real listeners.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use trust_domains::delivery::Part;

use super::*;

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads one request's head and says `answer` to it.
async fn answer_once(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    // The client may have heard enough before the end.
    let _ = stream.write_all(&answer).await;
    String::from_utf8(head).unwrap()
}

/// Serves every connection with the same answer; what was asked is kept.
async fn service(answer: impl Into<Vec<u8>>) -> (SocketAddress, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, answer) = (listener.local_addr().unwrap().port(), answer.into());
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn({
        let asked = asked.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let head = answer_once(stream, answer.clone()).await;
                asked.lock().unwrap().push(head);
            }
        }
    });
    (port, asked)
}

/// Whoever runs these tests.
fn own() -> u32 {
    nix::unistd::Uid::effective().as_raw()
}

fn new() -> Changed {
    [Part::Bundle, Part::Svid].into_iter().collect()
}

/// A port on loopback.
type SocketAddress = u16;

fn hook(port: u16) -> HttpHook {
    HttpHook::new(format!("http://127.0.0.1:{port}/reload?now").parse().unwrap(), HttpMethod::default())
}

#[tokio::test]
async fn a_service_that_answers_2xx_was_reloaded_by_one_request_without_a_body() {
    let (port, asked) = service("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(hook(port).perform(&new(), own(), PATIENCE).await.unwrap(), StatusCode::NO_CONTENT);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /reload?now HTTP/1.1\r\n"), "{}", asked[0]);
    let head = asked[0].to_ascii_lowercase();
    assert!(
        head.contains(&format!("host: 127.0.0.1:{port}\r\n")) && head.contains("content-length: 0\r\n") && head.contains("troth-changed: svid,bundle\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn a_unix_socket_is_asked_as_a_port_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reload.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let served = tokio::spawn(async move { answer_once(listener.accept().await.unwrap().0, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()).await });
    let hook = HttpHook::new(format!("unix:{}:/-/reload", path.display()).parse().unwrap(), "PUT".parse().unwrap());
    assert_eq!(hook.perform(&new(), own(), PATIENCE).await.unwrap(), StatusCode::OK);
    assert!(served.await.unwrap().starts_with("PUT /-/reload HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (elsewhere, asked_elsewhere) = service("HTTP/1.1 200 OK\r\n\r\n").await;
    let (port, _) = service(format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{elsewhere}/\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let refused = hook(port).perform(&new(), own(), PATIENCE).await.unwrap_err();
    assert!(matches!(refused, HttpHookError::Answer { status: StatusCode::FOUND, .. }), "{refused}");
    assert!(asked_elsewhere.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_a_service_says_of_its_failure_is_told_on_one_line_and_in_part() {
    let said = format!("cannot read\r\n\u{7}key {}", "x".repeat(1_000));
    let (port, _) = service(format!("HTTP/1.1 500 Oh\r\ncontent-length: {}\r\n\r\n{said}", said.len())).await;
    let refused = hook(port).perform(&new(), own(), PATIENCE).await.unwrap_err();
    assert_eq!(refused.code(), Code::HookAnswerUnexpected);
    let text = refused.to_string();
    assert!(text.contains("answered 500") && text.contains(": cannot read   key xxx"), "{text}");
    assert!(text.len() < TOLD + 100 && !text.contains("now"), "neither all of it, nor the query: {text}");
}

#[tokio::test]
async fn an_endless_answer_is_read_in_part_and_one_that_never_comes_is_given_up() {
    let endless = [b"HTTP/1.1 503 Busy\r\n\r\n".to_vec(), vec![b'x'; 4 * LONGEST_ANSWER]].concat();
    let (port, _) = service(endless).await;
    let refused = hook(port).perform(&new(), own(), PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, HttpHookError::Answer { said, .. } if said.is_empty()), "{refused}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = hook(listener.local_addr().unwrap().port())
        .perform(&new(), own(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(refused, HttpHookError::TimedOut { .. }), "{refused}");
}

#[tokio::test]
async fn a_service_that_is_not_there_or_speaks_no_http_cannot_be_asked() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = hook(port).perform(&new(), own(), PATIENCE).await.unwrap_err();
    assert_eq!(refused.code(), Code::CannotReach);
    assert!(refused.hint().contains(&format!("127.0.0.1:{port}/reload")), "{}", refused.hint());
    for nonsense in ["220 mail ready\r\n\r\n", ""] {
        let (port, _) = service(nonsense).await;
        let refused = hook(port).perform(&new(), own(), PATIENCE).await.unwrap_err();
        assert!(matches!(refused, HttpHookError::Lost { .. }), "{nonsense:?}: {refused}");
    }
    let (port, _) = service(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(2 * LONGEST_HEAD))).await;
    assert!(hook(port).perform(&new(), own(), PATIENCE).await.is_err(), "a head without end");
}

#[test]
fn methods_that_are_none_of_a_reload_are_refused() {
    for method in ["DELETE", "post", "GET / HTTP/1.1\r\nX: y", "", "CONNECT"] {
        let found = method.to_owned();
        assert_eq!(method.parse::<HttpMethod>(), Err(ParseHttpMethodError { found }));
    }
}
