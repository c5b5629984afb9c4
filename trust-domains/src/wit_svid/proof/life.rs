//! How long a proof is good.

use std::time::Duration;

use crate::problem::{Code, Coded};

/// The life of a proof: always a second to five minutes (WIT-20; the draft speaks of seconds or minutes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProofLife(Duration);

impl ProofLife {
    /// The longest: what is on its way for longer is not a request any more.
    pub const LONGEST: Duration = Duration::from_secs(300);

    /// Takes a life, in whole seconds.
    ///
    /// # Errors
    /// It is shorter than a second or longer than [`LONGEST`](Self::LONGEST).
    pub fn new(life: Duration) -> Result<Self, ProofLifeRefused> {
        match (Duration::from_secs(1)..=Self::LONGEST).contains(&life) {
            true => Ok(Self(Duration::from_secs(life.as_secs()))),
            false => Err(ProofLifeRefused { life }),
        }
    }

    /// Returns it.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Default for ProofLife {
    /// A minute: a slow request gets through, and who captures a proof has little time.
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

/// No proof lives this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a proof lives 1 to {} s, not {} s", ProofLife::LONGEST.as_secs(), .life.as_secs())]
pub struct ProofLifeRefused {
    /// What was asked for.
    pub life: Duration,
}

impl Coded for ProofLifeRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    #[covers("WIT-20")]
    #[test]
    fn wit_20_a_proof_lives_five_minutes_at_most() {
        let of = |seconds| ProofLife::new(Duration::from_secs(seconds)).map(ProofLife::get);
        assert_eq!((of(1), of(300)), (Ok(Duration::from_secs(1)), Ok(ProofLife::LONGEST)));
        assert!(of(0).is_err() && of(301).is_err() && ProofLife::new(Duration::from_millis(999)).is_err());
    }
}
