//! The bounds of the authority plan.

use std::time::Duration;

use crate::plan::clock_evidence::ClockPolicy;

/// The least handover lead: a commit, a signature and a retry or two fit into it many times over.
const LEAST_HANDOVER_LEAD: Duration = Duration::from_secs(15);

/// How long before the root itself needs a successor the plan begins to say so.
pub const DEFAULT_ROOT_NOTICE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The bounds of the plan. Only [`AuthorityPolicy::new`] makes one, so the bounds fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorityPolicy {
    issuing_life: Duration,
    longest_life: Duration,
    pub(super) root_notice: Duration,
    pub(super) clock: ClockPolicy,
}

/// An issuing CA of this life would have too little time to sign in: those that sign no more but have not ended would pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("issuing CA life of {} s, with leaves of up to {} s it needs at least {} s", .issuing_life.as_secs(), .longest_life.as_secs(), .least.as_secs())]
pub struct PolicyRefused {
    /// The life of an issuing CA that was asked for.
    pub issuing_life: Duration,
    /// The longest life that it may grant.
    pub longest_life: Duration,
    /// The least life that works.
    pub least: Duration,
}

impl AuthorityPolicy {
    /// Returns the policy for issuing CAs of this life, whose leaves live at most `longest_life`: that of the longest class, or of node and server SVIDs.
    ///
    /// # Errors
    ///
    /// When an issuing CA would sign for less than half of the longest life: a new one would be due again and again, before the old ones end.
    pub fn new(issuing_life: Duration, longest_life: Duration) -> Result<Self, PolicyRefused> {
        let least_time_to_sign = (longest_life / 2).max(LEAST_HANDOVER_LEAD * 4);
        let least = longest_life.saturating_mul(2).saturating_add(least_time_to_sign);
        if issuing_life < least {
            return Err(PolicyRefused {
                issuing_life,
                longest_life,
                least,
            });
        }
        Ok(Self {
            issuing_life,
            longest_life,
            root_notice: DEFAULT_ROOT_NOTICE,
            clock: ClockPolicy::default(),
        })
    }

    /// Returns the policy with these bounds for the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: ClockPolicy) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the policy that speaks of a short root this much earlier than its successor is needed.
    #[must_use]
    pub fn with_root_notice(mut self, notice: Duration) -> Self {
        self.root_notice = notice;
        self
    }

    /// Returns the life of a new issuing CA.
    #[must_use]
    pub fn issuing_life(&self) -> Duration {
        self.issuing_life
    }

    /// Returns the longest life that an issuing CA may grant.
    #[must_use]
    pub fn longest_life(&self) -> Duration {
        self.longest_life
    }

    /// Returns the bounds for the clock.
    #[must_use]
    pub fn clock(&self) -> &ClockPolicy {
        &self.clock
    }

    /// Returns what must be left of an authority while it signs: twice the longest life that it may grant.
    #[must_use]
    pub fn signing_margin(&self) -> Duration {
        self.longest_life.saturating_mul(2)
    }

    /// Returns how long before the signing margin is reached the successor is active: a quarter of the time in which an issuing CA signs.
    #[must_use]
    pub fn handover_lead(&self) -> Duration {
        self.issuing_life.saturating_sub(self.signing_margin()) / 4
    }

    /// A root signs issuing CAs: it needs a successor while it has twice their life.
    pub(super) fn root_margin(&self) -> Duration {
        self.issuing_life.saturating_mul(2)
    }
}
