//! Leaving: the server forgets the node, then the node forgets itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;
use trust_domains::problem::{Code, Coded};

use super::call::CallError;
use super::membership::Standing;
use super::refusal::Verdict;
use super::sealed::{Record, SealedError, SealedRecords};
use crate::svids::SvidCache;

/// The node did not leave.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// The server was not reached, so it would still know the node: nothing was changed.
    #[error("the server was not told, so nothing was changed")]
    Call(#[from] CallError),
    /// The node has not joined, or the server refuses it already.
    #[error("this node is not a member that the server knows")]
    NotAMember,
    /// The server forgot the node; what the agent keeps on disk is useless, and still there.
    #[error("the server forgot this node, but its files are still there")]
    Sealed(#[from] SealedError),
}

impl Coded for LeaveError {
    fn code(&self) -> Code {
        match self {
            Self::Call(error) => error.code(),
            Self::NotAMember => Code::NodeUnknown,
            Self::Sealed(error) => error.code(),
        }
    }
}

/// Leaves on request, and ends the process.
#[derive(Clone)]
pub(crate) struct Leaver {
    pub(crate) standing: Standing,
    pub(crate) records: Arc<SealedRecords>,
    pub(crate) cache: SvidCache,
    pub(crate) shutdown: CancellationToken,
}

impl Leaver {
    /// Leaves. The server is told first: a node that forgot itself could not say so any more.
    pub(crate) async fn leave(&self) -> Result<(), LeaveError> {
        let client = self.standing.client.borrow().clone().ok_or(LeaveError::NotAMember)?;
        self.standing.leaving.store(true, Ordering::SeqCst);
        let told = client.post::<()>("/v1/node/leave", &serde_json::json!({})).await;
        match told {
            // It is gone already: perhaps the answer to an earlier attempt was lost.
            Err(error) if error.problem().is_some_and(|problem| Verdict::of(problem.code()) == Verdict::Gone) => {}
            Err(error) => {
                self.standing.leaving.store(false, Ordering::SeqCst);
                return Err(error.into());
            }
            Ok(()) => {}
        }
        tracing::info!("the node left its trust domain");
        self.cache.withdraw("this node left its trust domain");
        for record in [Record::Identity, Record::Joining, Record::Cache] {
            self.records.remove(record)?;
        }
        self.standing.identity.send_replace(None);
        self.shutdown.cancel();
        Ok(())
    }
}
