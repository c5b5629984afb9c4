//! JWT-SVIDs that the Workload API delivered, read and checked as a validator would.

use std::collections::HashMap;

use agent::workload_api::messages::Jwtsvid;
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::token_svid::DEFAULT_LEEWAY;
use trust_domains::wire::tokens::TokenText;
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

use super::error::InvalidMessage;

/// A token of an identity, verified.
#[derive(Debug, Clone)]
pub struct HeldToken {
    spiffe_id: SpiffeId,
    token: TokenText,
    expires_at: Timestamp,
    hint: Option<String>,
}

impl HeldToken {
    /// Reads a token, and verifies it for each audience that was asked for.
    pub(super) fn read(message: Jwtsvid, bundles: &HashMap<TrustDomain, TrustBundle>, audience: &[String], now: Timestamp) -> Result<Self, InvalidMessage> {
        let token = TokenText::from(message.svid);
        let mut verified = None;
        for audience in audience {
            let expected = Expectation {
                audience,
                now,
                leeway: DEFAULT_LEEWAY,
            };
            verified = Some(verify_jwt_svid(token.as_str(), |trust_domain| bundles.get(trust_domain), &expected)?);
        }
        let verified = verified.ok_or(InvalidMessage::NoAudience)?;
        if verified.spiffe_id().as_str() != message.spiffe_id {
            return Err(InvalidMessage::IdDiffers {
                said: message.spiffe_id,
                shown: verified.spiffe_id().clone(),
            });
        }
        Ok(Self {
            spiffe_id: verified.spiffe_id().clone(),
            expires_at: verified.claims().expires_at(),
            token,
            hint: Some(message.hint).filter(|hint| !hint.is_empty()),
        })
    }

    /// Returns whose token it is.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the token: a secret until it ends.
    #[must_use]
    pub fn token(&self) -> &TokenText {
        &self.token
    }

    /// Returns when it ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns what an operator calls this identity, to tell it from the others of the process.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
