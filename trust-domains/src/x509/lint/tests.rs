use conformance::covers;
use rcgen::{DnType, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use super::{Severity, lint};
use crate::x509::MAX_CHAIN_LEN;
use crate::x509::testing::{TestDomain, plain_extension, uri};

const WEB: &str = "spiffe://example.org/web";

/// The name constraints extension (2.5.29.30), with `example.org` as the one permitted URI.
const NAME_CONSTRAINTS: &[u64] = &[2, 5, 29, 30];
const URIS_OF_EXAMPLE_ORG: &[u8] = b"\x30\x11\xa0\x0f\x30\x0d\x86\x0bexample.org";

fn rules(chain: &[CertificateDer<'_>]) -> Vec<(Severity, &'static str, usize)> {
    lint(chain).iter().map(|finding| (finding.severity, finding.rule, finding.position)).collect()
}

#[test]
fn a_chain_of_our_own_shape_has_no_findings() {
    let domain = TestDomain::new("example.org");
    assert_eq!(lint(&domain.chain(WEB)), []);
    let mut with_root = domain.chain(WEB);
    with_root.push(domain.root.der.clone());
    assert_eq!(lint(&with_root), []);
}

#[covers("X509-02", "X509-06", "X509-10", "X509-14", "X509-17")]
#[test]
fn every_finding_has_its_rule_its_place_and_its_severity() {
    let domain = TestDomain::new("example.org");
    let (root, issuing) = (&domain.root, &domain.issuing);
    let foreign = root.issuing("issuing", "other.org");
    let leaf = issuing.leaf(WEB);
    let error = |rule, position| (Severity::Error, rule, position);
    let warning = |rule, position| (Severity::Warning, rule, position);
    let table = [
        ("nothing", vec![], vec![error("X509-16", 0)]),
        ("garbage", vec![CertificateDer::from(vec![1, 2, 3])], vec![error("RFC5280 4.1", 0)]),
        (
            "two URIs",
            vec![issuing.leaf_with(WEB, |params| params.subject_alt_names.push(uri(WEB)))],
            vec![error("X509-02", 0)],
        ),
        (
            "no EKU",
            vec![issuing.leaf_with(WEB, |params| params.extended_key_usages.clear())],
            vec![warning("X509-15", 0)],
        ),
        (
            "keyAgreement",
            vec![issuing.leaf_with(WEB, |params| params.key_usages.push(KeyUsagePurpose::KeyAgreement))],
            vec![warning("X509-13", 0)],
        ),
        (
            "a CA with digitalSignature and without ID",
            {
                let odd = root.issuing_with("odd", "example.org", |params| {
                    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
                    params.subject_alt_names.clear();
                });
                vec![odd.leaf(WEB), odd.der.clone()]
            },
            vec![error("X509-14", 1), warning("X509-06", 1)],
        ),
        (
            "a CA of another domain",
            vec![foreign.leaf(WEB), foreign.der.clone()],
            vec![warning("X509-06", 1)],
        ),
        (
            "name constraints for URIs",
            {
                let narrow = root.issuing_with("narrow", "example.org", |params| {
                    params.custom_extensions.push(plain_extension(NAME_CONSTRAINTS, URIS_OF_EXAMPLE_ORG));
                });
                vec![narrow.leaf(WEB), narrow.der.clone()]
            },
            vec![warning("X509-10", 1)],
        ),
        ("the wrong issuer", vec![leaf.clone(), root.der.clone()], vec![error("X509-16", 0)]),
        ("only signing certificates", vec![issuing.der.clone(), root.der.clone()], {
            ["X509-17", "X509-17", "X509-17", "X509-13", "X509-18"]
                .map(|rule| error(rule, 0))
                .into_iter()
                .chain([warning("X509-15", 0)])
                .collect()
        }),
    ];
    for (what, chain, expected) in table {
        assert_eq!(rules(&chain), expected, "{what}");
    }
    let named = issuing.leaf_with(WEB, |params| params.distinguished_name.push(DnType::CommonName, "web"));
    assert_eq!(rules(&[named]), []);
}

#[test]
fn a_chain_that_is_too_long_is_read_to_the_limit() {
    let domain = TestDomain::new("example.org");
    let mut chain = domain.chain(WEB);
    chain.resize(10_000, domain.root.der.clone());
    assert!(rules(&chain).contains(&(Severity::Error, "X509-16", MAX_CHAIN_LEN)));
}

#[test]
fn names_that_clients_would_not_take_are_found_in_the_leaf_and_above_it() {
    let domain = TestDomain::new("example.org");
    let issuing = domain.root.issuing_with("constrained", "example.org", |params| {
        params.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let found = |dns: &str, cn: &str| {
        let leaf = issuing.leaf_with(WEB, |params| {
            params.subject_alt_names.push(rcgen::SanType::DnsName(dns.try_into().unwrap()));
            params.distinguished_name.push(DnType::CommonName, cn);
        });
        rules(&[leaf, issuing.der.clone()])
    };
    assert_eq!(found("db.example.org", "db"), []);
    assert_eq!(found("db.example.net", "db"), [(Severity::Error, "RFC5280 4.2.1.10", 1)]);
    assert_eq!(found("d*.example.org", "db"), [(Severity::Error, "RFC5280 4.2.1.6", 0)]);
    assert_eq!(found("db.example.org", &"d".repeat(65)), [(Severity::Error, "RFC5280 A.1", 0)]);
}
