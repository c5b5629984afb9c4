//! The rules of the X509-SVID standard for one certificate, each violation with its number in the requirements list.

use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::x509::certificate::{Certificate, KeyUsage};

/// Why a certificate is not the leaf of an X509-SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafViolation {
    /// Basic constraints say `cA`: a signing certificate authenticates nobody.
    #[error("it is a signing certificate: basic constraints say cA")]
    Ca,
    /// `digitalSignature` is not set.
    #[error("key usage lacks digitalSignature")]
    DigitalSignatureMissing,
    /// Extended key usage names only one of the two directions, or neither.
    #[error("extended key usage names serverAuth: {server_auth}, clientAuth: {client_auth}; both are needed")]
    ExtendedKeyUsageOneSided {
        /// Whether `id-kp-serverAuth` is there.
        server_auth: bool,
        /// Whether `id-kp-clientAuth` is there.
        client_auth: bool,
    },
    /// The key usage extension is missing.
    #[error("key usage is missing")]
    KeyUsageMissing,
    /// The key usage extension is not critical.
    #[error("key usage is not critical")]
    KeyUsageNotCritical,
    /// `cRLSign` is set.
    #[error("key usage sets cRLSign")]
    MaySignCrls,
    /// `keyCertSign` is set.
    #[error("key usage sets keyCertSign")]
    MaySignCertificates,
    /// There is no URI name.
    #[error("it has no URI SAN")]
    NoUriSan,
    /// The URI is not a SPIFFE ID.
    #[error("URI SAN {uri:?} is not a SPIFFE ID")]
    NotSpiffeId {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// The SPIFFE ID has no path: it names a trust domain and no workload.
    #[error("SPIFFE ID {spiffe_id} has no path")]
    NoPath {
        /// The ID.
        spiffe_id: SpiffeId,
    },
    /// The subject is empty and the SAN extension is not critical.
    #[error("the subject is empty and the SAN extension is not critical")]
    SanNotCritical,
    /// There is more than one URI name.
    #[error("it has {count} URI SANs")]
    SeveralUriSans {
        /// How many.
        count: usize,
    },
}

impl LeafViolation {
    /// Returns the number of the broken rule in the requirements list.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NoUriSan => "X509-01",
            Self::SeveralUriSans { .. } => "X509-02",
            Self::SanNotCritical => "X509-04",
            Self::KeyUsageMissing | Self::KeyUsageNotCritical => "X509-11",
            Self::DigitalSignatureMissing => "X509-13",
            Self::ExtendedKeyUsageOneSided { .. } => "X509-15",
            Self::Ca | Self::MaySignCrls | Self::MaySignCertificates => "X509-17",
            Self::NotSpiffeId { .. } | Self::NoPath { .. } => "X509-18",
        }
    }
}

/// Checks the leaf rules and returns the identity.
///
/// # Errors
///
/// The first rule that is broken, those that tell a leaf from a signing certificate before the others.
pub fn check_leaf(certificate: &Certificate) -> Result<SpiffeId, LeafViolation> {
    match shape_violations(certificate).into_iter().next() {
        Some(violation) => Err(violation),
        None => leaf_identity(certificate),
    }
}

/// Returns every leaf rule that the certificate breaks.
#[must_use]
pub fn leaf_violations(certificate: &Certificate) -> Vec<LeafViolation> {
    let mut broken = shape_violations(certificate);
    broken.extend(leaf_identity(certificate).err());
    broken
}

fn shape_violations(certificate: &Certificate) -> Vec<LeafViolation> {
    let mut broken = Vec::new();
    if certificate.is_ca() {
        broken.push(LeafViolation::Ca);
    }
    leaf_key_usage(certificate.key_usage(), &mut broken);
    if certificate.subject_is_empty() && !certificate.uri_sans().is_empty() && !certificate.san_critical() {
        broken.push(LeafViolation::SanNotCritical);
    }
    if let Some(usage) = certificate.extended_key_usage()
        && !(usage.server_auth && usage.client_auth)
    {
        broken.push(LeafViolation::ExtendedKeyUsageOneSided {
            server_auth: usage.server_auth,
            client_auth: usage.client_auth,
        });
    }
    broken
}

fn leaf_key_usage(usage: Option<KeyUsage>, broken: &mut Vec<LeafViolation>) {
    let Some(usage) = usage else {
        broken.push(LeafViolation::KeyUsageMissing);
        return;
    };
    let rules = [
        (usage.key_cert_sign, LeafViolation::MaySignCertificates),
        (usage.crl_sign, LeafViolation::MaySignCrls),
        (!usage.digital_signature, LeafViolation::DigitalSignatureMissing),
        (!usage.critical, LeafViolation::KeyUsageNotCritical),
    ];
    broken.extend(rules.into_iter().filter_map(|(is_broken, violation)| is_broken.then_some(violation)));
}

fn leaf_identity(certificate: &Certificate) -> Result<SpiffeId, LeafViolation> {
    let uri = match certificate.uri_sans() {
        [] => return Err(LeafViolation::NoUriSan),
        [uri] => uri,
        several => return Err(LeafViolation::SeveralUriSans { count: several.len() }),
    };
    let spiffe_id: SpiffeId = uri.parse().map_err(|source| LeafViolation::NotSpiffeId { uri: uri.clone(), source })?;
    if spiffe_id.path().is_empty() {
        return Err(LeafViolation::NoPath { spiffe_id });
    }
    Ok(spiffe_id)
}

/// Why a certificate is not a proper signing certificate of a SPIFFE trust domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningViolation {
    /// `keyCertSign` is not set.
    #[error("key usage lacks keyCertSign")]
    CertSignMissing,
    /// Its SPIFFE ID has a path, as that of a workload.
    #[error("SPIFFE ID {spiffe_id} of a signing certificate has a path")]
    HasPath {
        /// The ID.
        spiffe_id: SpiffeId,
    },
    /// The key usage extension is missing.
    #[error("key usage is missing")]
    KeyUsageMissing,
    /// The key usage extension is not critical.
    #[error("key usage is not critical")]
    KeyUsageNotCritical,
    /// A usage of leaves is set.
    #[error("key usage sets {usage}, which is for leaves only")]
    LeafUsage {
        /// The usage by its name in RFC 5280.
        usage: &'static str,
    },
    /// Basic constraints do not say `cA`.
    #[error("basic constraints do not say cA")]
    NotCa,
    /// Its URI is not a SPIFFE ID.
    #[error("URI SAN {uri:?} is not a SPIFFE ID")]
    NotSpiffeId {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// There is more than one URI name.
    #[error("it has {count} URI SANs")]
    SeveralUriSans {
        /// How many.
        count: usize,
    },
}

impl SigningViolation {
    /// Returns the number of the broken rule in the requirements list.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::SeveralUriSans { .. } => "X509-02",
            Self::NotCa => "X509-05",
            Self::HasPath { .. } | Self::NotSpiffeId { .. } => "X509-06",
            Self::KeyUsageMissing | Self::KeyUsageNotCritical => "X509-11",
            Self::CertSignMissing => "X509-12",
            Self::LeafUsage { .. } => "X509-14",
        }
    }

    /// Returns whether nothing this certificate signed can be believed.
    ///
    /// The other rules bind issuers; a validator that enforced them too would refuse partners whose upstream authorities are older than the rules.
    #[must_use]
    pub fn is_disqualifying(&self) -> bool {
        match self {
            Self::CertSignMissing | Self::KeyUsageMissing | Self::NotCa | Self::SeveralUriSans { .. } => true,
            Self::HasPath { .. } | Self::KeyUsageNotCritical | Self::LeafUsage { .. } | Self::NotSpiffeId { .. } => false,
        }
    }
}

/// Returns every rule for signing certificates that this one breaks.
#[must_use]
pub fn signing_violations(certificate: &Certificate) -> Vec<SigningViolation> {
    let mut broken = Vec::new();
    if !certificate.is_ca() {
        broken.push(SigningViolation::NotCa);
    }
    match certificate.key_usage() {
        None => broken.push(SigningViolation::KeyUsageMissing),
        Some(usage) => signing_key_usage(usage, &mut broken),
    }
    match certificate.uri_sans() {
        [] => {}
        [uri] => match uri.parse::<SpiffeId>() {
            Err(source) => broken.push(SigningViolation::NotSpiffeId { uri: uri.clone(), source }),
            Ok(spiffe_id) if !spiffe_id.path().is_empty() => broken.push(SigningViolation::HasPath { spiffe_id }),
            Ok(_) => {}
        },
        several => broken.push(SigningViolation::SeveralUriSans { count: several.len() }),
    }
    broken
}

fn signing_key_usage(usage: KeyUsage, broken: &mut Vec<SigningViolation>) {
    let rules = [
        (!usage.key_cert_sign, SigningViolation::CertSignMissing),
        (!usage.critical, SigningViolation::KeyUsageNotCritical),
        (usage.digital_signature, SigningViolation::LeafUsage { usage: "digitalSignature" }),
        (usage.key_agreement, SigningViolation::LeafUsage { usage: "keyAgreement" }),
        (usage.key_encipherment, SigningViolation::LeafUsage { usage: "keyEncipherment" }),
    ];
    broken.extend(rules.into_iter().filter_map(|(is_broken, violation)| is_broken.then_some(violation)));
}

#[cfg(test)]
mod tests;
