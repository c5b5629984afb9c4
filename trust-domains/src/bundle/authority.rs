//! One root of a bundle, read and checked once, so that verifying a peer parses no root again.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, Der, TrustAnchor};

use crate::bundle::json::PublicJwk;
use crate::join_link::RootHash;
use crate::problem::{Code, Coded};
use crate::x509::{Certificate, ParseCertificateError, SigningViolation, signing_violations};

/// A signing certificate that is trusted because a bundle holds it. Cheap to clone.
#[derive(Clone)]
pub struct X509Authority(Arc<Facts>);

struct Facts {
    der: CertificateDer<'static>,
    certificate: Certificate,
    anchor: TrustAnchor<'static>,
    hash: RootHash,
    key: PublicJwk,
}

impl X509Authority {
    /// Reads a root in DER.
    ///
    /// # Errors
    ///
    /// When it cannot be read, may not sign certificates (X509-05), or holds a key that a JWK cannot express.
    pub fn parse(der: &[u8]) -> Result<Self, AuthorityRefused> {
        let certificate = Certificate::parse(der).map_err(|source| AuthorityRefused::Unreadable { source })?;
        if let Some(violation) = signing_violations(&certificate).into_iter().find(SigningViolation::is_disqualifying) {
            return Err(AuthorityRefused::MayNotSign { violation });
        }
        let key = PublicJwk::of_spki(certificate.spki()).ok_or(AuthorityRefused::UnknownKey)?;
        let der = CertificateDer::from(der.to_vec());
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|source| AuthorityRefused::Anchor { source })?
            .to_owned();
        let hash = RootHash::of_der(&der);
        Ok(Self(Arc::new(Facts {
            der,
            certificate,
            anchor,
            hash,
            key,
        })))
    }

    /// Returns its DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// Returns the certificate as it was read.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Returns the SHA-256 of its DER, as join links name it.
    #[must_use]
    pub fn hash(&self) -> RootHash {
        self.0.hash
    }

    /// Returns its public key as a JWK without use and key ID.
    #[must_use]
    pub fn key(&self) -> &PublicJwk {
        &self.0.key
    }

    /// Returns how many signing certificates it allows below it; no limit without the constraint.
    #[must_use]
    pub fn path_len(&self) -> Option<u32> {
        self.0.certificate.basic_constraints().and_then(|constraints| constraints.path_len)
    }

    /// Returns what webpki needs of it, borrowed.
    pub(crate) fn trust_anchor(&self) -> TrustAnchor<'_> {
        let anchor = &self.0.anchor;
        TrustAnchor {
            subject: Der::from_slice(anchor.subject.as_ref()),
            subject_public_key_info: Der::from_slice(anchor.subject_public_key_info.as_ref()),
            name_constraints: anchor.name_constraints.as_ref().map(|constraints| Der::from_slice(constraints.as_ref())),
        }
    }

    /// Returns whether webpki's anchor is this root: the same name and key.
    pub(crate) fn is_anchor(&self, anchor: &TrustAnchor<'_>) -> bool {
        self.0.anchor.subject == anchor.subject && self.0.anchor.subject_public_key_info == anchor.subject_public_key_info
    }
}

impl PartialEq for X509Authority {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for X509Authority {}

impl fmt::Debug for X509Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Authority")
            .field("subject", &self.0.certificate.subject())
            .field("sha256", &self.0.hash)
            .finish()
    }
}

/// Why a certificate is not taken as a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityRefused {
    /// Path validation cannot begin at it.
    #[error("it cannot be a trust anchor")]
    Anchor {
        /// What webpki found.
        #[source]
        source: webpki::Error,
    },
    /// It may not sign certificates.
    #[error("it may not sign certificates, by {}", .violation.rule())]
    MayNotSign {
        /// The rule that it breaks.
        #[source]
        violation: SigningViolation,
    },
    /// Its key is none of P-256, P-384, P-521, RSA and Ed25519.
    #[error("its public key is of a kind that is not known here")]
    UnknownKey,
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable {
        /// What is wrong with it.
        #[source]
        source: ParseCertificateError,
    },
}

impl Coded for AuthorityRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}
