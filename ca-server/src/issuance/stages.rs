//! The stages of a certificate as types: prepared here, recorded in [`recorded`](super::recorded), and signed here.
//!
//! None is `Clone` before it is signed, and each is consumed by the step to the next: one self-check, one record, one signature.

use std::sync::Arc;

use rcgen::{CertificateParams, PublicKeyData, SerialNumber};
use trust_domains::wire::audit::{AuditEvent, Issuance};
use trust_domains::{Serial, SpiffeId, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::der;
use super::error::{PrepareError, SignError};
use super::recorded::{Permit, Prepared};
use crate::authority::{Issuer, KeyPlace};

/// A certificate that is complete but for its signature, checked, and not yet in the journal.
#[derive(Debug)]
pub struct PreparedCertificate {
    /// The octets that will be signed (TBSCertificate, RFC 5280 section 4.1.1.1).
    to_be_signed: Vec<u8>,
    issuer: Arc<Issuer>,
    record: Issuance,
}

/// Who a certificate is for and who caused it: the part of the record that the certificate does not say.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The entry, for a workload's certificate.
    pub entry: Option<trust_domains::EntryId>,
    /// The node that asked.
    pub node: Option<SpiffeId>,
    /// Who caused it.
    pub actor: String,
    /// The request's trace id, in hex.
    pub trace_id: String,
}

impl PreparedCertificate {
    /// Encodes a certificate and reads it back: what will be recorded and signed is what was asked for.
    ///
    /// Only the issuer's public half takes part; its key is not within reach of the encoder.
    ///
    /// # Errors
    /// When the parameters cannot be encoded, or the octets say something else than the parameters.
    pub(crate) fn new(
        issuer: Arc<Issuer>,
        serial: Serial,
        spiffe_id: &SpiffeId,
        mut params: CertificateParams,
        subject: &impl PublicKeyData,
        cause: Cause,
    ) -> Result<Self, PrepareError> {
        let (not_before, not_after) = (Timestamp::from(params.not_before), Timestamp::from(params.not_after));
        if not_after > issuer.not_after() || not_before < issuer.not_before() {
            return Err(PrepareError::OutlivesIssuer {
                issuer_not_after: issuer.not_after(),
                not_after,
            });
        }
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        let unsigned = params.signed_by(subject, issuer.template()).map_err(PrepareError::Encode)?;
        let to_be_signed = self_check(unsigned.der(), &issuer, &serial, spiffe_id, &params, subject)?;
        let record = Issuance {
            serial,
            spiffe_id: spiffe_id.clone(),
            entry: cause.entry,
            node: cause.node,
            issuer: issuer.id().to_string(),
            not_after,
            actor: cause.actor,
            trace_id: cause.trace_id,
        };
        Ok(Self { to_be_signed, issuer, record })
    }

    /// Returns its serial number.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.record.serial
    }

    /// Returns when the certificate will end.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.record.not_after
    }
}

/// Reads the encoded certificate back with a parser that did not write it, and returns its to-be-signed octets.
fn self_check(
    unsigned: &[u8],
    issuer: &Issuer,
    serial: &Serial,
    spiffe_id: &SpiffeId,
    params: &CertificateParams,
    subject: &impl PublicKeyData,
) -> Result<Vec<u8>, PrepareError> {
    let failed = |what| PrepareError::SelfCheck { serial: *serial, what };
    let (rest, certificate) = X509Certificate::from_der(unsigned).map_err(|_| failed("the encoding"))?;
    let tbs = &certificate.tbs_certificate;
    let facts = [
        ("the length", rest.is_empty()),
        ("the serial", tbs.raw_serial() == serial.as_bytes()),
        ("the issuer name", tbs.issuer.as_raw() == issuer.name()),
        ("the validity", tbs.validity.not_before.timestamp() == params.not_before.unix_timestamp()),
        ("the validity", tbs.validity.not_after.timestamp() == params.not_after.unix_timestamp()),
        ("the public key", tbs.subject_pki.subject_public_key.data.as_ref() == subject.der_bytes()),
    ];
    match facts.iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(failed(what)),
        None => super::profile::check(tbs, spiffe_id, params).map(|()| tbs.as_ref().to_vec()).map_err(failed),
    }
}

impl Prepared for PreparedCertificate {
    type Signed = SignedCertificate;

    fn event(&self) -> AuditEvent {
        AuditEvent::Issued(self.record.clone())
    }

    fn key_place(&self) -> KeyPlace {
        self.issuer.key().place()
    }

    fn key_name(&self) -> String {
        self.issuer.id().to_string()
    }

    /// Signs the certificate with its issuer's key.
    fn sign(self, _permit: Permit) -> Result<SignedCertificate, SignError> {
        let Self { to_be_signed, issuer, record } = self;
        let signature = issuer.key().sign(&to_be_signed).map_err(|source| SignError {
            issuer: issuer.id().to_string(),
            source,
        })?;
        let der = der::certificate(&to_be_signed, &signature);
        Ok(SignedCertificate {
            der,
            issuer,
            serial: record.serial,
            spiffe_id: record.spiffe_id,
            expires_at: record.not_after,
        })
    }
}

/// A certificate that is recorded and signed.
#[derive(Debug, Clone)]
pub struct SignedCertificate {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// Who signed it.
    pub issuer: Arc<Issuer>,
    /// Its serial number.
    pub serial: Serial,
    /// The identity it certifies.
    pub spiffe_id: SpiffeId,
    /// When it ends.
    pub expires_at: Timestamp,
}
