//! Why nothing may be signed now.

use thiserror::Error;
use trust_domains::Timestamp;
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::problem::{Code, Coded};

/// Nothing may be signed now.
#[derive(Debug, Error)]
pub enum IssuerUnavailable {
    /// The clock is behind what it was: what would be signed now was signed for later once.
    #[error("the clock is {by_s} s behind the last stored time {last_stored}")]
    ClockBehind {
        /// The last stored time.
        last_stored: Timestamp,
        /// The seconds that are missing.
        by_s: i64,
    },
    /// No issuing CA is active and valid under the active root.
    #[error("no issuing CA is active and valid at {now}")]
    NoneActive {
        /// The moment, by the server's clock.
        now: Timestamp,
    },
    /// WIT-SVIDs are not issued here.
    #[error("this server does not issue WIT-SVIDs")]
    WitDisabled,
    /// No key that signs such tokens is active and valid.
    #[error("no {kind} key is active and valid at {now}")]
    NoTokenKey {
        /// What it would sign.
        kind: AuthorityKind,
        /// The moment, by the server's clock.
        now: Timestamp,
    },
}

impl Coded for IssuerUnavailable {
    fn code(&self) -> Code {
        match self {
            Self::ClockBehind { .. } | Self::NoTokenKey { .. } | Self::NoneActive { .. } => Code::IssuerUnavailable,
            Self::WitDisabled => Code::WitDisabled,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::ClockBehind { .. } => "look at the clock of the server's machine: signing goes on by itself once it is right".to_owned(),
            Self::NoTokenKey { .. } => "look at the server's health: a new key waits until every node knows it, at most for --ack-deadline".to_owned(),
            Self::NoneActive { .. } | Self::WitDisabled => self.code().facts().hint.to_owned(),
        }
    }
}
