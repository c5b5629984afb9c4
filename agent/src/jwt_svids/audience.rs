//! Whom a token is for.

use std::sync::Arc;

use trust_domains::wire::tokens::{MAX_AUDIENCE_LEN, MAX_AUDIENCES};

/// Whom a token is for: one value or more, sorted, each once; so that the same wish, said in another order, is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(Arc<[String]>);

impl Audience {
    /// Takes the values that a workload names.
    ///
    /// # Errors
    /// There is none, or more or longer ones than a token may have.
    pub fn of(mut values: Vec<String>) -> Result<Self, AudienceRefused> {
        if values.is_empty() || values.iter().any(String::is_empty) {
            return Err(AudienceRefused::Empty);
        }
        if let Some(actual) = values.iter().map(String::len).find(|length| *length > MAX_AUDIENCE_LEN) {
            return Err(AudienceRefused::TooLong {
                limit: MAX_AUDIENCE_LEN,
                actual,
            });
        }
        values.sort_unstable();
        values.dedup();
        if values.len() > MAX_AUDIENCES {
            return Err(AudienceRefused::TooMany {
                limit: MAX_AUDIENCES,
                actual: values.len(),
            });
        }
        Ok(Self(values.into()))
    }

    /// Returns the values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.0
    }

    /// Returns how many octets the values have.
    pub(super) fn octets(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }
}

/// No token can be for these values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AudienceRefused {
    /// There is no value, or an empty one (JWT-08, WAPI-07).
    #[error("the audience is empty: name whom the token is for")]
    Empty,
    /// A value is too long.
    #[error("an audience has {actual} bytes, at most {limit} are taken")]
    TooLong {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// There are too many different values.
    #[error("{actual} audiences, at most {limit} are taken; one is the rule")]
    TooMany {
        /// The limit.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Audience, AudienceRefused> {
        Audience::of(values.iter().map(|&value| value.to_owned()).collect())
    }

    // JWT-08
    #[test]
    fn order_and_repetition_make_no_other_audience() {
        assert_eq!(of(&["b", "a", "b"]), of(&["a", "b"]));
        assert_eq!(of(&["b", "a"]).unwrap().values(), ["a", "b"]);
        assert_ne!(of(&["a"]), of(&["a", "b"]));
    }

    #[test]
    fn empty_long_and_many_values_are_refused_at_their_limits() {
        assert_eq!((of(&[]), of(&["a", ""])), (Err(AudienceRefused::Empty), Err(AudienceRefused::Empty)));
        let long = "x".repeat(MAX_AUDIENCE_LEN);
        assert!(of(&[&long]).is_ok());
        assert!(matches!(of(&[&format!("{long}x")]), Err(AudienceRefused::TooLong { actual: 2_049, .. })));
        let many: Vec<String> = (0..=MAX_AUDIENCES).map(|number| number.to_string()).collect();
        assert!(Audience::of(many[1..].to_vec()).is_ok());
        assert!(matches!(Audience::of(many), Err(AudienceRefused::TooMany { actual: 17, .. })));
    }
}
