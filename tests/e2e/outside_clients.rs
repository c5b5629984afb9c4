//! The public SPIFFE clients of Rust, Python, Go and Java, unmodified, on our agent: they fetch and watch, and find nothing to complain about.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conformance::covers;
use spiffe::{JwtSvid, TrustDomain, WorkloadApiClient, X509Context, X509Source};
use tests::admin::runtime;
use tests::command::Run;
use tests::domain::{Agent, Domain, path_text};
use tests::python::run_script;
use tests::wait::PATIENCE;
use tokio_stream::StreamExt as _;
use trust_domains::x509::Certificate;

/// A node whose one entry is for whoever runs these tests: the clients live in this process or are its children.
fn domain_with_workload(name: &str, life: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), life);
    (domain, agent)
}

fn endpoint(agent: &Agent) -> String {
    format!("unix://{}", path_text(&agent.socket))
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Checks what the client parsed, and returns the serial.
fn serial_of(context: &X509Context, expected: &str) -> String {
    let svid = context.default_svid().expect("an SVID");
    assert_eq!(svid.spiffe_id().to_string(), expected);
    let trust_domain: TrustDomain = svid.spiffe_id().trust_domain().clone();
    assert_eq!(
        context
            .bundle_set()
            .get(&trust_domain)
            .expect("the bundle of its trust domain")
            .authorities()
            .len(),
        1
    );
    assert_eq!(svid.cert_chain().len(), 2, "leaf and issuing CA");
    let leaf = Certificate::parse(svid.leaf().as_bytes()).expect("a certificate");
    leaf.serial().to_string()
}

#[covers("EP-01", "EP-02", "EP-06", "WAPI-01", "WAPI-04", "WAPI-05", "WAPI-09", "WAPI-14", "WAPI-15")]
#[test]
fn the_rust_client_fetches_and_watches_rotations() {
    let (_domain, agent) = domain_with_workload("rust.test", "10s");
    runtime().block_on(in_time("three generations", async {
        let client = WorkloadApiClient::connect_to(endpoint(&agent)).await.expect("a connection");
        let fetched = serial_of(&client.fetch_x509_context().await.expect("a context"), "spiffe://rust.test/job");
        let bundles = client.fetch_x509_bundles().await.expect("bundles");
        assert_eq!(bundles.len(), 1);
        let mut serials = vec![fetched];
        let mut updates = client.stream_x509_contexts().await.expect("a stream");
        while serials.len() < 3 {
            let context = updates.next().await.expect("the stream goes on").expect("an update");
            let serial = serial_of(&context, "spiffe://rust.test/job");
            if serials.last() != Some(&serial) {
                assert!(!serials.contains(&serial), "an old generation came back");
                serials.push(serial);
            }
        }
    }));
}

#[covers("WAPI-04", "WAPI-05")]
#[test]
fn the_rust_source_follows_an_entry_that_changes_and_goes() {
    let (domain, agent) = domain_with_workload("source.test", "180s");
    let source = |agent: &Agent| {
        X509Source::builder()
            .endpoint(endpoint(agent))
            .reconnect_backoff(Duration::from_millis(50), Duration::from_millis(200))
            .build()
    };
    runtime().block_on(in_time("the source to follow", async {
        let source = source(&agent).await.expect("a source");
        assert_eq!(source.svid().expect("an SVID").spiffe_id().to_string(), "spiffe://source.test/job");
        let mut updates = source.updated();
        let changed = domain.told(&["entry", "update", "/job", "--spiffe-id", "/renamed", "--hint", "main", "--wait"]);
        assert_eq!(changed["spiffe_id"], "spiffe://source.test/renamed");
        loop {
            let svid = source.svid().expect("an SVID at every moment");
            if svid.spiffe_id().path() == "/renamed" {
                assert_eq!(svid.hint(), Some("main"));
                break;
            }
            updates.changed().await.expect("the source lives");
        }
        let _ = domain.told(&["entry", "delete", "/renamed", "--wait"]);
        while source.try_svid().is_some() {
            updates.changed().await.expect("the source lives");
        }
        source.shutdown().await;
    }));
}

// JWT-11, WAPI-16, WAPI-18: by the agent, and with its keys by the client's own verification.
#[covers("JWT-11", "WAPI-01", "WAPI-16", "WAPI-18")]
#[test]
fn the_rust_client_fetches_and_verifies_tokens() {
    let (_domain, agent) = domain_with_workload("rust-jwt.test", "180s");
    runtime().block_on(in_time("tokens", async {
        let client = WorkloadApiClient::connect_to(endpoint(&agent)).await.expect("a connection");
        let token = client.fetch_jwt_svid(["db"], None).await.expect("a token");
        assert_eq!(token.spiffe_id().to_string(), "spiffe://rust-jwt.test/job");
        let validated = client.validate_jwt_token("db", token.token()).await.expect("the agent believes it");
        assert_eq!(validated.spiffe_id(), token.spiffe_id());
        let bundles = client.fetch_jwt_bundles().await.expect("bundles");
        let verified = JwtSvid::parse_and_validate(token.token(), &bundles, &["db"]).expect("the client believes it");
        assert_eq!(verified.spiffe_id(), token.spiffe_id());
        assert!(JwtSvid::parse_and_validate(token.token(), &bundles, &["cache"]).is_err());
        assert!(client.validate_jwt_token("cache", token.token()).await.is_err());
    }));
}

// WAPI-17, T6: a plain key set, by which a library checks tokens that knows nothing of SPIFFE.
#[covers("WAPI-17")]
#[test]
fn the_python_client_and_pyjwt_verify_tokens_with_the_keys_of_the_workload_api() {
    let (_domain, agent) = domain_with_workload("python-jwt.test", "180s");
    let checked = run_python("jwt_svid.py", &[path_text(&agent.socket), "spiffe://python-jwt.test/job", "db"]).exits(0);
    assert_eq!(checked.json()["sub"], "spiffe://python-jwt.test/job");
}

fn run_python(script: &str, arguments: &[&str]) -> Run {
    // gRPC of Python logs to standard error whatever happens; the exit code and standard output decide.
    run_script("spiffe", script, arguments, "")
}

#[covers("EP-02", "EP-06", "WAPI-05", "WAPI-15")]
#[test]
fn the_python_client_fetches_verifies_and_watches_rotations() {
    let (domain, agent) = domain_with_workload("python.test", "10s");
    let watched = run_python("x509_updates.py", &[path_text(&agent.socket), "spiffe://python.test/job", "2"]).exits(0);
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let lines: Vec<serde_json::Value> = watched.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(lines.len(), 3, "{watched:?}");
    for line in lines {
        let serial = line["serial"].as_str().expect("a serial");
        assert!(exported.contains(serial), "{serial} is not in the journal");
    }
}

#[covers("EP-11")]
#[test]
fn the_python_client_is_told_when_no_entry_matches() {
    let domain = Domain::start("nobody.test");
    let agent = domain.agent("n1");
    let refused = run_python("x509_updates.py", &[path_text(&agent.socket), "spiffe://nobody.test/job", "0"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("no entry of this node matches this process"), "{refused:?}");
}

/// Runs the client in Go: `TROTH_GO_CLIENT`, else that of this checkout's `build`.
pub(super) fn run_go(arguments: &[&str]) -> Run {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let client = std::env::var_os("TROTH_GO_CLIENT").map_or_else(|| checkout.join("build/go-client"), PathBuf::from);
    let output = Command::new(&client).args(arguments).env_remove("SPIFFE_ENDPOINT_SOCKET").output();
    Run::of(&output.unwrap_or_else(|error| panic!("{}: {error}; build it: tests/run e2e", client.display())))
}

/// Returns the serials of what a client printed, in its order.
fn serials_of(watched: &Run) -> Vec<String> {
    let serial = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        line["serial"].as_str().expect("a serial").to_owned()
    };
    watched.stdout.lines().map(serial).collect()
}

/// Lets a client watch two rotations: it verified each certificate, and all of them are ones that the server issued.
fn watches_rotations(name: &str, client: fn(&[&str]) -> Run) {
    let (domain, agent) = domain_with_workload(name, "10s");
    let watched = client(&["x509", path_text(&agent.socket), &format!("spiffe://{name}/job"), "2"]).exits(0);
    let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
    let serials = serials_of(&watched);
    assert_eq!(serials.len(), 3, "{watched:?}");
    assert!(serials.iter().all(|serial| exported.contains(serial)), "{serials:?} are not all in the journal");
}

/// Lets a client fetch a token and verify it, by the agent and with the keys of the Workload API.
fn verifies_tokens(name: &str, client: fn(&[&str]) -> Run) {
    let (_domain, agent) = domain_with_workload(name, "180s");
    let id = format!("spiffe://{name}/job");
    let checked = client(&["jwt", path_text(&agent.socket), &id, "db"]).exits(0);
    assert_eq!(checked.json()["sub"], id);
}

// WAPI-03, WAPI-05, X509-17: by the library that the programs of SPIRE's users have.
#[covers("X509-17", "WAPI-03", "WAPI-05")]
#[test]
fn the_go_client_verifies_and_watches_rotations() {
    watches_rotations("go.test", run_go);
}

#[covers("JWT-11", "WAPI-16", "WAPI-18")]
#[test]
fn the_go_client_fetches_and_verifies_tokens() {
    verifies_tokens("go-jwt.test", run_go);
}

// By the experimental part of the library: it parses key, token and bundle as the standard of July 2026 has them.
#[covers("WIT-16", "WIT-22", "WAPI-04", "WAPI-09")]
#[test]
fn the_go_client_verifies_wit_svids_and_watches_rotations() {
    let domain = Domain::start_with("go-wit.test", &["--enable", "wit"]);
    let agent = domain.agent_with("n1", &["--enable", "wit"]);
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), "10s");
    let watched = run_go(&["wit", path_text(&agent.socket), "spiffe://go-wit.test/job", "2"]).exits(0);
    assert_eq!(watched.stdout.lines().count(), 3, "{watched:?}");
}

#[test]
fn the_go_library_talks_over_mtls_and_refuses_another_identity() {
    let (_domain, agent) = domain_with_workload("go-mtls.test", "180s");
    let talked = run_go(&["mtls", path_text(&agent.socket), "spiffe://go-mtls.test/job"]).exits(0);
    assert_eq!(talked.json()["answer"], "hello");
}

/// Runs the client in Java: `TROTH_JAVA_CLIENT`, else that of this checkout's `build`.
pub(super) fn run_java(arguments: &[&str]) -> Run {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let client = std::env::var_os("TROTH_JAVA_CLIENT").map_or_else(|| checkout.join("build/java-client"), PathBuf::from);
    assert!(client.join("classes").is_dir(), "{} is not there; build it: tests/run e2e", client.display());
    let classes = format!("{0}/classes:{0}/libraries/*", client.display());
    let output = Command::new("java")
        .args(["-cp", &classes, "Client"])
        .args(arguments)
        .env_remove("SPIFFE_ENDPOINT_SOCKET")
        .output();
    Run::of(&output.unwrap_or_else(|error| panic!("java: {error}; install it: apt-get install default-jdk-headless")))
}

#[covers("X509-17", "WAPI-03", "WAPI-05")]
#[test]
fn the_java_client_verifies_and_watches_rotations() {
    watches_rotations("java.test", run_java);
}

#[covers("JWT-11", "WAPI-16", "WAPI-18")]
#[test]
fn the_java_client_fetches_and_verifies_tokens() {
    verifies_tokens("java-jwt.test", run_java);
}
