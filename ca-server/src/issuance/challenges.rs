//! Challenges for proofs of possession where there is no TLS to bind one to: each good once, and for a minute.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trust_domains::Reading;
use trust_domains::wire::admin::WIT_CHALLENGE_LEN;

use super::error::PrepareError;

/// How long a challenge is good: who asks for one makes a key and a signature, and comes back.
pub(super) const LIFE: Duration = Duration::from_secs(60);

/// How many are remembered. The operator's commands use one each; where more are asked for, the oldest are forgotten.
const MOST: usize = 64;

/// The challenges that nobody has used yet, oldest first, each with the time since boot at which it was given.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    open: Mutex<VecDeque<([u8; WIT_CHALLENGE_LEN], Duration)>>,
}

impl Challenges {
    /// Gives one.
    pub(super) fn give(&self, now: Reading) -> Result<[u8; WIT_CHALLENGE_LEN], PrepareError> {
        let challenge = platform::random::array().map_err(|_| PrepareError::Random)?;
        self.with(|open| {
            if open.len() == MOST {
                open.pop_front();
            }
            open.push_back((challenge, now.since_boot));
        });
        Ok(challenge)
    }

    /// Takes one back; none if it was never given, is too old, or was taken before.
    pub(super) fn take(&self, challenge: &[u8], now: Reading) -> Option<[u8; WIT_CHALLENGE_LEN]> {
        self.with(|open| {
            open.retain(|(_, given)| now.since_boot < *given + LIFE);
            let place = open.iter().position(|(known, _)| known == challenge)?;
            open.remove(place).map(|(known, _)| known)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<([u8; WIT_CHALLENGE_LEN], Duration)>) -> T) -> T {
        // A panic while the lock was held left a list that is still one.
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::Timestamp;

    use super::*;

    fn at(since_boot: u64) -> Reading {
        Reading {
            wall: Timestamp::from_unix(1_900_000_000),
            since_boot: Duration::from_secs(since_boot),
        }
    }

    #[test]
    fn a_challenge_is_good_once_and_for_a_minute() {
        let challenges = Challenges::default();
        let (one, other) = (challenges.give(at(10)).unwrap(), challenges.give(at(10)).unwrap());
        assert_ne!(one, other);
        assert_eq!(challenges.take(&one, at(69)), Some(one));
        assert_eq!(challenges.take(&one, at(69)), None, "once");
        assert_eq!(challenges.take(&other, at(70)), None, "a minute");
        for unknown in [&[][..], &[0; WIT_CHALLENGE_LEN], &one[..31]] {
            assert_eq!(challenges.take(unknown, at(10)), None);
        }
    }

    #[test]
    fn whoever_asks_for_many_makes_the_oldest_forgotten_and_takes_no_memory() {
        let challenges = Challenges::default();
        let first = challenges.give(at(0)).unwrap();
        let last = (0..10_000).map(|_| challenges.give(at(0)).unwrap()).last().unwrap();
        assert_eq!(challenges.open.lock().unwrap().len(), MOST);
        assert_eq!((challenges.take(&first, at(0)), challenges.take(&last, at(0))), (None, Some(last)));
    }
}
