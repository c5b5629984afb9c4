//! `troth bundle`, `svid fetch`, `svid watch` and `svid lint`.

use std::os::unix::fs::PermissionsExt as _;

use conformance::covers;
use tests::command::{Run, run, troth};
use tests::domain::{Domain, path_text};
use tests::workload::{Watch, fetch_as};

use super::{has_fields, is_time, items, text_of, typed};

#[covers("X509-19", "X509-20", "BUN-03", "BUN-04")]
#[test]
fn the_bundle_is_shown_as_spiffe_json_and_pem() {
    let domain = Domain::start("bundle.test");
    let shown = domain.told(&["bundle", "show"]);
    let key = &shown["keys"][0];
    assert_eq!((text_of(key, "use"), text_of(key, "kty"), text_of(key, "crv")), ("x509-svid", "EC", "P-256"));
    assert!(
        key.get("kid").is_none() && key["x5c"].as_array().is_some_and(|chain| chain.len() == 1),
        "X509-19, X509-20: {key}"
    );
    assert!(shown["spiffe_sequence"].is_u64() && shown["spiffe_refresh_hint"].is_u64());
    let jwks: serde_json::Value = serde_json::from_str(&typed(&domain, &["bundle", "show", "--format", "jwks"]).exits(0).stdout).expect("JSON");
    assert!(
        jwks["keys"]
            .as_array()
            .is_some_and(|keys| keys.iter().all(|key| key["use"] == "sig" && key.get("x5c").is_none())),
        "WAPI-17: {jwks}"
    );
    let pem = typed(&domain, &["bundle", "show", "--format", "pem"]).exits(0).stdout;
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 1);
    let list = domain.told(&["bundle", "list"]);
    assert_eq!((items(&list).len(), text_of(&list["items"][0], "trust_domain")), (1, "bundle.test"));
    assert_eq!(domain.told(&["bundle", "show", "--trust-domain", "bundle.test"]), shown);
    assert_eq!(
        domain.operator(&["bundle", "show", "--trust-domain", "other.test"]).exits(3).problem(),
        "bundle_not_found"
    );
    assert_eq!(
        domain.operator(&["bundle", "show", "--trust-domain", "no such name"]).exits(2).problem(),
        "usage"
    );
}

#[covers("FED-10", "EP-04", "EP-07", "EP-08")]
#[test]
fn a_workload_fetches_watches_and_writes_what_it_is_given() {
    let domain = Domain::start("fetch.test");
    let agent = domain.agent("n1");
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/job",
        "--selector",
        "unix:uid:4601",
        "--hint",
        "main",
        "--wait",
    ]);
    let fetched = fetch_as(4601, &agent.socket).exits(0).json();
    let svid = &fetched["svids"][0];
    has_fields(svid, &["spiffe_id", "serial", "issued_at", "expires_at", "hint"]);
    is_time(svid, "issued_at");
    is_time(svid, "expires_at");
    assert_eq!(svid["hint"], "main");
    let update = Watch::open(4601, &agent.socket).next();
    is_time(&update, "at");
    assert_eq!(update["svids"], fetched["svids"]);

    // As this user: files, a socket as unix://, one from the environment.
    let selector = format!("unix:uid:{}", nix::unistd::getuid());
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/me", "--selector", &selector, "--wait"]);
    let (socket, folder) = (format!("unix://{}", path_text(&agent.socket)), domain.folder().join("mine"));
    let text = run(&["svid", "fetch", "x509", "--socket", &socket, "--write", path_text(&folder)])
        .exits(0)
        .stdout;
    assert!(text.contains("spiffe://fetch.test/me"), "{text}");
    for (file, mode) in [("svid.0.pem", 0o644), ("svid.0.key", 0o600), ("bundle.0.pem", 0o644)] {
        assert_eq!(folder.join(file).metadata().expect(file).permissions().mode() & 0o777, mode, "{file}");
    }
    let by_environment = troth()
        .args(["--output", "json", "svid", "fetch", "bundles"])
        .env("SPIFFE_ENDPOINT_SOCKET", &socket)
        .output();
    let bundles = Run::of(&by_environment.expect("troth starts")).exits(0).json();
    assert_eq!(bundles["bundles"][0]["trust_domain"], "fetch.test");

    let linted = run(&["--output", "json", "svid", "lint", path_text(&folder.join("svid.0.pem"))])
        .exits(0)
        .json();
    assert_eq!(linted["ok"], true);
    let root = run(&["--output", "json", "svid", "lint", path_text(&folder.join("bundle.0.pem"))])
        .exits(1)
        .json();
    assert_eq!(root["ok"], false, "a root is no leaf");
    assert!(
        root["findings"]
            .as_array()
            .is_some_and(|findings| findings.iter().all(|finding| !text_of(finding, "rule").is_empty())),
        "{root}"
    );
}

#[test]
fn a_socket_path_that_no_kernel_takes_is_refused_with_the_reason() {
    let long = format!("/tmp/{}", "x".repeat(120));
    let refused = run(&["--output", "json", "svid", "fetch", "x509", "--socket", &long]);
    assert_ne!(refused.code, 0);
    assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.contains("107")), "{refused:?}");
    let nobody = run(&["--output", "json", "svid", "fetch", "x509", "--socket", "/tmp/troth-nobody-is-here.sock"]).exits(4);
    assert_eq!(nobody.problem(), "cannot_reach");
}
