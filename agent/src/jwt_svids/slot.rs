//! One token that is held, wanted or waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, RotationPolicy, plan};
use trust_domains::wire::node::NodeEntry;

use super::held::{Held, TokenKey};
use super::token::{JwtSvid, Unobtained};

/// What one caller is told.
pub(super) type Answer = Result<Arc<JwtSvid>, Unobtained>;

/// What became of the key that signed a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signer {
    /// Nothing: it is as good as it was.
    Good,
    /// It is tainted, and its successor signs: the token is given to nobody.
    Replaced,
    /// It is tainted, and no token of a successor was seen yet: the token is given out until another is there.
    Tainted,
}

/// One token, and those who wait for it.
pub(super) struct Slot {
    pub(super) entry: Arc<NodeEntry>,
    pub(super) held: Option<Held>,
    /// What became of the key that signed it.
    pub(super) signer: Signer,
    /// Asked for since it was issued.
    pub(super) used: bool,
    /// In the queue.
    pub(super) queued: bool,
    pub(super) in_flight: bool,
    pub(super) failures: u32,
    pub(super) retry_at: Duration,
    pub(super) last_error: Option<String>,
    pub(super) waiting: Vec<oneshot::Sender<Answer>>,
    /// The number of its last use, while it is held.
    pub(super) use_number: Option<u64>,
}

impl Slot {
    pub(super) fn new(entry: Arc<NodeEntry>) -> Self {
        Self {
            entry,
            held: None,
            signer: Signer::Good,
            used: false,
            queued: false,
            in_flight: false,
            failures: 0,
            retry_at: Duration::ZERO,
            last_error: None,
            waiting: Vec::new(),
            use_number: None,
        }
    }

    /// Returns the token that a caller may be given.
    pub(super) fn valid(&self, now: Reading) -> Option<&Held> {
        self.held.as_ref().filter(|held| !held.times.has_ended(now) && self.signer != Signer::Replaced)
    }

    pub(super) fn has_ended(&self, now: Reading) -> bool {
        self.held.as_ref().is_some_and(|held| held.times.has_ended(now))
    }

    /// Returns whether it only remembers a failure that counts no longer.
    pub(super) fn is_old_failure(&self, now: Reading) -> bool {
        self.failures > 0 && now.since_boot >= self.retry_at && !self.is_needed()
    }

    fn attempt(&self) -> Attempt {
        match () {
            () if self.in_flight || self.queued => Attempt::InFlight,
            () if self.failures > 0 => Attempt::RetryAt(self.retry_at),
            () => Attempt::Idle,
        }
    }

    pub(super) fn state(&self, key: &TokenKey) -> CredentialState<TokenKey> {
        CredentialState {
            id: key.clone(),
            demand: match self.signer {
                Signer::Good => Demand::Current,
                Signer::Replaced | Signer::Tainted => Demand::IssuerTainted,
            },
            held: self.held.as_ref().map(|held| held.times),
            attempt: self.attempt(),
        }
    }

    /// Returns whether the plan would replace the token that is held.
    pub(super) fn is_due(&self, now: Reading, key: &TokenKey, policy: &RotationPolicy) -> bool {
        let state = CredentialState {
            attempt: Attempt::Idle,
            ..self.state(key)
        };
        !plan(now, &[state], policy).is_empty()
    }

    pub(super) fn tell(&mut self, answer: &Answer) {
        for caller in self.waiting.drain(..) {
            // One that went away meanwhile needs no answer.
            let _gone = caller.send(answer.clone());
        }
    }

    pub(super) fn is_needed(&self) -> bool {
        self.held.is_some() || self.in_flight || self.queued || !self.waiting.is_empty()
    }
}
