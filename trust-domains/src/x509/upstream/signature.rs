//! Whether one certificate's key signed another, by the algorithms that path validation believes.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::x509::verify::SIGNATURE_ALGORITHMS;

/// Returns whether the key signed the certificate. An algorithm that [`verify_svid`](crate::x509::verify_svid) does not believe counts as no signature.
pub(super) fn is_signed_by(der: &[u8], spki: &[u8]) -> bool {
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let (Ok((_, certificate)), Ok(key)) = (X509Certificate::from_der(der), RawPublicKeyEntity::try_from(&spki)) else {
        return false;
    };
    let message = certificate.tbs_certificate.as_ref();
    let Some(algorithm) = algorithm(der, message.len()) else { return false };
    let named = SIGNATURE_ALGORITHMS
        .iter()
        .filter(|candidate| candidate.signature_alg_id().as_ref() == algorithm);
    named
        .into_iter()
        .any(|candidate| key.verify_signature(*candidate, message, &certificate.signature_value.data).is_ok())
}

/// Returns the content of the AlgorithmIdentifier, which follows the signed octets (RFC 5280 section 4.1). Those that are believed are all under 128 octets,
/// so their length is one octet.
fn algorithm(der: &[u8], signed: usize) -> Option<&[u8]> {
    let header = match *der.get(1)? {
        short if short < 0x80 => 2,
        long => 2 + usize::from(long & 0x7f),
    };
    let (&[0x30, length], content) = der.get(header + signed..)?.split_first_chunk::<2>()? else {
        return None;
    };
    content.get(..usize::from(length))
}
