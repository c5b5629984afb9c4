//! What is believed of peers at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use super::allow_list::AllowList;
use super::revoked;
use crate::bundle::TrustBundle;
use crate::crl::Crl;
use crate::problem::{Code, Coded};
use crate::serial::Serial;
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
        let mut unwanted = None;
        let wanted = |trust_domain: &TrustDomain| match self.wanted(trust_domain, allowed) {
            Ok(bundle) => Some(bundle),
            Err(refused) => {
                unwanted = Some(refused);
                None
            }
        };
        let verified = verify_svid_of_any(chain, wanted, now);
        let peer = match (verified, unwanted) {
            (_, Some(refused)) => return Err(refused),
            (verified, None) => verified?,
        };
        if !allowed.admits(peer.spiffe_id(), &self.own) {
            return Err(PeerRefused::NotAllowed {
                spiffe_id: peer.spiffe_id().clone(),
                serial: *peer.serial(),
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

    /// Returns the bundle of a trust domain of which peers are wanted.
    fn wanted(&self, trust_domain: &TrustDomain, allowed: &AllowList) -> Result<Arc<TrustBundle>, PeerRefused> {
        let trust_domain = || trust_domain.clone();
        if !allowed.concerns(&trust_domain(), &self.own) {
            return Err(PeerRefused::DomainNotAllowed { trust_domain: trust_domain() });
        }
        let bundle = self.bundle_of(&trust_domain()).cloned();
        bundle.ok_or_else(|| PeerRefused::NoBundle { trust_domain: trust_domain() })
    }

    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(trust_domain)
    }
}

/// A peer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefused {
    /// It says that it is of a trust domain of which nobody is asked for; whether it is was not looked at.
    #[error("no rule of the allow-list is about {trust_domain}, which the peer says it is of")]
    DomainNotAllowed {
        /// The trust domain that it names.
        trust_domain: TrustDomain,
    },
    /// It says that it is of a trust domain that is asked for and whose bundle is not here.
    #[error(
        "there is no bundle of {trust_domain} here to prove the peer by; let the entry federate with it: troth entry update ID --federates-with {trust_domain}"
    )]
    NoBundle {
        /// The trust domain that it names.
        trust_domain: TrustDomain,
    },
    /// It is proved to be someone that nobody asked for.
    #[error("{spiffe_id} is not on the allow-list")]
    NotAllowed {
        /// Who it is.
        spiffe_id: SpiffeId,
        /// The serial number of its certificate.
        serial: Serial,
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
            Self::DomainNotAllowed { .. } | Self::NotAllowed { .. } => Code::PeerNotAllowed,
            Self::NoBundle { trust_domain } => VerifyError::NoAuthorities {
                trust_domain: trust_domain.clone(),
            }
            .code(),
            Self::Unproved(error) => error.code(),
        }
    }
}
