//! Who may act for other workloads, and which it may refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use trust_domains::{SpiffeId, TrustDomain};

use crate::endpoints::broker_api::PID_REFERENCE;

/// A type of references that this agent resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceType {
    /// A process of this machine, by its number.
    Pid,
}

impl ReferenceType {
    /// Every type.
    pub const ALL: [Self; 1] = [Self::Pid];

    /// Returns the name by which people permit it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
        }
    }

    /// Returns the full name of its message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Pid => PID_REFERENCE,
        }
    }

    /// Returns whether it has a meaning on the agent's own machine only (BRK-03).
    pub(super) fn is_local(self) -> bool {
        match self {
            Self::Pid => true,
        }
    }
}

impl fmt::Display for ReferenceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ReferenceType {
    type Err = ParseReferenceTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|reference_type| reference_type.name() == text);
        named.ok_or_else(|| ParseReferenceTypeError { presented: text.to_owned() })
    }
}

/// A word names no type of references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseReferenceTypeError {
    /// The word.
    pub presented: String,
}

impl fmt::Display for ParseReferenceTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = ReferenceType::ALL.map(ReferenceType::name).join(", ");
        write!(f, "{:?} is no type of references; there are: {known}", self.presented)
    }
}

impl std::error::Error for ParseReferenceTypeError {}

/// The brokers: exact SPIFFE IDs, each with the types of references that it may use. Whoever is not on it is no broker; an empty one lets nobody in (BRK-11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(BTreeMap<SpiffeId, BTreeSet<ReferenceType>>);

impl AllowList {
    /// Returns whether nobody is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this is a broker.
    pub(super) fn lists(&self, spiffe_id: &SpiffeId) -> bool {
        self.0.contains_key(spiffe_id)
    }

    /// Returns whether this broker may use references of this type.
    pub(super) fn permits(&self, spiffe_id: &SpiffeId, reference_type: ReferenceType) -> bool {
        self.0.get(spiffe_id).is_some_and(|permitted| permitted.contains(&reference_type))
    }

    /// Returns whether any broker is of this trust domain.
    pub(super) fn lists_any_of(&self, trust_domain: &TrustDomain) -> bool {
        self.0.keys().any(|spiffe_id| spiffe_id.is_member_of(trust_domain))
    }
}

impl FromIterator<(SpiffeId, BTreeSet<ReferenceType>)> for AllowList {
    /// Lets in each of them; one that is there twice may do both.
    fn from_iter<I: IntoIterator<Item = (SpiffeId, BTreeSet<ReferenceType>)>>(brokers: I) -> Self {
        let mut list = Self::default();
        for (spiffe_id, permitted) in brokers {
            list.0.entry(spiffe_id).or_default().extend(permitted);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    #[covers("BRK-11", "BEP-05")]
    #[test]
    fn only_an_exact_id_is_let_in_and_only_with_what_it_is_permitted() {
        let list: AllowList = [
            (id("spiffe://td.example/mesh"), BTreeSet::from([ReferenceType::Pid])),
            (id("spiffe://td.example/idle"), BTreeSet::new()),
        ]
        .into_iter()
        .collect();
        assert!(list.lists(&id("spiffe://td.example/mesh")) && list.permits(&id("spiffe://td.example/mesh"), ReferenceType::Pid));
        assert!(list.lists(&id("spiffe://td.example/idle")) && !list.permits(&id("spiffe://td.example/idle"), ReferenceType::Pid));
        for other in [
            "spiffe://td.example/mesh/x",
            "spiffe://td.example/mes",
            "spiffe://td.example/Mesh",
            "spiffe://other.example/mesh",
        ] {
            assert!(!list.lists(&id(other)) && !list.permits(&id(other), ReferenceType::Pid), "{other}");
        }
        assert!(AllowList::default().is_empty() && !AllowList::default().lists(&id("spiffe://td.example/mesh")));
        assert!(list.lists_any_of(&"td.example".parse().unwrap()) && !list.lists_any_of(&"other.example".parse().unwrap()));
    }

    #[test]
    fn types_are_known_by_exact_names() {
        for reference_type in ReferenceType::ALL {
            assert_eq!(reference_type.to_string().parse(), Ok(reference_type));
        }
        for wrong in ["", "*", "PID", "k8s"] {
            assert!(wrong.parse::<ReferenceType>().unwrap_err().to_string().contains("there are: pid"), "{wrong}");
        }
    }
}
