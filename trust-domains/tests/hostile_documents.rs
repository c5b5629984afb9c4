//! What hostile documents cost in memory: a process of its own, so that its peak is that of these readers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::fs;

use trust_domains::TrustDomain;
use trust_domains::bundle::{MAX_BUNDLE_BYTES, ParsedBundle};
use trust_domains::federation::{MAX_BUNDLE_MAP_BYTES, ParsedBundleMap};

/// What reading a document may add to the peak, beside the document itself, in octets: its texts once more, and the allocator's slack. A tree of JSON values
/// takes ten times the document and more.
const SLACK: usize = 1024 * 1024;

/// Returns the most memory that this process has had since the peak was last set back, in octets.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Sets the peak back to what is in use (proc_pid_clear_refs(5)).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// A document of about this many octets: one part, again and again, between a beginning and an end.
fn filled(begin: &str, part: &str, end: &str, size: usize) -> String {
    let mut text = String::with_capacity(size);
    text.push_str(begin);
    while text.len() + part.len() + 1 + end.len() < size {
        text.push_str(part);
        text.push(',');
    }
    text.pop();
    text.push_str(end);
    text
}

/// Shapes that take the most memory for their octets: many small values wherever a value may stand.
fn hostile(keys: &str, end: &str, size: usize) -> Vec<(&'static str, String)> {
    let key = format!(r#"{keys}{{"use":"x509-svid","kty":"EC","x5c":["#);
    let member = format!(r#"{keys}{{"use":"jwt-svid","kty":"EC","kid":"#);
    vec![
        ("many keys that are none", filled(keys, "0", &format!("]{end}"), size)),
        ("many keys without members", filled(keys, "{}", &format!("]{end}"), size)),
        ("many keys with a member", filled(keys, r#"{"use":"x"}"#, &format!("]{end}"), size)),
        ("many certificates in a key", filled(&key, "[]", &format!("]}}]{end}"), size)),
        ("many values for a text", filled(&format!("{member}["), "[]", &format!("]}}]{end}"), size)),
        ("many unknown members", filled(&format!("{keys}{{"), r#""a":{}"#, &format!("}}]{end}"), size)),
        (
            "a deep value",
            format!("{keys}{}{}]{end}", "[".repeat(size / 2 - 100), "]".repeat(size / 2 - 100)),
        ),
    ]
}

/// Returns by how much a reader raises the peak.
fn cost(read: impl FnOnce()) -> usize {
    forget_peak();
    let before = peak();
    read();
    peak() - before
}

#[test]
fn no_document_costs_more_memory_than_a_few_times_its_octets() {
    let trust_domain: TrustDomain = "a.test".parse().unwrap();
    let most = |document: &str| 2 * document.len() + SLACK;
    for (name, document) in hostile(r#"{"keys":["#, "}", MAX_BUNDLE_BYTES) {
        assert!(document.len() <= MAX_BUNDLE_BYTES);
        let grown = cost(|| drop(ParsedBundle::parse(&trust_domain, document.as_bytes())));
        println!("{name}: {} octets, {grown} more in memory", document.len());
        assert!(grown <= most(&document), "{name}: {grown}");
    }
    let begin = r#"{"trust_domains":{"a.test":{"keys":["#;
    let entries: String = (0..90_000).map(|number| format!(r#""{number}":{{"keys":[0]}},"#)).collect();
    let many_names = format!(r#"{{"trust_domains":{{{entries}"a":{{}}}}}}"#);
    for (name, document) in hostile(begin, "}}}", MAX_BUNDLE_MAP_BYTES).into_iter().chain([("many bundles", many_names)]) {
        assert!(document.len() <= MAX_BUNDLE_MAP_BYTES);
        let grown = cost(|| drop(ParsedBundleMap::parse(document.as_bytes())));
        println!("{name}, in a map: {} octets, {grown} more in memory", document.len());
        assert!(grown <= most(&document), "{name}: {grown}");
    }
    // That the peak is measured at all: the same documents as trees of values are over it.
    let many = filled(r#"{"keys":["#, "{}", "]}", MAX_BUNDLE_MAP_BYTES);
    let grown = cost(|| drop(serde_json::from_str::<serde_json::Value>(&many)));
    println!("as a tree: {} octets, {grown} more in memory", many.len());
    assert!(grown > most(&many), "{grown}");
}
