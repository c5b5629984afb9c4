//! Certificates by which machines join (`x509pop`): of an authority that the operator named, whoever issued them for whatever purpose.
//!
//! They are no SVIDs: the rules here are those of RFC 5280 for a client's certificate, verified by webpki.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use webpki::aws_lc_rs as algorithms;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::problem::{Code, Coded};
use crate::selector::{SelectorSet, X509PopKey};
use crate::serial::Serial;
use crate::timestamp::Timestamp;
use crate::x509::certificate::{Certificate, ParseCertificateError};
use crate::x509::svid::{MAX_CHAIN_LEN, PEM_LABEL};
use crate::x509::verify::SIGNATURE_ALGORITHMS;

/// The most authorities that are read: an organisation's device CAs, old and new.
pub const MAX_POP_AUTHORITIES: usize = 64;

/// The most DNS names of a certificate that become selectors: each is a fact of the node's record.
const MAX_DNS_FACTS: usize = 32;

/// What a certificate's key signed with, to prove that its holder is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PopAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// Ed25519.
    Ed25519,
    /// RSASSA-PSS with SHA-256.
    RsaPssSha256,
}

impl PopAlgorithm {
    fn verifier(self) -> &'static dyn SignatureVerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => algorithms::ECDSA_P256_SHA256,
            Self::EcdsaP384Sha384 => algorithms::ECDSA_P384_SHA384,
            Self::Ed25519 => algorithms::ED25519,
            Self::RsaPssSha256 => algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        }
    }
}

/// The authorities whose certificates admit nodes, and what they revoked.
pub struct PopAuthorities {
    authorities: Vec<Authority>,
    crls: Vec<CertRevocationList<'static>>,
}

struct Authority {
    anchor: TrustAnchor<'static>,
    fingerprint: String,
}

/// Authorities cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopAuthoritiesRefused {
    /// A CRL.
    #[error("CRL {position} cannot be read")]
    Crl {
        /// Its place in the file, from 1.
        position: usize,
    },
    /// There is none.
    #[error("there is no certificate of an authority in it")]
    Empty,
    /// One is no signing certificate.
    #[error("certificate {position} is not one of an authority: basic constraints do not say cA, or key usage lacks keyCertSign")]
    NotAnAuthority {
        /// Its place in the file, from 1.
        position: usize,
    },
    /// The text is not PEM.
    #[error("it is not PEM")]
    NotPem,
    /// There are more than are read.
    #[error("there are {actual} certificates in it, more than {limit}")]
    TooMany {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// A certificate.
    #[error("certificate {position} cannot be read")]
    Unreadable {
        /// Its place in the file, from 1.
        position: usize,
    },
}

impl PopAuthorities {
    /// Reads authorities from PEM, and CRLs from PEM if there are some.
    ///
    /// With CRLs, the leaf's issuer must have one, it must not have passed its next update, and the leaf must not be on it.
    ///
    /// # Errors
    /// Something in the texts is not what it should be: half of an operator's list is none.
    pub fn from_pem(authorities: &[u8], crls: Option<&[u8]>) -> Result<Self, PopAuthoritiesRefused> {
        let blocks = pem::parse_many(authorities).map_err(|_| PopAuthoritiesRefused::NotPem)?;
        let certificates: Vec<_> = blocks.iter().filter(|block| block.tag() == PEM_LABEL).collect();
        match certificates.len() {
            0 => return Err(PopAuthoritiesRefused::Empty),
            1..=MAX_POP_AUTHORITIES => {}
            actual => {
                return Err(PopAuthoritiesRefused::TooMany {
                    limit: MAX_POP_AUTHORITIES,
                    actual,
                });
            }
        }
        let authorities = certificates.iter().zip(1..).map(|(block, position)| authority(block.contents(), position));
        Ok(Self {
            authorities: authorities.collect::<Result<_, _>>()?,
            crls: crls.map_or(Ok(Vec::new()), read_crls)?,
        })
    }

    /// Verifies a chain, leaf first, as a client's: path, validity, names, usages and, where there are CRLs, that it is not revoked.
    ///
    /// # Errors
    /// Names what it lacks.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<NodeCertificate, PopRefused> {
        let Some((leaf_der, above)) = chain.split_first().filter(|_| chain.len() <= MAX_CHAIN_LEN) else {
            return Err(PopRefused::Length {
                limit: MAX_CHAIN_LEN,
                actual: chain.len(),
            });
        };
        let leaf = Certificate::parse(leaf_der)?;
        if leaf.is_ca() {
            return Err(PopRefused::Ca);
        }
        if leaf.key_usage().is_some_and(|usage| !usage.digital_signature || usage.key_cert_sign) {
            return Err(PopRefused::KeyUsage);
        }
        let anchors: Vec<_> = self.authorities.iter().map(|authority| authority.anchor.clone()).collect();
        let crls: Vec<_> = self.crls.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix()).unwrap_or_default()));
        let end_entity = EndEntityCert::try_from(leaf_der)?;
        let path = end_entity.verify_for_usage(SIGNATURE_ALGORITHMS, &anchors, above, time, KeyUsage::client_auth(), revocation, None)?;
        let anchor = self.authorities.iter().find(|authority| authority.anchor == *path.anchor());
        let mut authorities: Vec<_> = path.intermediate_certificates().map(|signing| fingerprint(&signing.der())).collect();
        authorities.extend(anchor.map(|authority| authority.fingerprint.clone()));
        Ok(NodeCertificate {
            fingerprint: fingerprint(leaf_der),
            dns_names: leaf.dns_sans().iter().map(|name| name.to_ascii_lowercase()).collect(),
            authorities,
            leaf_der: leaf_der.to_vec(),
            leaf,
        })
    }
}

impl std::fmt::Debug for PopAuthorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fingerprints: Vec<_> = self.authorities.iter().map(|authority| &authority.fingerprint).collect();
        f.debug_struct("PopAuthorities")
            .field("authorities", &fingerprints)
            .field("crls", &self.crls.len())
            .finish()
    }
}

fn authority(der: &[u8], position: usize) -> Result<Authority, PopAuthoritiesRefused> {
    let unreadable = PopAuthoritiesRefused::Unreadable { position };
    let certificate = Certificate::parse(der).map_err(|_| unreadable.clone())?;
    if !certificate.is_ca() || certificate.key_usage().is_some_and(|usage| !usage.key_cert_sign) {
        return Err(PopAuthoritiesRefused::NotAnAuthority { position });
    }
    let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(der)).map_err(|_| unreadable)?.to_owned();
    Ok(Authority {
        anchor,
        fingerprint: fingerprint(der),
    })
}

fn read_crls(text: &[u8]) -> Result<Vec<CertRevocationList<'static>>, PopAuthoritiesRefused> {
    let blocks = pem::parse_many(text).map_err(|_| PopAuthoritiesRefused::NotPem)?;
    let lists = blocks.iter().filter(|block| block.tag() == "X509 CRL").zip(1..);
    let read = |(block, position): (&pem::Pem, usize)| {
        let der = CertificateRevocationListDer::from(block.contents());
        let list = OwnedCertRevocationList::from_der(&der).map_err(|_| PopAuthoritiesRefused::Crl { position })?;
        Ok(CertRevocationList::Owned(list))
    };
    let lists: Vec<_> = lists.map(read).collect::<Result<_, _>>()?;
    // A file without a list would mean that nothing is looked at.
    if lists.is_empty() {
        Err(PopAuthoritiesRefused::Crl { position: 1 })
    } else {
        Ok(lists)
    }
}

fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// A certificate that was verified: what it says about the machine that has its key. Only [`PopAuthorities::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    leaf: Certificate,
    leaf_der: Vec<u8>,
    fingerprint: String,
    dns_names: Vec<String>,
    authorities: Vec<String>,
}

impl NodeCertificate {
    /// Checks a signature of the certificate's key: without it, whoever ever saw the certificate could present it.
    ///
    /// # Errors
    /// It is not one, or the key is not of that algorithm.
    pub fn verify_signature(&self, algorithm: PopAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), PopRefused> {
        let der = CertificateDer::from(self.leaf_der.as_slice());
        let end_entity = EndEntityCert::try_from(&der)?;
        end_entity
            .verify_signature(algorithm.verifier(), message, signature)
            .map_err(|_| PopRefused::Possession)
    }

    /// Returns the common names of the subject.
    #[must_use]
    pub fn common_names(&self) -> &[String] {
        self.leaf.common_names()
    }

    /// Returns the DNS names in lower case.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// Returns the SHA-256 of its DER, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns its serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        self.leaf.serial()
    }

    /// Returns what it proves, as selectors of the node. A name that no selector can have, as one with a control character, is left out.
    #[must_use]
    pub fn selectors(&self) -> SelectorSet {
        let names = self.common_names().iter().map(|name| (X509PopKey::SubjectCn, name.clone()));
        let dns = self.dns_names.iter().take(MAX_DNS_FACTS).map(|name| (X509PopKey::SanDns, name.clone()));
        let authorities = self.authorities.iter().map(|hash| (X509PopKey::CaFingerprint, hash.clone()));
        let own = [
            (X509PopKey::Fingerprint, self.fingerprint.clone()),
            (X509PopKey::Serial, self.serial().to_string()),
        ];
        names
            .chain(dns)
            .chain(authorities)
            .chain(own)
            .filter_map(|(key, value)| key.selector(value).ok())
            .collect()
    }
}

/// A certificate admits no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopRefused {
    /// It is that of an authority.
    #[error("the certificate is one of an authority, not of a machine")]
    Ca,
    /// Its key usage does not allow to prove anything by it.
    #[error("the key usage of the certificate lacks digitalSignature, or has keyCertSign")]
    KeyUsage,
    /// No certificate, or more than are read.
    #[error("{actual} certificates were sent, not 1 to {limit}")]
    Length {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// No path leads to an authority, or it may not be used now, or so.
    #[error("the certificate does not prove a machine of the configured authorities: {}", reason(.0))]
    Path(webpki::Error),
    /// The signature is not of its key.
    #[error("the signature does not prove that the caller holds the certificate's key")]
    Possession,
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable(#[from] ParseCertificateError),
}

impl From<webpki::Error> for PopRefused {
    fn from(error: webpki::Error) -> Self {
        Self::Path(error)
    }
}

/// Says in words what webpki says in names of its own.
fn reason(error: &webpki::Error) -> String {
    use webpki::Error as E;
    let at = |time: &UnixTime| Timestamp::from_unix(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match error {
        E::CertExpired { not_after, .. } => format!("it, or one above it, ended at {}", at(not_after)),
        E::CertNotValidYet { not_before, .. } => format!("it, or one above it, begins at {}", at(not_before)),
        E::CertRevoked => "it, or one above it, is revoked".to_owned(),
        E::CrlExpired { next_update, .. } => format!("the revocation list of its issuer ended at {}", at(next_update)),
        E::InvalidSignatureForPublicKey => "a signature of the path is not that of the certificate above".to_owned(),
        E::NameConstraintViolation => "an authority of the path does not permit its names".to_owned(),
        E::RequiredEkuNotFoundContext(_) => "its extended key usage lacks clientAuth".to_owned(),
        E::UnknownIssuer => "no path leads from it to one of them".to_owned(),
        E::UnknownRevocationStatus => "its issuer has no revocation list".to_owned(),
        _ => "a certificate of the path breaks a rule of RFC 5280".to_owned(),
    }
}

impl Coded for PopRefused {
    fn code(&self) -> Code {
        Code::AttestationRefused
    }

    fn hint(&self) -> String {
        match self {
            Self::Path(_) => "check that the server's --x509pop-ca names the authority, and the certificate's dates and usages: openssl x509 -text".to_owned(),
            _ => "use a client certificate of a machine: digitalSignature, clientAuth, not a CA".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
