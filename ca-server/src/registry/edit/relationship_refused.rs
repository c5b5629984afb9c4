//! Why a relationship with a partner is not changed, or a bundle that was fetched is not kept.

use thiserror::Error;
use trust_domains::bundle::ParseBundleError;
use trust_domains::federation::{EndpointUrlError, ProfileError, RelationshipError};
use trust_domains::plan::fetching::BundleRefusal;
use trust_domains::problem::{Code, Coded};
use trust_domains::{SpiffeId, TrustDomain};

use super::bundle_refused::BundleRefused;
use super::error::EditError;

/// Why a change is refused.
#[derive(Debug, Error)]
pub enum RelationshipRefused {
    /// The bundle to begin with is none.
    #[error("the bundle to begin with cannot be used")]
    Bootstrap(#[source] ParseBundleError),
    /// The relationship is gone, and the entries could not be changed.
    #[error("the relationship and its bundle are deleted, and not every entry was changed: {0}")]
    Entries(#[source] EditError),
    /// There is one that says something else.
    #[error("the relationship with {trust_domain} has another {}: {before}; and not: {offered}", .differences.join(", "))]
    Exists {
        /// The partner.
        trust_domain: TrustDomain,
        /// The fields that differ.
        differences: Vec<&'static str>,
        /// What it says of them.
        before: String,
        /// What was offered.
        offered: String,
    },
    /// Entries federate with the trust domain.
    #[error("{entries} {} with {trust_domain}", if *.entries == 1 { "entry federates" } else { "entries federate" })]
    InUse {
        /// The partner.
        trust_domain: TrustDomain,
        /// How many entries.
        entries: usize,
    },
    /// There is none.
    #[error("there is no relationship with {trust_domain}")]
    NotFound {
        /// The partner.
        trust_domain: TrustDomain,
    },
    /// It cannot be recorded or committed.
    #[error(transparent)]
    NotKept(#[from] BundleRefused),
    /// The own trust domain is nobody's partner.
    #[error("{trust_domain} is the server's own trust domain")]
    Own {
        /// The trust domain.
        trust_domain: TrustDomain,
    },
    /// The profile and the endpoint's ID do not go together.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// What is said does not go together.
    #[error(transparent)]
    Relationship(#[from] RelationshipError),
    /// There is nothing by which the endpoint could prove itself (FED-19).
    #[error("there is no bundle of {trust_domain}, by which {endpoint_id} has to prove itself")]
    SourceMissing {
        /// The endpoint.
        endpoint_id: SpiffeId,
        /// Whose bundle is missing.
        trust_domain: TrustDomain,
    },
    /// There are as many as a server has.
    #[error("there are {limit} relationships, as many as a server has")]
    TooMany {
        /// The most.
        limit: usize,
    },
    /// The address of the revocation lists is none.
    #[error("the URL of the revocation lists cannot be used")]
    Url(#[from] EndpointUrlError),
}

impl Coded for RelationshipRefused {
    fn code(&self) -> Code {
        match self {
            Self::Bootstrap(error) => error.code(),
            Self::Entries(error) => error.code(),
            Self::Exists { .. } => Code::FederationExists,
            Self::InUse { .. } => Code::BundleInUse,
            Self::NotFound { .. } => Code::FederationNotFound,
            Self::NotKept(error) => error.code(),
            Self::Own { .. } => Code::FederationOwn,
            Self::Profile(error) => error.code(),
            Self::Relationship(error) => error.code(),
            Self::SourceMissing { .. } => Code::FederationSourceMissing,
            Self::TooMany { .. } => Code::FederationInvalid,
            Self::Url(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Bootstrap(_) => "give the partner's SPIFFE bundle document, or its roots in PEM".to_owned(),
            Self::Entries(_) => "run the same command again: it goes on from there".to_owned(),
            Self::Exists { trust_domain, .. } => {
                format!("compare both, then change it: troth federation update {trust_domain}; or accept the partner's link with --replace")
            }
            Self::InUse { trust_domain, .. } => {
                let command = format!("troth federation delete {trust_domain}");
                format!("take it out of them with: {command} --dissociate; or leave them as they are, without the bundle: {command}")
            }
            Self::NotKept(error) => error.hint(),
            Self::TooMany { .. } => "list them, and delete those that no entry needs: troth federation list".to_owned(),
            Self::Url(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Why a bundle that was fetched is not kept.
#[derive(Debug, Error)]
pub enum TakeRefused {
    /// It cannot be recorded or committed, or there is no room for it.
    #[error(transparent)]
    NotKept(#[from] BundleRefused),
    /// It may not be taken.
    #[error(transparent)]
    Refused(#[from] BundleRefusal),
    /// The relationship was changed or deleted while it was on its way.
    #[error("the relationship with {trust_domain} was changed in the meantime")]
    Superseded {
        /// The partner.
        trust_domain: TrustDomain,
    },
}

impl Coded for TakeRefused {
    fn code(&self) -> Code {
        match self {
            Self::NotKept(error) => error.code(),
            Self::Refused(refusal) => refusal.code(),
            Self::Superseded { .. } => Code::StoreConflict,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NotKept(error) => error.hint(),
            Self::Refused(_) | Self::Superseded { .. } => self.code().facts().hint.to_owned(),
        }
    }
}
