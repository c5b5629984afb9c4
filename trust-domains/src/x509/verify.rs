//! The verification of a peer: RFC 5280 path validation by webpki, the SPIFFE rules by us, and only against the bundle of the peer's own domain.

mod error;
mod path;
mod peer;
mod revocation;

use std::ops::Deref;

use rustls_pki_types::CertificateDer;

pub use error::VerifyError;
pub use peer::VerifiedPeer;
pub use revocation::check_unrevoked;

use crate::bundle::{TrustBundle, X509Authority};
use crate::join_link::RootHash;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::x509::certificate::Certificate;
use crate::x509::svid::parse_leaf;
use crate::x509::verify::path::{PathFailure, verify_path};

pub(super) use path::SIGNATURE_ALGORITHMS;

/// Verifies a chain, leaf first, against the bundle of its trust domain at `now`, for both directions of TLS.
///
/// The cheap refusals come first: nothing is parsed beyond the leaf, and no signature checked, before the leaf is known to be a current X509-SVID of this domain.
///
/// # Errors
///
/// When the chain does not prove an identity of the bundle's trust domain now.
pub fn verify_svid(chain: &[CertificateDer<'_>], bundle: &TrustBundle, now: Timestamp) -> Result<VerifiedPeer, VerifyError> {
    let (spiffe_id, leaf) = parse_leaf(chain).map_err(|source| VerifyError::Svid { source })?;
    verify_leaf(chain, spiffe_id, leaf, bundle, now)
}

/// Verifies a chain, leaf first, as [`verify_svid`] does, against the bundle of whichever trust domain the leaf names: `bundle_of` gives it, and nothing for a
/// trust domain that is not trusted at all. Bundles are never pooled.
///
/// # Errors
///
/// When the chain does not prove an identity of a trusted trust domain now.
pub fn verify_svid_of_any<B>(
    chain: &[CertificateDer<'_>],
    bundle_of: impl FnOnce(&TrustDomain) -> Option<B>,
    now: Timestamp,
) -> Result<VerifiedPeer, VerifyError>
where
    B: Deref<Target = TrustBundle>,
{
    let (spiffe_id, leaf) = parse_leaf(chain).map_err(|source| VerifyError::Svid { source })?;
    let trust_domain = spiffe_id.trust_domain();
    match bundle_of(&trust_domain) {
        Some(bundle) => verify_leaf(chain, spiffe_id, leaf, &bundle, now),
        None => Err(VerifyError::NoAuthorities { trust_domain }),
    }
}

fn verify_leaf(
    chain: &[CertificateDer<'_>],
    spiffe_id: SpiffeId,
    leaf: Certificate,
    bundle: &TrustBundle,
    now: Timestamp,
) -> Result<VerifiedPeer, VerifyError> {
    if !spiffe_id.is_member_of(bundle.trust_domain()) {
        return Err(VerifyError::WrongTrustDomain {
            expected: bundle.trust_domain().clone(),
            presented: spiffe_id,
        });
    }
    check_validity(&spiffe_id, &leaf, now)?;
    let authorities: Vec<&X509Authority> = bundle
        .x509_authorities()
        .iter()
        .filter(|authority| authority.certificate().is_valid_at(now))
        .collect();
    if authorities.is_empty() {
        return Err(VerifyError::NoAuthorities {
            trust_domain: bundle.trust_domain().clone(),
        });
    }
    verify_path(chain, &authorities, now).map_err(|failure| match failure {
        PathFailure::Webpki(source) => VerifyError::Path {
            spiffe_id: spiffe_id.clone(),
            trust_domain: bundle.trust_domain().clone(),
            source,
        },
        PathFailure::Rule(error) => error,
    })?;
    Ok(VerifiedPeer::new(spiffe_id, leaf))
}

/// Verifies a chain, leaf first, as [`verify_svid`] does, and that it proves exactly the identity that was asked for.
///
/// # Errors
///
/// As [`verify_svid`]; [`VerifyError::NotTheServer`] for a peer that is proved to be someone else of the trust domain.
pub fn verify_identity(chain: &[CertificateDer<'_>], expected: &SpiffeId, bundle: &TrustBundle, now: Timestamp) -> Result<VerifiedPeer, VerifyError> {
    let peer = verify_svid(chain, bundle, now)?;
    if peer.spiffe_id() == expected {
        Ok(peer)
    } else {
        Err(VerifyError::NotTheServer {
            expected: expected.clone(),
            presented: peer.spiffe_id().clone(),
        })
    }
}

/// Verifies a server's chain that carries its root, against the hashes of the roots in a link.
///
/// Returns the peer, who is then exactly `expected`, and the DER of the pinned root that vouches for it.
///
/// # Errors
///
/// When no certificate above the leaf is pinned, the chain does not lead to a pinned one, or the peer is someone else.
pub fn verify_identity_by_root_hash(
    chain: &[CertificateDer<'_>],
    roots: &[RootHash],
    expected: &SpiffeId,
    now: Timestamp,
) -> Result<(VerifiedPeer, CertificateDer<'static>), VerifyError> {
    parse_leaf(chain).map_err(|source| VerifyError::Svid { source })?;
    let trust_domain = expected.trust_domain();
    let mut last = VerifyError::NoPinnedRoot { pinned: roots.len() };
    for root in chain.iter().skip(1).filter(|certificate| roots.contains(&RootHash::of_der(certificate))) {
        let verified = TrustBundle::new(trust_domain.clone())
            .with_x509_authority(root)
            .map_err(|_| VerifyError::NoAuthorities {
                trust_domain: trust_domain.clone(),
            })
            .and_then(|bundle| verify_identity(chain, expected, &bundle, now));
        match verified {
            Ok(peer) => return Ok((peer, root.clone().into_owned())),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Verifies the chain of a trust domain's own server, `spiffe://TD/troth/server`, as [`verify_identity_by_root_hash`] does.
///
/// # Errors
///
/// As [`verify_identity_by_root_hash`].
pub fn verify_server_by_root_hash(
    chain: &[CertificateDer<'_>],
    roots: &[RootHash],
    trust_domain: &TrustDomain,
    now: Timestamp,
) -> Result<(VerifiedPeer, CertificateDer<'static>), VerifyError> {
    verify_identity_by_root_hash(chain, roots, &SpiffeId::server(trust_domain), now)
}

fn check_validity(spiffe_id: &SpiffeId, leaf: &Certificate, now: Timestamp) -> Result<(), VerifyError> {
    if now < leaf.not_before() {
        return Err(VerifyError::NotYetValid {
            spiffe_id: spiffe_id.clone(),
            not_before: leaf.not_before(),
            now,
        });
    }
    if now > leaf.not_after() {
        return Err(VerifyError::Expired {
            spiffe_id: spiffe_id.clone(),
            not_after: leaf.not_after(),
            now,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
