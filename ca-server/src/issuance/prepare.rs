//! Step 3: the leaf certificate for one key, complete but for its signature.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use trust_domains::entry::CertificateNames;
use trust_domains::plan::validity::Validity;
use trust_domains::public_key::PublicKey;
use trust_domains::{SpiffeId, Timestamp};

use super::error::PrepareError;
use super::stages::{Cause, PreparedCertificate};
use crate::authority::{Issuer, Subject, fresh_serial};

/// A leaf that was granted: what steps 1 and 2 found.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// The identity.
    pub spiffe_id: &'a SpiffeId,
    /// The key to certify, on the curve.
    pub public_key: &'a PublicKey,
    /// The life that is granted, within the class.
    pub ttl: Duration,
    /// When the entry itself ends.
    pub ends_with: Option<Timestamp>,
    /// The names beside the SPIFFE ID.
    pub names: &'a CertificateNames,
}

/// Encodes and checks one leaf.
///
/// The validity is that of [`Validity::plan`], and starts no sooner than the issuer's own.
///
/// # Errors
/// When the issuer or the entry ends too soon, a name lies outside of the issuer's constraints, or the encoding fails or says something else.
pub fn prepare(issuer: &Arc<Issuer>, now: Timestamp, skew: Duration, leaf: &Leaf<'_>, cause: Cause) -> Result<PreparedCertificate, PrepareError> {
    let validity = Validity::plan(now, leaf.ttl, issuer.not_after(), leaf.ends_with, skew)?;
    if let Some(name) = issuer.permitted().first_outside(leaf.names) {
        return Err(PrepareError::NameNotPermitted { name });
    }
    let serial = fresh_serial(issuer.key_id()).ok_or(PrepareError::Random)?;
    let params = shape(leaf, validity.not_before().max(issuer.not_before()), validity.not_after())?;
    PreparedCertificate::new(Arc::clone(issuer), serial, leaf.spiffe_id, params, &Subject(leaf.public_key), cause)
}

/// The shape of every leaf: but for the names that its entry has, an empty subject and the SPIFFE ID as the only name (its extension then critical, X509-04).
fn shape(leaf: &Leaf<'_>, not_before: Timestamp, not_after: Timestamp) -> Result<CertificateParams, PrepareError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(cn) = leaf.names.cn() {
        params.distinguished_name.push(DnType::CommonName, cn.as_str());
    }
    // The URI first: clients that look at one name only find the identity.
    params.subject_alt_names = vec![SanType::URI(leaf.spiffe_id.as_str().try_into().map_err(PrepareError::Encode)?)];
    for name in leaf.names.dns() {
        let name = name.as_str().try_into().map_err(PrepareError::Encode)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = not_before.to_offset_date_time();
    params.not_after = not_after.to_offset_date_time();
    Ok(params)
}
