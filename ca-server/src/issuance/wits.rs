//! Issuing WIT-SVIDs: the same numbered order as for certificates, in `docs/issuance.md`. Each is bound to a key whose possession is proved here.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::plan::validity::Validity;
use trust_domains::problem::Problem;
use trust_domains::public_key::{PublicKey, SignatureInvalid};
use trust_domains::token_svid::TokenId;
use trust_domains::wire::admin::{WIT_CHALLENGE_LEN, WitChallenge, mint_wit_possession_message};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::EXPORTER_LEN;
use trust_domains::wire::tokens::{IssueTokensResponse, TokenResult, WitRequest};
use trust_domains::wit_svid::WitClaims;
use trust_domains::{EntryId, Reading, SpiffeId, Timestamp};

use super::authorize::{self, EntryGrant, Judge};
use super::batch::{Kind, Moment, cause};
use super::caller::AuthenticatedCaller;
use super::challenges;
use super::error::{IssueError, KeyRefused, PrepareError, RequestRefused};
use super::recorded::record_one;
use super::service::Issuance;
use super::stages::Cause;
use super::token_stages::{PreparedToken, SignedToken};
use super::tokens::token_issued;
use crate::authority::{Authorities, IssuerUnavailable, TokenKey};
use crate::decisions;

/// A WIT-SVID that an operator asks for, beside entries and nodes.
#[derive(Debug)]
pub struct MintWit {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The identity as the request has it: what the proof names.
    pub asked_for: String,
    /// The key, as a DER SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// The server's challenge.
    pub challenge: Vec<u8>,
    /// The signature of the key.
    pub proof: Vec<u8>,
    /// Its life.
    pub ttl: Duration,
}

/// What a token shall say, once steps 1 and 2 granted it.
struct Granted {
    sub: SpiffeId,
    key: PublicKey,
    ttl: Duration,
    ends_with: Option<Timestamp>,
}

impl Issuance {
    /// Issues the WIT-SVIDs of a batch. A refused request is refused alone: its answer carries the reason.
    ///
    /// # Errors
    /// When the whole batch is refused: none are issued here, the node may not ask, the batch is too large, or nothing can be recorded or signed now.
    pub async fn issue_wits(
        &self,
        caller: &dyn AuthenticatedCaller,
        exporter: &[u8; EXPORTER_LEN],
        trace_id: &str,
        requests: Vec<WitRequest>,
    ) -> Result<IssueTokensResponse, IssueError> {
        let answered = self.issue(&WitSvids { exporter }, caller, trace_id, &requests).await?;
        Ok(IssueTokensResponse { results: answered.answers })
    }

    /// Step 3 for one token. It ends with its entry, and never outlives its key: it is refused rather than clipped for that.
    fn prepare_wit(&self, key: &Arc<TokenKey>, now: Timestamp, granted: Granted, cause: Cause) -> Result<PreparedToken, PrepareError> {
        let validity = Validity::plan(now, granted.ttl, key.not_after(), granted.ends_with, self.policy.skew)?;
        let jti = TokenId::new(platform::random::array().map_err(|_| PrepareError::Random)?);
        let claims = WitClaims {
            sub: granted.sub,
            validity,
            jti,
            key: granted.key,
        };
        PreparedToken::wit(Arc::clone(key), &claims, cause)
    }

    /// Gives an operator the challenge that the proof for [`mint_wit`](Self::mint_wit) is made for.
    ///
    /// # Errors
    /// When no WIT-SVID can be signed now.
    pub fn wit_challenge(&self) -> Result<WitChallenge, IssueError> {
        let now = self.clock.now();
        self.authorities.wit_key(now)?;
        let challenge: [u8; WIT_CHALLENGE_LEN] = self.challenges.give(now).map_err(RequestRefused::Prepare)?;
        Ok(WitChallenge {
            challenge: Base64(challenge.to_vec()),
            expires_in_s: challenges::LIFE.as_secs(),
        })
    }

    /// Issues a WIT-SVID to an operator. No entry is needed, and none is touched; the journal names who asked.
    ///
    /// # Errors
    /// When none are issued here, possession of the key is not proved, the identity is not one that this trust domain gives to workloads, the life is
    /// longer than that of the longest class, or nothing can be recorded or signed now.
    pub async fn mint_wit(&self, mint: MintWit, cause: decisions::Cause) -> Result<SignedToken, IssueError> {
        // 1. Authenticate: the caller made a `cause` of the socket's peer.
        // 2. Authorize
        let now = self.clock.now();
        let key = self.authorities.wit_key(now)?;
        let holder = self.holder(&mint, now)?;
        authorize::workload_id(&mint.spiffe_id, self.authorities.trust_domain())?;
        let class = self.policy.max_class;
        if mint.ttl > class.longest_life() {
            return Err(RequestRefused::TtlExceedsClass { ttl: mint.ttl, class }.into());
        }
        let granted = Granted {
            sub: mint.spiffe_id,
            key: holder,
            ttl: mint.ttl,
            ends_with: None,
        };
        // 3. Prepare
        let cause = Cause {
            entry: None,
            node: None,
            actor: cause.actor,
            trace_id: cause.trace_id,
        };
        let prepared = self.prepare_wit(&key, now.wall, granted, cause).map_err(RequestRefused::Prepare)?;
        // 4. Record
        let recorded = record_one(self.recorder.as_ref(), prepared).await.map_err(IssueError::Journal)?;
        // 5. Sign
        let signed = recorded.sign().await?;
        // 6. Answer
        Ok(signed)
    }

    /// Returns the key of an operator's request, once its possession is proved. A challenge is used up by the attempt.
    fn holder(&self, mint: &MintWit, now: Reading) -> Result<PublicKey, RequestRefused> {
        let challenge = self.challenges.take(&mint.challenge, now).ok_or(RequestRefused::ChallengeUnknown)?;
        let key = PublicKey::from_spki(&mint.public_key).map_err(|_| KeyRefused::Unreadable)?;
        if self.authorities.owns_key(&key.hash()) {
            return Err(KeyRefused::OfAuthority.into());
        }
        let message = mint_wit_possession_message(&challenge, key.spki(), &mint.asked_for);
        key.verify(&message, &mint.proof)
            .map_err(|SignatureInvalid| RequestRefused::PossessionUnproved)?;
        Ok(key)
    }
}

/// WIT-SVIDs for entries, asked for over the connection with this exporter.
struct WitSvids<'a> {
    exporter: &'a [u8; EXPORTER_LEN],
}

impl Kind for WitSvids<'_> {
    type Request = WitRequest;
    type Authority = TokenKey;
    type Prepared = PreparedToken;
    type Answer = TokenResult;

    /// About 0.4 ms of one core: each proof is verified.
    fn slice(_key: &TokenKey) -> usize {
        4
    }

    fn authority(&self, authorities: &Authorities, now: Reading) -> Result<Arc<TokenKey>, IssuerUnavailable> {
        authorities.wit_key(now)
    }

    fn entry_id(request: &WitRequest) -> &EntryId {
        &request.entry_id
    }

    fn prepare(
        &self,
        issuance: &Issuance,
        judge: &mut Judge<'_>,
        key: &Arc<TokenKey>,
        request: &WitRequest,
    ) -> Result<(PreparedToken, EntryGrant), RequestRefused> {
        let (grant, holder) = judge.judge_wit(request, self.exporter)?;
        let granted = Granted {
            sub: grant.entry.spiffe_id().clone(),
            key: holder,
            // The life of a certificate: like one it is bound to a key, and renewed ahead.
            ttl: grant.entry.x509_ttl(),
            ends_with: grant.entry.expires_at(),
        };
        let token = issuance.prepare_wit(key, judge.now, granted, cause(judge, &grant))?;
        Ok((token, grant))
    }

    fn issued(grant: EntryGrant, token: SignedToken, moment: Moment) -> TokenResult {
        token_issued(&grant, token, moment)
    }

    fn refused(entry_id: EntryId, problem: Problem) -> TokenResult {
        TokenResult::Refused { entry_id, problem }
    }
}
