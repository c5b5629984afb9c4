//! JWT-SVIDs over the Workload API.

use conformance::covers;
use serde_json::{Value, json};
use trust_domains::clock::Clock as _;
use trust_domains::wire::tokens::{MAX_AUDIENCE_LEN, MAX_AUDIENCES};

use super::*;
use crate::endpoints::workload_api::messages::{JwtBundlesResponse, JwtsvidResponse};
use crate::jwt_svids::testing::{KEY_ID, TOKEN_LIFE, issue_forever, signed, token, with_keys};
use crate::sync::Link;

/// A request for a token for one audience, of all identities.
pub(super) fn wanted(audience: &str) -> JwtsvidRequest {
    JwtsvidRequest {
        audience: vec![audience.to_owned()],
        spiffe_id: String::new(),
    }
}

/// A request to validate a token for the audience `db`.
pub(super) fn presented(svid: &str) -> ValidateJwtsvidRequest {
    ValidateJwtsvidRequest {
        audience: "db".to_owned(),
        svid: svid.to_owned(),
    }
}

/// A world whose tokens are issued as soon as they are wanted.
fn world() -> World {
    let world = World::new();
    tokio::spawn(issue_forever(world.tokens.clone(), world.clock.shared()));
    world
}

impl World {
    async fn jwt(&self, request: JwtsvidRequest) -> Result<JwtsvidResponse, tonic::Status> {
        let mut client = self.client().await;
        let fetching = tokio::time::timeout(Duration::from_secs(60), client.fetch_jwtsvid(request));
        fetching.await.unwrap().map(tonic::Response::into_inner)
    }

    async fn validate(&self, svid: &str) -> Result<String, tonic::Status> {
        let validated = self.client().await.validate_jwtsvid(presented(svid)).await?.into_inner();
        let subject = validated.claims.unwrap().fields.remove("sub").unwrap();
        assert_eq!(
            subject.kind,
            Some(prost_types::value::Kind::StringValue(validated.spiffe_id.clone())),
            "WAPI-18"
        );
        Ok(validated.spiffe_id)
    }
}

fn names(response: &JwtsvidResponse) -> Vec<&str> {
    response.svids.iter().map(|svid| &svid.spiffe_id["spiffe://td.example/".len()..]).collect()
}

#[covers("JWT-08", "WAPI-07")]
#[tokio::test]
async fn an_audience_that_no_token_may_have_is_refused_at_once_even_if_the_process_has_no_identity() {
    let world = world();
    let long = "x".repeat(MAX_AUDIENCE_LEN + 1);
    let many: Vec<String> = (0..=MAX_AUDIENCES).map(|number| number.to_string()).collect();
    for audience in [vec![], vec![String::new()], vec!["db".to_owned(), String::new()], vec![long], many] {
        let refused = world
            .jwt(JwtsvidRequest {
                audience,
                spiffe_id: String::new(),
            })
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let request = JwtsvidRequest {
        spiffe_id: "web".to_owned(),
        ..wanted("db")
    };
    assert_eq!(world.jwt(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[covers("WAPI-10", "WAPI-16", "WAPI-23")]
#[tokio::test]
async fn every_identity_of_the_process_gets_a_token_in_the_stable_order() {
    let world = world();
    let hinted = |id, at, hint: &str| NodeEntry {
        hint: Some(hint.to_owned()),
        ..own(id, at)
    };
    let foreign = with_selectors("foreign", 0, &["unix:uid:4000000"]);
    world.entries(1, vec![hinted("third", 3, "x"), own("first", 1), hinted("second", 2, "x"), foreign]);
    let response = world.jwt(wanted("db")).await.unwrap();
    assert_eq!(names(&response), ["first", "second", "third"]);
    assert_eq!(response.svids.iter().map(|svid| svid.hint.as_str()).collect::<Vec<_>>(), ["", "x", ""]);
    for svid in &response.svids {
        assert_eq!(world.validate(&svid.svid).await.unwrap(), svid.spiffe_id);
        assert!(!format!("{response:?}").contains(&svid.svid), "no token in Debug");
    }
    let again = world.jwt(wanted("db")).await.unwrap();
    assert_eq!(again, response, "from the cache");
}

#[covers("WAPI-11")]
#[tokio::test]
async fn one_identity_may_be_asked_for_and_one_that_is_not_granted_is_denied() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2), with_selectors("foreign", 0, &["unix:uid:4000000"])]);
    let of = |name: &str| JwtsvidRequest {
        spiffe_id: format!("spiffe://td.example/{name}"),
        ..wanted("x")
    };
    assert_eq!(names(&world.jwt(of("db")).await.unwrap()), ["db"]);
    for other in ["foreign", "nobody"] {
        assert_eq!(world.jwt(of(other)).await.unwrap_err().code(), Code::PermissionDenied, "{other}");
    }
}

#[covers("WAPI-11", "WAPI-18")]
#[tokio::test]
async fn a_process_without_an_identity_gets_no_token_no_keys_and_no_validation() {
    let world = world();
    world.entries(1, vec![with_selectors("foreign", 0, &["unix:uid:4000000"])]);
    let token = token("spiffe://td.example/foreign", &["db".to_owned()], world.clock.now().wall);
    let mut client = world.client().await;
    let refusals = [
        world.jwt(wanted("db")).await.err(),
        client.fetch_jwt_bundles(JwtBundlesRequest {}).await.err(),
        world.validate(&token).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.map(|status| status.code()), Some(Code::PermissionDenied));
    }
}

#[covers("WAPI-05", "WAPI-14", "WAPI-17")]
#[tokio::test]
async fn jwt_bundles_are_plain_key_sets_and_are_sent_again_only_when_the_keys_change() {
    let world = world();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.client().await.fetch_jwt_bundles(JwtBundlesRequest {}).await.unwrap().into_inner();
    let mut x509 = world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap().into_inner();
    let keys = |response: JwtBundlesResponse| {
        assert_eq!(response.bundles.len(), 1);
        let set: Value = serde_json::from_slice(&response.bundles["spiffe://td.example"]).unwrap();
        set["keys"].as_array().unwrap().clone()
    };
    let first = keys(stream.message().await.unwrap().unwrap());
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0]["kid"], &first[0]["kty"], first[0].get("use")), (&json!(KEY_ID), &json!("EC"), None));
    x509.message().await.unwrap().unwrap();

    let publish = |counter, bundle| {
        world.cache.apply(crate::svids::Update {
            bundle: Some(bundle),
            ..delta(counter, vec![], &[])
        });
    };
    publish(2, bundle().with_sequence(7));
    publish(3, with_keys(&bundle(), &["k1", "k2"]));
    let second = keys(stream.message().await.unwrap().unwrap());
    assert_eq!(second.iter().map(|key| key["kid"].as_str().unwrap()).collect::<Vec<_>>(), ["k1", "k2"]);
    publish(4, with_keys(&trust_domains::TrustBundle::new("td.example".parse().unwrap()), &[]));
    assert_eq!(
        keys(stream.message().await.unwrap().unwrap()).len(),
        0,
        "an empty bundle is sent as one (WAPI-06)"
    );
    let roots = x509.message().await.unwrap().unwrap();
    assert!(roots.bundles["spiffe://td.example"].is_empty(), "the new JWT key was no news to this stream");
}

#[covers("JWT-04", "JWT-06", "JWT-09", "JWT-10", "JWT-15", "WAPI-18", "WAPI-19")]
#[tokio::test]
async fn validation_refuses_what_is_no_jwt_svid_for_this_audience_now_and_says_why() {
    let world = world();
    world.entries(1, vec![own("web", 1)]);
    let now = world.clock.now().wall.unix();
    let header = json!({ "alg": "ES256", "kid": KEY_ID, "typ": "JWT" });
    let claims = json!({ "sub": "spiffe://td.example/other", "aud": ["db"], "exp": now + 60 });
    let changed = |object: &Value, member: &str, value: Value| {
        let mut object = object.clone();
        object[member] = value;
        object
    };
    let good = signed(&header, &claims);
    assert_eq!(
        world.validate(&good).await.unwrap(),
        "spiffe://td.example/other",
        "of any workload of the domain"
    );
    let (head, tail) = good.split_at(good.len() - 40);
    let refused = [
        ("wit+jwt", signed(&changed(&header, "typ", json!("wit+jwt")), &claims)),
        ("\"HS256\"", signed(&changed(&header, "alg", json!("HS256")), &claims)),
        ("no JWT key \"k9\"", signed(&changed(&header, "kid", json!("k9")), &claims)),
        (
            "no bundle of other.example",
            signed(&header, &changed(&claims, "sub", json!("spiffe://other.example/web"))),
        ),
        ("not for \"db\"", signed(&header, &changed(&claims, "aud", json!(["api"])))),
        ("ended at", signed(&header, &changed(&claims, "exp", json!(now - 30)))),
        ("begins at", signed(&header, &changed(&claims, "nbf", json!(now + 31)))),
        ("was issued at", signed(&header, &changed(&claims, "iat", json!(now + 31)))),
        ("signature", format!("{head}{}", tail.chars().rev().collect::<String>())),
        ("compact form", "token".to_owned()),
        ("a token and one audience", String::new()),
    ];
    for (reason, token) in refused {
        let status = world.validate(&token).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{reason}");
        assert!(status.message().contains(reason), "{reason}: {status}");
        assert!(token.is_empty() || !status.message().contains(&token) || token == "token", "{status}");
    }
    let within = signed(&header, &changed(&changed(&claims, "exp", json!(now - 29)), "iat", json!(now + 30)));
    assert!(world.validate(&within).await.is_ok(), "the clock leeway counts");
}

#[tokio::test]
async fn without_a_server_a_valid_token_is_answered_at_once_and_an_ended_one_never() {
    let world = world();
    world.entries(1, vec![own("web", 1)]);
    let first = world.jwt(wanted("db")).await.unwrap();
    world.link.send_replace(Link::Away {
        since: world.clock.now().wall,
        error: "gone".to_owned(),
    });
    world.clock.advance(TOKEN_LIFE - Duration::from_secs(1));
    world.issue();
    assert_eq!(world.jwt(wanted("db")).await.unwrap(), first);
    world.clock.advance(Duration::from_secs(1));
    let fresh = world.jwt(wanted("db")).await.unwrap();
    assert_ne!(fresh, first);
}

#[tokio::test]
async fn a_deleted_entry_ends_its_tokens() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2)]);
    assert_eq!(world.jwt(wanted("x")).await.unwrap().svids.len(), 2);
    world.change(2, vec![], &["web"]);
    assert_eq!(names(&world.jwt(wanted("x")).await.unwrap()), ["db"]);
    world.cache.withdraw("the server has banned this node");
    assert_eq!(world.jwt(wanted("x")).await.unwrap_err().code(), Code::PermissionDenied);
    world.tokens.follow(&world.cache);
    assert_eq!(world.tokens.held(), 0, "with the node's identity all tokens are lost");
}
