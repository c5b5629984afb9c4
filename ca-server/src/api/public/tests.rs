//! What strangers get.

use conformance::covers;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use platform::trace::edge;
use serde_json::Value;
use tower::ServiceExt as _;
use trust_domains::bundle::PublicJwk;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, Phase};

use super::*;
use crate::authority::AuthorityKey;
use crate::decisions::Cause;
use crate::issuance::tests::world::World;

fn api(issuer: Option<&str>) -> (watch::Sender<Arc<TrustBundle>>, PublicApi) {
    let (sender, bundle) = watch::channel(Arc::new(TrustBundle::new("example.org".parse().unwrap()).with_sequence(1)));
    let api = PublicApi {
        bundle,
        registry: None,
        lists: None,
        url: None,
        issuer: issuer.map(|issuer| issuer.parse().unwrap()),
        refresh_hint: Duration::from_secs(300),
    };
    (sender, api)
}

async fn get_with(api: &PublicApi, path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    call(api, Method::GET, path, tag).await
}

async fn call(api: &PublicApi, method: Method, path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    let response = edge(router(api.clone()))
        .oneshot(request.body(axum::body::Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn discovery_and_keys_are_under_the_issuers_path() {
    for (issuer, path) in [
        ("https://id.example.org", ""),
        ("https://id.example.org/", ""),
        ("https://id.example.org/td/prod", "/td/prod"),
        ("https://id.example.org/td/prod/", "/td/prod"),
        ("https://id.example.org/:td/*", "/:td/*"),
    ] {
        let (_bundle, api) = api(Some(issuer));
        let (status, headers, body) = get_with(&api, &format!("{path}/.well-known/openid-configuration"), None).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (StatusCode::OK, "application/json"),
            "{issuer}"
        );
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["issuer"], issuer, "octet by octet");
        assert_eq!(document["jwks_uri"], format!("https://id.example.org{path}/keys"));
        assert_eq!(get_with(&api, &format!("{path}/keys"), None).await.0, StatusCode::OK, "{issuer}");
        if !path.is_empty() {
            assert_eq!(get_with(&api, "/keys", None).await.0, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn without_an_issuer_there_is_the_bundle_only() {
    let (_bundle, api) = api(None);
    assert_eq!(get_with(&api, "/", None).await.0, StatusCode::OK);
    for path in ["/keys", "/.well-known/openid-configuration", "/v1/admin/entries", "/openapi.json"] {
        assert_eq!(get_with(&api, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[covers("JWT-15")]
#[tokio::test]
async fn jwt_15_the_keys_are_those_of_jwt_svids_for_readers_who_know_nothing_of_spiffe() {
    let (bundle, api) = api(Some("https://id.example.org"));
    let (key, _) = AuthorityKey::generate().unwrap();
    let kid = AuthorityId::from_key_id(&[1; 20]).unwrap();
    bundle.send_modify(|bundle| *bundle = Arc::new(bundle.as_ref().clone().with_jwt_authority(PublicJwk::es256(&kid, key.public_key()))));
    let (_, headers, body) = get_with(&api, "/keys", None).await;
    assert_eq!(headers["content-type"], "application/jwk-set+json");
    let set: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(set.as_object().unwrap().len(), 1, "nothing beside the keys");
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(
        (keys.len(), &keys[0]["use"], &keys[0]["kid"], &keys[0]["alg"]),
        (1, &"sig".into(), &kid.to_string().into(), &"ES256".into())
    );
}

#[tokio::test]
async fn discovery_names_the_algorithms_of_the_keys_that_there_are() {
    let (bundle, api) = api(Some("https://id.example.org"));
    let rsa = PublicJwk::rs256(&AuthorityId::from_key_id(&[1; 20]).unwrap(), &[0xc5; 256], &[1, 0, 1]);
    let ec = PublicJwk::es256(&AuthorityId::from_key_id(&[2; 20]).unwrap(), AuthorityKey::generate().unwrap().0.public_key());
    for (key, expected) in [(rsa, vec!["RS256"]), (ec, vec!["ES256", "RS256"])] {
        bundle.send_modify(|bundle| *bundle = Arc::new(bundle.as_ref().clone().with_jwt_authority(key)));
        let (_, _, body) = get_with(&api, "/.well-known/openid-configuration", None).await;
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["id_token_signing_alg_values_supported"], serde_json::json!(expected));
    }
}

#[tokio::test]
async fn an_answer_may_be_kept_for_one_refresh_and_is_not_sent_twice() {
    let (bundle, api) = api(Some("https://id.example.org"));
    let (_, headers, _) = get_with(&api, "/keys", None).await;
    assert_eq!(headers["cache-control"], "public, max-age=300");
    let tag = headers["etag"].to_str().unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let (status, headers, body) = get_with(&api, "/keys", Some(&known)).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(
            (&headers["etag"], &headers["cache-control"]),
            (&tag.parse::<http::HeaderValue>().unwrap(), &"public, max-age=300".parse().unwrap())
        );
    }
    let (key, _) = AuthorityKey::generate().unwrap();
    let kid = AuthorityId::from_key_id(&[1; 20]).unwrap();
    bundle.send_modify(|bundle| *bundle = Arc::new(bundle.as_ref().clone().with_jwt_authority(PublicJwk::es256(&kid, key.public_key()))));
    let (status, headers, _) = get_with(&api, "/keys", Some(&tag)).await;
    assert_eq!(status, StatusCode::OK, "the keys changed");
    assert_ne!(headers["etag"], tag);
}

#[covers("FED-01", "FED-15", "FED-16", "FED-22", "FED-23")]
#[tokio::test]
async fn the_bundle_is_answered_to_get_and_head_where_partners_were_told_and_nothing_is_a_redirect() {
    let (_bundle, mut api) = api(None);
    for (url, path) in [
        (None, "/"),
        (Some("https://b.test:8444"), "/"),
        (Some("https://b.test/td/bundle.json?of=troth"), "/td/bundle.json?of=troth"),
        (Some("https://b.test/{x}/:y/*z"), "/%7Bx%7D/:y/*z"),
    ] {
        api.url = url.map(|url| url.parse().unwrap());
        for path in [path, "/"] {
            let (status, headers, body) = get_with(&api, path, None).await;
            assert_eq!(
                (status, headers["content-type"].to_str().unwrap()),
                (StatusCode::OK, "application/json"),
                "{url:?} {path}"
            );
            let document: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(document["spiffe_sequence"], 1);
            let (head, of_head, nothing) = call(&api, Method::HEAD, path, None).await;
            assert_eq!((head, nothing.as_str(), &of_head["etag"]), (StatusCode::OK, "", &headers["etag"]));
            assert_eq!(of_head["content-length"], body.len().to_string());
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                let (status, headers, _) = call(&api, method.clone(), path, None).await;
                assert_eq!(
                    (status, headers["allow"].to_str().unwrap()),
                    (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"),
                    "{method} {path}"
                );
            }
        }
        let (status, _, _) = get_with(&api, "/elsewhere", None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "not a redirect, whatever is asked for");
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// How many keys of a use the endpoint publishes.
async fn published(api: &PublicApi, key_use: &str) -> usize {
    let (_, _, body) = get_with(api, "/", None).await;
    let document: Value = serde_json::from_str(&body).unwrap();
    document["keys"].as_array().unwrap().iter().filter(|key| key["use"] == key_use).count()
}

#[covers("FED-02", "FED-03")]
#[tokio::test]
async fn a_key_is_published_before_it_signs_and_until_nothing_depends_on_it() {
    let cause = Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: String::new(),
    };
    for (kind, key_use) in [(AuthorityKind::X509Root, "x509-svid"), (AuthorityKind::Jwt, "jwt-svid")] {
        // Each in a trust domain of its own: in a week other keys follow each other by themselves.
        let world = World::new().await;
        let api = PublicApi {
            bundle: world.authorities.bundle(),
            ..api(None).1
        };
        assert_eq!(published(&api, key_use).await, 1);
        let successor = world.authorities.prepare(kind, None, &cause).await.unwrap();
        let phase = |id: &AuthorityId| world.authorities.view(id, &[]).unwrap().state;
        assert_eq!(
            (phase(&successor), published(&api, key_use).await),
            (Phase::Prepared, 2),
            "{kind}: it signs nothing yet"
        );
        world.authorities.activate_ordered(successor.as_str(), None, &cause).await.unwrap();
        world.authorities.look().await.unwrap();
        assert_eq!(
            (phase(&successor), published(&api, key_use).await),
            (Phase::Active, 2),
            "{kind}: what the old one signed is out"
        );
        let mut hours = 0;
        while published(&api, key_use).await == 2 {
            world.clock.advance(HOUR);
            world.authorities.look().await.unwrap();
            hours += 1;
            assert!(hours < 24 * 30, "{kind}: the old one is still there after {hours} hours");
        }
        assert!(hours >= 1, "{kind}");
    }
}
