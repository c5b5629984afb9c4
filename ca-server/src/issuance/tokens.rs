//! Issuing JWT-SVIDs: the same numbered order as for certificates, in `docs/issuance.md`.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::jwt_svid::{Audience, Claims, ExtraClaims};
use trust_domains::plan::validity::Validity;
use trust_domains::problem::Problem;
use trust_domains::token_svid::TokenId;
use trust_domains::wire::node::MAX_ISSUE_BATCH;
use trust_domains::wire::tokens::{IssueTokensResponse, IssuedToken, JwtRequest, TokenResult};
use trust_domains::{SpiffeId, Timestamp};

use super::authorize::{self, Judge, TokenGrant};
use super::caller::AuthenticatedCaller;
use super::error::{IssueError, PrepareError, RequestRefused};
use super::service::{Issuance, breathe};
use super::stages::Cause;
use super::token_stages::{PreparedToken, SignedToken, record, record_one};
use crate::authority::TokenKey;
use crate::decisions;

/// A JWT-SVID that an operator asks for, beside entries and nodes.
#[derive(Debug)]
pub struct Mint {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Whom the token is for.
    pub audience: Vec<String>,
    /// Its life.
    pub ttl: Duration,
    /// Whether it says from when on it is good.
    pub nbf: bool,
}

/// What a token shall say, once steps 1 and 2 granted it.
struct Granted {
    sub: SpiffeId,
    aud: Audience,
    ttl: Duration,
    ends_with: Option<Timestamp>,
    nbf: bool,
    extra: ExtraClaims,
}

impl Issuance {
    /// Issues the JWT-SVIDs of a batch. A refused request is refused alone: its answer carries the reason.
    ///
    /// # Errors
    /// When the whole batch is refused: the node may not ask, the batch is too large, or nothing can be recorded or signed now.
    pub async fn issue_tokens(&self, caller: &dyn AuthenticatedCaller, trace_id: &str, requests: Vec<JwtRequest>) -> Result<IssueTokensResponse, IssueError> {
        if requests.len() > MAX_ISSUE_BATCH {
            return Err(IssueError::BatchTooLarge {
                limit: MAX_ISSUE_BATCH,
                actual: requests.len(),
            });
        }
        // 1. Authenticate: a `caller` exists only for a connection whose node SVID and key were proved.
        let now = self.clock.now();
        // 2. Authorize: the server itself, then the node as its record is now, then each request by the entry as it is now.
        let key = self.authorities.jwt_key(now)?;
        let node = authorize::node(self.entries.as_ref(), caller, now.wall)?;
        let judge = Judge::new(self.entries.as_ref(), &self.authorities, self.policy.max_class, &node, now.wall, 0);
        // 3. Prepare: life, id, claims. From here on nothing is refused for what was asked.
        let (mut results, mut granted, mut prepared) = (Vec::with_capacity(requests.len()), Vec::new(), Vec::new());
        for (position, request) in requests.iter().enumerate() {
            match self.prepare_request_for_token(&judge, &key, request, trace_id) {
                Ok((token, grant)) => {
                    prepared.push(token);
                    granted.push((position, grant));
                }
                Err(refused) => results.push((
                    position,
                    TokenResult::Refused {
                        entry_id: request.entry_id.clone(),
                        problem: Problem::of(&refused),
                    },
                )),
            }
            breathe(position).await;
        }
        // 4. Record: one durable append for the batch; without it nothing below happens.
        let recorded = record(self.recorder.as_ref(), prepared).await.map_err(IssueError::Journal)?;
        // 5. Sign: only what was recorded can be.
        let mut signed = Vec::with_capacity(recorded.len());
        for (position, token) in recorded.into_iter().enumerate() {
            signed.push(token.sign()?);
            breathe(position).await;
        }
        // 6. Answer, in the order of the requests.
        let waited = self.clock.now().since_boot.saturating_sub(now.since_boot);
        results.extend(
            granted
                .into_iter()
                .zip(signed)
                .map(|((position, grant), token)| (position, answer(&grant, token, waited))),
        );
        results.sort_by_key(|(position, _)| *position);
        Ok(IssueTokensResponse {
            results: results.into_iter().map(|(_, result)| result).collect(),
        })
    }

    /// Steps 2 and 3 for one token of a batch.
    fn prepare_request_for_token(
        &self,
        judge: &Judge<'_>,
        key: &Arc<TokenKey>,
        request: &JwtRequest,
        trace_id: &str,
    ) -> Result<(PreparedToken, TokenGrant), RequestRefused> {
        let grant = judge.judge_token(request, &self.policy.jwt_claims)?;
        let (entry, node) = (&grant.entry, judge.node.spiffe_id());
        let cause = Cause {
            entry: Some(entry.id().clone()),
            node: Some(node.clone()),
            actor: node.as_str().to_owned(),
            trace_id: trace_id.to_owned(),
        };
        let granted = Granted {
            sub: entry.spiffe_id().clone(),
            aud: grant.audience.clone(),
            ttl: entry.jwt_ttl(),
            ends_with: entry.expires_at(),
            nbf: false,
            extra: entry.claims().clone(),
        };
        let token = self.prepare_token(key, judge.now, granted, cause)?;
        Ok((token, grant))
    }

    /// Step 3 for one token. It ends with its entry, and never outlives its key: it is refused rather than clipped for that.
    fn prepare_token(&self, key: &Arc<TokenKey>, now: Timestamp, granted: Granted, cause: Cause) -> Result<PreparedToken, PrepareError> {
        let Granted {
            sub,
            aud,
            ttl,
            ends_with,
            nbf,
            extra,
        } = granted;
        let validity = Validity::plan(now, ttl, key.not_after(), ends_with, self.policy.skew)?;
        let jti = TokenId::new(platform::random::array().map_err(|_| PrepareError::Random)?);
        let claims = Claims {
            sub,
            aud,
            validity,
            nbf,
            jti,
            iss: self.policy.jwt_issuer.clone(),
            extra,
        };
        PreparedToken::new(Arc::clone(key), &claims, cause)
    }

    /// Issues a JWT-SVID to an operator. No entry is needed, and none is touched; the journal names who asked.
    ///
    /// # Errors
    /// When the identity is not one that this trust domain gives to workloads, the life is longer than that of the longest class, the audience is not
    /// acceptable, or nothing can be recorded or signed now.
    pub async fn mint_token(&self, mint: Mint, cause: decisions::Cause) -> Result<SignedToken, IssueError> {
        // 1. Authenticate: the caller made a `cause` of the socket's peer.
        // 2. Authorize
        let now = self.clock.now();
        let key = self.authorities.jwt_key(now)?;
        authorize::workload_id(&mint.spiffe_id, self.authorities.trust_domain())?;
        let class = self.policy.max_class;
        if mint.ttl > class.longest_life() {
            return Err(RequestRefused::TtlExceedsClass { ttl: mint.ttl, class }.into());
        }
        let granted = Granted {
            sub: mint.spiffe_id,
            aud: Audience::new(mint.audience).map_err(RequestRefused::Audience)?,
            ttl: mint.ttl,
            ends_with: None,
            nbf: mint.nbf,
            extra: ExtraClaims::default(),
        };
        // 3. Prepare
        let cause = Cause {
            entry: None,
            node: None,
            actor: cause.actor,
            trace_id: cause.trace_id,
        };
        let prepared = self.prepare_token(&key, now.wall, granted, cause).map_err(RequestRefused::Prepare)?;
        // 4. Record
        let recorded = record_one(self.recorder.as_ref(), prepared).await.map_err(IssueError::Journal)?;
        // 5. Sign
        let signed = recorded.sign()?;
        // 6. Answer
        Ok(signed)
    }
}

/// The answer for one token; its seconds left are counted from now on, `waited` after the moment of issue.
fn answer(grant: &TokenGrant, token: SignedToken, waited: Duration) -> TokenResult {
    TokenResult::Issued(IssuedToken {
        entry_id: grant.entry.id().clone(),
        entry_revision: grant.revision,
        expires_in_s: token.issued_at.duration_until(token.expires_at).saturating_sub(waited).as_secs(),
        token: token.text,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
    })
}
