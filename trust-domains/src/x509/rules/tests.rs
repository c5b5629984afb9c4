use conformance::covers;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::{check_leaf, leaf_violations, signing_violations};
use crate::x509::Certificate;
use crate::x509::testing::{KEY_USAGE, SAN, TestCa, plain_extension, uri};

const ID: &str = "spiffe://example.org/web";

type Change = fn(&mut CertificateParams);

#[covers("X509-01", "X509-04", "X509-13", "X509-15")]
#[test]
fn a_proper_leaf_breaks_no_rule_and_states_its_identity() {
    let ca = TestCa::root("ca", "example.org");
    let shapes: &[(&str, Change)] = &[
        ("plain", |_| {}),
        ("with DNS names beside the URI (X509-01)", |params| {
            params.subject_alt_names.push(rcgen::SanType::DnsName("web".try_into().unwrap()));
        }),
        ("with a subject and a SAN that is not critical (X509-04)", |params| {
            params.distinguished_name.push(DnType::CommonName, "web");
        }),
        ("with keyAgreement (X509-13)", |params| params.key_usages.push(KeyUsagePurpose::KeyAgreement)),
        ("without extended key usage (X509-15 is a SHOULD)", |params| params.extended_key_usages.clear()),
    ];
    for (name, change) in shapes {
        let certificate = Certificate::parse(&ca.leaf_with(ID, change)).unwrap();
        assert_eq!(check_leaf(&certificate).map(|id| id.to_string()), Ok(ID.to_owned()), "{name}");
        assert!(leaf_violations(&certificate).is_empty(), "{name}");
    }
}

#[covers("X509-01", "X509-02", "X509-03", "X509-04", "X509-11", "X509-13", "X509-15", "X509-17", "X509-18")]
#[test]
fn each_broken_leaf_rule_is_named() {
    let ca = TestCa::root("ca", "example.org");
    let table: &[(&str, &str, Change)] = &[
        ("X509-01", "no URI SAN", |params| params.subject_alt_names.clear()),
        ("X509-02", "two URI SANs", |params| {
            params.subject_alt_names.push(uri("spiffe://example.org/other"));
        }),
        ("X509-02", "the same URI SAN twice", |params| params.subject_alt_names.push(uri(ID))),
        ("X509-04", "empty subject, SAN not critical", |params| {
            let mut content = vec![0x30, 0x1a, 0x86, 0x18];
            content.extend_from_slice(ID.as_bytes());
            params.subject_alt_names.clear();
            params.custom_extensions.push(plain_extension(SAN, &content));
        }),
        ("X509-11", "no key usage", |params| params.key_usages.clear()),
        ("X509-11", "key usage not critical", |params| {
            params.key_usages.clear();
            params.custom_extensions.push(plain_extension(KEY_USAGE, &[0x03, 0x02, 0x07, 0x80]));
        }),
        ("X509-13", "no digitalSignature", |params| {
            params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        }),
        ("X509-15", "only serverAuth", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("X509-15", "only clientAuth", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
        ("X509-15", "neither", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        }),
        ("X509-17", "keyCertSign", |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        ("X509-17", "cRLSign", |params| params.key_usages.push(KeyUsagePurpose::CrlSign)),
        ("X509-17", "cA", |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ("X509-18", "another scheme", |params| {
            params.subject_alt_names = vec![uri("https://example.org/web")];
        }),
        ("X509-18", "no path (also X509-03)", |params| {
            params.subject_alt_names = vec![uri("spiffe://example.org")];
        }),
        ("X509-18", "a root path", |params| params.subject_alt_names = vec![uri("spiffe://example.org/")]),
        ("X509-18", "upper case in the trust domain", |params| {
            params.subject_alt_names = vec![uri("spiffe://Example.org/web")];
        }),
    ];
    for (rule, name, change) in table {
        let certificate = Certificate::parse(&ca.leaf_with(ID, change)).unwrap();
        let all: Vec<_> = leaf_violations(&certificate).iter().map(super::LeafViolation::rule).collect();
        assert_eq!(all, [*rule], "{name}");
        assert_eq!(check_leaf(&certificate).map_err(|violation| violation.rule()), Err(*rule), "{name}");
    }
}

#[covers("X509-17")]
#[test]
fn a_certificate_that_breaks_several_rules_is_told_each() {
    let ca = TestCa::root("ca", "example.org");
    let violations = leaf_violations(&Certificate::parse(&ca.der).unwrap());
    let rules: Vec<_> = violations.iter().map(super::LeafViolation::rule).collect();
    assert_eq!(rules, ["X509-17", "X509-17", "X509-17", "X509-13", "X509-18"]);
}

#[covers("X509-02", "X509-05", "X509-06", "X509-11", "X509-12", "X509-14")]
#[test]
fn each_broken_signing_rule_is_named_and_only_some_disqualify() {
    let root = TestCa::root("root", "example.org");
    let table: &[(&str, bool, &str, Change)] = &[
        ("X509-02", true, "two URI SANs", |params| {
            params.subject_alt_names.push(uri("spiffe://other.org"));
        }),
        ("X509-06", false, "an ID with a path", |params| {
            params.subject_alt_names = vec![uri("spiffe://example.org/ca")];
        }),
        ("X509-06", false, "a URI that is no SPIFFE ID", |params| {
            params.subject_alt_names = vec![uri("https://example.org")];
        }),
        ("X509-11", true, "no key usage", |params| params.key_usages.clear()),
        ("X509-11", false, "key usage not critical", |params| {
            params.key_usages.clear();
            params.custom_extensions.push(plain_extension(KEY_USAGE, &[0x03, 0x02, 0x01, 0x06]));
        }),
        ("X509-12", true, "no keyCertSign", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("X509-14", false, "digitalSignature", |params| {
            params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        }),
    ];
    for (rule, disqualifies, name, change) in table {
        let certificate = Certificate::parse(&root.issuing_with("issuing", "example.org", change).der).unwrap();
        let broken = signing_violations(&certificate);
        assert_eq!(broken.iter().map(super::SigningViolation::rule).collect::<Vec<_>>(), [*rule], "{name}");
        assert_eq!(broken.iter().any(super::SigningViolation::is_disqualifying), *disqualifies, "{name}");
    }
    let leaf = Certificate::parse(&root.leaf(ID)).unwrap();
    assert!(
        signing_violations(&leaf)
            .iter()
            .any(|violation| violation.rule() == "X509-05" && violation.is_disqualifying()),
        "a leaf"
    );
    assert!(
        signing_violations(&Certificate::parse(&root.issuing("issuing", "example.org").der).unwrap()).is_empty(),
        "X509-05, X509-09, X509-12"
    );
}
