//! The times of a credential that is held.

use std::time::Duration;

use crate::clock::Reading;
use crate::plan::clock_evidence::step_between;
use crate::plan::rotation::{Jitter, RotationPolicy, renewal_due};
use crate::plan::validity::has_ended;
use crate::timestamp::Timestamp;

/// A credential that is held, by the times that the plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldCredential {
    /// The clocks when it came: a step of the wall clock is measured from here.
    taken: Reading,
    renew_at: Duration,
    ends_at: Duration,
    not_after: Timestamp,
    /// Whether the issuer's clock and ours agreed on the end when it came: only then is the wall clock asked whether it has ended.
    wall_agreed: bool,
}

impl HeldCredential {
    /// Returns the times of a credential from the answer that brought it.
    ///
    /// `asked` is a reading from before the request was sent: it is no later than the moment of issue, so nothing that is counted from it is late.
    #[must_use]
    pub fn issued(asked: Reading, expires_in: Duration, not_after: Timestamp, jitter: Jitter, policy: &RotationPolicy) -> Self {
        let by_wall = asked.wall.duration_until(not_after);
        Self {
            taken: asked,
            renew_at: renewal_due(asked.since_boot, expires_in, jitter),
            ends_at: asked.since_boot.saturating_add(expires_in),
            not_after,
            wall_agreed: by_wall.abs_diff(expires_in) <= policy.clock_skew,
        }
    }

    /// Returns the times of a credential that was kept over a restart, by the wall clock: there is no other witness of the time that passed.
    #[must_use]
    pub fn restored(now: Reading, issued_at: Timestamp, not_after: Timestamp, jitter: Jitter) -> Self {
        let life = issued_at.duration_until(not_after);
        let age = issued_at.duration_until(now.wall);
        let due_in = renewal_due(Duration::ZERO, life, jitter).saturating_sub(age);
        // A clock before the moment of issue cannot say how old the credential is: it may end any moment, so it is renewed now.
        let due_in = if now.wall < issued_at { Duration::ZERO } else { due_in };
        Self {
            taken: now,
            renew_at: now.since_boot.saturating_add(due_in),
            ends_at: now.since_boot.saturating_add(now.wall.duration_until(not_after).min(life)),
            not_after,
            wall_agreed: true,
        }
    }

    /// Returns whether it has ended: by the time that passed, or by the wall clock if that agreed with the issuer's when it came.
    #[must_use]
    pub fn has_ended(&self, now: Reading) -> bool {
        now.since_boot >= self.ends_at || (self.wall_agreed && has_ended(self.not_after, now.wall))
    }

    /// Returns the time since boot at which it is renewed.
    #[must_use]
    pub fn renew_at(&self) -> Duration {
        self.renew_at
    }

    /// Returns the time since boot at which it ends.
    #[must_use]
    pub fn ends_at(&self) -> Duration {
        self.ends_at
    }

    /// Returns its NotAfter.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns when it is renewed, by the wall clock as it is now: for people.
    #[must_use]
    pub fn next_renewal(&self, now: Reading) -> Timestamp {
        now.wall + self.renew_at.saturating_sub(now.since_boot)
    }

    /// Returns by how many seconds the wall clock was set since it came, if that is more than the skew.
    pub(super) fn clock_step(&self, now: Reading, policy: &RotationPolicy) -> Option<i64> {
        let step = step_between(self.taken, now);
        (step.unsigned_abs() > policy.clock_skew.as_secs()).then_some(step)
    }
}
