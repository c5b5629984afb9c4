//! Whom a token is for.

use std::sync::Arc;

use trust_domains::jwt_svid::{self, AudienceRefused};

/// Whom a token is for: one value or more, sorted, each once; so that the same wish, said in another order, is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(Arc<[String]>);

impl Audience {
    /// Takes the values that a workload names.
    ///
    /// # Errors
    /// There is none, or more or longer ones than a token may have.
    pub fn of(mut values: Vec<String>) -> Result<Self, AudienceRefused> {
        values.sort_unstable();
        values.dedup();
        let checked = jwt_svid::Audience::new(values)?;
        Ok(Self(checked.values().into()))
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

#[cfg(test)]
mod tests {
    use conformance::covers;
    use trust_domains::wire::tokens::{MAX_AUDIENCE_LEN, MAX_AUDIENCES};

    use super::*;

    fn of(values: &[&str]) -> Result<Audience, AudienceRefused> {
        Audience::of(values.iter().map(|&value| value.to_owned()).collect())
    }

    #[covers("JWT-08")]
    #[test]
    fn order_and_repetition_make_no_other_audience() {
        assert_eq!(of(&["b", "a", "b"]), of(&["a", "b"]));
        assert_eq!(of(&["b", "a"]).unwrap().values(), ["a", "b"]);
        assert_ne!(of(&["a"]), of(&["a", "b"]));
    }

    #[test]
    fn empty_long_and_many_values_are_refused_at_their_limits() {
        assert_eq!((of(&[]), of(&["a", ""])), (Err(AudienceRefused::None), Err(AudienceRefused::Empty)));
        let long = "x".repeat(MAX_AUDIENCE_LEN);
        assert!(of(&[&long]).is_ok());
        assert!(matches!(of(&[&format!("{long}x")]), Err(AudienceRefused::TooLong { actual: 2_049, .. })));
        let many: Vec<String> = (0..=MAX_AUDIENCES).map(|number| number.to_string()).collect();
        assert!(Audience::of(many[1..].to_vec()).is_ok());
        assert!(matches!(Audience::of(many), Err(AudienceRefused::TooMany { actual: 17, .. })));
    }
}
