use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

use super::*;
use crate::node::{Fact, NameRefused, NodeNameTemplate};
use crate::x509::testing::NOW;
use crate::x509::to_pem;

/// An authority of an organisation's machines: nothing of SPIFFE in it.
struct DeviceCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + Duration::from_secs(3_600)).to_offset_date_time();
    params
}

impl DeviceCa {
    fn new() -> Self {
        let mut params = params("Devices");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            pem: to_pem(&der),
            der,
        }
    }

    fn machine(&self, change: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let mut params = params("web-1");
        params.serial_number = Some(SerialNumber::from(vec![0x01, 0xab]));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![rcgen::SanType::DnsName("Web-1.example.org".try_into().unwrap())];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    fn crl(&self, revoked: &[&[u8]]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial.to_vec()),
            revocation_time: NOW.to_offset_date_time(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: (NOW - Duration::from_secs(60)).to_offset_date_time(),
            next_update: (NOW + Duration::from_secs(60)).to_offset_date_time(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn authorities(&self) -> PopAuthorities {
        PopAuthorities::from_pem(self.pem.as_bytes(), None).unwrap()
    }
}

#[test]
fn a_machines_certificate_is_accepted_and_its_facts_are_selectors() {
    let ca = DeviceCa::new();
    let (leaf, _) = ca.machine(|_| {});
    let found = ca.authorities().verify(std::slice::from_ref(&leaf), NOW).unwrap();
    let selectors: Vec<_> = found.selectors().iter().map(ToString::to_string).collect();
    for expected in [
        "x509pop:subject:cn:web-1".to_owned(),
        "x509pop:san:dns:web-1.example.org".to_owned(),
        "x509pop:serial:01ab".to_owned(),
        format!("x509pop:fingerprint:{}", fingerprint(&leaf)),
        format!("x509pop:ca:fingerprint:{}", fingerprint(&ca.der)),
    ] {
        assert!(selectors.contains(&expected), "{expected} is not among {selectors:?}");
    }
    for selector in &found.selectors() {
        let (key, value) = X509PopKey::of(selector).unwrap();
        assert!(key.may_be(value), "an entry could not ask for {selector}");
    }
    assert_eq!(selectors.len(), 5);
}

#[test]
fn a_node_is_named_by_the_template_or_refused() {
    let ca = DeviceCa::new();
    let name = |template: &str, change: fn(&mut CertificateParams)| {
        let (leaf, _) = ca.machine(change);
        let found = ca.authorities().verify(&[leaf], NOW).unwrap();
        template.parse::<NodeNameTemplate>().unwrap().name(&found).map(|name| name.to_string())
    };
    assert_eq!(name("{cn}", |_| {}).unwrap(), "web-1");
    assert_eq!(name("edge-{dns}", |_| {}).unwrap(), "edge-web-1.example.org");
    assert_eq!(name("n{serial}", |_| {}).unwrap(), "n01ab");
    assert_eq!(name("{fingerprint}", |_| {}).unwrap().len(), 64);
    let two_names = |params: &mut CertificateParams| params.subject_alt_names.push(rcgen::SanType::DnsName("b.test".try_into().unwrap()));
    assert_eq!(name("{dns}", two_names), Err(NameRefused::NotOne { fact: Fact::Dns, actual: 2 }));
    let no_name = |params: &mut CertificateParams| params.distinguished_name = DistinguishedName::new();
    assert_eq!(name("{cn}", no_name), Err(NameRefused::NotOne { fact: Fact::Cn, actual: 0 }));
    let path = |params: &mut CertificateParams| params.distinguished_name.push(DnType::CommonName, "../web");
    assert_eq!(name("{cn}", path), Err(NameRefused::NoName { limit: 64 }));
}

#[test]
fn certificates_that_are_no_clients_of_a_named_authority_now_are_refused() {
    let (ca, other) = (DeviceCa::new(), DeviceCa::new());
    let refused = |change: fn(&mut CertificateParams)| ca.authorities().verify(&[ca.machine(change).0], NOW).unwrap_err();
    assert_eq!(refused(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), PopRefused::Ca);
    assert_eq!(
        refused(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        PopRefused::KeyUsage
    );
    assert!(matches!(
        refused(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        PopRefused::Path(webpki::Error::RequiredEkuNotFoundContext(_))
    ));
    assert!(matches!(
        refused(|params| params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time()),
        PopRefused::Path(webpki::Error::CertExpired { .. })
    ));
    assert!(matches!(
        refused(|params| params.not_before = (NOW + Duration::from_secs(1)).to_offset_date_time()),
        PopRefused::Path(webpki::Error::CertNotValidYet { .. })
    ));
    let ended = refused(|params| params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time());
    assert!(
        ended
            .to_string()
            .ends_with(&format!("it, or one above it, ended at {}", NOW - Duration::from_secs(1))),
        "{ended}"
    );
    let (foreign, _) = other.machine(|_| {});
    let stranger = ca.authorities().verify(std::slice::from_ref(&foreign), NOW).unwrap_err();
    assert!(
        stranger.to_string().ends_with("a signature of the path is not that of the certificate above"),
        "an authority of the same name: {stranger}"
    );
    assert!(std::error::Error::source(&stranger).is_none(), "webpki's own names are not shown");
    assert!(matches!(ca.authorities().verify(&[foreign], NOW), Err(PopRefused::Path(_))));
    assert!(matches!(ca.authorities().verify(&[], NOW), Err(PopRefused::Length { actual: 0, .. })));
    let no_usages = ca
        .machine(|params| (params.key_usages, params.extended_key_usages) = (Vec::new(), Vec::new()))
        .0;
    assert!(
        ca.authorities().verify(&[no_usages], NOW).is_ok(),
        "a certificate without usages has them all (RFC 5280 section 4.2.1.3)"
    );
}

#[test]
fn with_a_revocation_list_the_revoked_and_the_unknown_are_refused_and_an_old_list_accepts_nobody() {
    let (ca, other) = (DeviceCa::new(), DeviceCa::new());
    let (leaf, _) = ca.machine(|_| {});
    let verify = |crl: String, now| {
        PopAuthorities::from_pem(ca.pem.as_bytes(), Some(crl.as_bytes()))
            .unwrap()
            .verify(std::slice::from_ref(&leaf), now)
    };
    assert!(verify(ca.crl(&[&[9]]), NOW).is_ok());
    assert_eq!(verify(ca.crl(&[&[0x01, 0xab]]), NOW), Err(PopRefused::Path(webpki::Error::CertRevoked)));
    assert!(
        matches!(verify(other.crl(&[]), NOW), Err(PopRefused::Path(_))),
        "nobody said whether it is revoked"
    );
    assert!(matches!(
        verify(ca.crl(&[]), NOW + Duration::from_secs(120)),
        Err(PopRefused::Path(webpki::Error::CrlExpired { .. }))
    ));
}

#[test]
fn only_the_key_of_the_certificate_signs_for_it() {
    let ca = DeviceCa::new();
    let (leaf, key) = ca.machine(|_| {});
    let found = ca.authorities().verify(&[leaf], NOW).unwrap();
    let sign = |key: &KeyPair| rcgen::SigningKey::sign(key, b"message").unwrap();
    assert_eq!(found.verify_signature(PopAlgorithm::EcdsaP256Sha256, b"message", &sign(&key)), Ok(()));
    let thief = KeyPair::generate().unwrap();
    for (algorithm, message, signature) in [
        (PopAlgorithm::EcdsaP256Sha256, &b"message"[..], sign(&thief)),
        (PopAlgorithm::EcdsaP256Sha256, b"another", sign(&key)),
        (PopAlgorithm::Ed25519, b"message", sign(&key)),
        (PopAlgorithm::RsaPssSha256, b"message", sign(&key)),
    ] {
        assert_eq!(found.verify_signature(algorithm, message, &signature), Err(PopRefused::Possession));
    }
}

#[test]
fn a_file_of_authorities_is_read_whole_or_not() {
    let ca = DeviceCa::new();
    let (leaf, _) = ca.machine(|_| {});
    let refused = |text: &str| PopAuthorities::from_pem(text.as_bytes(), None).unwrap_err();
    assert_eq!(refused(""), PopAuthoritiesRefused::Empty);
    assert_eq!(
        refused(&format!("{}{}", ca.pem, to_pem(&leaf))),
        PopAuthoritiesRefused::NotAnAuthority { position: 2 }
    );
    assert_eq!(refused(&to_pem(b"\x30\x00")), PopAuthoritiesRefused::Unreadable { position: 1 });
    assert_eq!(
        PopAuthorities::from_pem(ca.pem.as_bytes(), Some(ca.pem.as_bytes())).unwrap_err(),
        PopAuthoritiesRefused::Crl { position: 1 },
        "a file of lists without a list looks at nothing"
    );
}
