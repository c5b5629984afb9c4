//! SPIFFE IDs as they are configured: before the trust domain is known of which a path is meant.

use std::str::FromStr;

use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::trust_domain::TrustDomain;

/// Always a SPIFFE ID, or the path of one in a trust domain that is known later: the one that an agent joins, or that of the identities a process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredId(String);

impl ConfiguredId {
    /// Returns the SPIFFE ID of a workload of the trust domain that was joined.
    ///
    /// # Errors
    /// It is of another trust domain.
    pub fn expand(&self, trust_domain: &TrustDomain) -> Result<SpiffeId, ParseSpiffeIdError> {
        SpiffeId::expand(trust_domain, &self.0)
    }

    /// Returns the SPIFFE ID, unless it is a path, which has one in each trust domain.
    #[must_use]
    pub fn whole(&self) -> Option<SpiffeId> {
        self.0.parse().ok()
    }

    /// Returns whether this is the SPIFFE ID that is meant; a path means one of whatever trust domain.
    #[must_use]
    pub fn means(&self, id: &SpiffeId) -> bool {
        self.expand_any(&id.trust_domain()).is_ok_and(|meant| meant == *id)
    }

    /// Returns the SPIFFE ID, of whatever trust domain it is; a path is one of the trust domain that was joined.
    ///
    /// # Errors
    /// The ID becomes too long.
    pub fn expand_any(&self, trust_domain: &TrustDomain) -> Result<SpiffeId, ParseSpiffeIdError> {
        if self.0.starts_with('/') {
            SpiffeId::from_path(trust_domain, &self.0)
        } else {
            self.0.parse()
        }
    }
}

impl FromStr for ConfiguredId {
    type Err = ParseConfiguredIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id: SpiffeId = match text.strip_prefix('/') {
            Some(_) => format!("spiffe://any.example{text}").parse()?,
            None => text.parse()?,
        };
        if id.path().is_empty() {
            return Err(ParseConfiguredIdError::NoPath { id });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text names no workload's identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseConfiguredIdError {
    /// It is neither a SPIFFE ID nor a path.
    #[error("neither a SPIFFE ID nor a path: {0}")]
    Id(#[from] ParseSpiffeIdError),
    /// It is that of a trust domain.
    #[error("{id} is the trust domain itself and nobody's identity; name a workload's, as {id}/web")]
    NoPath {
        /// The ID.
        id: SpiffeId,
    },
}

impl std::fmt::Display for ConfiguredId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_identity_is_of_the_domain_that_was_joined() {
        let td = "td.example".parse().unwrap();
        let short: ConfiguredId = "/web".parse().unwrap();
        assert_eq!(short.expand(&td).unwrap().as_str(), "spiffe://td.example/web");
        assert_eq!(short.expand_any(&td).unwrap().as_str(), "spiffe://td.example/web");
        let foreign: ConfiguredId = "spiffe://other.example/web".parse().unwrap();
        assert!(foreign.whole().is_some() && short.whole().is_none());
        assert!(foreign.expand(&td).is_err());
        assert_eq!(foreign.expand_any(&td).unwrap().as_str(), "spiffe://other.example/web");
        let id = "spiffe://td.example/web".parse().unwrap();
        assert!(short.means(&id) && "spiffe://td.example/web".parse::<ConfiguredId>().unwrap().means(&id));
        assert!(!foreign.means(&id) && !"/we".parse::<ConfiguredId>().unwrap().means(&id));
        for wrong in ["", "web", "/", "spiffe://td.example", "spiffe://td.example/*", "spiffe://TD/web"] {
            assert!(wrong.parse::<ConfiguredId>().is_err(), "{wrong}");
        }
    }
}
