//! The stages of a token as types: prepared here, recorded in [`recorded`](super::recorded), and signed here; as those of a certificate.

use std::sync::Arc;

use trust_domains::jws::SigningInput;
use trust_domains::jwt_svid::Claims;
use trust_domains::plan::validity::Validity;
use trust_domains::public_key::KeyHash;
use trust_domains::token_svid::{TokenId, TokenKind};
use trust_domains::wire::audit::{AuditEvent, TokenIssuance};
use trust_domains::wire::tokens::TokenText;
use trust_domains::wit_svid::WitClaims;
use trust_domains::{SpiffeId, Timestamp};

use super::error::{PrepareError, SignError};
use super::recorded::{Permit, Prepared};
use super::stages::Cause;
use crate::authority::{KeyPlace, TokenKey};

/// A token that is complete but for its signature, and not yet in the journal.
#[derive(Debug)]
pub struct PreparedToken {
    to_be_signed: SigningInput,
    issued_at: Timestamp,
    key: Arc<TokenKey>,
    record: TokenIssuance,
}

/// What a token says, as far as its record says it too.
struct Said {
    kind: TokenKind,
    jti: TokenId,
    spiffe_id: SpiffeId,
    validity: Validity,
    audience: Vec<String>,
    bound_to: Option<KeyHash>,
}

impl PreparedToken {
    /// Writes a JWT-SVID that will be recorded and signed. The key is not touched.
    ///
    /// # Errors
    /// When the token would be good when its key is not.
    pub(crate) fn jwt(key: Arc<TokenKey>, claims: &Claims, cause: Cause) -> Result<Self, PrepareError> {
        let to_be_signed = claims.signing_input(key.algorithm(), key.id());
        let said = Said {
            kind: TokenKind::Jwt,
            jti: claims.jti,
            spiffe_id: claims.sub.clone(),
            validity: claims.validity,
            audience: claims.aud.values().to_vec(),
            bound_to: None,
        };
        Self::new(key, to_be_signed, said, cause)
    }

    /// Writes a WIT-SVID that will be recorded and signed. The key is not touched.
    ///
    /// # Errors
    /// When the token would be good when its key is not.
    pub(crate) fn wit(key: Arc<TokenKey>, claims: &WitClaims, cause: Cause) -> Result<Self, PrepareError> {
        let to_be_signed = claims.signing_input(key.algorithm(), key.id());
        let said = Said {
            kind: TokenKind::Wit,
            jti: claims.jti,
            spiffe_id: claims.sub.clone(),
            validity: claims.validity,
            audience: Vec::new(),
            bound_to: Some(claims.key.hash()),
        };
        Self::new(key, to_be_signed, said, cause)
    }

    fn new(key: Arc<TokenKey>, to_be_signed: SigningInput, said: Said, cause: Cause) -> Result<Self, PrepareError> {
        let (issued_at, not_after) = (said.validity.issued_at(), said.validity.not_after());
        if not_after > key.not_after() || issued_at < key.not_before() {
            return Err(PrepareError::OutlivesIssuer {
                issuer_not_after: key.not_after(),
                not_after,
            });
        }
        let record = TokenIssuance {
            kind: said.kind,
            jti: said.jti,
            spiffe_id: said.spiffe_id,
            audience: said.audience,
            key: said.bound_to,
            entry: cause.entry,
            node: cause.node,
            issuer: key.id().to_string(),
            not_after,
            actor: cause.actor,
            trace_id: cause.trace_id,
        };
        Ok(Self {
            to_be_signed,
            issued_at,
            key,
            record,
        })
    }
}

impl Prepared for PreparedToken {
    type Signed = SignedToken;

    fn event(&self) -> AuditEvent {
        AuditEvent::TokenIssued(self.record.clone())
    }

    fn key_place(&self) -> KeyPlace {
        self.key.place()
    }

    fn key_name(&self) -> String {
        self.key.id().to_string()
    }

    /// Signs the token with its key.
    fn sign(self, _permit: Permit) -> Result<SignedToken, SignError> {
        let Self {
            to_be_signed,
            issued_at,
            key,
            record,
        } = self;
        let signature = key.sign(to_be_signed.as_bytes()).map_err(|source| SignError {
            issuer: key.id().to_string(),
            source,
        })?;
        Ok(SignedToken {
            text: to_be_signed.signed(signature),
            jti: record.jti,
            spiffe_id: record.spiffe_id,
            issued_at,
            expires_at: record.not_after,
        })
    }
}

/// A token that is recorded and signed.
#[derive(Debug)]
pub struct SignedToken {
    /// The token: a secret.
    pub text: TokenText,
    /// Its own id.
    pub jti: TokenId,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}
