//! WIT-SVIDs from end to end: issued by the server for keys of the agent, followed by workloads, judged by programs that we did not write.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use agent::workload_api::client::{WorkloadApiClient, connect};
use agent::workload_api::messages::{JwtBundlesRequest, ValidateJwtsvidRequest, WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use serde_json::{Value, json};
use tests::command::{Run, run};
use tests::domain::{Agent, Domain, path_text};
use tests::python::run_script;
use tests::wait::{PATIENCE, until, until_async};
use tests::workload::{as_user, ids};
use tonic::{Code, Status, Streaming};

const AUDIENCE: &str = "https://api.example.com/orders";

/// A node with the profile on, whose one entry is for whoever runs these tests, with credentials that live so long.
fn domain_with_wit(name: &str, life: &str) -> (Domain, Agent) {
    let domain = Domain::start_with(name, &["--enable", "wit"]);
    let agent = domain.agent_with("n1", &["--enable", "wit"]);
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), life);
    (domain, agent)
}

fn fetch_wit_as(uid: u32, socket: &Path, arguments: &[&str]) -> Run {
    let mut command = as_user(uid);
    command
        .args(["--output", "json", "svid", "fetch", "wit", "--socket", path_text(socket)])
        .args(arguments);
    Run::of(&command.output().expect("setpriv starts (apt-get install util-linux)"))
}

async fn client(agent: &Agent) -> WorkloadApiClient {
    connect(&agent.socket).await.expect("the agent answers")
}

async fn open(agent: &Agent) -> Result<Streaming<WitsvidResponse>, Status> {
    let mut client = client(agent).await;
    let opening = tokio::time::timeout(PATIENCE, client.fetch_witsvid(WitsvidRequest::default()));
    Ok(opening.await.expect("an answer in time")?.into_inner())
}

async fn open_bundles(agent: &Agent) -> Result<Streaming<WitBundlesResponse>, Status> {
    let mut client = client(agent).await;
    let opening = tokio::time::timeout(PATIENCE, client.fetch_wit_bundles(WitBundlesRequest {}));
    Ok(opening.await.expect("an answer in time")?.into_inner())
}

async fn said<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a message in time");
    message.map(|message| message.expect("the stream goes on, or ends with a reason"))
}

/// One part of a token: 0 the header, 1 the payload.
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// The key IDs of a domain's key set; every key is one for WIT-SVIDs.
fn key_ids(set: &str) -> BTreeSet<String> {
    let set: Value = serde_json::from_str(set).expect("a key set");
    let keys = set["keys"].as_array().expect("keys");
    let ids: BTreeSet<String> = keys
        .iter()
        .inspect(|key| assert_eq!(key["use"], "wit-svid", "{key}"))
        .map(|key| key["kid"].as_str().expect("a key ID").to_owned())
        .collect();
    assert_eq!(ids.len(), keys.len(), "each ID once");
    ids
}

fn seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("these days")
}

#[covers(
    "WIT-01", "WIT-02", "WIT-03", "WIT-05", "WIT-06", "WIT-07", "WIT-08", "WIT-10", "WIT-13", "WIT-14", "WIT-15", "WAPI-21"
)]
#[test]
fn the_command_line_fetches_a_token_for_each_identity_and_shows_no_key() {
    let (domain, agent) = domain_with_wit("wits.test", "60s");
    domain.fast_entry("n1", "/first", 4611, "60s");
    domain.fast_entry("n1", "/second", 4611, "120s");
    let fetched = fetch_wit_as(4611, &agent.socket, &[]);
    assert_eq!(ids(&fetched), ["spiffe://wits.test/first", "spiffe://wits.test/second"]);
    assert!(!fetched.stdout.contains("\"d\""), "no private key is shown");
    for (svid, life) in fetched.json()["svids"].as_array().expect("svids").iter().zip([60, 120]) {
        let token = svid["token"].as_str().expect("a token");
        let (header, claims) = (part(token, 0), part(token, 1));
        assert_eq!(header.as_object().expect("an object").len(), 3, "{header}");
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("wit+jwt")));
        assert_eq!(claims["sub"], svid["spiffe_id"]);
        assert_eq!(claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"), life);
        assert_eq!(claims["cnf"]["jwk"]["alg"], "ES256");
        assert!(claims.get("aud").is_none() && claims.get("iss").is_none(), "{claims}");
    }
    let again = fetch_wit_as(4611, &agent.socket, &["--spiffe-id", "spiffe://wits.test/second"]);
    assert_eq!(
        again.json()["svids"][0]["token"],
        fetched.json()["svids"][1]["token"],
        "the next process gets the same (WIT-16)"
    );
    let other = fetch_wit_as(4611, &agent.socket, &["--spiffe-id", "spiffe://wits.test/job"]);
    assert_eq!((other.code, other.problem().as_str()), (1, "no_entries"));
    let proved = fetch_wit_as(4611, &agent.socket, &["--prove", AUDIENCE]);
    assert_eq!(ids(&proved), ["spiffe://wits.test/first"], "a request is made as one identity");
    let stranger = fetch_wit_as(4612, &agent.socket, &[]);
    assert_eq!((stranger.code, stranger.problem().as_str()), (1, "no_entries"));
}

#[covers("WIT-17", "WIT-18", "WIT-19", "WIT-20", "WIT-22", "WIT-23")]
#[test]
fn a_relying_party_in_python_believes_the_token_with_its_proof_and_nothing_else() {
    let (domain, agent) = domain_with_wit("python-wit.test", "60s");
    let (socket, folder) = (path_text(&agent.socket), domain.folder().join("written"));
    let fetch = [
        "--output",
        "json",
        "svid",
        "fetch",
        "wit",
        "--socket",
        socket,
        "--prove",
        AUDIENCE,
        "--write",
        path_text(&folder),
    ];
    let fetched = run(&fetch).exits(0).json();
    let svid = &fetched["svids"][0];
    let bundles = run(&[
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
    assert_eq!(bundles.json()["bundles"][0]["wit_authorities"], 1, "{bundles:?}");
    let keys = std::fs::read_to_string(folder.join("python-wit.test.wit.jwks.json")).expect("keys");
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    let given = json!({ "wit": svid["token"], "proof": svid["proof"]["token"], "keys": keys });
    let judged = run_script("jwt", "wit_svid.py", &[AUDIENCE], &given.to_string()).exits(0).json();
    assert_eq!((&judged["sub"], &judged["life_s"]), (&json!("spiffe://python-wit.test/job"), &json!(60)));

    let key_file = folder.join("wit.0.key.json");
    assert_eq!(std::fs::metadata(&key_file).expect("the key").permissions().mode() & 0o777, 0o600);
    let key: Value = serde_json::from_str(&std::fs::read_to_string(key_file).expect("the key")).expect("a JWK");
    let bound = part(svid["token"].as_str().expect("a token"), 1)["cnf"]["jwk"].clone();
    assert_eq!((&key["x"], &key["y"], &key["alg"]), (&bound["x"], &bound["y"], &json!("ES256")));
    assert!(!fetched.to_string().contains(key["d"].as_str().expect("the private half")));

    let shown = run(&["svid", "fetch", "wit", "--socket", socket, "--prove", AUDIENCE]).exits(0).stdout;
    let fields: Vec<&str> = shown.lines().map(|line| line.split_once(": ").expect("a header field").0).collect();
    assert_eq!(fields, ["Workload-Identity-Token", "Workload-Proof-Token"], "never Authorization (WIT-18)");
    let proof = shown.lines().nth(1).expect("a proof").split_once(": ").expect("a value").1;
    assert_ne!(proof, svid["proof"]["token"], "a fresh one each time");
    let nobody = run(&["--output", "json", "svid", "fetch", "wit", "--socket", socket, "--prove", "?query"]);
    assert_eq!(
        (nobody.code, nobody.problem().as_str()),
        (1, "audience_unacceptable"),
        "a proof is for somebody"
    );
}

#[covers("WAPI-04", "WAPI-05")]
#[tokio::test]
async fn an_open_stream_rotates_key_and_token_again_and_again_and_ends_with_the_entry() {
    let (domain, agent) = domain_with_wit("rotating-wit.test", "10s");
    let mut stream = open(&agent).await.expect("a stream");
    let (mut tokens, mut keys, mut ends) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..4 {
        let svid = said(&mut stream).await.expect("an update").svids.remove(0);
        let claims = part(&svid.wit_svid, 1);
        let end = claims["exp"].as_i64().expect("exp");
        assert!(end > seconds() && end >= ends, "one that ended was sent, or an older one after a newer");
        ends = end;
        let key: Value = serde_json::from_str(&svid.wit_svid_key).expect("a JWK");
        assert_eq!(
            (&key["x"], &key["y"]),
            (&claims["cnf"]["jwk"]["x"], &claims["cnf"]["jwk"]["y"]),
            "key and token never mix"
        );
        assert!(
            tokens.insert(svid.wit_svid.clone()) && keys.insert(key["d"].to_string()),
            "no generation comes twice"
        );
    }
    let _ = domain.told(&["entry", "delete", "/job", "--wait"]);
    let ended = loop {
        if let Err(status) = said(&mut stream).await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended}");
    assert_eq!(open(&agent).await.expect_err("the entry is gone").code(), Code::PermissionDenied);
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(
        tokens.iter().all(|token| exported.contains(part(token, 1)["jti"].as_str().expect("an id"))),
        "each is in the journal"
    );
    assert!(tokens.iter().all(|token| !exported.contains(token)), "and none with its text");
}

#[tokio::test]
async fn without_a_server_a_token_is_served_until_it_ends_and_never_after() {
    let (mut domain, agent) = domain_with_wit("away-wit.test", "12s");
    let mut stream = open(&agent).await.expect("a stream");
    let mut last = said(&mut stream).await.expect("a token").svids.remove(0);
    domain.server().kill_9();
    let ended = loop {
        match said(&mut stream).await {
            Ok(mut response) => {
                last = response.svids.remove(0);
                assert!(part(&last.wit_svid, 1)["exp"].as_i64() > Some(seconds() - 1), "one that ended was sent");
            }
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    assert!(seconds() >= part(&last.wit_svid, 1)["exp"].as_i64().expect("exp") - 1, "served to its end");
    assert_eq!(open(&agent).await.expect_err("nothing valid is held").code(), Code::Unavailable);
    domain.start_server();
    let mut again = until_async("a stream after the outage", async || open(&agent).await.ok()).await;
    assert_ne!(said(&mut again).await.expect("a token").svids[0].wit_svid, last.wit_svid);
}

#[covers("WAPI-05", "WAPI-14", "WAPI-17", "WAPI-22")]
#[tokio::test]
async fn wit_keys_that_come_change_and_go_are_pushed_and_never_among_jwt_keys() {
    let mut domain = Domain::start("keys-wit.test");
    let agent = domain.agent_with("n1", &["--enable", "wit"]);
    let selector = format!("unix:uid:{}", nix::unistd::getuid().as_raw());
    let folder = domain.folder().to_owned();
    let partner = |kid: &str| {
        let key = json!({ "use": "wit-svid", "kid": kid, "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" });
        let file = folder.join(format!("{kid}.json"));
        std::fs::write(&file, json!({ "keys": [key] }).to_string()).expect("a bundle");
        file
    };
    let set = |domain: &Domain, file: &Path| {
        let _ = domain.told(&["bundle", "set", "--trust-domain", "partner.example", path_text(file), "--wait"]);
    };
    set(&domain, &partner("p1"));
    let entry = ["entry", "create", "--spiffe-id", "/job", "--parent", "n1", "--selector", &selector];
    let _ = domain.told(&[&entry[..], &["--federates-with", "partner.example", "--wait"]].concat());

    let mut stream = open_bundles(&agent).await.expect("bundles");
    let mut jwt = client(&agent)
        .await
        .fetch_jwt_bundles(JwtBundlesRequest {})
        .await
        .expect("bundles")
        .into_inner();
    let first = said(&mut stream).await.expect("bundles").bundles;
    assert_eq!(
        first.keys().cloned().collect::<BTreeSet<_>>(),
        ["spiffe://keys-wit.test", "spiffe://partner.example"].map(str::to_owned).into()
    );
    assert_eq!(key_ids(&first["spiffe://keys-wit.test"]).len(), 0, "there, though the server issues none");
    assert_eq!(key_ids(&first["spiffe://partner.example"]), BTreeSet::from(["p1".to_owned()]));

    set(&domain, &partner("p2"));
    let second = said(&mut stream).await.expect("bundles").bundles;
    assert_eq!(
        key_ids(&second["spiffe://partner.example"]),
        BTreeSet::from(["p2".to_owned()]),
        "the partner changed its key"
    );

    let refused = open(&agent).await.expect_err("the server has it off");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("--enable wit"), "{refused}");

    domain.server().kill_9();
    domain.options = ["--enable", "wit"].map(str::to_owned).to_vec();
    domain.start_server();
    let third = loop {
        let bundles = said(&mut stream).await.expect("bundles").bundles;
        if !key_ids(&bundles["spiffe://keys-wit.test"]).is_empty() {
            break bundles;
        }
    };
    let mut tokens = until_async("a token once the server issues them", async || open(&agent).await.ok()).await;
    let token = said(&mut tokens).await.expect("a token").svids.remove(0).wit_svid.clone();
    let kid = part(&token, 0)["kid"].as_str().expect("a key ID").to_owned();
    assert!(key_ids(&third["spiffe://keys-wit.test"]).contains(&kid), "its key was pushed before");

    let keys = said(&mut jwt).await.expect("bundles").bundles;
    for set in keys.values() {
        let set = String::from_utf8_lossy(set).into_owned();
        assert!(!set.contains(&kid) && !set.contains("wit-svid") && !set.contains("\"p1\""), "{set}");
    }
    let validation = ValidateJwtsvidRequest {
        audience: AUDIENCE.to_owned(),
        svid: token.clone(),
    };
    let no_jwt = client(&agent).await.validate_jwtsvid(validation).await.expect_err("it is no JWT-SVID");
    assert_eq!(no_jwt.code(), Code::InvalidArgument);
    assert!(no_jwt.message().contains("wit+jwt") && !no_jwt.message().contains(&token), "{no_jwt}");
}

#[covers("STB-01", "WAPI-20")]
#[tokio::test]
async fn unless_both_switch_it_on_nobody_gets_any() {
    let domain = Domain::start_with("off-wit.test", &["--enable", "wit"]);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), "60s");
    assert_eq!(open(&agent).await.expect_err("it is off").code(), Code::Unimplemented);
    assert_eq!(open_bundles(&agent).await.expect_err("it is off").code(), Code::Unimplemented);
    let told = run(&["--output", "json", "svid", "fetch", "wit", "--socket", path_text(&agent.socket)]);
    assert_eq!((told.code, told.problem().as_str()), (1, "not_implemented"));
    assert!(told.stdout.contains("--enable wit"), "{told:?}");
    let bundles = run(&["--output", "json", "svid", "fetch", "bundles", "--socket", path_text(&agent.socket)]).exits(0);
    assert_eq!(
        bundles.json()["bundles"][0]["wit_authorities"],
        Value::Null,
        "the others are shown all the same"
    );
    let wrong = run(&["agent", "run", "--enable", "wits", "--data-dir", path_text(&domain.folder().join("other"))]);
    assert!(wrong.code != 0 && wrong.stderr.contains("broker, wit"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_followers_share_one_token_and_a_rotation_reaches_each() {
    let (_domain, agent) = domain_with_wit("crowd-wit.test", "10s");
    let mut channels = Vec::new();
    for _ in 0..10 {
        channels.push(client(&agent).await);
    }
    let mut streams = Vec::new();
    for number in 0..500 {
        let request = channels[number % 10].fetch_witsvid(WitsvidRequest::default());
        streams.push(tokio::time::timeout(PATIENCE, request).await.expect("in time").expect("a stream").into_inner());
    }
    for round in 0..2 {
        let mut tokens = BTreeSet::new();
        for stream in &mut streams {
            let _ = tokens.insert(said(stream).await.expect("a token").svids.remove(0).wit_svid.clone());
        }
        // Streams that opened around a rotation may have begun with different generations.
        assert!(tokens.len() <= 2, "round {round}: {} tokens", tokens.len());
    }
    let held = || agent.operator(&["agent", "status"]).exits(0).json()["wit_svids"].as_u64();
    assert_eq!(held(), Some(1));
    drop(streams);
    until("the streams to end", || {
        let status = agent.operator(&["agent", "status"]).exits(0).json();
        (status["streams"] == 0).then_some(())
    });
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(held(), Some(0), "nobody follows it: it ended, and no other was asked for");
}
