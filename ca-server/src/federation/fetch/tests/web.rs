//! `https_web`: a CA of the web, and the name of the host.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use conformance::covers;
use platform::web::{WebLimits, WebServer};
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust_domains::problem::Code;

use super::super::EndpointTrust;
use super::issuing::{Ca, LIFE};
use super::serving::{Endpoint, ok};
use super::world::{World, target, web};

#[tokio::test]
#[covers("FED-07", "FED-17")]
async fn a_document_comes_from_a_host_whose_certificate_a_ca_of_the_web_signed_for_its_name() {
    let world = World::new();
    let mut endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let fetched = world.fetch(&web(endpoint.port)).await.unwrap();
    assert_eq!(fetched.peer_chain.len(), 2);
    assert_eq!(world.document(&web(endpoint.port)).await, "the bundle");
    assert_eq!(endpoint.seen()[0].sni.as_deref(), Some("localhost"));

    let by_address = Endpoint::start(&world.ca.host(&["127.0.0.1"]), |_| ok("by address")).await;
    let url = format!("https://127.0.0.1:{}/", by_address.port);
    assert_eq!(world.document(&target(&url, EndpointTrust::Web)).await, "by address");
}

#[tokio::test]
#[covers("FED-17")]
async fn a_certificate_for_another_name_or_of_another_ca_is_not_believed() {
    let world = World::new();
    for identity in [
        world.ca.host(&["other.example"]),
        world.ca.host(&["127.0.0.1"]),
        world.ca.host(&["*.localhost"]),
        Ca::web().host(&["localhost"]),
        Ca::of("a.test").svid("spiffe://a.test/troth/server"),
    ] {
        let mut endpoint = Endpoint::start(&identity, |_| ok("the bundle")).await;
        let (code, text) = world.refused(&web(endpoint.port)).await;
        assert_eq!(code, Code::EndpointUntrusted, "{text}");
        assert!(endpoint.seen().is_empty(), "nothing was asked of it");
    }
}

#[tokio::test]
async fn a_certificate_that_ended_by_our_clock_is_not_believed() {
    let world = World::new();
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    world.document(&web(endpoint.port)).await;
    world.clock.advance(LIFE);
    world.clock.advance(LIFE);
    assert_eq!(world.refused(&web(endpoint.port)).await.0, Code::EndpointUntrusted);
}

#[tokio::test]
async fn a_file_of_cas_is_followed_as_it_changes() {
    let world = World::new();
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let (fetcher, target, roots) = (world.fetcher(), web(endpoint.port), world.directory.path().join("roots.pem"));
    let code = async |fetcher: &super::super::Fetcher| {
        use trust_domains::problem::Coded as _;
        fetcher.fetch(&target).await.err().map(|error| error.code())
    };
    assert_eq!(code(&fetcher).await, None);
    std::fs::write(&roots, Ca::web().root_pem).unwrap();
    assert_eq!(code(&fetcher).await, Some(Code::EndpointUntrusted), "its CA was taken out");
    for bad in ["", "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&roots, bad).unwrap();
        assert_eq!(code(&fetcher).await, Some(Code::FileUnavailable), "{bad}");
    }
    std::fs::remove_file(&roots).unwrap();
    assert_eq!(code(&fetcher).await, Some(Code::FileUnavailable));
    std::fs::write(&roots, format!("{}{}", Ca::web().root_pem, world.ca.root_pem)).unwrap();
    assert_eq!(code(&fetcher).await, None);
}

#[tokio::test]
async fn without_a_file_the_cas_of_this_machine_are_believed_and_no_others() {
    let mut world = World::new();
    world.settings.web_roots = None;
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let (code, text) = world.refused(&web(endpoint.port)).await;
    // A machine without any says so.
    assert!(matches!(code, Code::EndpointUntrusted | Code::FileUnavailable), "{text}");
}

#[tokio::test]
#[covers("FED-14")]
async fn nothing_is_said_of_who_asks() {
    let world = World::new();
    let mut roots = rustls::RootCertStore::empty();
    for pem in rustls_pem(&world.ca.root_pem) {
        roots.add(pem).unwrap();
    }
    let cookie = super::serving::with_headers("200 OK", "set-cookie: who=me\r\n", "the bundle");
    let mut endpoint = Endpoint::curious(&world.ca.host(&["localhost"]), roots, cookie).await;
    let fetcher = world.fetcher();
    for _ in 0..2 {
        fetcher.fetch(&web(endpoint.port)).await.unwrap();
    }
    let seen = endpoint.seen();
    assert_eq!(seen.len(), 2, "each fetch has its own connection");
    for request in seen {
        assert_eq!(request.client_certificates, 0);
        let mut lines = request.head.trim_end().lines();
        assert_eq!(lines.next(), Some("GET /bundle.json HTTP/1.1"));
        let mut names: Vec<_> = lines.map(|line| line.split(':').next().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    }
}

fn rustls_pem(pem: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

#[tokio::test]
#[covers("FED-07")]
async fn an_endpoint_that_speaks_http2_is_asked_in_it() {
    let world = World::new();
    let answer = |request: axum::extract::Request| async move {
        let tag = request.headers().get("if-none-match").is_some();
        let status = if tag { http::StatusCode::NOT_MODIFIED } else { http::StatusCode::OK };
        let asked = format!("{:?} {}", request.version(), request.uri());
        (status, [("etag", "\"7\"")], if tag { String::new() } else { asked })
    };
    let big = || async { "x".repeat(super::world::LIMIT + 1) };
    let router = Router::new().route("/bundle.json", get(answer)).route("/big", get(big));
    let identity = Arc::new(SingleCertAndKey::from(world.ca.host(&["localhost"]).certified_key()));
    let server = WebServer::new(identity, router, WebLimits::default()).unwrap();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (port, end) = (listener.local_addr().unwrap().port(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(listener, end.clone()));

    let asked = world.document(&web(port)).await;
    assert_eq!(asked, format!("HTTP/2.0 https://localhost:{port}/bundle.json"));
    let again = super::super::FetchTarget {
        etag: Some("\"7\"".to_owned()),
        ..web(port)
    };
    let fetched = world.fetch(&again).await.unwrap();
    assert_eq!(fetched.content, super::super::Content::NotModified);
    let big = target(&format!("https://localhost:{port}/big"), EndpointTrust::Web);
    assert_eq!(world.refused(&big).await.0, Code::EndpointDocumentTooLarge);
    end.cancel();
    serving.await.unwrap();
}

#[tokio::test]
#[covers("FED-08")]
async fn an_endpoint_that_speaks_tls_1_2_alone_is_asked_in_it() {
    let world = World::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let endpoint = Endpoint::of_version(&world.ca.host(&["localhost"]), version, ok("the bundle")).await;
        assert_eq!(world.document(&web(endpoint.port)).await, "the bundle", "{version:?}");
    }
}
