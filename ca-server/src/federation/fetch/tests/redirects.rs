//! Redirects: few, to endpoint URLs only, and each under the same checks (trap T15 of the requirements).

use std::sync::Arc;

use conformance::covers;
use trust_domains::problem::Code;

use super::super::{EndpointTrust, FetchTarget};
use super::issuing::Ca;
use super::serving::{Endpoint, moved, ok, with_headers};
use super::world::{World, target, web};

const ID: &str = "spiffe://a.test/troth/server";

#[tokio::test]
#[covers("FED-16", "FED-18")]
async fn each_fetch_starts_at_the_configured_url_and_follows_every_kind_of_redirect() {
    let world = World::new();
    let mut last = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("location: https://localhost:{}/elsewhere?x=1\r\n", last.port);
        let reply = with_headers(status, &location, "");
        let mut first = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
        let (fetcher, target) = (world.fetcher(), web(first.port));
        for _ in 0..2 {
            fetcher.fetch(&target).await.unwrap();
        }
        assert_eq!(first.seen().len(), 2, "{status}: the target was not remembered");
        let asked = last.seen();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|seen| seen.head.starts_with("GET /elsewhere?x=1 ")), "{asked:?}");
    }
}

#[tokio::test]
#[covers("FED-18")]
async fn five_redirects_are_followed_and_no_sixth() {
    let world = World::new();
    for (redirects, comes) in [(5, true), (6, false)] {
        let mut endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |count| match count {
            last if last == redirects => ok("the bundle"),
            count => moved(&format!("/{count}")),
        })
        .await;
        let fetched = world.fetch(&web(endpoint.port)).await;
        assert_eq!(fetched.is_ok(), comes, "{redirects}: {fetched:?}");
        assert_eq!(endpoint.seen().len(), 6, "no more than that was asked");
    }
    let round = Endpoint::start(&world.ca.host(&["localhost"]), |_| moved("/bundle.json")).await;
    assert_eq!(world.refused(&web(round.port)).await.0, Code::EndpointRedirectRefused);
}

#[tokio::test]
#[covers("FED-12", "FED-16")]
async fn a_redirect_to_http_to_user_information_or_to_nowhere_is_refused() {
    let world = World::new();
    let mut other = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("a bundle")).await;
    let port = other.port;
    let refused = [
        format!("http://localhost:{port}/"),
        format!("https://user@localhost:{port}/"),
        format!("https://user:secret@localhost:{port}/"),
        format!("//user@localhost:{port}/"),
        "ftp://localhost/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "https://".to_owned(),
        format!("https://localhost:{port}/{}", "x".repeat(4_000)),
        "\u{7f}".to_owned(),
    ];
    for location in refused {
        let reply = moved(&location);
        let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), move |_| reply.clone()).await;
        let (code, text) = world.refused(&web(endpoint.port)).await;
        assert!(
            matches!(code, Code::EndpointRedirectRefused | Code::EndpointAnswerUnexpected),
            "{location}: {code} {text}"
        );
    }
    let nowhere = Endpoint::start(&world.ca.host(&["localhost"]), |_| with_headers("302 Found", "", "")).await;
    assert_eq!(world.refused(&web(nowhere.port)).await.0, Code::EndpointRedirectRefused);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn redirects_can_be_switched_off() {
    let world = World::new();
    let mut last = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let location = format!("https://localhost:{}/", last.port);
    let first = Endpoint::start(&world.ca.host(&["localhost"]), move |_| moved(&location)).await;
    let target = FetchTarget {
        redirects: false,
        ..web(first.port)
    };
    let (code, text) = world.refused(&target).await;
    assert_eq!(code, Code::EndpointRedirectRefused);
    assert!(text.contains(&format!("redirects to https://localhost:{}/", last.port)), "{text}");
    assert!(last.seen().is_empty());
}

#[tokio::test]
#[covers("FED-23", "FED-26")]
async fn the_target_of_a_redirect_proves_the_id_that_is_configured() {
    let (world, ca, web_ca) = (World::new(), Ca::of("a.test"), Ca::web());
    for (identity, comes) in [
        (ca.svid(ID), true),
        (ca.svid("spiffe://a.test/somebody"), false),
        (Ca::of("a.test").svid(ID), false),
        (web_ca.host(&["127.0.0.1"]), false),
    ] {
        let last = Endpoint::start(&identity, |_| ok("the bundle")).await;
        let location = format!("https://127.0.0.1:{}/", last.port);
        let first = Endpoint::start(&ca.svid(ID), move |_| moved(&location)).await;
        let trust = EndpointTrust::Spiffe {
            id: ID.parse().unwrap(),
            bundle: ca.bundle("a.test"),
            lists: Arc::default(),
        };
        let target = target(&format!("https://127.0.0.1:{}/", first.port), trust);
        match comes {
            true => assert_eq!(world.document(&target).await, "the bundle"),
            false => assert_eq!(world.refused(&target).await.0, Code::EndpointUntrusted),
        }
    }
}

#[tokio::test]
#[covers("FED-18")]
async fn the_target_of_a_redirect_has_a_certificate_for_its_own_name() {
    let world = World::new();
    let last = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let location = format!("https://127.0.0.1:{}/", last.port);
    let first = Endpoint::start(&world.ca.host(&["localhost"]), move |_| moved(&location)).await;
    assert_eq!(world.refused(&web(first.port)).await.0, Code::EndpointUntrusted);
}
