//! A batch, whatever is issued: the numbered order of `docs/issuance.md`, once.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::problem::Problem;
use trust_domains::wire::node::MAX_ISSUE_BATCH;
use trust_domains::{EntryId, Reading, Timestamp};

use super::authorize::{self, EntryGrant, Judge};
use super::caller::AuthenticatedCaller;
use super::error::{IssueError, RequestRefused};
use super::recorded::{Prepared, record, sign_all};
use super::service::Issuance;
use super::stages::Cause;
use crate::authority::{Authorities, IssuerUnavailable};

/// What tells one kind of thing that is issued from another.
pub(super) trait Kind {
    /// What is asked for.
    type Request;
    /// What signs it.
    type Authority;
    /// It, complete but for its signature.
    type Prepared: Prepared;
    /// The answer to one request.
    type Answer;

    /// How many are prepared or signed before other tasks of the runtime have their turn: some tenths of a millisecond of one core.
    fn slice(authority: &Self::Authority) -> usize;

    /// Step 2 for the server itself: what would sign now.
    fn authority(&self, authorities: &Authorities, now: Reading) -> Result<Arc<Self::Authority>, IssuerUnavailable>;

    /// The entry that a request names.
    fn entry_id(request: &Self::Request) -> &EntryId;

    /// Steps 2 and 3 for one request.
    fn prepare(
        &self,
        issuance: &Issuance,
        judge: &mut Judge<'_>,
        authority: &Arc<Self::Authority>,
        request: &Self::Request,
    ) -> Result<(Self::Prepared, EntryGrant), RequestRefused>;

    /// The answer for what was signed.
    fn issued(grant: EntryGrant, signed: <Self::Prepared as Prepared>::Signed, moment: Moment) -> Self::Answer;

    /// The answer for what was refused.
    fn refused(entry_id: EntryId, problem: Problem) -> Self::Answer;
}

/// When a batch was issued, and how long ago that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) issued_at: Timestamp,
    waited: Duration,
}

impl Moment {
    /// Returns the seconds that are left from now on.
    pub(super) fn left_until(self, end: Timestamp) -> u64 {
        self.issued_at.duration_until(end).saturating_sub(self.waited).as_secs()
    }
}

/// A batch that was answered.
pub(super) struct Answered<K: Kind> {
    pub(super) authority: Arc<K::Authority>,
    /// One for each request, in their order.
    pub(super) answers: Vec<K::Answer>,
    /// Whether the authority signed anything.
    pub(super) has_signed: bool,
}

impl Issuance {
    /// Issues a batch. A refused request is refused alone: its answer carries the reason.
    ///
    /// # Errors
    /// When the whole batch is refused: the node may not ask, the batch is too large, or nothing can be recorded or signed now.
    pub(super) async fn issue<K: Kind>(
        &self,
        kind: &K,
        caller: &dyn AuthenticatedCaller,
        trace_id: &str,
        requests: &[K::Request],
    ) -> Result<Answered<K>, IssueError> {
        if requests.len() > MAX_ISSUE_BATCH {
            return Err(IssueError::BatchTooLarge {
                limit: MAX_ISSUE_BATCH,
                actual: requests.len(),
            });
        }
        // 1. Authenticate: a `caller` exists only for a connection whose node SVID and key were proved.
        let now = self.clock.now();
        // 2. Authorize: the node as its record is now, then each request by the entry as it is now. A server that may not sign says so before it looks.
        let authority = kind.authority(&self.authorities, now)?;
        let slice = K::slice(&authority).max(1);
        let node = authorize::node(self.entries.as_ref(), caller, now.wall)?;
        let mut judge = Judge::new(self, &node, now.wall, trace_id, requests.len());
        // 3. Prepare: class, life, contents, self-check. From here on nothing is refused for what was asked.
        let mut answers = Vec::with_capacity(requests.len());
        let mut granted = Vec::with_capacity(requests.len());
        let mut prepared = Vec::with_capacity(requests.len());
        for (position, request) in requests.iter().enumerate() {
            match kind.prepare(self, &mut judge, &authority, request) {
                Ok((thing, grant)) => {
                    prepared.push(thing);
                    granted.push((position, grant));
                }
                Err(refused) => answers.push((position, K::refused(K::entry_id(request).clone(), Problem::of(&refused)))),
            }
            breathe(slice, position).await;
        }
        // 4. Record: one durable append for the batch; without it nothing below happens.
        let recorded = record(self.recorder.as_ref(), prepared).await.map_err(IssueError::Journal)?;
        // 5. Sign: only what was recorded can be.
        let signed = sign_all(recorded, slice).await?;
        // 6. Answer, in the order of the requests.
        let has_signed = !signed.is_empty();
        let moment = Moment {
            issued_at: now.wall,
            waited: self.clock.now().since_boot.saturating_sub(now.since_boot),
        };
        let issued = granted.into_iter().zip(signed);
        answers.extend(issued.map(|((position, grant), thing)| (position, K::issued(grant, thing, moment))));
        answers.sort_by_key(|(position, _)| *position);
        Ok(Answered {
            authority,
            answers: answers.into_iter().map(|(_, answer)| answer).collect(),
            has_signed,
        })
    }
}

/// Lets other tasks of the runtime have their turn after each slice of a batch.
async fn breathe(slice: usize, position: usize) {
    if position % slice == slice - 1 {
        tokio::task::yield_now().await;
    }
}

/// Who an entry's certificate or token is for, and who caused it.
pub(super) fn cause(judge: &Judge<'_>, grant: &EntryGrant) -> Cause {
    let node = judge.node.spiffe_id();
    Cause {
        entry: Some(grant.entry.id().clone()),
        node: Some(node.clone()),
        actor: node.as_str().to_owned(),
        trace_id: judge.trace_id.to_owned(),
    }
}
