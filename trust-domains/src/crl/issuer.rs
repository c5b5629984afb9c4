//! The CA that signs a list.

use std::sync::Arc;

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::{ALL_VERIFICATION_ALGS, RawPublicKeyEntity};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::error::CrlRefused;
use super::list::Crl;
use crate::bundle::TrustBundle;
use crate::plan::authority::AuthorityId;
use crate::timestamp::Timestamp;
use crate::x509::Certificate;

/// A CA certificate with `cRLSign`, whoever signed it. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlIssuer(Arc<Facts>);

#[derive(Debug, PartialEq, Eq)]
struct Facts {
    der: Arc<[u8]>,
    certificate: Certificate,
    id: AuthorityId,
    subject: Vec<u8>,
}

impl CrlIssuer {
    /// Reads a CA certificate.
    ///
    /// # Errors
    /// It cannot be read, is not that of a CA, has no subject key identifier, or may not sign lists.
    pub fn parse(der: impl Into<Arc<[u8]>>) -> Result<Self, CrlRefused> {
        let der = der.into();
        let certificate = Certificate::parse(&der).map_err(|_| CrlRefused::NotAnIssuer)?;
        let signs_lists = certificate.is_ca() && certificate.key_usage().is_some_and(|usage| usage.crl_sign);
        let id = certificate.subject_key_id().and_then(AuthorityId::from_key_id).filter(|_| signs_lists);
        let id = id.ok_or(CrlRefused::NotAnIssuer)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| CrlRefused::NotAnIssuer)?;
        let subject = parsed.subject().as_raw().to_vec();
        Ok(Self(Arc::new(Facts { der, certificate, id, subject })))
    }

    /// Returns its key identifier, which its lists name.
    #[must_use]
    pub fn id(&self) -> &AuthorityId {
        &self.0.id
    }

    /// Returns the certificate in DER.
    #[must_use]
    pub fn der(&self) -> &Arc<[u8]> {
        &self.0.der
    }

    /// Returns when it ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.certificate.not_after()
    }

    /// Checks that a list is this CA's: its names, and its signature.
    ///
    /// # Errors
    /// It is another CA's, or the signature is not this one's.
    pub fn verify(&self, crl: &Crl) -> Result<(), CrlRefused> {
        let layout = crl.layout();
        if crl.issuer() != self.id() || crl.octets(layout.issuer_name.clone()) != self.0.subject {
            return Err(CrlRefused::OtherIssuer {
                expected: self.id().clone(),
                presented: crl.issuer().clone(),
            });
        }
        let (algorithm, message) = (crl.octets(layout.algorithm.clone()), crl.octets(layout.tbs.clone()));
        if is_signed(self.0.certificate.spki(), algorithm, message, crl.octets(layout.signature.clone())) {
            Ok(())
        } else {
            Err(CrlRefused::Signature { issuer: self.id().clone() })
        }
    }

    /// Returns whether its certificate names itself as the one that signed it, as a root's does.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.0.certificate.is_self_issued() && self.signed_by().is_none_or(|above| above == self.0.id)
    }

    /// Returns whether it is a root of the bundle.
    #[must_use]
    pub fn is_root_of(&self, bundle: &TrustBundle) -> bool {
        bundle.x509_authorities().iter().any(|root| root.der().as_ref() == &*self.0.der)
    }

    /// Returns whether a root of the bundle signed its certificate. Whether it is valid now is not asked: a list is no credential.
    #[must_use]
    pub fn is_signed_by_root_of(&self, bundle: &TrustBundle) -> bool {
        bundle.x509_authorities().iter().any(|root| self.is_signed_with(root.certificate()))
    }

    /// Returns whether another CA signed its certificate.
    #[must_use]
    pub fn is_signed_by(&self, above: &Self) -> bool {
        self.is_signed_with(&above.0.certificate)
    }

    /// Returns the key identifier of the CA that its certificate names as its own.
    #[must_use]
    pub fn signed_by(&self) -> Option<AuthorityId> {
        self.0.certificate.authority_key_id().and_then(AuthorityId::from_key_id)
    }

    fn is_signed_with(&self, above: &Certificate) -> bool {
        if above.subject() != self.0.certificate.issuer() {
            return false;
        }
        let Ok((_, parsed)) = X509Certificate::from_der(&self.0.der) else {
            return false;
        };
        let Some(algorithm) = super::der::algorithm_of_certificate(&self.0.der) else {
            return false;
        };
        let message = parsed.tbs_certificate.as_ref();
        is_signed(above.spki(), algorithm, message, &parsed.signature_value.data)
    }
}

/// Checks a signature with whichever algorithm it names and the key is for.
pub(super) fn is_signed(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let Ok(key) = RawPublicKeyEntity::try_from(&spki) else {
        return false;
    };
    let named = ALL_VERIFICATION_ALGS
        .iter()
        .filter(|candidate| candidate.signature_alg_id().as_ref() == algorithm);
    named.into_iter().any(|candidate| key.verify_signature(*candidate, message, signature).is_ok())
}
