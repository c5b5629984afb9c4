//! Issuing JWT-SVIDs: the same numbered order as for certificates, in `docs/issuance.md`.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::jws::TokenAlgorithm;
use trust_domains::jwt_svid::{Audience, Claims, ExtraClaims};
use trust_domains::plan::validity::Validity;
use trust_domains::problem::Problem;
use trust_domains::token_svid::TokenId;
use trust_domains::wire::tokens::{IssueTokensResponse, IssuedToken, JwtRequest, TokenResult};
use trust_domains::{EntryId, Reading, SpiffeId, Timestamp};

use super::authorize::{self, EntryGrant, Judge};
use super::batch::{Kind, Moment, cause};
use super::caller::AuthenticatedCaller;
use super::error::{IssueError, PrepareError, RequestRefused};
use super::recorded::record_one;
use super::service::Issuance;
use super::stages::Cause;
use super::token_stages::{PreparedToken, SignedToken};
use crate::authority::{Authorities, IssuerUnavailable, TokenKey};
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
        let answered = self.issue(&JwtSvids, caller, trace_id, &requests).await?;
        Ok(IssueTokensResponse { results: answered.answers })
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
        PreparedToken::jwt(Arc::clone(key), &claims, cause)
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
        let signed = recorded.sign().await?;
        // 6. Answer
        Ok(signed)
    }
}

/// JWT-SVIDs for entries.
struct JwtSvids;

impl Kind for JwtSvids {
    type Request = JwtRequest;
    type Authority = TokenKey;
    type Prepared = PreparedToken;
    type Answer = TokenResult;

    /// About 0.3 ms of one core; an RS256 signature alone takes more.
    fn slice(key: &TokenKey) -> usize {
        match key.algorithm() {
            TokenAlgorithm::Es256 => 16,
            TokenAlgorithm::Rs256 => 1,
        }
    }

    fn authority(&self, authorities: &Authorities, now: Reading) -> Result<Arc<TokenKey>, IssuerUnavailable> {
        authorities.jwt_key(now)
    }

    fn entry_id(request: &JwtRequest) -> &EntryId {
        &request.entry_id
    }

    fn prepare(
        &self,
        issuance: &Issuance,
        judge: &mut Judge<'_>,
        key: &Arc<TokenKey>,
        request: &JwtRequest,
    ) -> Result<(PreparedToken, EntryGrant), RequestRefused> {
        let (grant, audience) = judge.judge_token(request, &issuance.policy.jwt_claims)?;
        let entry = &grant.entry;
        let granted = Granted {
            sub: entry.spiffe_id().clone(),
            aud: audience,
            ttl: entry.jwt_ttl(),
            ends_with: entry.expires_at(),
            nbf: false,
            extra: entry.claims().clone(),
        };
        let token = issuance.prepare_token(key, judge.now, granted, cause(judge, &grant))?;
        Ok((token, grant))
    }

    fn issued(grant: EntryGrant, token: SignedToken, moment: Moment) -> TokenResult {
        token_issued(&grant, token, moment)
    }

    fn refused(entry_id: EntryId, problem: Problem) -> TokenResult {
        TokenResult::Refused { entry_id, problem }
    }
}

/// The answer for one token.
pub(super) fn token_issued(grant: &EntryGrant, token: SignedToken, moment: Moment) -> TokenResult {
    TokenResult::Issued(IssuedToken {
        entry_id: grant.entry.id().clone(),
        entry_revision: grant.revision,
        expires_in_s: moment.left_until(token.expires_at),
        token: token.text,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
    })
}
