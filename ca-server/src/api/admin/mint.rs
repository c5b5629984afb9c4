//! Tokens for operators.

use std::time::Duration;

use axum::extract::State;
use platform::trace::{ApiError, ApiJson};
use trust_domains::SpiffeId;
use trust_domains::problem::Coded as _;
use trust_domains::wire::admin::{MintJwtRequest, MintedToken};

use super::Api;
use super::caller::Operator;
use crate::issuance::Mint;

/// The life of a token that no entry speaks of: that of the entries' own tokens.
const DEFAULT_TTL: Duration = Duration::from_secs(300);

pub(super) async fn jwt(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<MintJwtRequest>) -> Result<ApiJson<MintedToken>, ApiError> {
    let mint = Mint {
        spiffe_id: SpiffeId::expand(&api.trust_domain, &request.spiffe_id)?,
        audience: request.audience,
        ttl: request.ttl_s.map_or(DEFAULT_TTL, Duration::from_secs),
        nbf: request.not_before,
    };
    let outcome = api.issuance.mint_token(mint, cause).await;
    let minted = outcome.inspect_err(|error| api.metrics.refused("mint_jwt", error.code()))?;
    api.metrics.tokens_issued(1);
    Ok(ApiJson(MintedToken {
        spiffe_id: minted.spiffe_id,
        jti: minted.jti,
        token: minted.text,
        issued_at: minted.issued_at,
        expires_at: minted.expires_at,
    }))
}
