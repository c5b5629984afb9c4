//! How an endpoint proves that it is the partner's (SPIFFE Federation section 5.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::trust_domain::TrustDomain;

/// The profile of an endpoint, with all that it needs (FED-12, FED-19).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointProfile {
    /// An X509-SVID with this SPIFFE ID, under the newest bundle of that ID's own trust domain.
    HttpsSpiffe {
        /// The endpoint's SPIFFE ID.
        endpoint_id: SpiffeId,
    },
    /// A certificate of the public web, for the name in the URL.
    HttpsWeb,
}

impl EndpointProfile {
    /// Returns the profile of a name and of the endpoint's SPIFFE ID, as they stand side by side in requests.
    ///
    /// # Errors
    ///
    /// `https_spiffe` without a workload's ID, or `https_web` with one: it needs no parameter (FED-12), and whoever gives one means the other profile.
    pub fn of(name: ProfileName, endpoint_id: Option<SpiffeId>) -> Result<Self, ProfileError> {
        match (name, endpoint_id) {
            (ProfileName::HttpsSpiffe, None) => Err(ProfileError::EndpointIdMissing),
            // An SVID of a server names one, as every leaf does (X509-SVID section 2).
            (ProfileName::HttpsSpiffe, Some(endpoint_id)) if endpoint_id.path().is_empty() => Err(ProfileError::EndpointIdWithoutPath { endpoint_id }),
            (ProfileName::HttpsSpiffe, Some(endpoint_id)) => Ok(Self::HttpsSpiffe { endpoint_id }),
            (ProfileName::HttpsWeb, None) => Ok(Self::HttpsWeb),
            (ProfileName::HttpsWeb, Some(endpoint_id)) => Err(ProfileError::EndpointIdForWeb { endpoint_id }),
        }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> ProfileName {
        match self {
            Self::HttpsSpiffe { .. } => ProfileName::HttpsSpiffe,
            Self::HttpsWeb => ProfileName::HttpsWeb,
        }
    }

    /// Returns the endpoint's SPIFFE ID, where it proves one.
    #[must_use]
    pub fn endpoint_id(&self) -> Option<&SpiffeId> {
        match self {
            Self::HttpsSpiffe { endpoint_id } => Some(endpoint_id),
            Self::HttpsWeb => None,
        }
    }

    /// Returns whether the endpoint proves itself by the very bundle that it serves (FED-20).
    #[must_use]
    pub fn is_self_serving(&self, served: &TrustDomain) -> bool {
        self.endpoint_id().is_some_and(|id| id.is_member_of(served))
    }
}

impl fmt::Display for EndpointProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HttpsSpiffe { endpoint_id } => write!(f, "https_spiffe as {endpoint_id}"),
            Self::HttpsWeb => f.write_str("https_web"),
        }
    }
}

/// The name of a profile, as the standard writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// The endpoint proves a SPIFFE ID.
    HttpsSpiffe,
    /// The endpoint proves the name in its URL, by Web PKI.
    HttpsWeb,
}

impl ProfileName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::HttpsSpiffe, Self::HttpsWeb];

    /// Returns the standard's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpsSpiffe => "https_spiffe",
            Self::HttpsWeb => "https_web",
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProfileName {
    type Err = ParseProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(ParseProfileError)
    }
}

/// The text is not the name of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a profile is https_spiffe or https_web")]
pub struct ParseProfileError;

impl Coded for ParseProfileError {
    fn code(&self) -> Code {
        Code::FederationInvalid
    }
}

/// A profile and the endpoint's SPIFFE ID do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// `https_web` with an ID.
    #[error("https_web needs no endpoint ID: an endpoint that proves {endpoint_id} has the profile https_spiffe")]
    EndpointIdForWeb {
        /// The ID.
        endpoint_id: SpiffeId,
    },
    /// `https_spiffe` without an ID.
    #[error("https_spiffe needs the endpoint's SPIFFE ID")]
    EndpointIdMissing,
    /// `https_spiffe` with the ID of a trust domain itself.
    #[error("{endpoint_id} is a trust domain's own ID: no endpoint proves it")]
    EndpointIdWithoutPath {
        /// The ID.
        endpoint_id: SpiffeId,
    },
}

impl Coded for ProfileError {
    fn code(&self) -> Code {
        Code::FederationInvalid
    }
}

#[cfg(test)]
mod tests;
