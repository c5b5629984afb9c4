//! Why a fetch came to nothing, and why an operator's request is refused.

use thiserror::Error;
use trust_domains::bundle::ParseBundleError;
use trust_domains::federation::ParseFederationLinkError;
use trust_domains::problem::{Code, Coded};
use trust_domains::{SpiffeId, TrustDomain};

use super::fetch::FetchError;
use crate::registry::edit::{AcceptRefused, RelationshipRefused, TakeRefused};

/// Why a fetch from a partner came to nothing. The bundle that is held stays.
#[derive(Debug, Error)]
pub enum FetchFailed {
    /// What came is no bundle.
    #[error("what the endpoint sent is no bundle")]
    Document(#[from] ParseBundleError),
    /// The endpoint said that its document is as before, and there was none before.
    #[error("the endpoint answers that its document has not changed, to a request that named none")]
    NoDocument,
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is nothing by which the endpoint could prove itself (FED-19, FED-21).
    #[error("there is no bundle of {trust_domain}, by which {endpoint_id} has to prove itself")]
    SourceMissing {
        /// The endpoint.
        endpoint_id: SpiffeId,
        /// Whose bundle is missing.
        trust_domain: TrustDomain,
    },
    /// The bundle may not be taken, or cannot be kept.
    #[error(transparent)]
    Take(#[from] TakeRefused),
}

impl Coded for FetchFailed {
    fn code(&self) -> Code {
        match self {
            Self::Document(ParseBundleError::TooLarge { .. } | ParseBundleError::TooManyKeys { .. }) => Code::EndpointDocumentTooLarge,
            Self::Document(_) | Self::NoDocument => Code::EndpointDocumentInvalid,
            Self::Fetch(error) => error.code(),
            Self::SourceMissing { .. } => Code::FederationSourceMissing,
            Self::Take(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Take(error) => error.hint(),
            Self::Document(_) | Self::NoDocument | Self::SourceMissing { .. } => self.code().facts().hint.to_owned(),
        }
    }
}

/// Why an operator's request about a partner is refused.
#[derive(Debug, Error)]
pub enum FederationRefused {
    /// The bundle could not be fetched: nothing of the link is believed.
    #[error("the bundle of {trust_domain} cannot be fetched")]
    Fetch {
        /// The partner.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: FetchFailed,
    },
    /// The own roots or the endpoint's URL do not fit into a link.
    #[error("the link cannot be made")]
    Link(#[from] ParseFederationLinkError),
    /// There is no bundle endpoint.
    #[error("this server serves its bundle to nobody")]
    NoEndpoint,
    /// The relationship.
    #[error(transparent)]
    Relationship(#[from] RelationshipRefused),
}

impl From<AcceptRefused> for FederationRefused {
    fn from(refused: AcceptRefused) -> Self {
        match refused {
            AcceptRefused::Bundle { trust_domain, source } => Self::Fetch {
                trust_domain,
                source: source.into(),
            },
            AcceptRefused::Relationship(refused) => refused.into(),
        }
    }
}

impl Coded for FederationRefused {
    fn code(&self) -> Code {
        match self {
            Self::Fetch { source, .. } => source.code(),
            Self::Link(error) => error.code(),
            Self::NoEndpoint => Code::FederationNoEndpoint,
            Self::Relationship(refused) => refused.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Fetch { source, .. } => source.hint(),
            Self::Link(error) => error.hint(),
            Self::NoEndpoint => self.code().facts().hint.to_owned(),
            Self::Relationship(refused) => refused.hint(),
        }
    }
}
