//! JWT-SVIDs from end to end: issued by the server, held by the agent, judged by the agent and by programs that we did not write.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use agent::workload_api::client::{WorkloadApiClient, connect};
use agent::workload_api::messages::{JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, ValidateJwtsvidRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use serde_json::{Value, json};
use tests::command::Run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::{PATIENCE, until_async};
use tests::workload::{as_user, ids, ids_of};
use tonic::{Code, Status};

const AUDIENCE: &str = "https://api.example.com";

/// A node whose one entry is for whoever runs these tests, with tokens that live so long.
fn domain_with_tokens(name: &str, life: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let agent = domain.agent("n1");
    token_entry(&domain, "/job", nix::unistd::getuid().as_raw(), life);
    (domain, agent)
}

fn token_entry(domain: &Domain, path: &str, uid: u32, life: &str) {
    let selector = format!("unix:uid:{uid}");
    let entry = ["entry", "create", "--spiffe-id", path, "--parent", "n1", "--selector", &selector];
    let _ = domain.told(&[&entry[..], &["--jwt-ttl", life, "--wait"]].concat());
}

fn fetch_jwt_as(uid: u32, socket: &Path, arguments: &[&str]) -> Run {
    let mut command = as_user(uid);
    command
        .args(["--output", "json", "svid", "fetch", "jwt", "--socket", path_text(socket)])
        .args(arguments);
    Run::of(&command.output().expect("setpriv starts (apt-get install util-linux)"))
}

async fn fetch(client: &mut WorkloadApiClient, audience: &str) -> Result<String, Status> {
    let request = JwtsvidRequest {
        audience: vec![audience.to_owned()],
        spiffe_id: String::new(),
    };
    let mut svids = client.fetch_jwtsvid(request).await?.into_inner().svids;
    assert_eq!(svids.len(), 1);
    Ok(svids.remove(0).svid)
}

async fn validate(client: &mut WorkloadApiClient, token: &str) -> Result<String, Status> {
    let request = ValidateJwtsvidRequest {
        audience: AUDIENCE.to_owned(),
        svid: token.to_owned(),
    };
    Ok(client.validate_jwtsvid(request).await?.into_inner().spiffe_id)
}

/// One part of a token: 0 the header, 1 the payload.
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[covers("JWT-02", "JWT-05", "JWT-06", "JWT-07", "JWT-08", "JWT-10", "WAPI-16")]
#[test]
fn the_command_line_fetches_a_token_for_each_identity_and_writes_it() {
    let (domain, agent) = domain_with_tokens("tokens.test", "5m");
    token_entry(&domain, "/first", 4601, "1m");
    token_entry(&domain, "/second", 4601, "2m");
    let fetched = fetch_jwt_as(4601, &agent.socket, &["--audience", AUDIENCE]);
    assert_eq!(ids(&fetched), ["spiffe://tokens.test/first", "spiffe://tokens.test/second"]);
    for (svid, life) in fetched.json()["svids"].as_array().expect("svids").iter().zip([60, 120]) {
        let token = svid["token"].as_str().expect("a token");
        let header = part(token, 0);
        assert_eq!(header.as_object().expect("an object").len(), 3, "{header}");
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
        let claims = part(token, 1);
        assert_eq!(claims["sub"], svid["spiffe_id"]);
        assert_eq!(claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"), life);
        assert!(svid["expires_at"].is_string() && svid["hint"].is_null(), "{svid}");
    }
    let one = fetch_jwt_as(
        4601,
        &agent.socket,
        &["--audience", "a", "--audience", "b", "--spiffe-id", "spiffe://tokens.test/second"],
    );
    assert_eq!(ids(&one), ["spiffe://tokens.test/second"]);
    let short = fetch_jwt_as(4601, &agent.socket, &["--audience", "a", "--spiffe-id", "/second"]);
    assert_eq!(ids(&short), ["spiffe://tokens.test/second"]);
    let missing = fetch_jwt_as(4601, &agent.socket, &["--audience", "a", "--spiffe-id", "/job"]);
    assert_eq!((missing.code, missing.problem().as_str()), (1, "no_entries"));
    let other = fetch_jwt_as(4601, &agent.socket, &["--audience", "a", "--spiffe-id", "spiffe://tokens.test/job"]);
    assert_eq!((other.code, other.problem().as_str()), (1, "no_entries"));
    let stranger = fetch_jwt_as(4602, &agent.socket, &["--audience", "a"]);
    assert_eq!((stranger.code, stranger.problem().as_str()), (1, "no_entries"));
    assert_eq!(fetch_jwt_as(4601, &agent.socket, &[]).code, 2, "an audience is needed");
    let _ = fetch_jwt_as(4601, &agent.socket, &["--audience", "a", "--audience", "a"]).exits(0);
    for values in [&["--audience", ""][..], &["--audience", "a", "--audience", ""]] {
        let fetched = fetch_jwt_as(4601, &agent.socket, values).exits(1);
        let minted = domain.operator(&[&["svid", "mint", "jwt", "--spiffe-id", "/first"], values].concat()).exits(1);
        assert_eq!(
            (fetched.problem(), minted.problem()),
            ("audience_unacceptable".to_owned(), "audience_unacceptable".to_owned()),
            "one mistake, one code"
        );
    }

    let folder = domain.folder().join("written");
    let socket = path_text(&agent.socket);
    let _ = tests::command::run(&[
        "svid",
        "fetch",
        "jwt",
        "--socket",
        socket,
        "--audience",
        AUDIENCE,
        "--write",
        path_text(&folder),
    ])
    .exits(0);
    let token = std::fs::read_to_string(folder.join("jwt.0.token")).expect("a token");
    assert_eq!(part(&token, 1)["sub"], "spiffe://tokens.test/job");
    let bundles = tests::command::run(&[
        "--output",
        "json",
        "svid",
        "fetch",
        "bundles",
        "--socket",
        socket,
        "--write",
        path_text(&folder),
    ])
    .exits(0);
    assert!(bundles.json()["bundles"][0]["jwt_authorities"].as_u64() >= Some(1), "{bundles:?}");
    let keys = std::fs::read_to_string(folder.join("tokens.test.jwks.json")).expect("keys");
    assert!(keys.contains(part(&token, 0)["kid"].as_str().expect("a key ID")));
}

#[covers("JWT-04", "JWT-06", "JWT-15", "WAPI-18")]
#[tokio::test]
async fn the_agent_validates_its_own_domains_tokens_and_refuses_what_is_none() {
    let (_domain, agent) = domain_with_tokens("valid.test", "5m");
    let (_other_domain, other_agent) = domain_with_tokens("other.test", "5m");
    let mut client = connect(&agent.socket).await.expect("the agent answers");
    let token = fetch(&mut client, AUDIENCE).await.expect("a token");
    assert_eq!(validate(&mut client, &token).await.expect("valid"), "spiffe://valid.test/job");

    let mut other = connect(&other_agent.socket).await.expect("the agent answers");
    let foreign = fetch(&mut other, AUDIENCE).await.expect("a token");
    let for_another = fetch(&mut client, "https://another.example.com").await.expect("a token");
    let [head, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let with = |member: &str, value: Value| {
        let mut header = part(&token, 0);
        header[member] = value;
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    let mut claims = part(&token, 1);
    claims["sub"] = json!("spiffe://valid.test/admin");
    let tampered = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    for (reason, token) in [
        ("no bundle of other.test", foreign),
        ("is not for", for_another),
        ("signature", tampered),
        ("type \"wit+jwt\"", with("typ", json!("wit+jwt"))),
        ("none of the nine", with("alg", json!("none"))),
        ("no JWT key", with("kid", json!("unknown"))),
        ("an extension", with("crit", json!(["exp"]))),
    ] {
        let refused = validate(&mut client, &token).await.expect_err(reason);
        assert_eq!(refused.code(), Code::InvalidArgument, "{reason}");
        assert!(refused.message().contains(reason), "{reason}: {refused}");
    }
}

/// Returns the key IDs of the one trust domain in a message of `FetchJWTBundles`.
fn key_ids(mut message: JwtBundlesResponse) -> BTreeSet<String> {
    let keys = message.bundles.remove("spiffe://rotating.test").expect("the own trust domain's keys");
    let keys: Value = serde_json::from_slice(&keys).expect("JSON");
    let ids = keys["keys"].as_array().expect("keys").iter();
    ids.map(|key| key["kid"].as_str().expect("a key ID").to_owned()).collect()
}

#[covers("JWT-14", "WAPI-04", "WAPI-17")]
#[tokio::test]
async fn another_key_is_on_open_streams_before_any_token_that_it_signed() {
    let (mut domain, agent) = domain_with_tokens("rotating.test", "10s");
    let mut client = connect(&agent.socket).await.expect("the agent answers");
    let mut stream = client.fetch_jwt_bundles(JwtBundlesRequest {}).await.expect("a stream").into_inner();
    let mut shown = key_ids(stream.message().await.expect("a message").expect("the stream goes on"));
    let first = shown.clone();
    assert_eq!(first.len(), 1);

    // Held while the server is away.
    let _ = fetch(&mut client, AUDIENCE).await.expect("a token");
    // Keys live for days: the one of another algorithm takes over in the same way, but now.
    let _ = domain.server().terminate();
    domain.options = ["--jwt-algorithm", "rs256"].map(str::to_owned).to_vec();
    domain.start_server();
    let mut seen = 0;
    let signed = until_async("a token of the other key", async || {
        let token = fetch(&mut client, AUDIENCE).await.expect("a token at any time");
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(5), stream.message()).await {
            shown = key_ids(message.expect("the stream goes on").expect("the stream goes on"));
        }
        let key = part(&token, 0)["kid"].as_str().expect("a key ID").to_owned();
        assert!(shown.contains(&key), "{key} is not among {shown:?}");
        assert!(validate(&mut client, &token).await.is_ok());
        seen += 1;
        (!first.contains(&key)).then_some(token)
    })
    .await;
    assert_eq!(part(&signed, 0)["alg"], "RS256");
    assert!(seen > 1 && shown.len() == 2 && shown.is_superset(&first), "{shown:?}");
}

/// Returns how many JWT-SVIDs the journal says were issued.
fn issued(domain: &Domain) -> usize {
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter(|line| line["event"] == "token_issued").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_of_one_audience_cause_one_issuing() {
    let (domain, agent) = domain_with_tokens("crowd.test", "5m");
    let before = issued(&domain);
    let mut callers = Vec::new();
    for _ in 0..100 {
        let socket = agent.socket.clone();
        callers.push(tokio::spawn(async move {
            let mut client = connect(&socket).await.expect("the agent answers");
            fetch(&mut client, AUDIENCE).await.expect("a token")
        }));
    }
    let mut tokens = BTreeSet::new();
    for caller in callers {
        tokens.insert(tokio::time::timeout(PATIENCE, caller).await.expect("in time").expect("a caller"));
    }
    assert_eq!(tokens.len(), 1);
    assert_eq!(issued(&domain) - before, 1);
}

#[tokio::test]
async fn without_a_server_a_token_is_answered_from_the_cache_until_it_ends() {
    let (mut domain, agent) = domain_with_tokens("away.test", "12s");
    let mut client = connect(&agent.socket).await.expect("the agent answers");
    let token = fetch(&mut client, AUDIENCE).await.expect("a token");
    domain.server().kill_9();
    let end = part(&token, 1)["exp"].as_i64().expect("exp");
    let now = || i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()).expect("these days");
    let mut answered = 0;
    let refused = loop {
        match tokio::time::timeout(PATIENCE, fetch(&mut client, AUDIENCE)).await.expect("an answer in time") {
            Ok(held) => {
                // One that was renewed in the moment before the end of the server may be held instead.
                assert!(part(&held, 1)["exp"].as_i64() > Some(now() - 1), "one that ended was answered");
                answered += 1;
            }
            Err(refused) => break refused,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(answered > 10 && now() >= end - 1, "{answered} answers");
    let new = fetch(&mut client, "https://new.example.com").await.expect_err("nobody can issue it");
    assert_eq!(new.code(), Code::Unavailable);

    domain.start_server();
    let again = until_async("a token after the outage", async || fetch(&mut client, AUDIENCE).await.ok()).await;
    assert_ne!(again, token);
}

#[tokio::test]
async fn a_deleted_entry_ends_its_tokens_at_once() {
    let (domain, agent) = domain_with_tokens("gone.test", "5m");
    let mut client = connect(&agent.socket).await.expect("the agent answers");
    let _ = fetch(&mut client, AUDIENCE).await.expect("a token");
    let _ = domain.told(&["entry", "delete", "/job", "--wait"]);
    let refused = fetch(&mut client, AUDIENCE).await.expect_err("the entry is gone");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_flood_of_new_audiences_costs_a_bounded_memory_and_nobody_else_an_answer() {
    let (domain, agent) = domain_with_tokens("flood.test", "5m");
    token_entry(&domain, "/quiet", 4601, "5m");
    let quiet = || fetch_jwt_as(4601, &agent.socket, &["--audience", AUDIENCE]).json();
    let before = quiet();
    let mut client = connect(&agent.socket).await.expect("the agent answers");
    let long = "x".repeat(1_500);
    for round in 0..40 {
        let calls = (0..100).map(|number| {
            let (mut client, audience) = (client.clone(), format!("https://{round}-{number}.{long}"));
            tokio::spawn(async move { fetch(&mut client, &audience).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(tokio::time::timeout(PATIENCE, call).await.expect("in time").expect("a call").is_ok());
        }
    }
    assert_eq!(quiet(), before, "the quiet workload's token is still held");
    assert_eq!(ids_of(&before), ["spiffe://flood.test/quiet"]);
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    assert!(status["jwt_svids"].as_u64().is_some_and(|held| held <= 1_025), "{status}");
    assert!(fetch(&mut client, AUDIENCE).await.is_ok());
}
