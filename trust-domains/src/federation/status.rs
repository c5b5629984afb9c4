//! How it stands with the bundle of a partner, as outside programs see it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::{Code, Problem};
use crate::timestamp::Timestamp;

/// How it stands with a partner, in one word that outside programs may count on.
///
/// Whatever it is, the last good bundle stays in use; only `withdrawn` means that the partner itself says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartnerState {
    /// The last fetch succeeded, and the next is not overdue.
    Current,
    /// Nothing was ever fetched from it, and no fetch has failed yet.
    NeverFetched,
    /// The last fetch was answered, but with nothing that may be taken: the endpoint did not prove itself, or its document is none, too large or older.
    Refused,
    /// The last fetch that succeeded is two intervals ago or more, and none was tried since: the process was away.
    Stale,
    /// The last fetch was not answered: there was no connection, no time left, or an HTTP error.
    Unreachable,
    /// The last fetch succeeded, and the bundle holds no key: the partner says that nothing of it may be trusted.
    Withdrawn,
}

/// How the last fetch ended, and what is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It failed, in this way.
    Failed(Code),
    /// It succeeded, then or earlier, with nothing tried since; `overdue` when that is two intervals ago, `empty` when the bundle has no key.
    Fetched {
        /// Whether two intervals have passed since.
        overdue: bool,
        /// Whether the bundle holds no key.
        empty: bool,
    },
    /// There was none.
    Never,
}

impl From<Standing> for PartnerState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Failed(Code::EndpointAnswerUnexpected | Code::EndpointTimeout | Code::EndpointUnreachable) => Self::Unreachable,
            Standing::Failed(_) => Self::Refused,
            Standing::Fetched { overdue: true, .. } => Self::Stale,
            Standing::Fetched { empty: true, .. } => Self::Withdrawn,
            Standing::Fetched { .. } => Self::Current,
            Standing::Never => Self::NeverFetched,
        }
    }
}

impl PartnerState {
    /// All of them, as metrics count them.
    pub const ALL: [Self; 6] = [
        Self::Current,
        Self::NeverFetched,
        Self::Refused,
        Self::Stale,
        Self::Unreachable,
        Self::Withdrawn,
    ];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::NeverFetched => "never_fetched",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Returns whether somebody should look at it.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        match self {
            Self::Current | Self::NeverFetched => false,
            Self::Refused | Self::Stale | Self::Unreachable | Self::Withdrawn => true,
        }
    }
}

impl fmt::Display for PartnerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the last fetch failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FetchProblem {
    /// The stable word.
    pub code: String,
    /// What happened, with its causes.
    pub detail: String,
}

impl From<&Problem> for FetchProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code.clone(),
            detail: problem.detail.clone(),
        }
    }
}

/// How it stands with the bundle of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FetchStatus {
    /// In one word.
    pub status: PartnerState,
    /// When a fetch last succeeded.
    pub last_success: Option<Timestamp>,
    /// When a fetch last ended, whatever came of it.
    pub last_attempt: Option<Timestamp>,
    /// When the next is due.
    pub next_fetch: Option<Timestamp>,
    /// Why the last one failed; absent when it succeeded.
    pub last_error: Option<FetchProblem>,
    /// The sequence number of the bundle that is held, if it has one.
    pub sequence: Option<u64>,
}

impl FetchStatus {
    /// Returns how it stands before anything was tried.
    #[must_use]
    pub fn never(next_fetch: Option<Timestamp>) -> Self {
        Self {
            status: Standing::Never.into(),
            last_success: None,
            last_attempt: None,
            next_fetch,
            last_error: None,
            sequence: None,
        }
    }
}

#[cfg(test)]
mod tests;
