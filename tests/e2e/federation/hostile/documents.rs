//! Documents that are no bundles, or bundles that want to hurt.

use serde_json::{Value, json};
use trust_domains::TrustBundle;

/// Two hundred thousand keys in 600 KB: less than the longest document that is read, and far more keys.
pub(super) fn small_keys() -> String {
    let keys = "{},".repeat(200_000);
    format!("{{\"keys\":[{}]}}", keys.trim_end_matches(','))
}

/// Two hundred thousand keys that look like keys, in 20 MB.
pub(super) fn large_keys() -> String {
    let key = r#"{"use":"jwt-svid","kty":"EC","kid":"k","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"A"},"#;
    format!("{{\"keys\":[{}]}}", key.repeat(200_000).trim_end_matches(','))
}

/// A bundle with a key and another member that go ten thousand arrays deep: a key that is none is skipped (BUN-06), and what a document says beyond a bundle is
/// passed over (BUN-02), however it looks.
pub(super) fn deep_beside(bundle: &TrustBundle) -> String {
    let document = bundle.to_spiffe_json();
    let keys = format!("\"keys\":[{},", deep());
    let document = document.replacen("\"keys\":[", &keys, 1);
    assert!(document.len() > 20_000, "the key was put in: {document}");
    format!("{{\"extra\":{},{}", deep(), document.trim_start().trim_start_matches('{'))
}

/// Arrays within arrays.
pub(super) fn deep() -> String {
    format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))
}

/// A bundle with keys beside its own that nobody knows: they are skipped, and it is taken (BUN-06).
pub(super) fn with_unknown_keys(bundle: &TrustBundle) -> String {
    let mut document = parsed(bundle);
    let keys = document["keys"].as_array_mut().expect("keys");
    let mut of_tomorrow = keys[0].clone();
    of_tomorrow["use"] = json!("tls-svid");
    let mut of_another_kind = keys[0].clone();
    of_another_kind["kty"] = json!("PQC");
    let mut of_nobody = keys[0].clone();
    of_nobody.as_object_mut().expect("a key").remove("use");
    keys.splice(0..0, [of_tomorrow, of_another_kind, of_nobody, json!("a text"), Value::Null]);
    document.to_string()
}

/// A bundle whose certificate is PEM where DER belongs: nothing of it can be used.
pub(super) fn with_pem_inside(bundle: &TrustBundle) -> String {
    let mut document = parsed(bundle);
    document["keys"][0]["x5c"] = json!([bundle.to_pem()]);
    document.to_string()
}

/// A Bundle Map with one bundle.
pub(super) fn map(trust_domain: &str, bundle: &str) -> String {
    format!("{{\"trust_domains\":{{\"{trust_domain}\":{bundle}}}}}")
}

/// A Bundle Map that says two things of one trust domain (BUN-13).
pub(super) fn map_with_duplicates(trust_domain: &str, bundle: &str) -> String {
    format!("{{\"trust_domains\":{{\"{trust_domain}\":{{\"keys\":[]}},\"{trust_domain}\":{bundle}}}}}")
}

fn parsed(bundle: &TrustBundle) -> Value {
    serde_json::from_str(&bundle.to_spiffe_json()).expect("a bundle")
}
