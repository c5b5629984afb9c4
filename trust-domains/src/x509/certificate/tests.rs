use proptest::prelude::{ProptestConfig, any, proptest};
use rcgen::KeyUsagePurpose;

use super::{Certificate, MAX_CERTIFICATE_BYTES, ParseCertificateError};
use crate::x509::testing::{KEY_USAGE, NOW, SAN, TestCa, plain_extension};

const WEB: &str = "spiffe://example.org/web";

#[test]
fn what_a_certificate_says_is_read() {
    let ca = TestCa::root("the root", "example.org");
    let root = Certificate::parse(&ca.der).unwrap();
    assert!(root.is_ca() && root.is_self_issued() && root.key_usage().unwrap().key_cert_sign && !root.subject_is_empty());
    assert_eq!(
        (root.subject(), root.uri_sans()),
        ("CN=the root", ["spiffe://example.org".to_owned()].as_slice())
    );

    let leaf = Certificate::parse(&ca.leaf(WEB)).unwrap();
    assert!(!leaf.is_ca() && leaf.subject_is_empty() && leaf.san_critical() && leaf.is_valid_at(NOW) && !leaf.is_self_issued());
    assert_eq!(leaf.issuer(), root.subject());
    assert_eq!(leaf.authority_key_id(), root.subject_key_id());
    let usage = leaf.key_usage().unwrap();
    assert!(usage.critical && usage.digital_signature && !usage.key_cert_sign && !usage.crl_sign);
    assert!(leaf.extended_key_usage().is_some_and(|usage| usage.server_auth && usage.client_auth));
    assert!(crate::public_key::PublicKey::from_spki(leaf.spki()).is_ok());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let ca = TestCa::root("ca", "example.org");
    let leaf = ca.leaf(WEB);
    let doubled = ca.leaf_with(WEB, |params| {
        params.custom_extensions.push(plain_extension(KEY_USAGE, &[0x03, 0x02, 0x07, 0x80]));
    });
    assert_eq!(
        Certificate::parse(&doubled),
        Err(ParseCertificateError::DuplicateExtension { oid: "2.5.29.15".to_owned() })
    );
    let unreadable = ca.leaf_with(WEB, |params| {
        params.key_usages = Vec::<KeyUsagePurpose>::new();
        params.custom_extensions.push(plain_extension(KEY_USAGE, &[0x30, 0x7f]));
    });
    assert_eq!(
        Certificate::parse(&unreadable),
        Err(ParseCertificateError::MalformedExtension { oid: "2.5.29.15".to_owned() })
    );
    let not_text = ca.leaf_with(WEB, |params| {
        params.subject_alt_names.clear();
        params.custom_extensions.push(plain_extension(SAN, &[0x30, 0x04, 0x86, 0x02, 0xff, 0xfe]));
    });
    assert_eq!(Certificate::parse(&not_text), Err(ParseCertificateError::MalformedName));
    assert_eq!(
        Certificate::parse(&[&leaf[..], &[0]].concat()),
        Err(ParseCertificateError::TrailingData { octets: 1 })
    );
    assert_eq!(Certificate::parse(&leaf[..leaf.len() - 1]), Err(ParseCertificateError::Malformed));
    assert_eq!(Certificate::parse(&[]), Err(ParseCertificateError::Malformed));
    let large = vec![0x30; MAX_CERTIFICATE_BYTES + 1];
    assert_eq!(
        Certificate::parse(&large),
        Err(ParseCertificateError::TooLarge {
            limit: MAX_CERTIFICATE_BYTES,
            actual: large.len()
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_input_makes_it_panic(offset in any::<proptest::sample::Index>(), octets in proptest::collection::vec(any::<u8>(), 1..5)) {
        let mut der = CERTIFICATE.with(Clone::clone);
        let at = offset.index(der.len());
        let end = (at + octets.len()).min(der.len());
        der.splice(at..end, octets);
        let _ = Certificate::parse(&der);
    }
}

thread_local! {
    static CERTIFICATE: Vec<u8> = TestCa::root("ca", "example.org").leaf(WEB).to_vec();
}
