//! SPIFFE IDs as they are configured: before the trust domain is known that the agent joins.

use std::str::FromStr;

use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::{SpiffeId, TrustDomain};

/// Always a SPIFFE ID, or the path of one in the trust domain that the agent joins.
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
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('/') {
            Some(_) => format!("spiffe://any.example{text}").parse::<SpiffeId>()?,
            None => text.parse::<SpiffeId>()?,
        };
        Ok(Self(text.to_owned()))
    }
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
        assert!(foreign.expand(&td).is_err());
        assert_eq!(foreign.expand_any(&td).unwrap().as_str(), "spiffe://other.example/web");
        for wrong in ["", "web", "/", "spiffe://td.example/*", "spiffe://TD/web"] {
            assert!(wrong.parse::<ConfiguredId>().is_err(), "{wrong}");
        }
    }
}
