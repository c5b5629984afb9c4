//! Why the bundle of a partner is not set or deleted.

use thiserror::Error;
use trust_domains::TrustDomain;
use trust_domains::bundle::{BundleOutdated, ParseBundleError};
use trust_domains::problem::{Code, Coded};

use super::EditError;
use crate::journal::JournalError;
use crate::registry::records::RecordError;
use crate::store::CommitError;

/// Why a change of a bundle is refused.
#[derive(Debug, Error)]
pub enum BundleRefused {
    /// The change was not committed.
    #[error("the bundle was not written")]
    Commit(#[from] CommitError),
    /// The bundle is gone, and the entries could not be changed.
    #[error("the bundle is deleted, and not every entry was changed: {0}")]
    Entries(#[from] EditError),
    /// It is fetched: it would be there again with the next fetch.
    #[error("there is a relationship with {trust_domain}, by which its bundle is fetched")]
    Fetched {
        /// The partner.
        trust_domain: TrustDomain,
    },
    /// Entries federate with the trust domain.
    #[error("{entries} {} with {trust_domain}", if *.entries == 1 { "entry federates" } else { "entries federate" })]
    InUse {
        /// The partner.
        trust_domain: TrustDomain,
        /// How many entries.
        entries: usize,
    },
    /// The decision was not recorded, so nothing was changed.
    #[error("the change cannot be recorded")]
    Journal(#[from] JournalError),
    /// There is no such bundle.
    #[error("the server holds no bundle of {trust_domain}")]
    NotFound {
        /// The partner.
        trust_domain: TrustDomain,
    },
    /// It is older than the stored one.
    #[error(transparent)]
    Outdated(#[from] BundleOutdated),
    /// The own trust domain is nobody's partner.
    #[error("{trust_domain} is the server's own trust domain")]
    Own {
        /// The trust domain.
        trust_domain: TrustDomain,
    },
    /// The document is no bundle.
    #[error(transparent)]
    Parse(#[from] ParseBundleError),
    /// The record cannot be encoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// All bundles together are too large.
    #[error("with it the bundles of all partners have {actual} bytes, the limit is {limit}")]
    TooMuch {
        /// The most.
        limit: usize,
        /// What they would have.
        actual: usize,
    },
}

impl Coded for BundleRefused {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::Entries(error) => error.code(),
            Self::Fetched { .. } => Code::FederationExists,
            Self::InUse { .. } => Code::BundleInUse,
            Self::Journal(error) => error.code(),
            Self::NotFound { .. } => Code::BundleNotFound,
            Self::Outdated(error) => error.code(),
            Self::Own { .. } => Code::BundleOwn,
            Self::Parse(error) => error.code(),
            Self::Record(error) => error.code(),
            Self::TooMuch { .. } => Code::BodyTooLarge,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Entries(_) => "run the same command again: it goes on from there".to_owned(),
            Self::Fetched { trust_domain } => format!("stop the fetching, and the bundle goes with it: troth federation delete {trust_domain}"),
            Self::InUse { trust_domain, .. } => {
                let command = format!("troth bundle delete --trust-domain {trust_domain}");
                format!("take it out of them with: {command} --dissociate; or leave them as they are, without the bundle: {command} --force")
            }
            Self::Parse(ParseBundleError::Malformed { .. }) => "give a SPIFFE bundle document, or say --format pem".to_owned(),
            Self::Parse(ParseBundleError::NotPem | ParseBundleError::NoRootInPem { .. }) => {
                "give root certificates in PEM; a SPIFFE bundle document needs --format spiffe".to_owned()
            }
            Self::Parse(ParseBundleError::TooLarge { limit, .. }) => format!("give a document of at most {limit} bytes"),
            Self::Parse(_) => "ask the partner for its bundle: troth bundle show --format spiffe".to_owned(),
            Self::TooMuch { .. } => "delete bundles that no entry needs: troth bundle list".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
