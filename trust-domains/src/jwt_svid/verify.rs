//! Reading and verifying a JWT-SVID, in the order of JWT-SVID section 4: the header first, the costly signature last.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use super::error::JwtSvidError;
use super::presented::PresentedClaims;
use crate::bundle::TrustBundle;
use crate::jws::{Excerpt, Types};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::{Profile, TokenKind, TokenSvidError, Unverified};
use crate::trust_domain::TrustDomain;

/// A JWT-SVID may leave `typ` out (JWT-06). A WIT-SVID has `wit+jwt`: without its proof of possession it must pass for nothing.
static JWT_SVID: Profile = Profile {
    kind: TokenKind::Jwt,
    types: Types {
        values: &["JWT", "JOSE"],
        optional: true,
        described: "JWT-SVID (JWT, JOSE, or none)",
    },
};

/// How many audiences of a token its refusal names.
const AUDIENCES_SHOWN: usize = 4;

/// What a validator expects of a token.
#[derive(Debug, Clone, Copy)]
pub struct Expectation<'a> {
    /// The validator's own value: the token must have it in `aud`, exactly.
    pub audience: &'a str,
    /// The time of the check.
    pub now: Timestamp,
    /// By how much the issuer's clock may differ.
    pub leeway: Duration,
}

/// A token whose form is right and whose signature nobody has checked: it proves nothing yet.
pub struct UnverifiedJwtSvid<'a> {
    token: Unverified<'a>,
    claims: PresentedClaims,
}

impl fmt::Debug for UnverifiedJwtSvid<'_> {
    /// Leaves the token out: it is a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnverifiedJwtSvid").field(&self.token).finish()
    }
}

impl<'a> UnverifiedJwtSvid<'a> {
    /// Reads a token without checking its signature, its times or whom it is for.
    ///
    /// # Errors
    ///
    /// When it is not in the form of a JWT-SVID, or longer than [`MAX_TOKEN_BYTES`](crate::token_svid::MAX_TOKEN_BYTES).
    pub fn parse(token: &'a str) -> Result<Self, JwtSvidError> {
        let token = Unverified::parse(token, &JWT_SVID)?;
        let claims = PresentedClaims::new(token.claims.clone())?;
        Ok(Self { token, claims })
    }

    /// Returns the claims, which nobody has vouched for.
    #[must_use]
    pub fn claims(&self) -> &PresentedClaims {
        &self.claims
    }

    /// Returns whose bundle it must be verified with: that of its subject's trust domain, and no other.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.claims.subject().trust_domain()
    }

    /// Verifies it by the bundle of its subject's trust domain.
    ///
    /// # Errors
    ///
    /// When it does not prove its subject to this audience now.
    pub fn verify(self, bundle: &TrustBundle, expected: &Expectation<'_>) -> Result<VerifiedJwtSvid, JwtSvidError> {
        let key = self.token.key(bundle)?;
        self.token.check_times(expected.now, expected.leeway)?;
        self.check_issued(expected)?;
        self.check_audience(expected.audience)?;
        self.token.check_signature(key, bundle)?;
        Ok(VerifiedJwtSvid { claims: self.claims })
    }

    fn check_issued(&self, expected: &Expectation<'_>) -> Result<(), JwtSvidError> {
        let Expectation { now, leeway, .. } = *expected;
        match self.claims.issued_at().filter(|issued_at| *issued_at > now + leeway) {
            Some(issued_at) => Err(JwtSvidError::IssuedInTheFuture {
                subject: self.claims.subject().clone(),
                issued_at,
                now,
            }),
            None => Ok(()),
        }
    }

    fn check_audience(&self, expected: &str) -> Result<(), JwtSvidError> {
        let presented = self.claims.audience();
        if presented.iter().any(|value| value == expected) {
            return Ok(());
        }
        Err(JwtSvidError::AudienceOther {
            expected: Excerpt::of(expected),
            presented: presented.iter().take(AUDIENCES_SHOWN).map(|value| Excerpt::of(value)).collect(),
        })
    }
}

/// The claims of a token that was verified for one audience at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedJwtSvid {
    claims: PresentedClaims,
}

impl VerifiedJwtSvid {
    /// Returns who presented it.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.claims.subject()
    }

    /// Returns what it says.
    #[must_use]
    pub fn claims(&self) -> &PresentedClaims {
        &self.claims
    }
}

/// Verifies a token by the bundle that `bundle_of` finds for its subject's trust domain.
///
/// # Errors
///
/// When it does not prove its subject to this audience now, or there is no such bundle.
pub fn verify_jwt_svid<B>(token: &str, bundle_of: impl FnOnce(&TrustDomain) -> Option<B>, expected: &Expectation<'_>) -> Result<VerifiedJwtSvid, JwtSvidError>
where
    B: Deref<Target = TrustBundle>,
{
    let unverified = UnverifiedJwtSvid::parse(token)?;
    let trust_domain = unverified.trust_domain();
    match bundle_of(&trust_domain) {
        Some(bundle) => unverified.verify(&bundle, expected),
        None => Err(TokenSvidError::NoBundle { trust_domain }.into()),
    }
}
