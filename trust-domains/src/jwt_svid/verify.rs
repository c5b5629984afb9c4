//! Reading and verifying a JWT-SVID, in the order of JWT-SVID section 4: the header first, the costly signature last.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use super::compact::Compact;
use super::error::{Excerpt, JwtSvidError};
use super::header::Header;
use super::presented::PresentedClaims;
use crate::bundle::{PublicJwk, TrustBundle};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// The longest token that is read: several times what fits into an HTTP header, where tokens travel. Checked before anything is decoded.
pub const MAX_JWT_SVID_BYTES: usize = 64 * 1024;

/// How far clocks may differ when nothing else is said: machines with NTP differ by far less, and a token of five minutes lives a tenth longer at most.
pub const DEFAULT_JWT_LEEWAY: Duration = Duration::from_secs(30);

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
    compact: Compact<'a>,
    header: Header,
    claims: PresentedClaims,
}

impl fmt::Debug for UnverifiedJwtSvid<'_> {
    /// Leaves the token out: it is a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJwtSvid")
            .field("header", &self.header)
            .field("subject", self.claims.subject())
            .finish_non_exhaustive()
    }
}

impl<'a> UnverifiedJwtSvid<'a> {
    /// Reads a token without checking its signature, its times or whom it is for.
    ///
    /// # Errors
    ///
    /// When it is not in the form of a JWT-SVID.
    pub fn parse(token: &'a str) -> Result<Self, JwtSvidError> {
        if token.len() > MAX_JWT_SVID_BYTES {
            return Err(JwtSvidError::TooLong {
                limit: MAX_JWT_SVID_BYTES,
                actual: token.len(),
            });
        }
        let compact = Compact::split(token)?;
        let header = Header::read(&compact.header()?)?;
        let claims = PresentedClaims::read(&compact.payload()?)?;
        Ok(Self { compact, header, claims })
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
        let key = self.key(bundle)?;
        self.check_times(expected)?;
        self.check_audience(expected.audience)?;
        let signature = self.compact.signature()?;
        if !self.header.algorithm.accepts(key, self.compact.signed.as_bytes(), &signature) {
            return Err(JwtSvidError::SignatureInvalid {
                key_id: Excerpt::of(&self.header.key_id),
                trust_domain: bundle.trust_domain().clone(),
            });
        }
        Ok(VerifiedJwtSvid { claims: self.claims })
    }

    /// Returns the key that the header names: one for JWT-SVIDs (JWT-15) and for the algorithm, whatever else the bundle holds.
    fn key<'b>(&self, bundle: &'b TrustBundle) -> Result<&'b PublicJwk, JwtSvidError> {
        if !self.claims.subject().is_member_of(bundle.trust_domain()) {
            return Err(JwtSvidError::WrongTrustDomain {
                bundle: bundle.trust_domain().clone(),
                subject: self.claims.subject().clone(),
            });
        }
        let key_id = self.header.key_id.as_str();
        let key = bundle.jwt_authorities().iter().find(|key| key.key_id() == Some(key_id));
        let key = key.ok_or_else(|| JwtSvidError::KeyUnknown {
            key_id: Excerpt::of(key_id),
            trust_domain: bundle.trust_domain().clone(),
        })?;
        if !self.header.algorithm.fits(key) {
            return Err(JwtSvidError::KeyMismatch {
                key_id: Excerpt::of(key_id),
                trust_domain: bundle.trust_domain().clone(),
                algorithm: self.header.algorithm,
            });
        }
        Ok(key)
    }

    fn check_times(&self, expected: &Expectation<'_>) -> Result<(), JwtSvidError> {
        let Expectation { now, leeway, .. } = *expected;
        let subject = || self.claims.subject().clone();
        if now >= self.claims.expires_at() + leeway {
            return Err(JwtSvidError::Expired {
                subject: subject(),
                expired_at: self.claims.expires_at(),
                now,
            });
        }
        let latest = now + leeway;
        if let Some(not_before) = self.claims.not_before().filter(|not_before| *not_before > latest) {
            return Err(JwtSvidError::NotYetValid {
                subject: subject(),
                not_before,
                now,
            });
        }
        if let Some(issued_at) = self.claims.issued_at().filter(|issued_at| *issued_at > latest) {
            return Err(JwtSvidError::IssuedInTheFuture {
                subject: subject(),
                issued_at,
                now,
            });
        }
        Ok(())
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
        None => Err(JwtSvidError::NoBundle { trust_domain }),
    }
}
