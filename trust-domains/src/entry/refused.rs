//! Why an entry is not accepted.

use std::time::Duration;

use super::{NamesRefused, ParseHintError};
use crate::class::CredentialClass;
use crate::duration::format_duration;
use crate::jwt_svid::ClaimRefused;
use crate::problem::{Code, Coded};
use crate::selector::{ParseSelectorError, SelectorKey, UnixKey, X509PopKey};
use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::trust_domain::TrustDomain;

/// The draft breaks a rule of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryRefused {
    /// A field that a node alias cannot have: it gives no credentials.
    #[error("a node alias has no {field}")]
    AliasField {
        /// The field.
        field: &'static str,
    },
    /// The claims.
    #[error(transparent)]
    Claims(#[from] ClaimRefused),
    /// A life above that of the class.
    #[error("{field} of {} is above the {} of class {class}", format_duration(*asked), format_duration(class.longest_life()))]
    ClassExceeded {
        /// The field: `x509_ttl_s` or `jwt_ttl_s`.
        field: &'static str,
        /// The life asked for.
        asked: Duration,
        /// The entry's class.
        class: CredentialClass,
        /// The class that allows that life, if one does.
        allowed_by: Option<CredentialClass>,
    },
    /// An entry has the bundle of its own trust domain already.
    #[error("{trust_domain} is the entry's own trust domain")]
    FederatesWithItself {
        /// The trust domain.
        trust_domain: TrustDomain,
    },
    /// The hint.
    #[error(transparent)]
    Hint(#[from] ParseHintError),
    /// An entry without selectors would match every process.
    #[error("the entry has no selector")]
    NoSelectors,
    /// The names beside the SPIFFE ID.
    #[error(transparent)]
    Names(#[from] NamesRefused),
    /// The parent is no node of this trust domain, and no node alias.
    #[error("the parent {parent_id} is not a node of this trust domain, nor a node alias")]
    ParentNotANode {
        /// The parent.
        parent_id: SpiffeId,
    },
    /// A path that belongs to the trust domain's own servers and agents.
    #[error("{spiffe_id} is under the reserved path {}", SpiffeId::RESERVED_PATH)]
    ReservedPath {
        /// The identity.
        spiffe_id: SpiffeId,
    },
    /// The identity of a workload needs a path: that of the trust domain itself is its authorities'.
    #[error("{spiffe_id} has no path")]
    RootPath {
        /// The identity.
        spiffe_id: SpiffeId,
    },
    /// A text that is no selector.
    #[error("{text:?} is not a selector")]
    Selector {
        /// The beginning of the text.
        text: String,
        /// What is wrong with it.
        #[source]
        reason: ParseSelectorError,
    },
    /// A value that no process can ever have.
    #[error("the value of {text:?} is not {}", key.form())]
    SelectorValue {
        /// The beginning of the selector.
        text: String,
        /// What it is about.
        key: SelectorKey,
    },
    /// The identity.
    #[error(transparent)]
    SpiffeId(#[from] ParseSpiffeIdError),
    /// More partners than an entry may have.
    #[error("the entry federates with {actual} trust domains, more than {limit}")]
    TooManyPartners {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// More selectors than an entry may have.
    #[error("the entry has {actual} selectors, more than {limit}")]
    TooManySelectors {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// A life below the shortest.
    #[error("{field} of {} is below {}", format_duration(*asked), format_duration(*least))]
    TtlTooShort {
        /// The field: `x509_ttl_s` or `jwt_ttl_s`.
        field: &'static str,
        /// The life asked for.
        asked: Duration,
        /// The shortest.
        least: Duration,
    },
    /// A selector that nothing proves about a node.
    #[error("no attestor of nodes proves {text:?}")]
    UnknownNodeSelector {
        /// The beginning of the selector.
        text: String,
    },
    /// A selector that nothing proves.
    #[error("no attestor proves {text:?}")]
    UnknownSelector {
        /// The beginning of the selector.
        text: String,
        /// The one that was perhaps meant.
        nearest: Option<UnixKey>,
    },
}

impl Coded for EntryRefused {
    fn code(&self) -> Code {
        match self {
            Self::Claims(reason) => reason.code(),
            Self::ClassExceeded { .. } => Code::ClassExceeded,
            Self::Hint(reason) => reason.code(),
            Self::Names(reason) => reason.code(),
            Self::AliasField { .. }
            | Self::FederatesWithItself { .. }
            | Self::ParentNotANode { .. }
            | Self::TooManyPartners { .. }
            | Self::TtlTooShort { .. } => Code::InvalidRequest,
            Self::ReservedPath { .. } => Code::ReservedPath,
            Self::NoSelectors
            | Self::Selector { .. }
            | Self::SelectorValue { .. }
            | Self::TooManySelectors { .. }
            | Self::UnknownNodeSelector { .. }
            | Self::UnknownSelector { .. } => Code::InvalidSelector,
            Self::RootPath { .. } => Code::InvalidSpiffeId,
            Self::SpiffeId(reason) => reason.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::ClassExceeded { allowed_by: Some(class), .. } => format!("ask for a shorter life, or name the class that allows it: --class {class}"),
            Self::ClassExceeded { allowed_by: None, .. } => {
                let longest = CredentialClass::Slow.longest_life();
                format!("ask for at most {}: no class allows more", format_duration(longest))
            }
            Self::Claims(reason) => reason.hint(),
            Self::FederatesWithItself { .. } => "name partners only: its own bundle comes with every identity".to_owned(),
            Self::Hint(reason) => reason.hint(),
            Self::NoSelectors => "name at least one, like --selector unix:uid:1000".to_owned(),
            Self::AliasField { field } => format!("write the alias without {field}: those are for the entries under it"),
            Self::Names(reason) => reason.hint(),
            Self::ParentNotANode { .. } => "list the nodes and their SPIFFE IDs: troth node list; or make a node alias: troth entry create --node".to_owned(),
            Self::RootPath { .. } => "write it with a path, like /web".to_owned(),
            Self::SelectorValue { key, .. } => format!("write it as {key}:VALUE, the value being {}", key.form()),
            Self::SpiffeId(reason) => reason.hint(),
            Self::TooManyPartners { .. } => "make several entries with the same SPIFFE ID: a process gets the bundles of all its entries".to_owned(),
            Self::TooManySelectors { .. } => "make several entries with the same SPIFFE ID: a process needs all selectors of one".to_owned(),
            Self::TtlTooShort { field, least, .. } => format!("ask for {field} of at least {}", format_duration(*least)),
            Self::UnknownNodeSelector { .. } => {
                let known: Vec<_> = X509PopKey::ALL.iter().map(ToString::to_string).collect();
                format!("use one of {}", known.join(", "))
            }
            Self::UnknownSelector { nearest: Some(key), .. } => format!("write it as {key}:VALUE, if that was meant"),
            Self::UnknownSelector { nearest: None, .. } => {
                let known: Vec<_> = UnixKey::ALL.iter().map(ToString::to_string).collect();
                format!("use one of {}", known.join(", "))
            }
            Self::ReservedPath { .. } | Self::Selector { .. } => self.code().facts().hint.to_owned(),
        }
    }
}
