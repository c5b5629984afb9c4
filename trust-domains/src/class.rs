//! Credential classes: how long a credential may live, and what that costs when the server is away.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::format_duration;
use crate::problem::{Code, Coded};

/// How long credentials of an entry may live. Shorter lives end a theft sooner; longer ones live through a longer outage of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialClass {
    /// At most 180 seconds.
    Fast,
    /// At most 90 minutes.
    #[default]
    Medium,
    /// At most 24 hours.
    Slow,
}

impl CredentialClass {
    /// Every class, from the shortest life to the longest.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Medium, Self::Slow];

    /// Returns the longest life: from the moment of issue to NotAfter.
    #[must_use]
    pub const fn longest_life(self) -> Duration {
        Duration::from_secs(match self {
            Self::Fast => 180,
            Self::Medium => 5_400,
            Self::Slow => 86_400,
        })
    }

    /// Returns the life of X509-SVIDs for an entry that names none.
    #[must_use]
    pub const fn default_x509_ttl(self) -> Duration {
        self.longest_life()
    }

    /// Returns the life of JWT-SVIDs for an entry that names none: five minutes, or the class's longest life where that is shorter.
    #[must_use]
    pub fn default_jwt_ttl(self) -> Duration {
        self.longest_life().min(Duration::from_secs(300))
    }

    /// Returns the class with the shortest life that allows this one.
    #[must_use]
    pub fn smallest_for(ttl: Duration) -> Option<Self> {
        Self::ALL.into_iter().find(|class| ttl <= class.longest_life())
    }

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }

    /// Returns the price of the class in a sentence's end: what an outage of the server may last before credentials end.
    #[must_use]
    pub fn outage_price(self) -> String {
        outage_price(self.longest_life())
    }
}

/// Returns the price of a life: renewal is due at its half, so the other half is what is left when the server goes away just before.
#[must_use]
pub fn outage_price(ttl: Duration) -> String {
    format!("lives through {} without its server", spoken(ttl / 2))
}

/// Says a duration as people do: `90 s`, `45 min`, `12 h`.
fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 && seconds < 7200 => format!("{} min", seconds / 60),
        _ => format_duration(duration),
    }
}

impl fmt::Display for CredentialClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CredentialClass {
    type Err = ParseClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or(ParseClassError)
    }
}

/// The text names no credential class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential class is fast, medium or slow")]
pub struct ParseClassError;

impl Coded for ParseClassError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "choose a class: fast (180 s), medium (90 min) or slow (24 h)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_life_and_its_price() {
        let table = [
            (CredentialClass::Fast, "fast", 180, 180, "lives through 90 s without its server"),
            (CredentialClass::Medium, "medium", 5_400, 300, "lives through 45 min without its server"),
            (CredentialClass::Slow, "slow", 86_400, 300, "lives through 12 h without its server"),
        ];
        for (class, word, life, jwt, price) in table {
            assert_eq!(class.to_string(), word);
            assert_eq!(word.parse(), Ok(class));
            assert_eq!(serde_json::to_string(&class).unwrap(), format!("{word:?}"));
            assert_eq!(class.longest_life().as_secs(), life);
            assert_eq!(class.default_jwt_ttl().as_secs(), jwt);
            assert_eq!(class.outage_price(), price);
        }
    }

    #[test]
    fn the_smallest_class_that_allows_a_life_is_named() {
        let table = [
            (0, Some(CredentialClass::Fast)),
            (180, Some(CredentialClass::Fast)),
            (181, Some(CredentialClass::Medium)),
            (5_400, Some(CredentialClass::Medium)),
            (5_401, Some(CredentialClass::Slow)),
            (86_400, Some(CredentialClass::Slow)),
            (86_401, None),
        ];
        for (seconds, expected) in table {
            assert_eq!(CredentialClass::smallest_for(Duration::from_secs(seconds)), expected, "{seconds} s");
        }
        assert_eq!(CredentialClass::smallest_for(Duration::from_millis(180_001)), Some(CredentialClass::Medium));
    }

    #[test]
    fn a_price_is_said_in_round_words_where_there_are_some() {
        let table = [(10, "5 s"), (60, "30 s"), (600, "5 min"), (7_200, "1 h"), (1_001, "8m20s"), (10_800, "90 min")];
        for (life, words) in table {
            assert_eq!(outage_price(Duration::from_secs(life)), format!("lives through {words} without its server"));
        }
    }

    #[test]
    fn other_words_are_no_classes() {
        for text in ["", "Fast", "slow ", "quick"] {
            assert_eq!(text.parse::<CredentialClass>(), Err(ParseClassError));
        }
    }
}
