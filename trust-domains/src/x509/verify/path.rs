//! The path from a leaf to an authority: webpki's validation, and the rules that webpki leaves out.

use std::cell::RefCell;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as algorithms;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext, VerifiedPath};

use crate::bundle::X509Authority;
use crate::timestamp::Timestamp;
use crate::x509::certificate::{Certificate, MAX_CERTIFICATE_BYTES};
use crate::x509::rules::{SigningViolation, signing_violations};
use crate::x509::svid::SvidError;
use crate::x509::verify::VerifyError;

/// Signatures that we believe: what SPIFFE implementations issue with, and nothing below 128-bit strength but RSA-2048, which upstream authorities still have.
pub(in crate::x509) static SIGNATURE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// id-kp-serverAuth (1.3.6.1.5.5.7.3.1).
const SERVER_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);

/// id-kp-clientAuth (1.3.6.1.5.5.7.3.2).
const CLIENT_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);

/// Why no path was found: webpki's reason, or ours where a path broke a rule that webpki does not know.
pub(super) enum PathFailure {
    Webpki(webpki::Error),
    Rule(VerifyError),
}

impl From<webpki::Error> for PathFailure {
    fn from(error: webpki::Error) -> Self {
        Self::Webpki(error)
    }
}

/// Verifies that a path leads from the first certificate to one of the authorities.
pub(super) fn verify_path(chain: &[CertificateDer<'_>], authorities: &[&X509Authority], now: Timestamp) -> Result<(), PathFailure> {
    let Some((leaf, above)) = chain.split_first() else {
        return Err(PathFailure::Rule(VerifyError::Svid { source: SvidError::Empty }));
    };
    check_sizes(above).map_err(PathFailure::Rule)?;
    let anchors: Vec<_> = authorities.iter().map(|authority| authority.trust_anchor()).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix()).unwrap_or_default()));
    let broken_rule = RefCell::new(None);
    // Run on each candidate path, so that a second path is tried when the first breaks a rule. webpki gets a stand-in error, we keep the reason.
    let check_rules = |path: &VerifiedPath<'_>| {
        check_path_rules(path, authorities).map_err(|error| {
            broken_rule.replace(Some(error));
            webpki::Error::UnknownIssuer
        })
    };
    let end_entity = EndEntityCert::try_from(leaf)?;
    match end_entity.verify_for_usage(SIGNATURE_ALGORITHMS, &anchors, above, time, BothDirections, None, Some(&check_rules)) {
        Ok(_) => Ok(()),
        Err(error) => Err(broken_rule.take().map_or(PathFailure::Webpki(error), PathFailure::Rule)),
    }
}

fn check_sizes(above: &[CertificateDer<'_>]) -> Result<(), VerifyError> {
    match above.iter().zip(1..).find(|(certificate, _)| certificate.len() > MAX_CERTIFICATE_BYTES) {
        Some((certificate, position)) => Err(VerifyError::CertificateTooLarge {
            position,
            limit: MAX_CERTIFICATE_BYTES,
            actual: certificate.len(),
        }),
        None => Ok(()),
    }
}

/// Checks what webpki leaves out: `keyCertSign` of the signing certificates (X509-05), and the path length that the authority itself allows.
fn check_path_rules(path: &VerifiedPath<'_>, authorities: &[&X509Authority]) -> Result<(), VerifyError> {
    let mut below_authority = 0;
    for signing in path.intermediate_certificates() {
        let certificate = Certificate::parse(&signing.der()).map_err(|source| VerifyError::SigningUnreadable { source })?;
        if let Some(violation) = signing_violations(&certificate).into_iter().find(SigningViolation::is_disqualifying) {
            return Err(VerifyError::Signing { violation });
        }
        // Self-issued certificates do not count (RFC 5280 section 4.2.1.9): a root sent along with its chain is one.
        below_authority += usize::from(!certificate.is_self_issued());
    }
    // The same name and key may be in the bundle twice: the widest of them counts, and one without a limit is the widest.
    let limits: Option<Vec<u32>> = authorities
        .iter()
        .filter(|authority| authority.is_anchor(path.anchor()))
        .map(|authority| authority.path_len())
        .collect();
    let allowed = limits.and_then(|limits| limits.into_iter().max());
    match allowed {
        Some(allowed) if below_authority > usize::try_from(allowed).unwrap_or(usize::MAX) => Err(VerifyError::PathTooLong {
            allowed,
            actual: below_authority,
        }),
        _ => Ok(()),
    }
}

/// Extended key usage, wherever in the path it is present, names both directions (X509-15): workloads are clients and servers.
struct BothDirections;

impl ExtendedKeyUsageValidator for BothDirections {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        let (mut server, mut client) = (false, false);
        for purpose in purposes {
            let purpose = purpose?;
            server |= purpose == SERVER_AUTH;
            client |= purpose == CLIENT_AUTH;
            present.push(purpose.to_decoded_oid());
        }
        if present.is_empty() || (server && client) {
            return Ok(());
        }
        let required = if server { KeyUsage::client_auth() } else { KeyUsage::server_auth() };
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}
