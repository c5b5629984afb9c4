//! The bounds of the authority plan.

use std::time::Duration;

use crate::jws::TokenAlgorithm;
use crate::plan::clock_evidence::ClockPolicy;

/// The least handover lead: a commit, a signature and a retry or two fit into it many times over.
const LEAST_HANDOVER_LEAD: Duration = Duration::from_secs(15);

/// How long before the root itself needs a successor the plan begins to say so.
pub const DEFAULT_ROOT_NOTICE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The life of a token key: a week bounds what a stolen one can do, as for issuing CAs, and each key is known for more than a day before it signs.
pub const DEFAULT_TOKEN_KEY_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest life of a token that the default policy reckons with: that of the longest class.
const DEFAULT_LONGEST_TOKEN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a published key waits for nodes to acknowledge it: a node that is off overnight is waited for, one that is gone is not.
pub const DEFAULT_ACK_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long nodes that are connected may take to acknowledge a key before an operator hears of it: they do within seconds.
pub(super) const ACK_NOTICE: Duration = Duration::from_secs(60);

/// How many refresh hints pass between the publication of a key and its first signature: relying parties that miss a fetch or two know it in time.
pub const REFRESHES_BEFORE_USE: u32 = 5;

/// How long an authority of one kind lives, and the longest life that it may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLife {
    life: Duration,
    longest: Duration,
}

impl KeyLife {
    /// Returns the life of a new authority.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Returns the longest life that it may grant.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Returns what must be left of an authority while it signs: twice the longest life that it may grant.
    #[must_use]
    pub fn signing_margin(&self) -> Duration {
        self.longest.saturating_mul(2)
    }

    /// Returns how long before the signing margin is reached the successor is active: a quarter of the time in which an authority signs.
    #[must_use]
    pub fn handover_lead(&self) -> Duration {
        self.life.saturating_sub(self.signing_margin()) / 4
    }
}

/// How token keys live. Only [`TokenPolicy::new`] makes one, so the bounds fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenPolicy {
    pub(super) life: KeyLife,
    pub(super) ack_deadline: Duration,
    pub(super) refreshes: Duration,
    /// None: that of the key that signs already.
    pub(super) algorithm: Option<TokenAlgorithm>,
}

/// A token key of this life cannot be known to everybody before it must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "token key life of {} s, with tokens of up to {} s and {} s between publication and use it needs at least {} s",
    .key_life.as_secs(), .longest_life.as_secs(), .wait.as_secs(), .least.as_secs()
)]
pub struct TokenPolicyRefused {
    /// The life of a token key that was asked for.
    pub key_life: Duration,
    /// The longest life of a token.
    pub longest_life: Duration,
    /// How long a published key may have to wait before it signs.
    pub wait: Duration,
    /// The least life that works.
    pub least: Duration,
}

impl TokenPolicy {
    /// Returns the policy for keys of this life that sign tokens of at most `longest_life`.
    ///
    /// A published key waits for the nodes, at most `ack_deadline`; and where relying parties fetch the keys (`refresh_hint`), for
    /// [`REFRESHES_BEFORE_USE`] of their refreshes.
    ///
    /// # Errors
    ///
    /// When a key would have to sign before that wait is over: it must fit between preparation and activation, which is a quarter of the time in which a
    /// key signs.
    pub fn new(key_life: Duration, longest_life: Duration, ack_deadline: Duration, refresh_hint: Option<Duration>) -> Result<Self, TokenPolicyRefused> {
        let refreshes = refresh_hint.map_or(Duration::ZERO, |hint| hint.saturating_mul(REFRESHES_BEFORE_USE));
        let wait = ack_deadline.max(refreshes).max(LEAST_HANDOVER_LEAD);
        let time_to_sign = wait.saturating_mul(4).max(longest_life / 2);
        let least = longest_life.saturating_mul(2).saturating_add(time_to_sign);
        if key_life < least {
            return Err(TokenPolicyRefused {
                key_life,
                longest_life,
                wait,
                least,
            });
        }
        Ok(Self {
            life: KeyLife {
                life: key_life,
                longest: longest_life,
            },
            ack_deadline,
            refreshes,
            algorithm: None,
        })
    }

    /// Returns the policy for keys that sign with this algorithm: one that signs with another is replaced as soon as its successor is known. Without one a
    /// new key signs as the one before it.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Option<TokenAlgorithm>) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Returns what keys shall sign with, if it is said.
    #[must_use]
    pub fn algorithm(&self) -> Option<TokenAlgorithm> {
        self.algorithm
    }

    /// Returns how long a key lives, and the longest life of a token.
    #[must_use]
    pub fn life(&self) -> &KeyLife {
        &self.life
    }
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            life: KeyLife {
                life: DEFAULT_TOKEN_KEY_LIFE,
                longest: DEFAULT_LONGEST_TOKEN,
            },
            ack_deadline: DEFAULT_ACK_DEADLINE,
            refreshes: Duration::ZERO,
            algorithm: None,
        }
    }
}

/// The bounds of the plan. Only [`AuthorityPolicy::new`] makes one, so the bounds fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorityPolicy {
    pub(super) issuing: KeyLife,
    pub(super) jwt: TokenPolicy,
    pub(super) wit: Option<TokenPolicy>,
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
    /// Token keys live by [`TokenPolicy::default`] unless [`with_jwt`](Self::with_jwt) says otherwise.
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
            issuing: KeyLife {
                life: issuing_life,
                longest: longest_life,
            },
            jwt: TokenPolicy::default(),
            wit: None,
            root_notice: DEFAULT_ROOT_NOTICE,
            clock: ClockPolicy::default(),
        })
    }

    /// Returns the policy with these bounds for the keys of JWT-SVIDs.
    #[must_use]
    pub fn with_jwt(mut self, jwt: TokenPolicy) -> Self {
        self.jwt = jwt;
        self
    }

    /// Returns the policy under which WIT-SVIDs are signed, with these bounds for their keys. Without it no such key is made, and none signs.
    #[must_use]
    pub fn with_wit(mut self, wit: TokenPolicy) -> Self {
        self.wit = Some(wit);
        self
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

    /// Returns how issuing CAs live.
    #[must_use]
    pub fn issuing(&self) -> &KeyLife {
        &self.issuing
    }

    /// Returns how the keys of JWT-SVIDs live.
    #[must_use]
    pub fn jwt(&self) -> &TokenPolicy {
        &self.jwt
    }

    /// Returns how the keys of WIT-SVIDs live, where those are signed.
    #[must_use]
    pub fn wit(&self) -> Option<&TokenPolicy> {
        self.wit.as_ref()
    }

    /// Returns the bounds for the clock.
    #[must_use]
    pub fn clock(&self) -> &ClockPolicy {
        &self.clock
    }

    /// A root signs issuing CAs: it needs a successor while it has twice their life.
    pub(super) fn root_margin(&self) -> Duration {
        self.issuing.life.saturating_mul(2)
    }
}
