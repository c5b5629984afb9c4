//! One batch: keys made here, certified by the server, checked like any peer's before anybody gets them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trust_domains::clock::{Clock, Reading};
use trust_domains::plan::rotation::{HeldCredential, Jitter};
use trust_domains::problem::with_causes;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueRequest, IssueResponse, IssueResult, IssuedLeaf, KeyRequest, NodeEntry};
use trust_domains::x509::{MAX_CHAIN_LEN, VerifyError, verify_svid};
use trust_domains::{Serial, SpiffeId};

use super::slot::Held;
use super::state::Outcome;
use super::view::IssuedSvid;
use crate::issuing::{self, Server, all, judged};
use crate::node::{CallError, KeyError, KeyPair};

/// Renewals of one batch fall into this many groups over the jitter's tenth of a life: each group is one request again.
const JITTER_GROUPS: u32 = 16;

/// An issued SVID that the agent does not pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeafRefused {
    /// It has ended already.
    #[error("the SVID had ended when it came")]
    Ended,
    /// Its issuer is not in the answer.
    #[error("the answer names an issuer that is not in it")]
    NoIssuer,
    /// It is of another key.
    #[error("the SVID is not of the key that was sent for it")]
    OtherKey,
    /// It is another identity's: the entry changed meanwhile, and the change is on its way.
    #[error("the SVID is that of {presented}, the entry gives {expected}")]
    OtherIdentity {
        /// What the entry gives.
        expected: SpiffeId,
        /// What the certificate says.
        presented: SpiffeId,
    },
    /// The answer's serial is not the certificate's.
    #[error("the SVID has the serial {presented}, the answer says {expected}")]
    OtherSerial {
        /// What the answer says.
        expected: Serial,
        /// What the certificate says.
        presented: Serial,
    },
    /// The chain does not verify by the trust bundle.
    #[error("the SVID does not verify: {0}")]
    Unverified(VerifyError),
}

/// What the issuing of one batch needs, apart from its orders.
pub(super) struct Issuer {
    pub(super) server: Server,
}

/// Issuing certificates seen lately: every SVID holds the same octets.
#[derive(Debug, Default, Clone)]
pub(crate) struct SharedIssuers(Vec<Bytes>);

impl SharedIssuers {
    /// The most that are remembered: an issuing CA and its successor, twice, and what upstream authorities add.
    const MOST: usize = 12;

    pub(crate) fn share(&mut self, der: &[u8]) -> Bytes {
        if let Some(known) = self.0.iter().find(|known| ***known == *der) {
            return known.clone();
        }
        if self.0.len() == Self::MOST {
            self.0.remove(0);
        }
        let shared = Bytes::from(Box::<[u8]>::from(der));
        self.0.push(shared.clone());
        shared
    }
}

/// What one answer puts above its leaves.
struct Above {
    issuers: Vec<Bytes>,
    crosses: Vec<Bytes>,
}

impl Above {
    /// The most that follows an issuer: more would make chains that verifiers do not read.
    const MOST_CROSSES: usize = MAX_CHAIN_LEN - 3;

    fn of(answer: &IssueResponse, shared: &mut SharedIssuers) -> Self {
        let mut share = |ders: &[Base64]| ders.iter().map(|der| shared.share(&der.0)).collect::<Vec<_>>();
        let mut crosses = share(&answer.above);
        crosses.truncate(Self::MOST_CROSSES);
        Self {
            issuers: share(&answer.issuers),
            crosses,
        }
    }
}

/// An outcome for each entry that was asked for.
type Outcomes = issuing::Outcomes<Arc<NodeEntry>, Held>;

impl Issuer {
    /// Asks for one SVID each, with a new key each.
    pub(super) async fn issue(self, entries: Vec<Arc<NodeEntry>>, issuers: &mut SharedIssuers) -> Outcomes {
        match self.ask(&entries).await {
            Ok((keys, asked, answer)) => {
                let shared = Above::of(&answer, issuers);
                let phase = crate::sync::jitter();
                let judge = move |entry: &Arc<NodeEntry>, key, result| self.outcome(entry, &key, result, &shared, asked, phase);
                judged(entries, keys, answer.results, judge).await
            }
            Err(error) => all(entries, &with_causes(&error), Outcome::Unreached),
        }
    }

    async fn ask(&self, entries: &[Arc<NodeEntry>]) -> Result<(Vec<KeyPair>, Reading, IssueResponse), IssueError> {
        let count = entries.len();
        // 22 us a key: 500 of them would hold up everything else on this thread.
        let keys = tokio::task::spawn_blocking(move || (0..count).map(|_| KeyPair::generate()).collect::<Result<Vec<_>, _>>()).await;
        let keys = keys.map_err(|_| KeyError::Failed)??;
        let requests = entries.iter().zip(&keys).map(|(entry, key)| KeyRequest {
            entry_id: entry.id.clone(),
            public_key: Base64(key.public().spki().to_vec()),
        });
        let request = IssueRequest { requests: requests.collect() };
        let asked = self.server.clock.now();
        Ok((keys, asked, self.server.client.post("/v1/node/issue", &request).await?))
    }

    fn outcome(&self, entry: &NodeEntry, key: &KeyPair, result: IssueResult, above: &Above, asked: Reading, phase: f64) -> Outcome {
        match result {
            IssueResult::Issued(leaf) => match self.held(entry, key, leaf, above, asked, phase) {
                Ok(held) => Outcome::Issued(held),
                Err(error) => {
                    tracing::warn!(spiffe_id = %entry.spiffe_id, error = %error, "an issued SVID is not passed on");
                    Outcome::Refused(error.to_string())
                }
            },
            IssueResult::Refused { problem, .. } => {
                tracing::warn!(spiffe_id = %entry.spiffe_id, code = %problem.code, "the server refused to issue an SVID");
                Outcome::Refused(problem.to_string())
            }
        }
    }

    fn held(&self, entry: &NodeEntry, key: &KeyPair, leaf: IssuedLeaf, above: &Above, asked: Reading, phase: f64) -> Result<Held, LeafRefused> {
        let issuer = above.issuers.get(leaf.issuer).ok_or(LeafRefused::NoIssuer)?;
        let der = Bytes::from(leaf.leaf.0.into_boxed_slice());
        // By the server's time of issue: whether this machine's clock is right is no matter of the certificate.
        let peer = verify_svid(&[(&*der).into(), (&**issuer).into()], &self.server.bundle, leaf.issued_at).map_err(LeafRefused::Unverified)?;
        if *peer.key_hash() != key.public().hash() {
            return Err(LeafRefused::OtherKey);
        }
        if *peer.spiffe_id() != entry.spiffe_id {
            return Err(LeafRefused::OtherIdentity {
                expected: entry.spiffe_id.clone(),
                presented: peer.spiffe_id().clone(),
            });
        }
        if *peer.serial() != leaf.serial {
            return Err(LeafRefused::OtherSerial {
                expected: leaf.serial,
                presented: *peer.serial(),
            });
        }
        let times = HeldCredential::issued(
            asked,
            Duration::from_secs(leaf.expires_in_s),
            peer.not_after(),
            grouped(phase),
            &self.server.policy,
        );
        if times.has_ended(asked) {
            return Err(LeafRefused::Ended);
        }
        let svid = IssuedSvid {
            entry_id: entry.id.clone(),
            spiffe_id: entry.spiffe_id.clone(),
            hint: entry.hint.clone(),
            chain: [der, issuer.clone()].into_iter().chain(above.crosses.iter().cloned()).collect(),
            key_pkcs8: key.pkcs8().clone(),
            serial: leaf.serial,
            issued_at: leaf.issued_at,
            expires_at: peer.not_after(),
            next_renewal: times.next_renewal(asked),
            is_of_earlier_run: false,
        };
        Ok(Held {
            svid: Arc::new(svid),
            entry_revision: leaf.entry_revision,
            times,
        })
    }
}

/// A batch came to nothing.
#[derive(Debug, thiserror::Error)]
enum IssueError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Returns a jitter that falls into one of the groups, shifted by the batch's own phase.
fn grouped(phase: f64) -> Jitter {
    let group = (crate::sync::jitter() * f64::from(JITTER_GROUPS)).floor();
    Jitter::new((group + phase) / f64::from(JITTER_GROUPS))
}
