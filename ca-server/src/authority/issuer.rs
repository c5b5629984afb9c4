//! An authority that may sign: its certificate, its name, its key.

use std::sync::Arc;

use rcgen::CertificateParams;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use trust_domains::Timestamp;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::x509::PermittedNames;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::key::AuthorityKey;
use super::public_half::{KeyId, PublicHalf};

/// A name with the key that signs under it.
///
/// The two halves are apart: [`template`](Self::template) encodes and cannot sign, [`key`](Self::key) signs and is reached by the stages alone.
pub struct Issuer {
    id: AuthorityId,
    template: rcgen::Issuer<'static, PublicHalf>,
    name: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    permitted: PermittedNames,
    certificate: Arc<[u8]>,
    key: AuthorityKey,
}

/// A certificate and a key do not make an issuer.
#[derive(Debug, Error)]
pub enum IssuerError {
    /// The certificate cannot be read.
    #[error("the authority's certificate cannot be read")]
    Unreadable,
    /// The certificate is of another key.
    #[error("the authority's certificate is not of its key")]
    OtherKey,
}

impl Issuer {
    /// Joins a CA certificate with its key.
    ///
    /// # Errors
    /// When the certificate cannot be read or is of another key.
    pub fn new(certificate: Arc<[u8]>, key: AuthorityKey) -> Result<Self, IssuerError> {
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| IssuerError::Unreadable)?;
        if parsed.public_key().raw != key.public_key().spki() {
            return Err(IssuerError::OtherKey);
        }
        let name = parsed.subject().as_raw().to_vec();
        let not_before = Timestamp::from_unix(parsed.validity().not_before.timestamp());
        let not_after = Timestamp::from_unix(parsed.validity().not_after.timestamp());
        let template =
            rcgen::Issuer::from_ca_cert_der(&CertificateDer::from(certificate.as_ref()), key.public().clone()).map_err(|_| IssuerError::Unreadable)?;
        let id = key.public().key_id().authority_id();
        Ok(Self {
            id,
            template,
            name,
            not_before,
            not_after,
            permitted: permitted(&parsed)?,
            certificate: Arc::clone(&certificate),
            key,
        })
    }

    /// Returns the issuer that a self-signed certificate with these parameters will be; it has no certificate yet.
    ///
    /// # Errors
    /// When the parameters cannot be encoded.
    pub(crate) fn self_signing(params: &CertificateParams, key: AuthorityKey) -> Result<Self, IssuerError> {
        let unsigned = params.self_signed(key.public()).map_err(|_| IssuerError::Unreadable)?;
        Self::new(Arc::from(unsigned.der().as_ref()), key)
    }

    /// The same issuer without a thought for its constraints.
    #[cfg(test)]
    pub(crate) fn unconstrained_for_test(&self) -> Self {
        Self {
            permitted: PermittedNames::default(),
            ..Self::for_test(self, self.key.clone())
        }
    }

    /// The same name with another key: for tests that watch the key.
    #[cfg(test)]
    pub(crate) fn for_test(like: &Self, key: AuthorityKey) -> Self {
        let template = rcgen::Issuer::from_ca_cert_der(&CertificateDer::from(like.certificate.as_ref()), key.public().clone()).unwrap();
        let (name, certificate) = (like.name.clone(), Arc::clone(&like.certificate));
        Self {
            id: like.id.clone(),
            template,
            name,
            not_before: like.not_before,
            not_after: like.not_after,
            permitted: like.permitted.clone(),
            certificate,
            key,
        }
    }

    /// Returns what it is known by: its key identifier in hex.
    #[must_use]
    pub fn id(&self) -> &AuthorityId {
        &self.id
    }

    /// Returns its key identifier.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key.public().key_id()
    }

    /// Returns its certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &Arc<[u8]> {
        &self.certificate
    }

    /// Returns when it starts: nothing it signs is valid before.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns when it ends: nothing it signs is valid after.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns what its certificate constrains it to.
    #[must_use]
    pub fn permitted(&self) -> &PermittedNames {
        &self.permitted
    }

    /// Returns the subject name in DER.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns what encodes certificates in its name.
    pub(crate) fn template(&self) -> &rcgen::Issuer<'static, PublicHalf> {
        &self.template
    }

    /// Returns the key that signs.
    pub(crate) fn key(&self) -> &AuthorityKey {
        &self.key
    }
}

/// Reads the domains that the certificate is constrained to: those count, whatever the configuration says now. Leaves here have no addresses.
fn permitted(parsed: &X509Certificate<'_>) -> Result<PermittedNames, IssuerError> {
    let Some(constraints) = parsed.name_constraints().map_err(|_| IssuerError::Unreadable)? else {
        return Ok(PermittedNames::default());
    };
    let trees = constraints.value.permitted_subtrees.iter().flatten();
    let domains = trees.filter_map(|tree| {
        if let GeneralName::DNSName(name) = tree.base {
            Some(name.parse())
        } else {
            None
        }
    });
    let domains = domains.collect::<Result<_, _>>().map_err(|_| IssuerError::Unreadable)?;
    Ok(PermittedNames::new(domains, Vec::new()))
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("id", &self.id)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
