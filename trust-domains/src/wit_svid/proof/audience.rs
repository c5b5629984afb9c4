//! Whom a proof is for.

use crate::jwt_svid::AudienceRefused;
use crate::wire::tokens::MAX_AUDIENCE_LEN;

/// The one audience of a proof: the target URI of the request without query and fragment, or what its recipient agreed on. Never empty.
///
/// A recipient takes its own from its configuration. The `Host` of a request is the sender's word, and so no audience to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofAudience(String);

impl ProofAudience {
    /// Takes an audience; what follows the first `?` or `#` is left out.
    ///
    /// # Errors
    /// Nothing is left, or more than [`MAX_AUDIENCE_LEN`] bytes.
    pub fn new(text: &str) -> Result<Self, AudienceRefused> {
        let kept = text.split(['?', '#']).next().unwrap_or_default();
        match kept.len() {
            0 => Err(AudienceRefused::Empty),
            actual if actual > MAX_AUDIENCE_LEN => Err(AudienceRefused::TooLong {
                limit: MAX_AUDIENCE_LEN,
                actual,
            }),
            _ => Ok(Self(kept.to_owned())),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_fragment_are_no_part_of_an_audience() {
        let cut = |text: &str| ProofAudience::new(text).map(|audience| audience.0);
        for text in ["https://db.example/v1", "https://db.example/v1?a=1#b", "https://db.example/v1#b?a"] {
            assert_eq!(cut(text).as_deref(), Ok("https://db.example/v1"), "{text}");
        }
        assert_eq!(cut("spiffe://example.org/db").as_deref(), Ok("spiffe://example.org/db"));
        assert_eq!(cut("?a"), Err(AudienceRefused::Empty));
        assert!(matches!(cut(&"a".repeat(MAX_AUDIENCE_LEN + 1)), Err(AudienceRefused::TooLong { .. })));
    }
}
