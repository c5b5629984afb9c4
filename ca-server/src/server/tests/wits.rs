//! WIT-SVIDs for the workloads of a node, and for operators.

use std::time::Duration;

use conformance::covers;
use platform::client::CallError;
use platform::tls::Connection;
use serde_json::{Value, json};
use trust_domains::clock::Clock as _;
use trust_domains::problem::Code;
use trust_domains::public_key::PublicKey;
use trust_domains::token_svid::TokenKind;
use trust_domains::wire::admin::{EntryDraft, MintWitRequest, MintedToken, WitChallenge, mint_wit_possession_message};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{EXPORTER_LEN, MAX_ISSUE_BATCH, possession_message};
use trust_domains::wire::tokens::{IssueTokensResponse, IssueWitRequest, TokenResult, WitRequest, wit_possession_message};
use trust_domains::wit_svid::{HeldWitSvid, UnverifiedWitSvid, WitLeeway};
use trust_domains::{EntryId, SpiffeBundle};

use super::token_calls::{issued, issued_once_acknowledged, recorded, refusal};
use super::world::{DEADLINE, Key, World, code, draft};
use crate::config::RawServerConfig;

fn enabled() -> RawServerConfig {
    RawServerConfig {
        enable: Some(vec!["wit".to_owned()]),
        ..RawServerConfig::default()
    }
}

async fn world() -> World {
    World::with(enabled()).await
}

fn request(connection: &Connection, entry: &EntryId, key: &Key) -> WitRequest {
    signed(entry, key, key, &wit_possession_message(connection.exporter(), &key.spki(), entry))
}

/// A request for one key with a proof by another over anything.
fn signed(entry: &EntryId, key: &Key, by: &Key, message: &[u8]) -> WitRequest {
    WitRequest {
        entry_id: entry.clone(),
        public_key: Base64(key.spki()),
        proof: by.sign(message),
    }
}

async fn ask(connection: &Connection, requests: Vec<WitRequest>) -> Result<IssueTokensResponse, CallError> {
    connection.post("/v1/node/issue-wit", &IssueWitRequest { requests }, DEADLINE).await
}

async fn bundle(world: &World) -> SpiffeBundle {
    world.admin.get("/v1/admin/bundle").await.unwrap()
}

/// Verifies a token as its holder does.
async fn held(world: &World, token: &str, key: &Key) -> HeldWitSvid {
    let bundle = bundle(world).await;
    let unproven = UnverifiedWitSvid::parse(token)
        .unwrap()
        .verify(bundle.bundle(), world.clock.now().wall, WitLeeway::NONE);
    unproven.unwrap().held_with(&PublicKey::from_spki(&key.spki()).unwrap()).unwrap()
}

#[covers("WIT-02", "WIT-06", "WIT-07", "WIT-08", "WIT-09", "WIT-13", "WIT-14", "WIT-15", "WIT-22")]
#[tokio::test]
async fn a_node_gets_wit_svids_for_keys_that_it_proves_and_the_bundle_verifies_them() {
    let world = world().await;
    let node = world.node("a").await;
    let entry = world
        .create(vec![EntryDraft {
            x509_ttl_s: Some(900),
            jwt_ttl_s: Some(60),
            ..draft("/web", "a")
        }])
        .await
        .unwrap()
        .entries
        .remove(0);
    let connection = node.connect(&world).await;
    let (one, other) = (Key::new(), Key::new());
    let requests = vec![request(&connection, &entry.id, &one), request(&connection, &entry.id, &other)];
    let response = ask(&connection, requests).await.unwrap();
    let token = issued(&response.results[0]);
    assert_eq!((token.entry_revision, token.expires_in_s), (entry.revision, 900), "the life of a certificate");

    let first = held(&world, token.token.as_str(), &one).await;
    let second = held(&world, issued(&response.results[1]).token.as_str(), &other).await;
    assert_eq!(first.spiffe_id().as_str(), "spiffe://example.org/web");
    let names: Vec<_> = first.claims().all().keys().map(String::as_str).collect();
    assert_eq!(names, ["cnf", "exp", "iat", "jti", "sub"], "no aud, no iss");
    assert_eq!(first.claims().all()["exp"], json!(token.issued_at.unix() + 900));
    assert_ne!(first.claims().all()["jti"], second.claims().all()["jti"]);

    let bundle = bundle(&world).await;
    let keys = [bundle.bundle().jwt_authorities(), bundle.bundle().wit_authorities()].map(|keys| keys.iter().map(|key| key.key_id()).collect::<Vec<_>>());
    assert!(keys[0].len() == 1 && keys[1].len() == 1 && keys[0] != keys[1], "{keys:?}");

    let recorded = recorded(&world).await;
    let record = recorded.iter().find(|record| json!(record.jti) == first.claims().all()["jti"]).unwrap();
    assert_eq!(
        (record.kind, &record.audience, record.not_after),
        (TokenKind::Wit, &Vec::new(), token.expires_at)
    );
    assert_eq!(record.key, Some(PublicKey::from_spki(&one.spki()).unwrap().hash()));
    assert_eq!(
        (record.entry.as_ref(), record.node.as_ref()),
        (Some(&entry.id), Some(&node.credential.spiffe_id))
    );
    assert_eq!(Some(record.issuer.as_str()), keys[1][0]);
    assert!(!serde_json::to_string(&recorded).unwrap().contains("eyJ"), "no token in the journal");
}

#[covers("WIT-07")]
#[tokio::test]
async fn a_proof_of_another_key_connection_entry_or_purpose_is_none_and_tells_nothing_of_the_entry() {
    let world = world().await;
    let node = world.node("a").await;
    world.node("b").await;
    let (own, second, foreign) = (
        world.entry("/web", "a").await.id,
        world.entry("/api", "a").await.id,
        world.entry("/db", "b").await.id,
    );
    let (connection, earlier) = (node.connect(&world).await, node.connect(&world).await);
    let (here, there): (&[u8; EXPORTER_LEN], _) = (connection.exporter(), earlier.exporter());
    let thief = Key::new();
    let of = |exporter, key: &Key, entry: &EntryId| wit_possession_message(exporter, &key.spki(), entry);
    let made = |forge: &dyn Fn(&Key) -> WitRequest| forge(&Key::new());
    let unproved = Some(Code::PossessionUnproved);
    let cases: Vec<(&str, WitRequest, Option<Code>)> = vec![
        ("good", made(&|key| signed(&own, key, key, &of(here, key, &own))), None),
        ("by another key", made(&|key| signed(&own, key, &thief, &of(here, key, &own))), unproved),
        ("of another connection", made(&|key| signed(&own, key, key, &of(there, key, &own))), unproved),
        ("for another entry", made(&|key| signed(&own, key, key, &of(here, key, &second))), unproved),
        ("for another key", made(&|key| signed(&own, key, key, &of(here, &thief, &own))), unproved),
        (
            "of a node that attests or renews",
            made(&|key| signed(&own, key, key, &possession_message(here, &key.spki(), own.as_str().as_bytes()))),
            unproved,
        ),
        (
            "of an operator that mints",
            made(&|key| signed(&own, key, key, &mint_wit_possession_message(here, &key.spki(), own.as_str()))),
            unproved,
        ),
        (
            "none",
            made(&|key| WitRequest {
                proof: Base64(Vec::new()),
                ..signed(&own, key, key, b"")
            }),
            unproved,
        ),
        (
            "for a foreign entry, by another key",
            made(&|key| signed(&foreign, key, &thief, &of(here, key, &foreign))),
            unproved,
        ),
        (
            "good, for a foreign entry",
            made(&|key| signed(&foreign, key, key, &of(here, key, &foreign))),
            Some(Code::EntryNotOfNode),
        ),
        ("good again", made(&|key| signed(&second, key, key, &of(here, key, &second))), None),
    ];
    let (names, requests): (Vec<_>, Vec<_>) = cases.into_iter().map(|(name, request, expected)| ((name, expected), request)).unzip();
    let response = ask(&connection, requests.clone()).await.unwrap();
    for ((name, expected), result) in names.iter().zip(&response.results) {
        assert_eq!(refusal(result), *expected, "{name}");
    }
    // What was a good proof there is worth nothing on another connection.
    let replayed = ask(&earlier, vec![requests[0].clone()]).await.unwrap();
    assert_eq!(refusal(&replayed.results[0]), unproved);

    let of_unproved = |result: &TokenResult| match result {
        TokenResult::Refused { entry_id, problem } => serde_json::to_string(problem).unwrap().replace(entry_id.as_str(), "ID"),
        TokenResult::Issued(_) => panic!("issued"),
    };
    assert_eq!(of_unproved(&response.results[1]), of_unproved(&response.results[8]), "own and foreign alike");
    assert_eq!(recorded(&world).await.len(), 2, "what is refused leaves no record");
}

#[tokio::test]
async fn a_key_that_is_repeated_malformed_or_somebody_elses_is_bound_to_no_token() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let twice = Key::new();
    let node_key = node.key.again();
    let mut off_curve = request(&connection, &id, &Key::new());
    *off_curve.public_key.0.last_mut().unwrap() ^= 1;
    let requests = vec![
        request(&connection, &id, &twice),
        request(&connection, &id, &twice),
        request(&connection, &id, &node_key),
        off_curve,
    ];
    let response = ask(&connection, requests).await.unwrap();
    let codes: Vec<_> = response.results.iter().map(refusal).collect();
    let refused = Some(Code::KeyUnacceptable);
    assert_eq!(codes, [None, refused, refused, refused]);
}

#[tokio::test]
async fn a_server_that_was_not_told_to_issues_none_and_has_no_key_for_them() {
    let world = World::new().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let asked = request(&connection, &id, &Key::new());
    assert_eq!(code(ask(&connection, vec![asked]).await), Code::WitDisabled);
    assert_eq!(
        code(world.admin.post::<WitChallenge>("/v1/admin/mint-wit/challenge", &()).await),
        Code::WitDisabled
    );
    assert!(bundle(&world).await.bundle().wit_authorities().is_empty());
    let health: Value = world.admin.get("/v1/admin/health").await.unwrap();
    assert_eq!(health["state"], "ready", "that is no problem: {health}");
    assert!(recorded(&world).await.is_empty());
}

#[tokio::test]
async fn a_banned_node_gets_none_and_a_batch_has_its_limit() {
    let world = world().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let connection = node.connect(&world).await;
    let batch = |size: usize| (0..size).map(|_| request(&connection, &id, &Key::new())).collect::<Vec<_>>();
    assert_eq!(code(ask(&connection, batch(MAX_ISSUE_BATCH + 1)).await), Code::BatchTooLarge);
    let full = ask(&connection, batch(MAX_ISSUE_BATCH)).await.unwrap();
    assert!(full.results.iter().all(|result| refusal(result).is_none()));
    assert!(ask(&connection, Vec::new()).await.unwrap().results.is_empty());
    world.admin.post::<Value>("/v1/admin/nodes/a/ban", &()).await.unwrap();
    assert_eq!(code(ask(&connection, batch(1)).await), Code::NodeBanned);
    assert_eq!(recorded(&world).await.len(), MAX_ISSUE_BATCH);
}

#[covers("WIT-10")]
#[tokio::test]
async fn a_wit_svid_ends_with_its_entry() {
    let world = world().await;
    let node = world.node("a").await;
    let ends = |seconds| Some(world.clock.now().wall + Duration::from_secs(seconds));
    let draft = |path: &str, expires_at, class: Option<&str>| EntryDraft {
        expires_at,
        class: class.map(|class| class.parse().unwrap()),
        ..draft(path, "a")
    };
    let drafts = vec![draft("/short", ends(100), None), draft("/slow", None, Some("slow"))];
    let ids: Vec<_> = world.create(drafts).await.unwrap().entries.into_iter().map(|entry| entry.id).collect();
    let connection = node.connect(&world).await;
    let response = ask(&connection, ids.iter().map(|id| request(&connection, id, &Key::new())).collect())
        .await
        .unwrap();
    let short = issued(&response.results[0]);
    assert_eq!((short.expires_at, short.expires_in_s), (ends(100).unwrap(), 100));
    assert_eq!(issued(&response.results[1]).expires_in_s, 86_400);
}

#[covers("WIT-22")]
#[tokio::test]
async fn a_store_from_before_gets_a_wit_key_when_it_is_enabled_which_signs_once_its_nodes_know_it() {
    let world = World::new().await;
    let node = world.node("a").await;
    let id = world.entry("/web", "a").await.id;
    let world = world.restarted_with(enabled()).await;
    let connection = node.connect(&world).await;
    let asked = || ask(&connection, vec![request(&connection, &id, &Key::new())]);
    assert_eq!(code(asked().await), Code::IssuerUnavailable, "the node does not know the key");
    assert_eq!(bundle(&world).await.bundle().wit_authorities().len(), 1, "it is published before it signs");
    let health: Value = world.admin.get("/v1/admin/health").await.unwrap();
    assert!(health["problems"].to_string().contains("wit key"), "{health}");

    let response = issued_once_acknowledged(&connection, asked).await;
    let token = issued(&response.results[0]).token.as_str().to_owned();

    // Off again: what was signed can still be verified, and nothing more is signed.
    let world = world.restarted().await;
    let connection = node.connect(&world).await;
    let asked = request(&connection, &id, &Key::new());
    assert_eq!(code(ask(&connection, vec![asked]).await), Code::WitDisabled);
    let bundle = bundle(&world).await;
    assert_eq!(bundle.bundle().wit_authorities().len(), 1);
    let now = world.clock.now().wall;
    assert!(UnverifiedWitSvid::parse(&token).unwrap().verify(bundle.bundle(), now, WitLeeway::NONE).is_ok());

    // And on once more: the same key signs, which everybody knows.
    let world = world.restarted_with(enabled()).await;
    let connection = node.connect(&world).await;
    let response = ask(&connection, vec![request(&connection, &id, &Key::new())]).await.unwrap();
    issued(&response.results[0]);
    assert_eq!(self::bundle(&world).await, bundle, "nothing changed");
}

async fn challenge(world: &World) -> Vec<u8> {
    let given: WitChallenge = world.admin.post("/v1/admin/mint-wit/challenge", &()).await.unwrap();
    assert_eq!(given.expires_in_s, 60);
    given.challenge.0
}

fn mint(key: &Key, spiffe_id: &str, challenge: &[u8], ttl_s: Option<u64>) -> MintWitRequest {
    let message = mint_wit_possession_message(challenge.try_into().unwrap(), &key.spki(), spiffe_id);
    MintWitRequest {
        spiffe_id: spiffe_id.to_owned(),
        public_key: Base64(key.spki()),
        challenge: Base64(challenge.to_vec()),
        proof: key.sign(&message),
        ttl_s,
    }
}

async fn minted(world: &World, request: &MintWitRequest) -> Result<MintedToken, CallError> {
    world.admin.post("/v1/admin/mint-wit", request).await
}

#[tokio::test]
async fn an_operator_mints_wit_svids_for_a_key_of_his_own_within_bounds_and_the_journal_names_him() {
    let world = world().await;
    let key = Key::new();
    let request = mint(&key, "/backup", &challenge(&world).await, None);
    let token = minted(&world, &request).await.unwrap();
    let own = held(&world, token.token.as_str(), &key).await;
    assert_eq!(
        (own.spiffe_id().as_str(), own.claims().expires_at()),
        ("spiffe://example.org/backup", token.issued_at + Duration::from_secs(3_600))
    );
    assert_eq!(code(minted(&world, &request).await), Code::PossessionUnproved, "a challenge is good once");

    for (spiffe_id, ttl_s, expected) in [
        ("/troth/server", None, Code::ReservedPath),
        ("spiffe://example.com/web", None, Code::InvalidSpiffeId),
        ("spiffe://example.org", None, Code::InvalidSpiffeId),
        ("/web", Some(86_401), Code::ClassExceeded),
        ("/web", Some(9), Code::InvalidRequest),
        ("/web", Some(u64::MAX), Code::ClassExceeded),
    ] {
        let request = mint(&Key::new(), spiffe_id, &challenge(&world).await, ttl_s);
        assert_eq!(code(minted(&world, &request).await), expected, "{spiffe_id} {ttl_s:?}");
    }
    let recorded = recorded(&world).await;
    assert_eq!(recorded.len(), 1);
    assert!(recorded[0].actor.starts_with("local:uid:"), "{}", recorded[0].actor);
    assert_eq!((recorded[0].kind, recorded[0].jti, &recorded[0].entry), (TokenKind::Wit, token.jti, &None));
}

#[tokio::test]
async fn a_mint_whose_proof_is_of_another_key_name_challenge_or_purpose_is_refused() {
    let world = world().await;
    let (key, thief) = (Key::new(), Key::new());
    type Forge = fn(&Key, &Key, &[u8]) -> MintWitRequest;
    let forgeries: [(&str, Forge); 6] = [
        ("a thief's key", |key, thief, challenge| MintWitRequest {
            public_key: Base64(thief.spki()),
            ..mint(key, "/web", challenge, None)
        }),
        ("another name", |key, _, challenge| MintWitRequest {
            spiffe_id: "/admin".to_owned(),
            ..mint(key, "/web", challenge, None)
        }),
        ("the same name in other words", |key, _, challenge| MintWitRequest {
            spiffe_id: "spiffe://example.org/web".to_owned(),
            ..mint(key, "/web", challenge, None)
        }),
        ("a challenge of its own", |key, _, _| mint(key, "/web", &[7; 32], None)),
        ("a challenge too short", |key, _, challenge| MintWitRequest {
            challenge: Base64(challenge[..31].to_vec()),
            ..mint(key, "/web", challenge, None)
        }),
        ("a node's proof", |key, _, challenge| MintWitRequest {
            proof: key.sign(&possession_message(challenge.try_into().unwrap(), &key.spki(), b"/web")),
            ..mint(key, "/web", challenge, None)
        }),
    ];
    for (what, forge) in forgeries {
        let forged = forge(&key, &thief, &challenge(&world).await);
        assert_eq!(code(minted(&world, &forged).await), Code::PossessionUnproved, "{what}");
    }
    let late = challenge(&world).await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(
        code(minted(&world, &mint(&key, "/web", &late, None)).await),
        Code::PossessionUnproved,
        "a minute"
    );
    assert!(recorded(&world).await.is_empty());
}
