//! Whether the server is there, as everybody else here sees it.

use trust_domains::Timestamp;

/// The state of the sync stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// No stream, after at least one attempt.
    Away {
        /// Since when.
        since: Timestamp,
        /// Why the last attempt failed, or the stream ended.
        error: String,
    },
    /// The first attempt is under way.
    Connecting,
    /// The stream is open and has said something.
    Open {
        /// Since when.
        since: Timestamp,
    },
    /// The server is there and refuses this node's identity.
    Refused {
        /// Since when.
        since: Timestamp,
        /// What it said.
        error: String,
    },
}

impl Link {
    /// Returns why nothing can be asked of the server now, if that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Away { since, error } => Some(format!("the server cannot be reached since {since}: {error}")),
            Self::Refused { error, .. } => Some(format!("the server refuses this node: {error}")),
            Self::Connecting | Self::Open { .. } => None,
        }
    }

    /// Returns whether the stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }
}
