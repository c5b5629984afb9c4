//! CAs that sign lists, for tests.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType};

use super::{Crl, CrlIssuer};
use crate::serial::Serial;
use crate::timestamp::Timestamp;
use crate::x509::testing::NOW;

/// A CA with its key.
pub(crate) struct ListingCa {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) public: CrlIssuer,
}

impl ListingCa {
    pub(crate) fn root(name: &str) -> Self {
        let (params, key) = (params(name), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self::new(params, key, der)
    }

    pub(crate) fn issuing(&self, name: &str) -> Self {
        let (mut params, key) = (params(name), KeyPair::generate().unwrap());
        params.use_authority_key_identifier_extension = true;
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self::new(params, key, der)
    }

    fn new(params: CertificateParams, key: KeyPair, der: Vec<u8>) -> Self {
        Self {
            issuer: Issuer::new(params, key),
            public: CrlIssuer::parse(der).unwrap(),
        }
    }

    /// Signs a certificate.
    pub(crate) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    /// Signs a list of these serials, in any order.
    pub(crate) fn list(&self, number: u64, serials: &[u128]) -> Crl {
        Crl::parse(self.list_der(number, serials, |_| {})).unwrap()
    }

    pub(crate) fn list_der(&self, number: u64, serials: &[u128], change: impl FnOnce(&mut CertificateRevocationListParams)) -> Vec<u8> {
        let mut serials = serials.to_vec();
        serials.sort_unstable();
        serials.dedup();
        let mut params = CertificateRevocationListParams {
            this_update: NOW.to_offset_date_time(),
            next_update: (NOW + Duration::from_secs(7 * 86_400)).to_offset_date_time(),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.into_iter().map(|number| revoked(serial(number), NOW)).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

pub(crate) fn serial(number: u128) -> Serial {
    Serial::from_der_bytes(&number.to_be_bytes()).unwrap()
}

pub(crate) fn revoked(serial: Serial, at: Timestamp) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: serial.as_bytes().to_vec().into(),
        revocation_time: at.to_offset_date_time(),
        reason_code: None,
        invalidity_date: None,
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI("spiffe://td.example".try_into().unwrap())];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + Duration::from_secs(7 * 86_400)).to_offset_date_time();
    params
}
