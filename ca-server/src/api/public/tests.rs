//! What strangers get.

use conformance::covers;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use platform::trace::edge;
use serde_json::Value;
use tower::ServiceExt as _;
use trust_domains::bundle::PublicJwk;
use trust_domains::plan::authority::AuthorityId;

use super::*;
use crate::authority::AuthorityKey;

fn api(issuer: Option<&str>) -> (watch::Sender<Arc<TrustBundle>>, PublicApi) {
    let (sender, bundle) = watch::channel(Arc::new(TrustBundle::new("example.org".parse().unwrap()).with_sequence(1)));
    let api = PublicApi {
        bundle,
        registry: None,
        url: None,
        issuer: issuer.map(|issuer| issuer.parse().unwrap()),
        refresh_hint: Duration::from_secs(300),
    };
    (sender, api)
}

async fn get_with(api: &PublicApi, path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
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
