//! The forms in which a program finds its credentials.

use super::{folder, node, supervised};

#[test]
fn key_stores_key_sets_and_bundles_are_where_their_variables_say_when_the_program_starts() {
    let (domain, agent) = node("forms.test");
    let folder = folder(&domain, "out");
    let script = r#"set -e
        openssl pkcs12 -in "$TROTH_KEYSTORE_FILE" -passin "file:$TROTH_KEYSTORE_PASSWORD_FILE" -nodes -out "$OUT/store.pem"
        openssl pkcs12 -in "$TROTH_TRUSTSTORE_FILE" -passin "file:$TROTH_KEYSTORE_PASSWORD_FILE" -nokeys -out "$OUT/roots.pem"
        openssl verify -CAfile "$OUT/roots.pem" -untrusted "$OUT/store.pem" "$OUT/store.pem" > "$OUT/verified"
        openssl x509 -inform DER -in "$TROTH_SVID_DIR/svid.der" -noout -ext subjectAltName > "$OUT/name"
        cp "$TROTH_JWKS_FILE" "$OUT/jwks.json"
        cp "$TROTH_SPIFFE_BUNDLE_FILE" "$OUT/bundle.json"
        exit 7"#;
    let output = supervised(&agent, &folder, &["--format", "pkcs12,der,jwks,spiffe"], script)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the script");
    assert!(text("verified").contains(": OK") && text("name").contains("URI:spiffe://forms.test/web"));
    let uses = |name: &str| {
        let document: serde_json::Value = serde_json::from_str(&text(name)).expect("JSON");
        let keys = document["keys"].as_array().expect("keys").clone();
        keys.iter().map(|key| key["use"].as_str().expect("a use").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(uses("jwks.json"), ["sig"]);
    let bundle = uses("bundle.json");
    assert!(
        bundle.iter().any(|use_| use_ == "jwt-svid") && bundle.iter().any(|use_| use_ == "x509-svid"),
        "{bundle:?}"
    );
}
