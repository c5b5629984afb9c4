//! The one place where certificates are issued, in the numbered order of `docs/issuance.md`.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::class::CredentialClass;
use trust_domains::clock::SharedClock;
use trust_domains::entry::CertificateNames;
use trust_domains::jwt_svid::{ClaimNames, IssuerUrl};
use trust_domains::problem::Problem;
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResponse, IssueResult, IssuedLeaf, KeyRequest};
use trust_domains::{EntryId, Reading, SpiffeId};

use super::authorize::{EntryGrant, Judge};
use super::batch::{Kind, Moment, cause};
use super::caller::{AuthenticatedCaller, EntryLookup};
use super::challenges::Challenges;
use super::error::{IssueError, KeyRefused, RequestRefused};
use super::prepare::{Leaf, prepare};
use super::recorded::record_one;
use super::recorder::Recorder;
use super::stages::{Cause, PreparedCertificate, SignedCertificate};
use super::svid::{IssuedSvid, PreparedSvid};
use crate::authority::{Authorities, Issuer, IssuerUnavailable};

/// How long certificates may live here, and what tokens may say.
#[derive(Debug, Clone)]
pub struct IssuancePolicy {
    /// The life of a node SVID.
    pub node_ttl: Duration,
    /// The life of the server's own SVID.
    pub server_ttl: Duration,
    /// The longest class that an entry may have.
    pub max_class: CredentialClass,
    /// How far a verifier's clock may be behind: NotBefore lies this much back.
    pub skew: Duration,
    /// The issuer that tokens name.
    pub jwt_issuer: Option<IssuerUrl>,
    /// The claims that entries may have beside those of the standard.
    pub jwt_claims: ClaimNames,
}

/// Issues certificates and tokens.
pub struct Issuance {
    pub(super) authorities: Arc<Authorities>,
    pub(super) entries: Arc<dyn EntryLookup>,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) clock: SharedClock,
    pub(super) policy: IssuancePolicy,
    pub(super) challenges: Challenges,
}

impl Issuance {
    /// Returns the issuance of this server.
    #[must_use]
    pub fn new(authorities: Arc<Authorities>, entries: Arc<dyn EntryLookup>, recorder: Arc<dyn Recorder>, clock: SharedClock, policy: IssuancePolicy) -> Self {
        Self {
            authorities,
            entries,
            recorder,
            clock,
            policy,
            challenges: Challenges::default(),
        }
    }

    /// Certifies the keys of a batch. A refused key is refused alone: its answer carries the reason.
    ///
    /// # Errors
    /// When the whole batch is refused: the node may not ask, the batch is too large, or nothing can be recorded or signed now.
    pub async fn issue_batch(&self, caller: &dyn AuthenticatedCaller, trace_id: &str, requests: Vec<KeyRequest>) -> Result<IssueResponse, IssueError> {
        let answered = self.issue(&Certificates, caller, trace_id, &requests).await?;
        let (mut issuers, mut above) = (Vec::new(), Vec::new());
        if answered.has_signed {
            issuers.push(Base64(answered.authority.certificate().to_vec()));
            let crosses = self.authorities.above(&answered.authority, self.clock.now().wall);
            above.extend(crosses.iter().map(|der| Base64(der.to_vec())));
        }
        Ok(IssueResponse {
            issuers,
            above,
            results: answered.answers,
        })
    }

    /// Prepares the SVID of a node that was attested, or that renews: the caller has authenticated it, proved possession and authorized the name.
    ///
    /// The node's record, with the serial and the end of this SVID, is committed between this and [`issue_prepared`](Self::issue_prepared): who loses the
    /// race for a join token has touched no key and left no record.
    ///
    /// # Errors
    /// When the key is not acceptable, or nothing can be signed now.
    pub fn prepare_node_svid(&self, node: &SpiffeId, public_key: &PublicKey, actor: &str, trace_id: &str) -> Result<PreparedSvid, IssueError> {
        let cause = Cause {
            entry: None,
            node: Some(node.clone()),
            actor: actor.to_owned(),
            trace_id: trace_id.to_owned(),
        };
        self.prepare_own(node, public_key, self.policy.node_ttl, cause)
    }

    /// Prepares the SVID of the server itself.
    pub(super) fn prepare_server_svid(&self, public_key: &PublicKey) -> Result<PreparedSvid, IssueError> {
        let server = SpiffeId::server(self.authorities.trust_domain());
        let cause = Cause {
            entry: None,
            node: None,
            actor: server.as_str().to_owned(),
            trace_id: String::new(),
        };
        self.prepare_own(&server, public_key, self.policy.server_ttl, cause)
    }

    /// Steps 2 and 3 for a certificate of the trust domain's own parts.
    fn prepare_own(&self, spiffe_id: &SpiffeId, public_key: &PublicKey, ttl: Duration, cause: Cause) -> Result<PreparedSvid, IssueError> {
        // 2. Authorize
        let now = self.clock.now();
        let issuer = self.authorities.issuing(now)?;
        if self.authorities.owns_key(&public_key.hash()) {
            return Err(RequestRefused::Key(KeyRefused::OfAuthority).into());
        }
        // 3. Prepare
        let leaf = Leaf {
            spiffe_id,
            public_key,
            ttl,
            ends_with: None,
            names: &CertificateNames::default(),
        };
        let certificate = prepare(&issuer, now.wall, self.policy.skew, &leaf, cause).map_err(RequestRefused::Prepare)?;
        Ok(PreparedSvid {
            certificate,
            issued_at: now.wall,
        })
    }

    /// Records and signs what was prepared: steps 4 to 6.
    ///
    /// # Errors
    /// When it cannot be recorded, and then it is not signed; or when the key fails.
    pub async fn issue_prepared(&self, prepared: PreparedSvid) -> Result<IssuedSvid, IssueError> {
        let PreparedSvid { certificate, issued_at } = prepared;
        // 4. Record
        let recorded = record_one(self.recorder.as_ref(), certificate).await.map_err(IssueError::Journal)?;
        // 5. Sign
        let signed = recorded.sign().await?;
        // 6. Answer
        Ok(IssuedSvid {
            spiffe_id: signed.spiffe_id,
            leaf: signed.der,
            above: self.authorities.above(&signed.issuer, issued_at),
            issuer: Arc::clone(signed.issuer.certificate()),
            serial: signed.serial,
            issued_at,
            expires_at: signed.expires_at,
        })
    }

    /// Returns the life of the server's own SVID.
    #[must_use]
    pub fn server_ttl(&self) -> Duration {
        self.policy.server_ttl
    }

    /// Returns the authorities that sign here.
    #[must_use]
    pub fn authorities(&self) -> &Arc<Authorities> {
        &self.authorities
    }
}

/// X509-SVIDs for entries.
struct Certificates;

impl Kind for Certificates {
    type Request = KeyRequest;
    type Authority = Issuer;
    type Prepared = PreparedCertificate;
    type Answer = IssueResult;

    /// About 0.4 ms of one core.
    fn slice(_issuer: &Issuer) -> usize {
        16
    }

    fn authority(&self, authorities: &Authorities, now: Reading) -> Result<Arc<Issuer>, IssuerUnavailable> {
        authorities.issuing(now)
    }

    fn entry_id(request: &KeyRequest) -> &EntryId {
        &request.entry_id
    }

    fn prepare(
        &self,
        issuance: &Issuance,
        judge: &mut Judge<'_>,
        issuer: &Arc<Issuer>,
        request: &KeyRequest,
    ) -> Result<(PreparedCertificate, EntryGrant), RequestRefused> {
        let (grant, public_key) = judge.judge(request)?;
        let leaf = Leaf {
            spiffe_id: grant.entry.spiffe_id(),
            public_key: &public_key,
            ttl: grant.entry.x509_ttl(),
            ends_with: grant.entry.expires_at(),
            names: grant.entry.names(),
        };
        let certificate = prepare(issuer, judge.now, issuance.policy.skew, &leaf, cause(judge, &grant))?;
        Ok((certificate, grant))
    }

    fn issued(grant: EntryGrant, certificate: SignedCertificate, moment: Moment) -> IssueResult {
        IssueResult::Issued(IssuedLeaf {
            entry_id: grant.entry.id().clone(),
            entry_revision: grant.revision,
            leaf: Base64(certificate.der),
            issuer: 0,
            serial: certificate.serial,
            issued_at: moment.issued_at,
            expires_at: certificate.expires_at,
            expires_in_s: moment.left_until(certificate.expires_at),
        })
    }

    fn refused(entry_id: EntryId, problem: Problem) -> IssueResult {
        IssueResult::Refused { entry_id, problem }
    }
}
