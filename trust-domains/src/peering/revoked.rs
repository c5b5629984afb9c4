//! Revocation as a workload sees it: lists of every trust domain, without the certificates of those who signed them.

use rustls_pki_types::CertificateDer;

use crate::bundle::TrustBundle;
use crate::crl::{Crl, CrlIssuer};
use crate::plan::authority::AuthorityId;
use crate::x509::{Certificate, VerifyError};

/// Refuses a chain, verified before, of which a certificate is on a list of the CA that signed it.
///
/// A list that names the CA's key identifier and holds the serial counts only if its signature is that CA's, whose certificate is in the chain or a root of the bundle:
/// a partner may give its CA any key identifier, and its list revokes nothing of another trust domain's.
///
/// # Errors
/// [`VerifyError::Revoked`].
pub(super) fn check(chain: &[CertificateDer<'_>], bundle: &TrustBundle, lists: &[Crl]) -> Result<(), VerifyError> {
    for der in chain {
        let Ok(certificate) = Certificate::parse(der) else { continue };
        let Some(issuer) = certificate.authority_key_id().and_then(AuthorityId::from_key_id) else {
            continue;
        };
        let mut naming = lists.iter().filter(|list| list.issuer() == &issuer && list.revokes(certificate.serial()));
        if naming.any(|list| is_signed_by_a_ca_of(chain, bundle, list)) {
            return Err(VerifyError::Revoked { serial: *certificate.serial() });
        }
    }
    Ok(())
}

fn is_signed_by_a_ca_of(chain: &[CertificateDer<'_>], bundle: &TrustBundle, list: &Crl) -> bool {
    let above = chain.iter().skip(1).map(AsRef::as_ref);
    let mut authorities = above.chain(bundle.x509_ders().map(AsRef::as_ref));
    authorities.any(|der: &[u8]| CrlIssuer::parse(der).is_ok_and(|issuer| issuer.verify(list).is_ok()))
}
