//! The authorities whose credentials are to be replaced at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::authority::AuthorityId;
use crate::token_svid::signing_key_of;
use crate::x509::Certificate;

/// The issuing CAs and token keys whose credentials are to be replaced at once, as the server said last. A clone is the same list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tainted(Arc<BTreeSet<AuthorityId>>);

impl Tainted {
    /// Returns whether nothing is to be replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this authority is among them.
    #[must_use]
    pub fn holds(&self, id: &AuthorityId) -> bool {
        self.0.contains(id)
    }

    /// Returns whether one of them signed the certificate with this DER, by the key identifier that it names (RFC 5280 section 4.2.1.1).
    ///
    /// It is asked by the holder, who verified the certificate when it came: one that cannot be read, or names nobody, is not concerned.
    #[must_use]
    pub fn signed_certificate(&self, der: &[u8]) -> bool {
        let issuer = || AuthorityId::from_key_id(Certificate::parse(der).ok()?.authority_key_id()?);
        !self.is_empty() && issuer().is_some_and(|issuer| self.holds(&issuer))
    }

    /// Returns whether one of them signed the token, by its `kid` (RFC 7515 section 4.1.4). Asked by the holder, as for a certificate.
    #[must_use]
    pub fn signed_token(&self, token: &str) -> bool {
        !self.is_empty() && signing_key_of(token).is_some_and(|key| self.holds(&key))
    }

    /// Returns them, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &AuthorityId> {
        self.0.iter()
    }
}

impl FromIterator<AuthorityId> for Tainted {
    fn from_iter<I: IntoIterator<Item = AuthorityId>>(ids: I) -> Self {
        Self(Arc::new(ids.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_token_is_concerned_by_the_key_that_its_header_names_and_by_no_other() {
        let tainted: Tainted = ["0a0b".parse().unwrap()].into_iter().collect();
        assert!(tainted.signed_token(&token(r#"{"alg":"ES256","kid":"0a0b"}"#)));
        for other in [
            token(r#"{"alg":"ES256","kid":"0a0c"}"#),
            token(r#"{"alg":"ES256"}"#),
            token(r#"{"alg":"ES256","kid":7}"#),
            token("no JSON"),
            "0a0b".to_owned(),
            String::new(),
        ] {
            assert!(!tainted.signed_token(&other), "{other}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_concerned_and_with_an_empty_list_nothing_is() {
        let tainted: Tainted = ["0a0b".parse().unwrap()].into_iter().collect();
        assert!(!tainted.signed_certificate(b"leaf"));
        assert!(!Tainted::default().signed_token(&token(r#"{"alg":"ES256","kid":"0a0b"}"#)));
    }
}
