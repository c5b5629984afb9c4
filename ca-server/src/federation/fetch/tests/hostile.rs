//! Endpoints that want to hurt: none gets more than its time and its octets.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use trust_domains::problem::Code;

use super::serving::{Endpoint, Reply, with_headers};
use super::world::{World, web};

/// A world in which fetches take little time.
fn hurried() -> World {
    let mut world = World::new();
    world.settings.limits.deadline = Duration::from_millis(1_500);
    world.settings.limits.connect_deadline = Duration::from_millis(700);
    world
}

async fn refusal_of(world: &World, reply: Reply) -> (Code, String) {
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
    world.refused(&web(endpoint.port)).await
}

#[tokio::test]
async fn a_slow_answer_ends_with_the_time_of_the_fetch() {
    let world = hurried();
    for slow in ["", "HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n"] {
        let started = Instant::now();
        let (code, text) = refusal_of(&world, Reply::Slow(slow.to_owned())).await;
        // "HTTP" that is none from the first octet on shows at once.
        let expected = if slow.is_empty() {
            Code::EndpointAnswerUnexpected
        } else {
            Code::EndpointTimeout
        };
        assert_eq!(code, expected, "{slow:?}: {text}");
        assert!(started.elapsed() < Duration::from_secs(10), "{slow:?}");
    }
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_ends_with_the_time_of_the_fetch() {
    let world = hurried();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (code, text) = world.refused(&web(listener.local_addr().unwrap().port())).await;
    assert_eq!(code, Code::EndpointTimeout);
    assert!(text.contains("sent no whole answer within"), "{text}");
}

#[tokio::test]
async fn what_never_ends_is_cut_off() {
    let world = World::new();
    let piece = vec![b'x'; 4_096];
    let endless = |head: &str, piece: &[u8]| Reply::Endless(head.to_owned(), piece.to_vec());
    let hostile = [
        ("a body", endless("HTTP/1.1 200 OK\r\n\r\n", &piece)),
        (
            "a body that says how long it is",
            endless("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", &piece),
        ),
        (
            "chunks of one octet",
            endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        ),
        (
            "a chunk's extension",
            endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", &piece),
        ),
        ("trailers", endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n")),
        ("one header", endless("HTTP/1.1 200 OK\r\nx: ", &piece)),
        ("headers", endless("HTTP/1.1 200 OK\r\n", b"x: y\r\n")),
        ("interim answers", endless("", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        ("a status line", endless("HTTP/1.1 200 ", &piece)),
        ("no HTTP", endless("", &piece)),
    ];
    for (what, reply) in hostile {
        let (code, text) = refusal_of(&world, reply).await;
        assert!(
            matches!(code, Code::EndpointAnswerUnexpected | Code::EndpointDocumentTooLarge),
            "{what}: {code} {text}"
        );
    }
}

#[tokio::test]
async fn a_document_that_is_cut_short_is_none() {
    let world = World::new();
    for cut in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"keys\":[]}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{\"keys\":[]}\r\n",
        "HTTP/1.1 200 OK\r\ncontent-len",
        "",
    ] {
        let (code, text) = refusal_of(&world, Reply::Text(cut.to_owned())).await;
        assert_eq!(code, Code::EndpointUnreachable, "{cut}: {text}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_told_from_what_is_not_believed() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J").await.unwrap();
        stream
    });
    let (code, text) = world.refused(&web(port)).await;
    assert_eq!(code, Code::EndpointUnreachable, "{text}");
    drop(plain.await.unwrap());
    assert_eq!(world.refused(&web(port)).await.0, Code::EndpointUnreachable, "nobody listens any more");
}

#[tokio::test]
async fn what_a_partner_sends_to_a_terminal_does_not_arrive_there() {
    let world = World::new();
    let mut target = web(1);
    for headers in [
        "location: https://a\u{1b}[2J.test/\r\n".to_owned(),
        format!("location: http://{}/\r\n", "\u{202e}evil".repeat(300)),
        format!("location: http://{}/\r\n", "a".repeat(3_000)),
        format!("location: https://{}:444/\r\n", "a.".repeat(100)),
    ] {
        for redirects in [true, false] {
            let reply = with_headers("302 Found", &headers, "");
            let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
            target.url = web(endpoint.port).url;
            target.redirects = redirects;
            // What is shown is checked there.
            let _ = world.refused(&target).await;
        }
    }
}
