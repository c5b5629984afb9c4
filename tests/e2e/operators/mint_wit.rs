//! `troth svid mint wit`, and the switch without which there is none.

use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conformance::covers;
use serde_json::{Value, json};
use tests::command::troth;
use tests::domain::{Domain, path_text};
use tests::python::run_script;
use trust_domains::Clock as _;
use trust_domains::jwk::EcJwk;
use trust_domains::jws::Es256Signature;
use trust_domains::token_svid::TokenId;
use trust_domains::wit_svid::{BoundTokens, ProofAudience, ProofLife, ProofRequest, UnverifiedWitSvid};

use super::{has_fields, is_time, text_of, typed};

const AUDIENCE: &str = "https://storage.example.org";

/// Makes the proof that a job sends along, with the key that was written for it.
fn proof(wit: &str, key: &Value) -> String {
    let public: EcJwk = serde_json::from_value(key.clone()).expect("the public members");
    let public = public.public_key().expect("a point");
    let secret = URL_SAFE_NO_PAD.decode(text_of(key, "d")).expect("the secret number");
    let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &secret, public.sec1()).expect("a pair");
    let request = ProofRequest {
        audience: &ProofAudience::new(AUDIENCE).expect("an audience"),
        now: platform::clock::SystemClock::shared().now().wall,
        life: ProofLife::default(),
        id: TokenId::new([5; TokenId::LEN]),
        bound: &BoundTokens::default(),
    };
    let input = UnverifiedWitSvid::parse(wit).expect("a WIT-SVID").proof_input(&request).expect("its proof");
    let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
    let signature = Es256Signature::from_der(signature.as_ref()).expect("in DER");
    input.signed(&signature).as_str().to_owned()
}

#[covers("WIT-01", "WIT-15", "WIT-18", "WIT-19", "WIT-22", "WAPI-17")]
#[test]
fn an_operator_mints_a_wit_svid_which_a_relying_party_that_is_not_ours_believes_with_its_proof() {
    let domain = Domain::start_with("mint-wit.test", &["--enable", "wit"]);
    let minted = domain.told(&["svid", "mint", "wit", "--spiffe-id", "/backup", "--ttl", "2m"]);
    has_fields(&minted, &["spiffe_id", "jti", "token", "issued_at", "expires_at", "key"]);
    is_time(&minted, "expires_at");
    let (wit, key) = (
        text_of(&minted, "token"),
        serde_json::from_str::<Value>(text_of(&minted, "key")).expect("a JWK"),
    );
    let keys: Value = serde_json::from_str(&domain.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout).expect("a bundle");
    let given = json!({ "wit": wit, "proof": proof(wit, &key), "keys": keys });
    let believed = run_script("jwt", "wit_svid.py", &[AUDIENCE], &given.to_string()).exits(0).json();
    assert_eq!((text_of(&believed, "sub"), &believed["life_s"]), ("spiffe://mint-wit.test/backup", &json!(120)));

    let plain: Value = serde_json::from_str(&domain.operator(&["bundle", "show", "--format", "jwks"]).exits(0).stdout).expect("a key set");
    let kids = |keys: &Value, purpose: &str| {
        let keys = keys["keys"].as_array().expect("keys").iter().filter(|key| key["use"] == purpose);
        keys.map(|key| text_of(key, "kid").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        kids(&plain, "sig"),
        kids(&keys, "jwt-svid"),
        "a key set for relying parties has the keys of JWT-SVIDs alone"
    );
    assert!(kids(&keys, "wit-svid").len() == 1 && kids(&keys, "wit-svid") != kids(&keys, "jwt-svid"));

    let journal = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(journal.contains(text_of(&minted, "jti")) && journal.contains(r#""kind":"wit""#), "{journal}");
    for secret in [wit, text_of(&key, "d")] {
        assert!(!journal.contains(secret), "{journal}");
    }
    let log = std::fs::read_to_string(domain.folder().join("server.log")).expect("the server's log");
    assert!(!log.contains("eyJ") && !log.contains(text_of(&key, "d")), "{log}");
}

#[test]
fn the_key_of_a_minted_wit_svid_goes_into_a_file_for_its_owner_or_onto_a_line_of_its_own() {
    let domain = Domain::start_with("mint-files.test", &["--enable", "wit"]);
    let folder = domain.folder().join("credentials");
    let minted = domain.told(&["svid", "mint", "wit", "--spiffe-id", "/backup", "--write", path_text(&folder)]);
    assert!(minted["key"].is_null(), "it is in the file");
    for name in ["wit.0.token", "wit.0.key.json"] {
        let mode = folder.join(name).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it can be read");
    assert_eq!(read("wit.0.token"), text_of(&minted, "token"));
    let key: Value = serde_json::from_str(&read("wit.0.key.json")).expect("a JWK");
    assert!(!proof(&read("wit.0.token"), &key).is_empty(), "the key is that of the token");

    let shown = typed(&domain, &["svid", "mint", "wit", "--spiffe-id", "/backup"]).exits(0).stdout;
    let [wit, key] = shown.lines().collect::<Vec<_>>()[..] else {
        panic!("two lines: {shown}")
    };
    assert!(wit.starts_with("eyJ") && key.starts_with('{'), "{shown}");

    let refused = domain.operator(&["svid", "mint", "wit", "--spiffe-id", "/troth/server"]).exits(1);
    assert_eq!(refused.problem(), "reserved_path");
    let refused = domain.operator(&["svid", "mint", "wit", "--spiffe-id", "/backup", "--ttl", "2d"]).exits(1);
    assert_eq!(refused.problem(), "class_exceeded");
}

#[test]
fn where_a_minted_wit_svid_cannot_be_written_none_is_minted() {
    let domain = Domain::start_with("mint-nowhere.test", &["--enable", "wit"]);
    let taken = domain.folder().join("taken");
    std::fs::create_dir_all(taken.join("wit.0.token")).expect("a directory in the token's place");
    for folder in ["/proc/nope", "/proc", path_text(&taken)] {
        let refused = domain.operator(&["svid", "mint", "wit", "--spiffe-id", "/backup", "--write", folder]).exits(1);
        assert_eq!(refused.problem(), "file_unavailable", "{folder}");
        assert!(text_of(&refused.json(), "detail").contains(folder), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(&taken).expect("it is there").count(), 1, "nothing is left behind");
    let journal = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(!journal.contains(r#""kind":"wit""#), "a token was issued for nobody: {journal}");
}

#[test]
fn without_the_switch_there_is_no_wit_svid_and_a_switch_that_nobody_knows_is_named() {
    let domain = Domain::start("no-wit.test");
    let refused = domain.operator(&["svid", "mint", "wit", "--spiffe-id", "/backup"]).exits(1);
    assert_eq!(refused.problem(), "wit_disabled");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("--enable wit"), "{said}");
    let bundle = domain.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout;
    assert!(!bundle.contains("wit-svid"), "{bundle}");

    for (how, command) in [("flag", &["--enable", "wit,sso"][..]), ("variable", &[])] {
        let mut wrong = troth();
        wrong.args(["server", "run", "--data-dir", path_text(&domain.server_data())]).args(command);
        if command.is_empty() {
            wrong.env("TROTH_SERVER_ENABLE", "sso");
        }
        let run = tests::command::Run::of(&wrong.output().expect("troth starts")).exits(2);
        assert!(
            run.stderr.contains("\"sso\" is no feature of this server; there is: wit"),
            "{how}: {}",
            run.stderr
        );
    }
}
