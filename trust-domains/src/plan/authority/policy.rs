//! The bounds of the authority plan.

use std::time::Duration;

use crate::jws::TokenAlgorithm;
use crate::plan::clock_evidence::ClockPolicy;

/// The least handover lead: a commit, a signature and a retry or two fit into it many times over.
const LEAST_HANDOVER_LEAD: Duration = Duration::from_secs(15);

/// The life of a root: relying parties who were given it by hand have a year between two visits.
pub const DEFAULT_ROOT_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The longest handover lead of a root: a month to mend whatever fails, and no more, since a bundle with two roots is longer than it need be.
const MOST_ROOT_LEAD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long connected nodes may take to acknowledge a step of an emergency: they do within seconds, and a frozen one must not hold up the others.
pub const DEFAULT_EMERGENCY_ACK_DEADLINE: Duration = Duration::from_secs(30);

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
    most_lead: Duration,
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

    /// Returns how long before the signing margin is reached the successor is active: a quarter of the time in which an authority signs; of a root at most
    /// a month.
    #[must_use]
    pub fn handover_lead(&self) -> Duration {
        (self.life.saturating_sub(self.signing_margin()) / 4).min(self.most_lead)
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
                most_lead: Duration::MAX,
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
                most_lead: Duration::MAX,
            },
            ack_deadline: DEFAULT_ACK_DEADLINE,
            refreshes: Duration::ZERO,
            algorithm: None,
        }
    }
}

/// How roots live. Only [`RootPolicy::new`] makes one, so the bounds fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPolicy {
    pub(super) life: KeyLife,
    pub(super) ack_deadline: Duration,
    pub(super) refreshes: Duration,
}

/// A root of this life cannot be known to everybody before it must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "root life of {} s, with issuing CAs of {} s and {} s between publication and use it needs at least {} s",
    .root_life.as_secs(), .issuing_life.as_secs(), .wait.as_secs(), .least.as_secs()
)]
pub struct RootPolicyRefused {
    /// The life of a root that was asked for.
    pub root_life: Duration,
    /// The life of an issuing CA.
    pub issuing_life: Duration,
    /// How long a published root may have to wait before it signs.
    pub wait: Duration,
    /// The least life that works.
    pub least: Duration,
}

impl RootPolicy {
    /// Returns the policy for roots of this life, over issuing CAs of that one: a root signs while it has twice their life.
    ///
    /// A published root waits for the nodes, at most `ack_deadline`; and where those outside fetch the bundle (`refresh_hint`), for
    /// [`REFRESHES_BEFORE_USE`] of their refreshes.
    ///
    /// # Errors
    ///
    /// When a root would have to sign before that wait is over.
    pub fn new(root_life: Duration, issuing_life: Duration, ack_deadline: Duration, refresh_hint: Option<Duration>) -> Result<Self, RootPolicyRefused> {
        let refreshes = refresh_hint.map_or(Duration::ZERO, |hint| hint.saturating_mul(REFRESHES_BEFORE_USE));
        let wait = ack_deadline.max(refreshes).max(LEAST_HANDOVER_LEAD);
        let least = issuing_life.saturating_mul(2).saturating_add(wait.saturating_mul(4));
        if root_life < least {
            return Err(RootPolicyRefused {
                root_life,
                issuing_life,
                wait,
                least,
            });
        }
        Ok(Self::of(root_life, issuing_life, ack_deadline, refreshes))
    }

    fn of(root_life: Duration, issuing_life: Duration, ack_deadline: Duration, refreshes: Duration) -> Self {
        Self {
            life: KeyLife {
                life: root_life,
                longest: issuing_life,
                most_lead: MOST_ROOT_LEAD.max(ack_deadline).max(refreshes),
            },
            ack_deadline,
            refreshes,
        }
    }

    /// Returns how long a root lives, and the life of the issuing CAs under it.
    #[must_use]
    pub fn life(&self) -> &KeyLife {
        &self.life
    }
}

/// The bounds of the plan. Only [`AuthorityPolicy::new`] makes one, so the bounds fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorityPolicy {
    pub(super) root: RootPolicy,
    pub(super) issuing: KeyLife,
    pub(super) jwt: TokenPolicy,
    pub(super) wit: Option<TokenPolicy>,
    pub(super) emergency_ack_deadline: Duration,
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
                most_lead: Duration::MAX,
            },
            root: RootPolicy::of(DEFAULT_ROOT_LIFE, issuing_life, DEFAULT_ACK_DEADLINE, Duration::ZERO),
            jwt: TokenPolicy::default(),
            wit: None,
            emergency_ack_deadline: DEFAULT_EMERGENCY_ACK_DEADLINE,
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

    /// Returns the policy with these bounds for roots; without, they live for [`DEFAULT_ROOT_LIFE`].
    #[must_use]
    pub fn with_root(mut self, root: RootPolicy) -> Self {
        self.root = root;
        self
    }

    /// Returns the policy that waits this long for connected nodes in an emergency.
    #[must_use]
    pub fn with_emergency_ack_deadline(mut self, deadline: Duration) -> Self {
        self.emergency_ack_deadline = deadline;
        self
    }

    /// Returns how roots live.
    #[must_use]
    pub fn root(&self) -> &RootPolicy {
        &self.root
    }

    /// Returns how long an emergency waits for connected nodes.
    #[must_use]
    pub fn emergency_ack_deadline(&self) -> Duration {
        self.emergency_ack_deadline
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
}
