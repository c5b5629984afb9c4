//! The validity of a leaf (design section 4, "Lifetimes").

use std::time::Duration;

use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;

/// The shortest life of an SVID: below it, renewal at its half would outrun a busy server's answer.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// How far `NotBefore` lies before the moment of issue unless configured: peers whose clocks are that much behind accept a new certificate.
pub const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Returns whether what ends at `not_after` has ended: at that second it has.
///
/// The one rule for every end by which Troth decides what it gives: who is a member, at the server and on the node alike, which SVID is served, which entry counts.
/// Two parts that counted the last second differently would disagree for its length on who is a member. Verification of what others present counts it in, as RFC 5280
/// section 4.1.2.5 demands: so nothing is given away that somebody would refuse already.
#[must_use]
pub fn has_ended(not_after: Timestamp, now: Timestamp) -> bool {
    now >= not_after
}

/// When a certificate is valid, and when it was issued. Only [`Validity::plan`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    issued_at: Timestamp,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why no certificate of this life can be issued now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidityRefused {
    /// The entry has ended.
    #[error("the entry ended at {expires_at}")]
    EntryExpired {
        /// When it ended.
        expires_at: Timestamp,
    },
    /// The issuer ends before the certificate would: it is not clipped below its TTL, since its holder counts on that.
    #[error("the issuer ends at {issuer_not_after}, the certificate would end at {wanted}")]
    IssuerTooShort {
        /// When the issuer ends.
        issuer_not_after: Timestamp,
        /// When the certificate would end.
        wanted: Timestamp,
    },
    /// The TTL is below [`SHORTEST_LIFE`].
    #[error("life of {} s, the shortest is {} s", .ttl.as_secs(), SHORTEST_LIFE.as_secs())]
    TtlTooShort {
        /// The TTL.
        ttl: Duration,
    },
}

impl Coded for ValidityRefused {
    fn code(&self) -> Code {
        match self {
            Self::EntryExpired { .. } => Code::EntryExpired,
            Self::IssuerTooShort { .. } => Code::IssuerUnavailable,
            Self::TtlTooShort { .. } => Code::InvalidRequest,
        }
    }
}

impl Validity {
    /// Decides the validity of a leaf issued now.
    ///
    /// - NotAfter is issue + TTL, or the entry's own end if that is sooner.
    /// - It never lies after the issuer's NotAfter, and the issuer never clips it: where it would, nothing is issued.
    /// - NotBefore is issue less the smaller of the skew and the life, and whole seconds are rounded so that the life never exceeds the TTL.
    ///
    /// # Errors
    ///
    /// When the entry has ended, the issuer ends too soon, or the TTL is shorter than any SVID's life.
    pub fn plan(
        now: Timestamp,
        ttl: Duration,
        issuer_not_after: Timestamp,
        entry_expires_at: Option<Timestamp>,
        skew: Duration,
    ) -> Result<Self, ValidityRefused> {
        if ttl < SHORTEST_LIFE {
            return Err(ValidityRefused::TtlTooShort { ttl });
        }
        let full = now + Duration::from_secs(ttl.as_secs());
        let wanted = match entry_expires_at {
            Some(expires_at) if has_ended(expires_at, now) => return Err(ValidityRefused::EntryExpired { expires_at }),
            Some(expires_at) => full.min(expires_at),
            None => full,
        };
        if issuer_not_after < wanted {
            return Err(ValidityRefused::IssuerTooShort { issuer_not_after, wanted });
        }
        let not_before = now - skew.min(now.duration_until(wanted));
        Ok(Self {
            issued_at: now,
            not_before,
            not_after: wanted,
        })
    }

    /// Returns the moment of issue, from which lives are counted.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Returns the first second of the validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the last second of the validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns NotAfter less issue: what the class bounds.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.issued_at.duration_until(self.not_after)
    }
}

#[cfg(test)]
mod tests;
