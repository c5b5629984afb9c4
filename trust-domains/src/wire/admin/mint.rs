//! Tokens that an operator mints for people and jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;
use crate::wire::encoding::Base64;
use crate::wire::tokens::{TokenText, bound_message};

/// Asks for a JWT-SVID that no node asks for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintJwtRequest {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    pub spiffe_id: String,
    /// Whom the token is for, as in [`JwtRequest`](crate::wire::tokens::JwtRequest).
    pub audience: Vec<String>,
    /// Its life in seconds: at most that of the server's longest class; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// Whether it says from when on it is good (`nbf`).
    #[serde(default)]
    pub not_before: bool,
}

/// The octets of a [`WitChallenge`].
pub const WIT_CHALLENGE_LEN: usize = 32;

/// What the next proof of possession must be made for: good once, and for a minute.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WitChallenge {
    /// [`WIT_CHALLENGE_LEN`] random octets.
    pub challenge: Base64,
    /// Seconds until it is good for nothing.
    pub expires_in_s: u64,
}

/// Asks for a WIT-SVID that no node asks for, for a key that the caller has made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintWitRequest {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    pub spiffe_id: String,
    /// The key that the token will be bound to: a DER SubjectPublicKeyInfo, uncompressed P-256.
    pub public_key: Base64,
    /// The challenge that the server gave for this.
    pub challenge: Base64,
    /// The signature of that key (ECDSA P-256, SHA-256, ASN.1) over [`mint_wit_possession_message`].
    pub proof: Base64,
    /// Its life in seconds: at most that of the server's longest class; 3,600 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// Returns the octets that a key signs to prove that who asks the admin API for a WIT-SVID has it. There is no TLS on that socket, and so no exporter:
/// the server's challenge says that the signature is of now.
#[must_use]
pub fn mint_wit_possession_message(challenge: &[u8; WIT_CHALLENGE_LEN], public_key_spki: &[u8], spiffe_id: &str) -> Vec<u8> {
    bound_message(b"troth-mint-wit-possession", challenge, public_key_spki, spiffe_id.as_bytes())
}

/// A token that an operator minted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MintedToken {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Its own id, by which the journal names it.
    pub jti: TokenId,
    /// The token: a secret, and a JWT-SVID one that whoever has it can use.
    pub token: TokenText,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}
