//! By how much the clocks of issuer, holder and verifier may differ.

use std::time::Duration;

use crate::problem::{Code, Coded};
use crate::token_svid::DEFAULT_LEEWAY;

/// A leeway: always at most two minutes (WIT-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WitLeeway(Duration);

impl WitLeeway {
    /// The longest: WIT-SVID section 3.4 speaks of seconds, at most a couple of minutes.
    pub const LONGEST: Duration = Duration::from_secs(120);

    /// None: for clocks that are one.
    pub const NONE: Self = Self(Duration::ZERO);

    /// Takes a leeway.
    ///
    /// # Errors
    /// It is longer than [`LONGEST`](Self::LONGEST).
    pub fn new(leeway: Duration) -> Result<Self, LeewayTooLong> {
        match leeway <= Self::LONGEST {
            true => Ok(Self(leeway)),
            false => Err(LeewayTooLong { leeway }),
        }
    }

    /// Returns it.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Default for WitLeeway {
    fn default() -> Self {
        Self(DEFAULT_LEEWAY)
    }
}

/// The leeway is longer than any verifier of WIT-SVIDs may grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a leeway of {} s; at most {} s are granted", .leeway.as_secs(), WitLeeway::LONGEST.as_secs())]
pub struct LeewayTooLong {
    /// What was asked for.
    pub leeway: Duration,
}

impl Coded for LeewayTooLong {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    #[covers("WIT-10")]
    #[test]
    fn wit_10_a_leeway_is_two_minutes_at_most() {
        let seconds = Duration::from_secs;
        assert_eq!(WitLeeway::new(seconds(120)).map(WitLeeway::get), Ok(seconds(120)));
        assert_eq!(WitLeeway::new(seconds(121)), Err(LeewayTooLong { leeway: seconds(121) }));
        assert!(WitLeeway::default().get() <= WitLeeway::LONGEST);
    }
}
