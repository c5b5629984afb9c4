//! When a credential is renewed, and when it may no longer be shown (design section 4, "Rotation").
//!
//! - Renewal is due at issue + TTL/2, less a jitter of at most TTL/10, never later. It is counted from the moment of issue, never from the backdated
//!   NotBefore, by the `expires_in` seconds of the answer, on the clock that counts suspend.
//! - A failed renewal keeps the valid credential; the next try waits a little longer each time, and never so long that the credential ends meanwhile untried.
//! - A credential that has ended is never shown, nor one whose entry is gone or names another identity now.
//! - What is stale (entry changed, issuer tainted) is renewed at once and shown meanwhile.
//! - A wall clock that was set by more than the skew makes every credential due once: local peers judge by that clock. A new credential is measured by
//!   the clock as it is then, so a clock that stays wrong costs one renewal, not a storm.

mod held;
mod timing;
mod urgency;

use std::time::Duration;

pub use held::HeldCredential;
pub use timing::{Jitter, renewal_due, retry_delay};
pub use urgency::Urgency;

use crate::clock::Reading;
use crate::plan::validity::DEFAULT_CLOCK_SKEW;

/// The bounds of the rotation plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    /// A step of the wall clock beyond this makes credentials due.
    pub clock_skew: Duration,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            clock_skew: DEFAULT_CLOCK_SKEW,
        }
    }
}

/// Whether a credential is wanted, and whether the one that is held still shows what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Wanted as it is held.
    Current,
    /// The entry changed in a way that a new certificate shows (TTL, class, names): the held one is shown meanwhile.
    EntryChanged,
    /// The entry, or the right to it, is gone.
    EntryGone,
    /// The entry names another SPIFFE ID now: the held one is shown no longer.
    IdentityChanged,
    /// The issuer is tainted: the held one is shown meanwhile.
    IssuerTainted,
}

/// What the loop is doing about a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing.
    Idle,
    /// A request is under way.
    InFlight,
    /// The last request failed; the next one waits until this time since boot.
    RetryAt(Duration),
}

/// One credential as the plan sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialState<K> {
    /// What the loop knows it by.
    pub id: K,
    /// Whether it is wanted.
    pub demand: Demand,
    /// What is held.
    pub held: Option<HeldCredential>,
    /// What is being done.
    pub attempt: Attempt,
}

/// Why a credential is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewReason {
    /// The wall clock was set.
    ClockStepped {
        /// By how many seconds, forward.
        by_s: i64,
    },
    /// The one that was held has ended.
    Ended,
    /// The entry changed.
    EntryChanged,
    /// Half of its life, less the jitter, is over.
    HalfLife,
    /// The entry names another identity.
    IdentityChanged,
    /// Its issuer is tainted.
    IssuerTainted,
    /// There is none yet.
    NeverIssued,
}

/// Why a credential is no longer shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawReason {
    /// It has ended.
    Ended,
    /// The entry is gone.
    EntryGone,
    /// The entry names another identity.
    IdentityChanged,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationAction<K> {
    /// Ask for a new one.
    Renew {
        /// Which.
        id: K,
        /// Why.
        reason: RenewReason,
    },
    /// Show it no longer, and forget it.
    Withdraw {
        /// Which.
        id: K,
        /// Why.
        reason: WithdrawReason,
    },
}

/// Returns what is to be done now, in the order of the states; a withdrawal comes before the renewal of the same credential.
#[must_use]
pub fn plan<K: Clone>(now: Reading, states: &[CredentialState<K>], policy: &RotationPolicy) -> Vec<RotationAction<K>> {
    let mut actions = Vec::new();
    for state in states {
        if let Some(reason) = withdrawal(now, state) {
            actions.push(RotationAction::Withdraw { id: state.id.clone(), reason });
        }
        if may_try(now, state.attempt)
            && let Some(reason) = renewal(now, state, policy)
        {
            actions.push(RotationAction::Renew { id: state.id.clone(), reason });
        }
    }
    actions
}

/// Returns the time since boot at which the plan has something to do again, unless a state or the wall clock changes before; `None` for never.
#[must_use]
pub fn next_due<K>(now: Reading, states: &[CredentialState<K>], policy: &RotationPolicy) -> Option<Duration> {
    states.iter().filter_map(|state| next_due_of(now, state, policy)).min()
}

fn next_due_of<K>(now: Reading, state: &CredentialState<K>, policy: &RotationPolicy) -> Option<Duration> {
    if withdrawal(now, state).is_some() {
        return Some(now.since_boot);
    }
    let ends_at = state.held.map(|held| held.ends_at());
    let wanted_at = match state.demand {
        Demand::EntryGone => return ends_at,
        _ if renewal(now, state, policy).is_some() => now.since_boot,
        _ => state.held.map_or(now.since_boot, |held| held.renew_at()),
    };
    let tried_at = match state.attempt {
        Attempt::Idle => Some(wanted_at),
        Attempt::InFlight => None,
        Attempt::RetryAt(at) => Some(wanted_at.max(at)),
    };
    tried_at.into_iter().chain(ends_at).min()
}

fn may_try(now: Reading, attempt: Attempt) -> bool {
    match attempt {
        Attempt::Idle => true,
        Attempt::InFlight => false,
        Attempt::RetryAt(at) => now.since_boot >= at,
    }
}

fn withdrawal<K>(now: Reading, state: &CredentialState<K>) -> Option<WithdrawReason> {
    let held = state.held?;
    match state.demand {
        Demand::EntryGone => Some(WithdrawReason::EntryGone),
        Demand::IdentityChanged => Some(WithdrawReason::IdentityChanged),
        Demand::Current | Demand::EntryChanged | Demand::IssuerTainted => held.has_ended(now).then_some(WithdrawReason::Ended),
    }
}

fn renewal<K>(now: Reading, state: &CredentialState<K>, policy: &RotationPolicy) -> Option<RenewReason> {
    let stale = match state.demand {
        Demand::EntryGone => return None,
        Demand::EntryChanged => Some(RenewReason::EntryChanged),
        Demand::IdentityChanged => Some(RenewReason::IdentityChanged),
        Demand::IssuerTainted => Some(RenewReason::IssuerTainted),
        Demand::Current => None,
    };
    let Some(held) = state.held else {
        return Some(RenewReason::NeverIssued);
    };
    if held.has_ended(now) {
        return Some(RenewReason::Ended);
    }
    if stale.is_some() {
        return stale;
    }
    if now.since_boot >= held.renew_at() {
        return Some(RenewReason::HalfLife);
    }
    held.clock_step(now, policy).map(|by_s| RenewReason::ClockStepped { by_s })
}

#[cfg(test)]
mod tests;
