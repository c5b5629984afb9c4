//! Whom a token is for.

use serde::ser::{Serialize, Serializer};

use crate::problem::{Code, Coded};
use crate::wire::tokens::{MAX_AUDIENCE_LEN, MAX_AUDIENCE_TOTAL, MAX_AUDIENCES};

/// The audience of a token: always one value or more, each once and none empty (JWT-08).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(Vec<String>);

impl Audience {
    /// Takes the values of an audience.
    ///
    /// # Errors
    /// There is none or too many, or one is empty, too long, or there twice.
    pub fn new(values: Vec<String>) -> Result<Self, AudienceRefused> {
        if values.is_empty() {
            return Err(AudienceRefused::None);
        }
        if values.len() > MAX_AUDIENCES {
            return Err(AudienceRefused::TooMany {
                limit: MAX_AUDIENCES,
                actual: values.len(),
            });
        }
        for (position, value) in values.iter().enumerate() {
            if value.is_empty() {
                return Err(AudienceRefused::Empty);
            }
            if value.len() > MAX_AUDIENCE_LEN {
                return Err(AudienceRefused::TooLong {
                    limit: MAX_AUDIENCE_LEN,
                    actual: value.len(),
                });
            }
            if values.iter().take(position).any(|earlier| earlier == value) {
                return Err(AudienceRefused::Repeated);
            }
        }
        let actual = values.iter().map(String::len).sum();
        if actual > MAX_AUDIENCE_TOTAL {
            return Err(AudienceRefused::TooLong {
                limit: MAX_AUDIENCE_TOTAL,
                actual,
            });
        }
        Ok(Self(values))
    }

    /// Returns the values in the order in which they were asked for.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.0
    }
}

impl Serialize for Audience {
    /// One value is written as a string, several as an array. The schema of the standard knows the string only, its prose and RFC 7519 section 4.1.3 both
    /// forms (T7): with one value, which is the rule, every reader is content.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => only.serialize(serializer),
            values => values.serialize(serializer),
        }
    }
}

/// The values cannot be the audience of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AudienceRefused {
    /// A value is empty.
    #[error("a value of the audience is empty")]
    Empty,
    /// There is no value.
    #[error("the audience is empty")]
    None,
    /// A value is there twice.
    #[error("a value stands in the audience twice")]
    Repeated,
    /// A value, or all of them together, are too long.
    #[error("{actual} bytes of audience, the limit is {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// There are too many values.
    #[error("the audience has {actual} values, the limit is {limit}")]
    TooMany {
        /// The most values.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
}

impl Coded for AudienceRefused {
    fn code(&self) -> Code {
        Code::AudienceUnacceptable
    }
}

#[cfg(test)]
mod tests {

    use conformance::covers;

    use super::*;

    fn audience(values: &[&str]) -> Result<Audience, AudienceRefused> {
        Audience::new(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[covers("JWT-08")]
    #[test]
    fn jwt_08_an_audience_has_one_value_or_more_and_none_is_empty() {
        assert_eq!(audience(&[]), Err(AudienceRefused::None));
        assert_eq!(audience(&["a", ""]), Err(AudienceRefused::Empty));
        assert_eq!(audience(&["a", "b", "a"]), Err(AudienceRefused::Repeated));
        assert_eq!(audience(&["a", "b"]).unwrap().values(), ["a", "b"]);
    }

    #[test]
    fn an_audience_is_bounded() {
        let most: Vec<_> = (0..MAX_AUDIENCES).map(|number| number.to_string()).collect();
        assert!(Audience::new(most.clone()).is_ok());
        let actual = MAX_AUDIENCES + 1;
        let more = [most, vec!["x".to_owned()]].concat();
        assert_eq!(Audience::new(more), Err(AudienceRefused::TooMany { limit: MAX_AUDIENCES, actual }));
        let long = "x".repeat(MAX_AUDIENCE_LEN);
        assert!(audience(&[&long]).is_ok());
        assert!(matches!(audience(&[&format!("{long}x")]), Err(AudienceRefused::TooLong { .. })));
        let each: Vec<_> = ["a", "b", "c", "d", "e"].map(|first| format!("{first}{}", &long[1..])).to_vec();
        assert!(Audience::new(each[..4].to_vec()).is_ok());
        assert!(matches!(Audience::new(each), Err(AudienceRefused::TooLong { limit: MAX_AUDIENCE_TOTAL, .. })));
    }

    #[test]
    fn one_value_is_a_string_and_several_are_an_array() {
        let json = |values: &[&str]| serde_json::to_string(&audience(values).unwrap()).unwrap();
        assert_eq!(json(&["spiffe://example.org/db"]), r#""spiffe://example.org/db""#);
        assert_eq!(json(&["b", "a"]), r#"["b","a"]"#);
    }
}
