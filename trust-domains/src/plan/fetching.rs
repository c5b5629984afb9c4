//! When a partner's bundle is fetched again, and what is made of what its endpoint sends (SPIFFE Federation sections 4.1, 4.2 and 6.2).
//!
//! - Every refresh hint, within 30 s and 24 h; every 5 minutes without one (FED-04). Jitter shortens the wait by at most a tenth and never lengthens it: a
//!   publisher counts on five intervals before it uses a new key.
//! - What failed waits for the next interval as what succeeded does: no tight retry (FED-04).
//! - The sequence number orders bundles: an older one with other keys is refused, as whoever plays back an old answer would send. Without numbers the last one
//!   fetched counts (FED-05).
//! - An empty bundle is taken: the partner says that nothing of it may be trusted (BUN-07).
//! - When a link is accepted the bundle holds one of the roots that the link names, or nothing is taken.

use std::time::Duration;

use crate::bundle::{BundleOutdated, DEFAULT_REFRESH, PartnerBundle, Replacement, TrustBundle};
use crate::join_link::RootHash;
use crate::plan::rotation::Jitter;
use crate::problem::{Code, Coded};
use crate::trust_domain::TrustDomain;

/// The shortest wait between two fetches, whatever the hint: a partner cannot make a server ask it all the time.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);

/// The longest wait: a bundle that says "once a year" must not keep a withdrawn root in use for one.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A fetch comes early by at most this part of the interval: partners that were set up together drift apart.
const JITTER_DIVISOR: u32 = 10;

/// The second fetch comes early by at most this part of the interval: a thousand partners that a script set up in three seconds are not asked within three
/// seconds again.
const FIRST_JITTER_DIVISOR: u32 = 2;

/// Returns how long to wait between two fetches of a bundle with this refresh hint (FED-04, BUN-11).
#[must_use]
pub fn interval(hint: Option<Duration>) -> Duration {
    hint.unwrap_or(DEFAULT_REFRESH).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
}

/// Returns the time since boot at which the next fetch is due: at once when none was tried yet, otherwise an interval after the last ended, whatever came of
/// it, less a jitter of at most a tenth.
#[must_use]
pub fn due(now_since_boot: Duration, last_attempt: Option<Duration>, hint: Option<Duration>, jitter: Jitter) -> Duration {
    let Some(last) = last_attempt else { return now_since_boot };
    let interval = interval(hint);
    last.saturating_add(interval).saturating_sub(jitter.of(interval / JITTER_DIVISOR))
}

/// Returns the time since boot at which the second fetch is due, after the first that a process made: an interval after it, less a jitter of at most half.
#[must_use]
pub fn second_due(first: Duration, hint: Option<Duration>, jitter: Jitter) -> Duration {
    let interval = interval(hint);
    first.saturating_add(interval).saturating_sub(jitter.of(interval / FIRST_JITTER_DIVISOR))
}

/// What is made of a bundle that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the place of the stored one, or is the first.
    Take,
    /// The stored one says the same: nothing is written.
    Same,
    /// Nothing is taken, and the stored one stays.
    Refuse(BundleRefusal),
}

/// Why a bundle that was fetched is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleRefusal {
    /// It holds none of the roots that the link names.
    #[error("the bundle of {trust_domain} holds none of the {pinned} roots that the link names")]
    NoPinnedRoot {
        /// Whose bundle it is.
        trust_domain: TrustDomain,
        /// How many the link names.
        pinned: usize,
    },
    /// It is of another trust domain.
    #[error("the bundle is one of {fetched}, not of {stored}")]
    OtherTrustDomain {
        /// Of which.
        fetched: TrustDomain,
        /// Of which it should be.
        stored: TrustDomain,
    },
    /// It is older than the stored one.
    #[error(transparent)]
    Outdated(#[from] BundleOutdated),
}

impl Coded for BundleRefusal {
    fn code(&self) -> Code {
        match self {
            Self::NoPinnedRoot { .. } => Code::FederationPinMismatch,
            Self::OtherTrustDomain { .. } => Code::EndpointDocumentInvalid,
            Self::Outdated(outdated) => outdated.code(),
        }
    }
}

/// Says what is made of a bundle that was fetched, where `stored` is the one of the same trust domain that is held and `pins` are the roots that a link names
/// (none when no link is being accepted).
#[must_use]
pub fn judge(stored: Option<&PartnerBundle>, fetched: &TrustBundle, pins: &[RootHash]) -> Verdict {
    if !pins.is_empty() && !fetched.x509_authorities().iter().any(|root| pins.contains(&root.hash())) {
        return Verdict::Refuse(BundleRefusal::NoPinnedRoot {
            trust_domain: fetched.trust_domain().clone(),
            pinned: pins.len(),
        });
    }
    let Some(stored) = stored else { return Verdict::Take };
    if stored.trust_domain() != fetched.trust_domain() {
        return Verdict::Refuse(BundleRefusal::OtherTrustDomain {
            fetched: fetched.trust_domain().clone(),
            stored: stored.trust_domain().clone(),
        });
    }
    match stored.judge(fetched) {
        Ok(Replacement::Changed) => Verdict::Take,
        Ok(Replacement::Same) => Verdict::Same,
        Err(outdated) => Verdict::Refuse(outdated.into()),
    }
}

#[cfg(test)]
mod tests;
