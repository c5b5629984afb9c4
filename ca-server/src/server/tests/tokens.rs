//! JWT-SVIDs for the workloads of a node, and for operators.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use p256::ecdsa::signature::Verifier as _;
use platform::client::CallError;
use platform::tls::Connection;
use serde_json::{Value, json};
use trust_domains::jwk::EcJwk;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{EntryDraft, EntryView, MintJwtRequest, MintedToken};
use trust_domains::wire::node::MAX_ISSUE_BATCH;
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, JwtRequest, MAX_AUDIENCE_LEN, MAX_AUDIENCES};
use trust_domains::{EntryId, SpiffeBundle};

use super::token_calls::{issued, issued_once_acknowledged, recorded, refusal};
use super::world::{DEADLINE, World, code, draft, until};
use crate::config::RawServerConfig;

const DB: &str = "spiffe://example.org/db";

/// A server whose entries may have two claims, and whose tokens name an issuer.
async fn world() -> World {
    World::with(RawServerConfig {
        jwt_claims: Some(vec!["tier".to_owned(), "roles".to_owned()]),
        jwt_issuer: Some("https://id.example.org".to_owned()),
        ..RawServerConfig::default()
    })
    .await
}

async fn ask(connection: &Connection, requests: &[(EntryId, &[&str])]) -> Result<IssueTokensResponse, CallError> {
    let requests = requests
        .iter()
        .map(|(entry_id, audience)| JwtRequest {
            entry_id: entry_id.clone(),
            audience: audience.iter().map(|value| (*value).to_owned()).collect(),
        })
        .collect();
    connection.post("/v1/node/issue-jwt", &IssueJwtRequest { requests }, DEADLINE).await
}

/// Verifies a token by the bundle, with a library that did not sign it; returns its header and claims.
fn verified(token: &str, bundle: &SpiffeBundle) -> (Value, Value) {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let decoded = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (head, claims) = (decoded(header), decoded(payload));
    let key = bundle.bundle().jwt_authorities().iter().find(|key| key.key_id() == head["kid"].as_str());
    let key = serde_json::from_value::<EcJwk>(serde_json::to_value(key.expect("kid is in the bundle")).unwrap()).unwrap();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.public_key().unwrap().sec1()).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    key.verify(format!("{header}.{payload}").as_bytes(), &signature).unwrap();
    (head, claims)
}

async fn entry_with(world: &World, path: &str, claims: Value) -> Result<EntryView, CallError> {
    let draft = EntryDraft {
        claims: serde_json::from_value(claims).unwrap(),
        ..draft(path, "a")
    };
    world.create(vec![draft]).await.map(|mut created| created.entries.remove(0))
}

#[covers("JWT-02", "JWT-07", "JWT-08", "JWT-10", "JWT-14")]
#[tokio::test]
async fn jwt_02_jwt_07_jwt_08_jwt_10_jwt_14_a_node_gets_tokens_that_the_bundle_verifies() {
    let world = world().await;
    let node = world.node("a").await;
    let entry = entry_with(&world, "/web", json!({ "tier": "gold" })).await.unwrap();
    assert_eq!(entry.claims, BTreeMap::from([("tier".to_owned(), json!("gold"))]));
    let connection = node.connect(&world).await;
    let response = ask(&connection, &[(entry.id.clone(), &[DB]), (entry.id.clone(), &["a", "b"])]).await.unwrap();
    let token = issued(&response.results[0]);
    assert_eq!((token.entry_revision, token.expires_in_s), (entry.revision, 300));

    let (header, claims) = verified(token.token.as_str(), &node.credential.bundle);
    let kid = header["kid"].clone();
    assert_eq!(header, json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }));
    let expected = json!({
        "sub": "spiffe://example.org/web",
        "aud": DB,
        "iat": token.issued_at.unix(),
        "exp": token.issued_at.unix() + 300,
        "jti": claims["jti"],
        "iss": "https://id.example.org",
        "tier": "gold",
    });
    assert_eq!(claims, expected);
    let (_, second) = verified(issued(&response.results[1]).token.as_str(), &node.credential.bundle);
    assert_eq!(second["aud"], json!(["a", "b"]));
    assert_ne!(second["jti"], claims["jti"]);

    let recorded = recorded(&world).await;
    assert_eq!(recorded.len(), 2);
    let record = recorded.iter().find(|record| json!(record.jti) == claims["jti"]).unwrap();
    assert_eq!((record.entry.as_ref(), &record.audience[..]), (Some(&entry.id), &[DB.to_owned()][..]));
    assert_eq!((json!(record.issuer), record.not_after), (kid, token.expires_at));
    assert_eq!(
        (record.actor.as_str(), record.node.as_ref()),
        (node.credential.spiffe_id.as_str(), Some(&node.credential.spiffe_id))
    );
    assert_eq!(record.trace_id.len(), 32);
}

#[tokio::test]
async fn a_foreign_entry_and_one_that_is_not_there_are_refused_alike_and_leave_no_record() {
    let world = world().await;
    let node = world.node("a").await;
    world.node("b").await;
    let (own, foreign) = (world.entry("/web", "a").await, world.entry("/db", "b").await);
    let connection = node.connect(&world).await;
    let nowhere: EntryId = "00000000000000000000000000000000".parse().unwrap();
    let response = ask(&connection, &[(own.id, &[DB]), (foreign.id, &[DB]), (nowhere, &[DB])]).await.unwrap();
    let codes: Vec<_> = response.results.iter().map(refusal).collect();
    assert_eq!(codes, [None, Some(Code::EntryNotOfNode), Some(Code::EntryNotOfNode)]);
    let subjects: Vec<_> = recorded(&world).await.into_iter().map(|record| record.spiffe_id.to_string()).collect();
    assert_eq!(subjects, ["spiffe://example.org/web"]);
}

#[covers("JWT-08")]
#[tokio::test]
async fn jwt_08_an_audience_that_is_empty_oversized_or_repeated_is_refused_alone() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let long = "x".repeat(MAX_AUDIENCE_LEN + 1);
    let numbers: Vec<_> = (0..=MAX_AUDIENCES).map(|number| number.to_string()).collect();
    let many: Vec<_> = numbers.iter().map(String::as_str).collect();
    let cases: [&[&str]; 7] = [&[], &[""], &["a", ""], &[&long], &many, &["a", "a"], &[DB]];
    let requests: Vec<_> = cases.iter().map(|audience| (id.clone(), *audience)).collect();
    let response = ask(&connection, &requests).await.unwrap();
    let codes: Vec<_> = response.results.iter().map(refusal).collect();
    let refused = Some(Code::AudienceUnacceptable);
    assert_eq!(codes, [refused, refused, refused, refused, refused, refused, None]);
    assert_eq!(recorded(&world).await.len(), 1);
}

#[tokio::test]
async fn the_longest_audience_there_may_be_can_be_recorded_whatever_octets_it_has() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let values = ["a", "b", "c", "d"].map(|first| format!("{first}{}", "\u{1}".repeat(MAX_AUDIENCE_LEN - 1)));
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let response = ask(&connection, &[(id, &values)]).await.unwrap();
    issued(&response.results[0]);
    assert_eq!(recorded(&world).await[0].audience, values);
}

#[tokio::test]
async fn a_banned_node_gets_no_token() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    world.admin.post::<Value>("/v1/admin/nodes/a/ban", &()).await.unwrap();
    assert_eq!(code(ask(&connection, &[(id, &[DB])]).await), Code::NodeBanned);
    assert!(recorded(&world).await.is_empty());
}

#[tokio::test]
async fn a_batch_of_tokens_has_its_limit() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let requests: Vec<(EntryId, &[&str])> = vec![(id, &["a"]); MAX_ISSUE_BATCH + 1];
    assert_eq!(code(ask(&connection, &requests).await), Code::BatchTooLarge);
    let full = ask(&connection, &requests[..MAX_ISSUE_BATCH]).await.unwrap();
    assert!(full.results.iter().all(|result| refusal(result).is_none()));
}

#[covers("JWT-12")]
#[tokio::test]
async fn jwt_12_a_claim_is_registered_allowed_or_refused() {
    let world = world().await;
    world.node("a").await;
    for (claims, expected) in [
        (json!({ "sub": "spiffe://example.org/admin" }), Code::ClaimNotAllowed),
        (json!({ "cnf": {} }), Code::ClaimNotAllowed),
        (json!({ "iss": "x", "tier": 1 }), Code::ClaimNotAllowed),
        (json!({ "scope": "all" }), Code::ClaimNotAllowed),
        (json!({ "tier": "x".repeat(3_000) }), Code::InvalidRequest),
    ] {
        assert_eq!(code(entry_with(&world, "/web", claims.clone()).await), expected, "{claims}");
    }
    let entry = entry_with(&world, "/web", json!({ "roles": ["a"] })).await.unwrap();
    let refused = world
        .admin
        .patch::<EntryView>(&format!("/v1/admin/entries/{}", entry.id), &json!({ "claims": { "exp": 1 } }))
        .await;
    assert_eq!(code(refused), Code::ClaimNotAllowed);
    let changed: EntryView = world
        .admin
        .patch(&format!("/v1/admin/entries/{}", entry.id), &json!({ "claims": { "tier": 2 } }))
        .await
        .unwrap();
    assert_eq!(changed.claims, BTreeMap::from([("tier".to_owned(), json!(2))]));
    let without: EntryView = world
        .admin
        .patch(&format!("/v1/admin/entries/{}", entry.id), &json!({ "claims": {} }))
        .await
        .unwrap();
    assert!(without.claims.is_empty());
}

#[tokio::test]
async fn a_claim_that_is_not_allowed_any_more_is_refused_when_a_token_is_asked_for() {
    let world = world().await;
    let node = world.node("a").await;
    let entry = entry_with(&world, "/web", json!({ "tier": "gold" })).await.unwrap();
    let world = world.restarted_with(RawServerConfig::default()).await;
    let connection = node.connect(&world).await;
    let response = ask(&connection, &[(entry.id, &[DB])]).await.unwrap();
    assert_eq!(refusal(&response.results[0]), Some(Code::ClaimNotAllowed));
}

#[tokio::test]
async fn an_operator_mints_tokens_within_bounds_and_the_journal_names_him() {
    let world = world().await;
    let mint = async |spiffe_id: &str, audience: &[&str], ttl_s: Option<u64>, not_before: bool| {
        let request = MintJwtRequest {
            spiffe_id: spiffe_id.to_owned(),
            audience: audience.iter().map(|value| (*value).to_owned()).collect(),
            ttl_s,
            not_before,
        };
        world.admin.post::<MintedToken>("/v1/admin/mint-jwt", &request).await
    };
    let minted = mint("/backup", &[DB], Some(60), true).await.unwrap();
    let bundle: SpiffeBundle = world.admin.get("/v1/admin/bundle").await.unwrap();
    let (_, claims) = verified(minted.token.as_str(), &bundle);
    assert_eq!(claims["sub"], "spiffe://example.org/backup");
    assert_eq!(claims["nbf"], json!(minted.issued_at.unix() - 60), "the skew before its issue");
    assert_eq!(claims["exp"], json!(minted.issued_at.unix() + 60));
    assert!(!format!("{minted:?}").contains("eyJ"), "no token in Debug");

    for (spiffe_id, audience, ttl_s, expected) in [
        ("/troth/server", &[DB][..], None, Code::ReservedPath),
        ("/troth", &[DB], None, Code::ReservedPath),
        ("spiffe://example.com/web", &[DB], None, Code::InvalidSpiffeId),
        ("spiffe://example.org", &[DB], None, Code::InvalidSpiffeId),
        ("/web", &[], None, Code::AudienceUnacceptable),
        ("/web", &[DB], Some(86_401), Code::ClassExceeded),
        ("/web", &[DB], Some(9), Code::InvalidRequest),
        ("/web", &[DB], Some(u64::MAX), Code::ClassExceeded),
    ] {
        assert_eq!(
            code(mint(spiffe_id, audience, ttl_s, false).await),
            expected,
            "{spiffe_id} {audience:?} {ttl_s:?}"
        );
    }
    let recorded = recorded(&world).await;
    assert_eq!(recorded.len(), 1);
    assert!(recorded[0].actor.starts_with("local:uid:"), "{}", recorded[0].actor);
    assert_eq!((recorded[0].jti, &recorded[0].entry, &recorded[0].node), (minted.jti, &None, &None));
}

#[tokio::test]
async fn a_token_ends_with_its_entry() {
    let world = world().await;
    let node = world.node("a").await;
    let expires_at = {
        use trust_domains::clock::Clock as _;
        world.clock.now().wall + std::time::Duration::from_secs(100)
    };
    let draft = EntryDraft {
        expires_at: Some(expires_at),
        ..draft("/web", "a")
    };
    let entry = world.create(vec![draft]).await.unwrap().entries.remove(0);
    let connection = node.connect(&world).await;
    let response = ask(&connection, &[(entry.id.clone(), &[DB])]).await.unwrap();
    let token = issued(&response.results[0]);
    assert_eq!((token.expires_at, token.expires_in_s), (expires_at, 100));
    world.clock.advance(std::time::Duration::from_secs(101));
    let response = ask(&connection, &[(entry.id, &[DB])]).await.unwrap();
    assert_eq!(refusal(&response.results[0]), Some(Code::EntryExpired));
}

#[tokio::test]
async fn a_server_of_version_1_gets_a_jwt_key_that_signs_once_its_nodes_know_it() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let world = world.into_version_1().await;
    let connection = node.connect(&world).await;
    assert_eq!(
        code(ask(&connection, &[(id.clone(), &[DB])]).await),
        Code::IssuerUnavailable,
        "the node does not know the key"
    );
    // Who is missing is told after a minute: most nodes are about to acknowledge.
    world.clock.advance(std::time::Duration::from_secs(61));
    until(async || {
        let health: Value = world.admin.get("/v1/admin/health").await.unwrap();
        assert_eq!(health["state"], "degraded");
        health["problems"].to_string().contains("1 node (a)").then_some(())
    })
    .await;

    let response = issued_once_acknowledged(&connection, async || ask(&connection, &[(id.clone(), &[DB])]).await).await;
    let bundle: SpiffeBundle = world.admin.get("/v1/admin/bundle").await.unwrap();
    verified(issued(&response.results[0]).token.as_str(), &bundle);
    assert!(
        node.credential
            .bundle
            .bundle()
            .jwt_authorities()
            .iter()
            .all(|key| !bundle.bundle().jwt_authorities().contains(key))
    );
}
