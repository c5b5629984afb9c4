//! Which open connections end when what is believed changes, or time passes.

use rustls_pki_types::CertificateDer;

use super::allow_list::AllowList;
use super::trust::{PeerRefused, PeerTrust};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// The other end of a connection that is open.
#[derive(Debug)]
pub struct OpenPeer {
    spiffe_id: SpiffeId,
    trust_domain: TrustDomain,
    chain: Vec<CertificateDer<'static>>,
    ends_at: Timestamp,
}

impl OpenPeer {
    /// Takes down who proved itself with this chain. `ends_at` is the last second of the connection: the earlier end of its certificate and of ours.
    #[must_use]
    pub fn new(spiffe_id: SpiffeId, chain: Vec<CertificateDer<'static>>, ends_at: Timestamp) -> Self {
        Self {
            trust_domain: spiffe_id.trust_domain(),
            spiffe_id,
            chain,
            ends_at,
        }
    }

    /// Returns who it is.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the last second of the connection.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.ends_at
    }
}

/// Why an open connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// A certificate that opened it has ended.
    CertificateEnded,
    /// It would not be opened now.
    Refused(PeerRefused),
}

/// Returns which of the open connections end now, and why: those that have reached their last second, and those that `now_believed` would not open.
///
/// - A connection that was opened, or kept, under `believed` is looked at again only if the roots of its peer's trust domain or the lists differ.
///   Without `believed` each is looked at.
/// - The order is that of `open`. What is not named stays open.
#[must_use]
pub fn endings<'a, K: 'a>(
    open: impl IntoIterator<Item = (K, &'a OpenPeer)>,
    believed: Option<&PeerTrust>,
    now_believed: &PeerTrust,
    allowed: &AllowList,
    now: Timestamp,
) -> Vec<(K, EndReason)> {
    let why = |peer: &OpenPeer| {
        if now > peer.ends_at {
            return Some(EndReason::CertificateEnded);
        }
        if believed.is_some_and(|before| !now_believed.differs_for(&peer.trust_domain, before)) {
            return None;
        }
        now_believed.admit(&peer.chain, allowed, now).err().map(EndReason::Refused)
    };
    open.into_iter().filter_map(|(key, peer)| why(peer).map(|reason| (key, reason))).collect()
}

#[cfg(test)]
mod tests;
