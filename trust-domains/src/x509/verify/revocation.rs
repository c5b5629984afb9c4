//! Whether a certificate of a chain is on a list of the CA that signed it.

use rustls_pki_types::CertificateDer;

use super::VerifyError;
use crate::crl::CrlSet;
use crate::plan::authority::AuthorityId;
use crate::x509::Certificate;

/// Refuses a chain of which a certificate is on a list of its CA, by the key identifier that it names (RFC 5280 section 4.2.1.1).
///
/// It is asked after the chain was verified: a certificate that cannot be read, or names no CA, is not judged here. Lists that are missing are no reason to
/// refuse: whoever holds none knows of no revocation.
///
/// # Errors
/// [`VerifyError::Revoked`].
pub fn check_unrevoked(chain: &[CertificateDer<'_>], lists: &CrlSet) -> Result<(), VerifyError> {
    for der in chain {
        let Ok(certificate) = Certificate::parse(der) else { continue };
        let issuer = certificate.authority_key_id().and_then(AuthorityId::from_key_id);
        if issuer.is_some_and(|issuer| lists.revokes(&issuer, certificate.serial())) {
            return Err(VerifyError::Revoked { serial: *certificate.serial() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::crl::testing::{ListingCa, serial};

    #[test]
    fn a_chain_is_refused_over_its_leaf_or_its_issuing_ca_on_the_list_of_the_right_ca() {
        let root = ListingCa::root("root");
        let issuing = root.issuing("issuing");
        let mut leaf = CertificateParams::default();
        leaf.use_authority_key_identifier_extension = true;
        leaf.serial_number = Some(serial(7).as_bytes().to_vec().into());
        let leaf = issuing.sign(&leaf, &KeyPair::generate().unwrap());
        let chain: [CertificateDer<'_>; 2] = [leaf.into(), issuing.public.der().to_vec().into()];
        let of_issuing = *Certificate::parse(&chain[1]).unwrap().serial();
        let of_issuing_number = of_issuing.as_bytes().iter().fold(0_u128, |number, octet| (number << 8) | u128::from(*octet));
        let set = |of_root: &[u128], of_issuing: &[u128]| {
            let lists = [
                (root.public.clone(), root.list(1, of_root)),
                (issuing.public.clone(), issuing.list(1, of_issuing)),
            ];
            CrlSet::new(lists).unwrap()
        };
        assert_eq!(check_unrevoked(&chain, &CrlSet::default()), Ok(()));
        assert_eq!(check_unrevoked(&chain, &set(&[7], &[8])), Ok(()), "the root's 7 is another certificate");
        assert_eq!(check_unrevoked(&chain, &set(&[], &[7])), Err(VerifyError::Revoked { serial: serial(7) }));
        if of_issuing.as_bytes().len() <= 16 {
            assert_eq!(
                check_unrevoked(&chain, &set(&[of_issuing_number], &[])),
                Err(VerifyError::Revoked { serial: of_issuing })
            );
        }
    }
}
