//! Relying parties that know nothing of SPIFFE: OpenID Connect discovery and the keys, on the bundle endpoint.

mod rust_relying_party;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::domain::{Domain, path_text};
use tests::python::run_script;
use tests::wait::until;
use tests::web::Web;

const AUDIENCE: &str = "https://storage.example.org";

/// A trust domain whose tokens name an issuer with this path, on its own bundle endpoint.
fn domain(name: &str, path: &str) -> (Domain, Web, String) {
    start(Domain::init(name), path)
}

/// Starts the server of a trust domain with its bundle endpoint.
fn start(mut domain: Domain, path: &str) -> (Domain, Web, String) {
    let web = Web::issue(domain.folder(), "first");
    let address = web.endpoint(&mut domain);
    let issuer = format!("https://{address}{path}");
    domain
        .options
        .extend(["--jwt-issuer".to_owned(), issuer.clone(), "--jwt-claims".to_owned(), "tier".to_owned()]);
    domain.start_server();
    (domain, web, issuer)
}

fn minted(domain: &Domain) -> Value {
    domain.told(&["svid", "mint", "jwt", "--spiffe-id", "/backup", "--audience", AUDIENCE, "--ttl", "2m"])
}

fn accepted(issuer: &str, ca: &Path, token: &str) -> Option<Value> {
    let run = run_script("jwt", "oidc_relying_party.py", &[issuer, path_text(ca), AUDIENCE], token);
    (run.code == 0).then(|| serde_json::from_str(&run.stdout).expect("claims"))
}

#[test]
fn a_relying_party_in_python_finds_the_keys_and_verifies_a_token() {
    for path in ["", "/td/prod"] {
        let (domain, web, issuer) = domain("oidc.test", path);
        let minted = minted(&domain);
        let token = minted["token"].as_str().expect("a token");
        // The certificate is read a moment after the server is ready.
        let claims = until("the bundle endpoint", || accepted(&issuer, &web.ca, token));
        assert_eq!(claims["sub"], "spiffe://oidc.test/backup");
        assert_eq!(
            (&claims["iss"], &claims["aud"], &claims["jti"]),
            (&json!(issuer), &json!(AUDIENCE), &minted["jti"])
        );
        let journal = domain.operator(&["audit", "export"]).exits(0).stdout;
        assert!(
            journal.contains(minted["jti"].as_str().expect("an id")) && !journal.contains(token),
            "{journal}"
        );
    }
}

#[test]
fn a_renewed_certificate_is_shown_and_a_bad_one_is_told() {
    let (domain, first, issuer) = domain("reload.test", "");
    let minted = minted(&domain);
    let token = minted["token"].as_str().expect("a token");
    let _ = until("the bundle endpoint", || accepted(&issuer, &first.ca, token));
    std::fs::write(&first.key, "junk").expect("a file");
    let health = until("the problem", || {
        let health: Value = domain.operator(&["health", "server"]).json();
        (health["state"] == "degraded").then_some(health)
    });
    assert!(health["problems"].to_string().contains("web.key"), "{health}");
    assert!(accepted(&issuer, &first.ca, token).is_some(), "what was good is still shown");
    let second = Web::issue(domain.folder(), "second");
    let _ = until("the new certificate", || accepted(&issuer, &second.ca, token));
    assert!(accepted(&issuer, &first.ca, token).is_none());
    until("the problem to go", || {
        (domain.operator(&["health", "server"]).json()["state"] == "ready").then_some(())
    });
}

#[test]
fn a_relying_party_in_rust_finds_the_keys_and_verifies_a_token() {
    let (domain, web, issuer) = domain("oidc-rust.test", "/td/prod");
    let minted = minted(&domain);
    let token = minted["token"].as_str().expect("a token");
    let subject = until("the bundle endpoint", || {
        rust_relying_party::subject(&issuer, &web.ca, AUDIENCE, token, "ES256").ok()
    });
    assert_eq!(subject, "spiffe://oidc-rust.test/backup");
    for (audience, algorithm) in [("https://elsewhere.example.org", "ES256"), (AUDIENCE, "RS256")] {
        let refused = rust_relying_party::subject(&issuer, &web.ca, audience, token, algorithm);
        assert!(refused.is_err(), "{audience} {algorithm}: {refused:?}");
    }
}

/// What both relying parties think of a fresh token, and what signed it.
fn algorithm_of_a_token_that_everybody_accepts(domain: &Domain, web: &Web, issuer: &str) -> Option<String> {
    let minted = minted(domain);
    let token = minted["token"].as_str().expect("a token");
    let header = token.split('.').next().expect("a header");
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("JSON");
    let algorithm = header["alg"].as_str().expect("a name").to_owned();
    let claims = accepted(issuer, &web.ca, token)?;
    let subject = rust_relying_party::subject(issuer, &web.ca, AUDIENCE, token, &algorithm).ok()?;
    assert_eq!(claims["sub"], subject);
    Some(algorithm)
}

// OpenID Connect Core section 15.1: RS256 is what every relying party has to verify.
#[test]
fn tokens_are_rs256_where_that_is_configured_and_a_change_of_it_fails_nobody() {
    let mut domain = Domain::init_with("rs256.test", &["--jwt-algorithm", "rs256"]);
    domain.options = ["--jwt-algorithm", "rs256", "--bundle-refresh-hint", "1s"].map(str::to_owned).to_vec();
    let (mut domain, web, issuer) = start(domain, "");
    let first = until("the bundle endpoint", || algorithm_of_a_token_that_everybody_accepts(&domain, &web, &issuer));
    assert_eq!(first, "RS256");
    let old = minted(&domain);
    let old = old["token"].as_str().expect("a token");

    let _ = domain.server().terminate();
    domain.options[1] = "es256".to_owned();
    domain.start_server();
    until("the bundle endpoint", || accepted(&issuer, &web.ca, old));
    until("a token of the other algorithm", || {
        let algorithm = algorithm_of_a_token_that_everybody_accepts(&domain, &web, &issuer).expect("each token is accepted at once");
        (algorithm == "ES256").then_some(())
    });
    assert!(accepted(&issuer, &web.ca, old).is_some(), "what the key of before signed is good until it ends");
    let audit = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(audit.contains("ES256 is configured, and the active one signs RS256"), "{audit}");
}
