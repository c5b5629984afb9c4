//! A cross-certificate by an upstream key that is here: prepared, recorded, signed, as every certificate.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa};
use trust_domains::wire::audit::{AuditEvent, Issuance};
use trust_domains::x509::{CrossCertificate, UpstreamChain};
use trust_domains::{Serial, Timestamp, TrustDomain};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::error::UpstreamError;
use super::files::Upstream;
use super::key::UpstreamKey;
use crate::authority::public_half::KeyId;
use crate::authority::{Issuer, KeyPlace, shape};
use crate::issuance::Recorder;
use crate::issuance::error::{PrepareError, SignError};
use crate::issuance::recorded::{Permit, Prepared, record_one};
use crate::issuance::{der, profile};

/// Who has a root certified, and when.
pub(crate) struct Certifying<'a> {
    pub(crate) trust_domain: &'a TrustDomain,
    pub(crate) recorder: &'a dyn Recorder,
    pub(crate) now: Timestamp,
    pub(crate) skew: Duration,
    pub(crate) actor: &'a str,
}

impl Certifying<'_> {
    /// Has an upstream authority certify a root: the same name and key, no longer than both, and nothing that our chains do not need.
    ///
    /// # Errors
    /// It cannot be prepared, recorded or signed, or the result is not what verifiers would follow.
    pub(crate) async fn certify(&self, upstream: Upstream, root: &Issuer) -> Result<CrossCertificate, UpstreamError> {
        let Upstream { chain, key } = upstream;
        let prepared = self.prepare(&chain, key, root)?;
        let recorded = record_one(self.recorder, prepared).await.map_err(UpstreamError::Journal)?;
        let der = recorded.sign().await?;
        Ok(CrossCertificate::new(&der, chain, root.certificate(), self.trust_domain, self.now)?)
    }

    fn prepare(&self, chain: &UpstreamChain, key: UpstreamKey, root: &Issuer) -> Result<PreparedCross, UpstreamError> {
        let issuer = rcgen::Issuer::from_ca_cert_der(chain.signing(), key.half()).map_err(|_| UpstreamError::Encode)?;
        let serial = shape::fresh_serial(KeyId::of_spki(chain.spki())).ok_or(PrepareError::Random)?;
        let mut params = self.shape(chain, root).map_err(PrepareError::Encode)?;
        params.serial_number = Some(rcgen::SerialNumber::from_slice(serial.as_bytes()));
        let unsigned = params.signed_by(root.key().public(), &issuer).map_err(PrepareError::Encode)?.der().to_vec();
        let to_be_signed = self.self_check(&unsigned, chain, root, serial, &params)?;
        let record = Issuance {
            serial,
            spiffe_id: self.trust_domain.id(),
            entry: None,
            node: None,
            issuer: chain.key_id().to_string(),
            not_after: params.not_after.into(),
            actor: self.actor.to_owned(),
            trace_id: String::new(),
        };
        drop(issuer);
        Ok(PreparedCross {
            unsigned,
            to_be_signed,
            key,
            record,
        })
    }

    /// A root's shape with the upstream authority above it.
    fn shape(&self, chain: &UpstreamChain, root: &Issuer) -> Result<CertificateParams, rcgen::Error> {
        let not_before = (self.now - self.skew).max(root.not_before()).max(chain.not_before());
        let not_after = root.not_after().min(chain.not_after());
        let mut params = shape::root(self.trust_domain, root.key_id(), not_before, not_after)?;
        params.use_authority_key_identifier_extension = true;
        if let Some(path_len) = chain.path_len_below() {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(u8::try_from(path_len).unwrap_or(u8::MAX)));
        }
        Ok(params)
    }

    /// Reads the octets back with a parser that did not write them, and returns those that will be signed.
    fn self_check(&self, unsigned: &[u8], chain: &UpstreamChain, root: &Issuer, serial: Serial, params: &CertificateParams) -> Result<Vec<u8>, UpstreamError> {
        let failed = |what| PrepareError::SelfCheck { serial, what };
        let read = |der| X509Certificate::from_der(der).map(|(_, read)| read).map_err(|_| failed("the encoding"));
        let (cross, upstream) = (read(unsigned)?, read(chain.signing())?);
        let tbs = &cross.tbs_certificate;
        if tbs.issuer.as_raw() != upstream.subject().as_raw() {
            return Err(UpstreamError::Encode);
        }
        let facts = [
            ("the serial", tbs.raw_serial() == serial.as_bytes()),
            ("the subject", tbs.subject.as_raw() == root.name()),
            ("the public key", tbs.subject_pki.raw == root.key().public_key().spki()),
        ];
        match facts.iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(failed(what).into()),
            None => profile::check(tbs, &self.trust_domain.id(), params)
                .map(|()| tbs.as_ref().to_vec())
                .map_err(|what| failed(what).into()),
        }
    }
}

/// A cross-certificate that is complete but for its signature.
struct PreparedCross {
    unsigned: Vec<u8>,
    to_be_signed: Vec<u8>,
    key: UpstreamKey,
    record: Issuance,
}

impl Prepared for PreparedCross {
    type Signed = Vec<u8>;

    fn event(&self) -> AuditEvent {
        AuditEvent::Issued(self.record.clone())
    }

    fn key_place(&self) -> KeyPlace {
        KeyPlace::Here
    }

    fn key_name(&self) -> String {
        self.record.issuer.clone()
    }

    /// Signs it; the key ends with this call.
    fn sign(self, _permit: Permit) -> Result<Vec<u8>, SignError> {
        let failed = |source| SignError {
            issuer: self.record.issuer.clone(),
            source,
        };
        let signature = self.key.sign(&self.to_be_signed).map_err(failed)?;
        der::with_signature(&self.unsigned, &signature).ok_or_else(|| failed(rcgen::Error::CouldNotParseCertificate))
    }
}
