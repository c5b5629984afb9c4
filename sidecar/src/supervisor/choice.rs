//! Which identity of several is delivered.

use trust_domains::ConfiguredId;
use trust_domains::problem::{Code, Coded};

use crate::source::{HeldSvid, X509Context};

/// Which identity of several is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The agent's first (WAPI-11).
    #[default]
    Default,
    /// The one with this hint.
    Hint(String),
    /// This one.
    Id(ConfiguredId),
}

/// The agent has no such identity for this process.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the agent gives this process {given}, and not {wanted}")]
pub struct NotAmong {
    wanted: String,
    given: String,
}

impl Choice {
    /// Returns the choice of an identity by its name or its hint, of which one at most is given.
    #[must_use]
    pub fn of(id: Option<ConfiguredId>, hint: Option<String>) -> Self {
        match (id, hint) {
            (Some(id), _) => Self::Id(id),
            (None, Some(hint)) => Self::Hint(hint),
            (None, None) => Self::Default,
        }
    }

    /// Finds it.
    ///
    /// # Errors
    /// The agent has no such identity for this process.
    pub fn find<'a>(&self, context: &'a X509Context) -> Result<&'a HeldSvid, NotAmong> {
        let found = match self {
            Self::Default => Some(context.default_svid()),
            Self::Hint(hint) => context.svids().iter().find(|svid| svid.hint() == Some(hint)),
            Self::Id(id) => context.svids().iter().find(|svid| id.means(svid.spiffe_id())),
        };
        found.ok_or_else(|| NotAmong {
            wanted: match self {
                Self::Default => "one".to_owned(),
                Self::Hint(hint) => format!("one with the hint {hint:?}"),
                Self::Id(id) => id.to_string(),
            },
            given: context.svids().iter().map(|svid| svid.spiffe_id().to_string()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Coded for NotAmong {
    fn code(&self) -> Code {
        Code::NoEntries
    }
}
