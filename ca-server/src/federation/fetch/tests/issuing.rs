//! A CA of the web and CAs of trust domains, for tests.

use std::sync::Arc;
use std::time::Duration;

use platform::tls::TlsIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SanType,
};
use rustls::pki_types::CertificateDer;
use trust_domains::bundle::TrustBundle;
use trust_domains::crl::{Crl, CrlIssuer, CrlSet};
use trust_domains::join_link::RootHash;
use trust_domains::timestamp::Timestamp;
use trust_domains::x509::Certificate;

/// 2026-11-22T09:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

/// How long every certificate lives.
pub(crate) const LIFE: Duration = Duration::from_secs(3_600);

/// A root, and the CA under it that signs leaves.
pub(crate) struct Ca {
    pub(crate) root_pem: String,
    root: Vec<u8>,
    issuing: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A CA of the web.
    pub(crate) fn web() -> Self {
        Self::with(None)
    }

    /// The CA of a trust domain.
    pub(crate) fn of(trust_domain: &str) -> Self {
        Self::with(Some(format!("spiffe://{trust_domain}")))
    }

    fn with(name: Option<String>) -> Self {
        let (root_params, root_key) = (ca_params(name.as_deref(), BasicConstraints::Unconstrained), KeyPair::generate().unwrap());
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = (ca_params(name.as_deref(), BasicConstraints::Constrained(0)), KeyPair::generate().unwrap());
        let issuing = params.signed_by(&key, &root_issuer).unwrap();
        Self {
            root_pem: root.pem(),
            root: root.der().to_vec(),
            issuing: issuing.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate of the web for these names, without its root.
    pub(crate) fn host(&self, names: &[&str]) -> TlsIdentity {
        let (leaf, key) = self.leaf(CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap());
        TlsIdentity::new(&[leaf, self.issuing.clone()], &key).unwrap()
    }

    /// An X509-SVID, with its root at the end as our own endpoints send it.
    pub(crate) fn svid(&self, id: &str) -> TlsIdentity {
        self.svid_with(id, &[&self.issuing, &self.root])
    }

    /// An X509-SVID, without its root.
    pub(crate) fn short_svid(&self, id: &str) -> TlsIdentity {
        self.svid_with(id, &[&self.issuing])
    }

    fn svid_with(&self, id: &str, above: &[&Vec<u8>]) -> TlsIdentity {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        let (leaf, key) = self.leaf(params);
        let chain: Vec<_> = std::iter::once(&leaf).chain(above.iter().copied()).collect();
        TlsIdentity::new(&chain, &key).unwrap()
    }

    fn leaf(&self, mut params: CertificateParams) -> (Vec<u8>, Vec<u8>) {
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        date(&mut params);
        let key = KeyPair::generate().unwrap();
        assert!(!key.der_bytes().is_empty());
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key.serialize_der())
    }

    /// The list of the CA that signs leaves, with these of them.
    pub(crate) fn revoking(&self, leaves: &[CertificateDer<'_>]) -> Arc<CrlSet> {
        let revoked = leaves.iter().map(|leaf| RevokedCertParams {
            serial_number: Certificate::parse(leaf).unwrap().serial().as_bytes().to_vec().into(),
            revocation_time: NOW.to_offset_date_time(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: NOW.to_offset_date_time(),
            next_update: (NOW + LIFE).to_offset_date_time(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = Crl::parse(params.signed_by(&self.issuer).unwrap().der().to_vec()).unwrap();
        Arc::new(CrlSet::new([(CrlIssuer::parse(self.issuing.clone()).unwrap(), list)]).unwrap())
    }

    pub(crate) fn root_hash(&self) -> RootHash {
        RootHash::of_der(&self.root)
    }

    pub(crate) fn bundle(&self, trust_domain: &str) -> Arc<TrustBundle> {
        Arc::new(TrustBundle::new(trust_domain.parse().unwrap()).with_x509_authority(&self.root).unwrap())
    }
}

fn ca_params(name: Option<&str>, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{constraints:?}"));
    params.subject_alt_names = name.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    date(&mut params);
    params
}

fn date(params: &mut CertificateParams) {
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + LIFE).to_offset_date_time();
}
