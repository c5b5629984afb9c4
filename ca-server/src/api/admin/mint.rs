//! Tokens for operators.

use std::time::Duration;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::SpiffeId;
use trust_domains::problem::Coded as _;
use trust_domains::wire::admin::{MintJwtRequest, MintWitRequest, MintedToken, WitChallenge};

use super::Api;
use super::caller::Operator;
use crate::issuance::token_stages::SignedToken;
use crate::issuance::{Mint, MintWit};

/// The life of a JWT-SVID that no entry speaks of: that of the entries' own tokens.
const DEFAULT_JWT_TTL: Duration = Duration::from_secs(300);

/// The life of a WIT-SVID that no entry speaks of: it is bound to a key, and an operator's errand takes its time.
const DEFAULT_WIT_TTL: Duration = Duration::from_secs(60 * 60);

pub(super) async fn jwt(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<MintJwtRequest>) -> Result<ApiJson<MintedToken>, ApiError> {
    let mint = Mint {
        spiffe_id: SpiffeId::expand(&api.trust_domain, &request.spiffe_id)?,
        audience: request.audience,
        ttl: request.ttl_s.map_or(DEFAULT_JWT_TTL, Duration::from_secs),
        nbf: request.not_before,
    };
    let outcome = api.issuance.mint_token(mint, cause).await;
    let signed = outcome.inspect_err(|error| api.metrics.refused("mint_jwt", error.code()))?;
    api.metrics.jwts_issued(1);
    Ok(ApiJson(minted(signed)))
}

pub(super) async fn wit_challenge(State(api): Api, Operator(_): Operator) -> Result<ApiJson<WitChallenge>, ApiError> {
    let outcome = api.issuance.wit_challenge();
    Ok(ApiJson(outcome.inspect_err(|error| api.metrics.refused("mint_wit", error.code()))?))
}

pub(super) async fn wit(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<MintWitRequest>) -> Result<ApiJson<MintedToken>, ApiError> {
    let mint = MintWit {
        spiffe_id: SpiffeId::expand(&api.trust_domain, &request.spiffe_id)?,
        asked_for: request.spiffe_id,
        public_key: request.public_key.0,
        challenge: request.challenge.0,
        proof: request.proof.0,
        ttl: request.ttl_s.map_or(DEFAULT_WIT_TTL, Duration::from_secs),
    };
    let outcome = api.issuance.mint_wit(mint, cause).await;
    let signed = outcome.inspect_err(|error| api.metrics.refused("mint_wit", error.code()))?;
    api.metrics.wits_issued(1);
    Ok(ApiJson(minted(signed)))
}

fn minted(signed: SignedToken) -> MintedToken {
    MintedToken {
        spiffe_id: signed.spiffe_id,
        jti: signed.jti,
        token: signed.text,
        issued_at: signed.issued_at,
        expires_at: signed.expires_at,
    }
}
