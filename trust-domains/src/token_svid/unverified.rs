//! A token SVID from its text to a signature that is checked: the steps, for each kind to put in its order.

use std::fmt;
use std::time::Duration;

use super::MAX_TOKEN_BYTES;
use super::claims::SvidClaims;
use super::error::{TokenKind, TokenSvidError};
use crate::bundle::{PublicJwk, TrustBundle};
use crate::jws::{Compact, Excerpt, Header, JwsAlgorithm, JwsError, Types};
use crate::timestamp::Timestamp;

/// What tells a kind of token SVID from the others.
pub(crate) struct Profile {
    pub(crate) kind: TokenKind,
    pub(crate) types: Types,
}

/// A token whose form is right and whose signature nobody has checked.
pub(crate) struct Unverified<'a> {
    pub(crate) claims: SvidClaims,
    profile: &'static Profile,
    compact: Compact<'a>,
    algorithm: JwsAlgorithm,
    key_id: String,
}

impl fmt::Debug for Unverified<'_> {
    /// Leaves the token out: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("kind", &self.profile.kind)
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .field("subject", self.claims.subject())
            .finish_non_exhaustive()
    }
}

impl<'a> Unverified<'a> {
    /// Reads a token: the header first.
    pub(crate) fn parse(token: &'a str, profile: &'static Profile) -> Result<Self, TokenSvidError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenSvidError::Form(JwsError::TooLong {
                limit: MAX_TOKEN_BYTES,
                actual: token.len(),
            }));
        }
        let compact = Compact::split(token)?;
        let Header { algorithm, key_id } = Header::read(&compact.header()?, &profile.types)?;
        let key_id = key_id.ok_or(TokenSvidError::KeyIdMissing)?;
        let claims = SvidClaims::read(&compact.payload()?)?;
        Ok(Self {
            claims,
            profile,
            compact,
            algorithm,
            key_id,
        })
    }

    /// Returns the key that the header names: one for this kind of token (JWT-15, WIT-23) and for the algorithm, whatever else the bundle holds.
    pub(crate) fn key<'b>(&self, bundle: &'b TrustBundle) -> Result<&'b PublicJwk, TokenSvidError> {
        if !self.claims.subject().is_member_of(bundle.trust_domain()) {
            return Err(TokenSvidError::WrongTrustDomain {
                bundle: bundle.trust_domain().clone(),
                subject: self.claims.subject().clone(),
            });
        }
        let keys = match self.profile.kind {
            TokenKind::Jwt => bundle.jwt_authorities(),
            TokenKind::Wit => bundle.wit_authorities(),
        };
        let key = keys.iter().find(|key| key.key_id() == Some(self.key_id.as_str()));
        let key = key.ok_or_else(|| TokenSvidError::KeyUnknown {
            key_id: Excerpt::of(&self.key_id),
            kind: self.profile.kind,
            trust_domain: bundle.trust_domain().clone(),
        })?;
        if !self.algorithm.fits(key) {
            return Err(TokenSvidError::KeyMismatch {
                key_id: Excerpt::of(&self.key_id),
                trust_domain: bundle.trust_domain().clone(),
                algorithm: self.algorithm,
            });
        }
        Ok(key)
    }

    /// Checks the end, and the beginning if there is one. `iat` is none of this.
    pub(crate) fn check_times(&self, now: Timestamp, leeway: Duration) -> Result<(), TokenSvidError> {
        let subject = || self.claims.subject().clone();
        if now >= self.claims.expires_at() + leeway {
            return Err(TokenSvidError::Expired {
                subject: subject(),
                expired_at: self.claims.expires_at(),
                now,
            });
        }
        if let Some(not_before) = self.claims.not_before().filter(|not_before| *not_before > now + leeway) {
            return Err(TokenSvidError::NotYetValid {
                subject: subject(),
                not_before,
                now,
            });
        }
        Ok(())
    }

    /// Checks the signature: the costly part, and so the last.
    pub(crate) fn check_signature(&self, key: &PublicJwk, bundle: &TrustBundle) -> Result<(), TokenSvidError> {
        let signature = self.compact.signature()?;
        if self.algorithm.accepts(key, self.compact.signed.as_bytes(), &signature) {
            return Ok(());
        }
        Err(TokenSvidError::SignatureInvalid {
            key_id: Excerpt::of(&self.key_id),
            trust_domain: bundle.trust_domain().clone(),
        })
    }
}
