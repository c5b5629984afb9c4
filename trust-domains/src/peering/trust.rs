//! What is believed of peers at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::allow_list::AllowList;
use super::revoked;
use crate::bundle::TrustBundle;
use crate::crl::Crl;
use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::x509::{VerifiedPeer, VerifyError, verify_svid_of_any};

/// The bundles and revocation lists of one moment, as a workload holds them. Clones share them.
#[derive(Debug, Clone)]
pub struct PeerTrust {
    own: TrustDomain,
    bundles: Arc<BTreeMap<TrustDomain, Arc<TrustBundle>>>,
    lists: Arc<[Crl]>,
}

impl PeerTrust {
    /// Joins the bundles, one for each trust domain, and the lists of all of them. `own` is the trust domain of whoever believes.
    #[must_use]
    pub fn new(own: TrustDomain, bundles: impl IntoIterator<Item = Arc<TrustBundle>>, lists: impl IntoIterator<Item = Crl>) -> Self {
        let bundles = bundles.into_iter().map(|bundle| (bundle.trust_domain().clone(), bundle));
        Self {
            own,
            bundles: Arc::new(bundles.collect()),
            lists: lists.into_iter().collect(),
        }
    }

    /// Returns the trust domain of whoever believes.
    #[must_use]
    pub fn own(&self) -> &TrustDomain {
        &self.own
    }

    /// Verifies a chain, leaf first, under the bundle of the trust domain that it names and no other; then that no list revokes it and that its identity is wanted.
    ///
    /// # Errors
    /// [`PeerRefused`].
    pub fn admit(&self, chain: &[CertificateDer<'_>], allowed: &AllowList, now: Timestamp) -> Result<VerifiedPeer, PeerRefused> {
        let wanted = |trust_domain: &TrustDomain| self.bundle_of(trust_domain).filter(|_| allowed.concerns(trust_domain, &self.own)).cloned();
        let peer = verify_svid_of_any(chain, wanted, now)?;
        if !allowed.admits(peer.spiffe_id(), &self.own) {
            return Err(PeerRefused::NotAllowed {
                spiffe_id: peer.spiffe_id().clone(),
            });
        }
        if let Some(bundle) = self.bundle_of(&peer.spiffe_id().trust_domain()) {
            revoked::check(chain, bundle, &self.lists)?;
        }
        Ok(peer)
    }

    /// Returns whether a chain of this trust domain, and of no other, may be judged otherwise than by `before`: its roots, the lists, or who asks differ.
    pub(super) fn differs_for(&self, trust_domain: &TrustDomain, before: &Self) -> bool {
        let roots = |trust: &Self| trust.bundle_of(trust_domain).map(|bundle| bundle.x509_authorities().to_vec());
        self.own != before.own || roots(self) != roots(before) || self.lists != before.lists
    }

    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(trust_domain)
    }
}

/// A peer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefused {
    /// It is proved to be someone that nobody asked for.
    #[error("{spiffe_id} is not on the allow-list")]
    NotAllowed {
        /// Who it is.
        spiffe_id: SpiffeId,
    },
    /// It proves nothing.
    #[error("the peer's certificate is not believed")]
    Unproved(
        /// Why not.
        #[from]
        VerifyError,
    ),
}

impl Coded for PeerRefused {
    fn code(&self) -> Code {
        match self {
            Self::NotAllowed { .. } => Code::PeerNotAllowed,
            Self::Unproved(error) => error.code(),
        }
    }
}
