//! Certificates for tests: the shapes of design section 6, and each shape one rule away from them.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;

use crate::timestamp::Timestamp;

/// 2026-11-22T09:00:00Z: the moment at which test certificates are looked at.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

/// The key usage extension (2.5.29.15).
pub(crate) const KEY_USAGE: &[u64] = &[2, 5, 29, 15];

/// The SAN extension (2.5.29.17).
pub(crate) const SAN: &[u64] = &[2, 5, 29, 17];

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// An extension that is not critical.
pub(crate) fn plain_extension(oid: &[u64], content: &[u8]) -> CustomExtension {
    CustomExtension::from_oid_content(oid, content.to_vec())
}

/// A signing certificate with its key.
pub(crate) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
}

impl TestCa {
    pub(crate) fn root(name: &str, trust_domain: &str) -> Self {
        Self::root_with(name, trust_domain, |_| {})
    }

    pub(crate) fn root_with(name: &str, trust_domain: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = signing_params(name, trust_domain, BasicConstraints::Unconstrained, Duration::from_secs(365 * 86_400));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub(crate) fn issuing(&self, name: &str, trust_domain: &str) -> Self {
        self.issuing_with(name, trust_domain, |_| {})
    }

    pub(crate) fn issuing_with(&self, name: &str, trust_domain: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = signing_params(name, trust_domain, BasicConstraints::Constrained(0), Duration::from_secs(7 * 86_400));
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    /// Certifies another root's name and key, as an upstream authority does.
    pub(crate) fn cross(&self, root: &Self, name: &str, trust_domain: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = signing_params(name, trust_domain, BasicConstraints::Unconstrained, Duration::from_secs(300 * 86_400));
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        params.signed_by(root.issuer.key(), &self.issuer).unwrap().der().clone()
    }

    /// What signs: for lists.
    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(crate) fn leaf(&self, spiffe_id: &str) -> CertificateDer<'static> {
        self.leaf_with(spiffe_id, |_| {})
    }

    pub(crate) fn leaf_with(&self, spiffe_id: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        self.leaf_of(&KeyPair::generate().unwrap(), spiffe_id, change)
    }

    pub(crate) fn leaf_of(&self, key: &KeyPair, spiffe_id: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = leaf_params(spiffe_id);
        change(&mut params);
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }
}

/// A trust domain's certificates: root, issuing CA, and what it signs.
pub(crate) struct TestDomain {
    pub(crate) root: TestCa,
    pub(crate) issuing: TestCa,
}

impl TestDomain {
    pub(crate) fn new(trust_domain: &str) -> Self {
        let root = TestCa::root("root", trust_domain);
        let issuing = root.issuing("issuing", trust_domain);
        Self { root, issuing }
    }

    /// A chain as the Workload API gives it: leaf and issuing CA.
    pub(crate) fn chain(&self, spiffe_id: &str) -> Vec<CertificateDer<'static>> {
        vec![self.issuing.leaf(spiffe_id), self.issuing.der.clone()]
    }
}

fn signing_params(name: &str, trust_domain: &str, path_len: BasicConstraints, life: Duration) -> CertificateParams {
    let mut params = params(life);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    params.is_ca = IsCa::Ca(path_len);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(spiffe_id: &str) -> CertificateParams {
    let mut params = params(Duration::from_secs(5_400));
    params.subject_alt_names = vec![uri(spiffe_id)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + life).to_offset_date_time();
    params
}
