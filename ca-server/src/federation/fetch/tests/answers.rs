//! What counts as an answer.

use trust_domains::problem::Code;

use super::super::{Content, FetchTarget};
use super::serving::{Endpoint, Reply, ok, with_headers};
use super::world::{LIMIT, World, web};

/// What an endpoint that answers so comes to.
async fn refusal_of(world: &World, reply: Reply) -> (Code, String) {
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
    world.refused(&web(endpoint.port)).await
}

#[tokio::test]
async fn only_200_brings_a_document() {
    let world = World::new();
    for status in [
        "201 Created",
        "204 No Content",
        "206 Partial Content",
        "300 Multiple Choices",
        "304 Not Modified",
        "403 Forbidden",
        "404 Not Found",
        "503 Service Unavailable",
        "999 Huh",
    ] {
        let (code, text) = refusal_of(&world, with_headers(status, "", "")).await;
        assert_eq!(code, Code::EndpointAnswerUnexpected, "{status}: {text}");
        assert!(text.contains(status.split(' ').next().unwrap()), "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_that_has_the_same_document_still_sends_none() {
    let world = World::new();
    let mut endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |count| match count {
        0 => with_headers("200 OK", "etag: \"v1\"\r\n", "the bundle"),
        1 => Reply::Text("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()),
        _ => with_headers("200 OK", "etag: W/\"v2\"\r\n", "another"),
    })
    .await;
    let mut target = web(endpoint.port);
    let first = world.fetch(&target).await.unwrap();
    assert_eq!(first.etag.as_deref(), Some("\"v1\""));
    target.etag = first.etag;
    let second = world.fetch(&target).await.unwrap();
    assert_eq!(second.content, Content::NotModified);
    assert_eq!(second.etag.as_deref(), Some("\"v1\""));
    let third = world.fetch(&target).await.unwrap();
    assert_eq!(third.content, Content::Document("another".into()));
    assert_eq!(third.etag.as_deref(), Some("W/\"v2\""));
    let asked: Vec<_> = endpoint.seen().into_iter().map(|seen| seen.head.contains("if-none-match: \"v1\"")).collect();
    assert_eq!(asked, [false, true, true]);
}

#[tokio::test]
async fn a_tag_that_is_too_long_or_not_printable_is_not_kept() {
    let world = World::new();
    for tag in ["x".repeat(1_025), "caf\u{e9}".to_owned()] {
        let reply = with_headers("200 OK", &format!("etag: \"{tag}\"\r\n"), "the bundle");
        let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
        assert_eq!(world.fetch(&web(endpoint.port)).await.unwrap().etag, None);
    }
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let odd = FetchTarget {
        etag: Some("\r\ncookie: a".to_owned()),
        ..web(endpoint.port)
    };
    assert_eq!(world.document(&odd).await, "the bundle", "it is not sent");
}

#[tokio::test]
async fn a_document_of_the_limit_comes_and_one_octet_more_does_not() {
    let world = World::new();
    let (fits, long) = ("x".repeat(LIMIT), "x".repeat(LIMIT + 1));
    let chunked = |body: &str| {
        Reply::Text(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ))
    };
    let to_the_end = |body: &str| Reply::Text(format!("HTTP/1.1 200 OK\r\n\r\n{body}"));
    for (good, bad) in [(ok(&fits), ok(&long)), (chunked(&fits), chunked(&long)), (to_the_end(&fits), to_the_end(&long))] {
        let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| good.clone()).await;
        assert_eq!(world.document(&web(endpoint.port)).await.len(), LIMIT);
        let (code, text) = refusal_of(&world, bad).await;
        assert_eq!(code, Code::EndpointDocumentTooLarge);
        assert!(text.contains("more than the 10000 bytes"), "{text}");
    }
}

#[tokio::test]
async fn a_compressed_document_is_not_taken() {
    let world = World::new();
    for encoding in ["gzip", "br", "identity, gzip"] {
        let reply = with_headers("200 OK", &format!("content-encoding: {encoding}\r\n"), "x");
        let (code, text) = refusal_of(&world, reply).await;
        assert_eq!(code, Code::EndpointAnswerUnexpected);
        assert!(text.contains("compressed"), "{text}");
    }
    let plain = with_headers("200 OK", "content-encoding: Identity\r\n", "the bundle");
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| plain.clone()).await;
    assert_eq!(world.document(&web(endpoint.port)).await, "the bundle");
}
