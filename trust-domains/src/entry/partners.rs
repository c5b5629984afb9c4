//! The partner trust domains of an entry.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EntryRefused;
use crate::trust_domain::TrustDomain;

/// The partner trust domains that an entry federates with: each once, in order, at most [`Partners::MAX`], never the entry's own.
///
/// Federation is a list of names: whether the server holds the bundle of a partner yet is another matter. Most entries have none, and a server holds a
/// million of them: without any it is one empty pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<TrustDomain>", into = "Vec<TrustDomain>")]
pub struct Partners(Option<Arc<Vec<TrustDomain>>>);

impl Partners {
    /// The most of one entry: the bundles of 64 partners of 4 KB each fit many times into one message of the Workload API, of which clients take 4 MiB.
    pub const MAX: usize = 64;

    /// Returns the partners of an entry of `own`.
    ///
    /// # Errors
    /// There are too many, or `own` is among them.
    pub fn check(partners: Vec<TrustDomain>, own: &TrustDomain) -> Result<Self, EntryRefused> {
        let partners = Self::from(partners);
        partners.check_all(own.as_str())?;
        Ok(partners)
    }

    /// Refuses a list that breaks a rule: what a store returns comes through here too.
    pub(super) fn check_all(&self, own: &str) -> Result<(), EntryRefused> {
        if let Some(itself) = self.iter().find(|partner| partner.as_str() == own) {
            return Err(EntryRefused::FederatesWithItself { trust_domain: itself.clone() });
        }
        if self.len() > Self::MAX {
            return Err(EntryRefused::TooManyPartners {
                limit: Self::MAX,
                actual: self.len(),
            });
        }
        Ok(())
    }

    /// Returns the list without one of them.
    #[must_use]
    pub fn without(&self, partner: &TrustDomain) -> Vec<TrustDomain> {
        self.iter().filter(|other| *other != partner).cloned().collect()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl From<Vec<TrustDomain>> for Partners {
    fn from(mut partners: Vec<TrustDomain>) -> Self {
        partners.sort_unstable();
        partners.dedup();
        Self((!partners.is_empty()).then(|| Arc::new(partners)))
    }
}

impl From<Partners> for Vec<TrustDomain> {
    fn from(partners: Partners) -> Self {
        partners.to_vec()
    }
}

impl Deref for Partners {
    type Target = [TrustDomain];

    fn deref(&self) -> &[TrustDomain] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<TrustDomain> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn partners_are_in_order_and_each_is_there_once() {
        let own = "example.org".parse().unwrap();
        let partners = Partners::check(named(&["b.test", "a.test", "b.test"]), &own).unwrap();
        assert_eq!(*partners, named(&["a.test", "b.test"]));
        assert_eq!(partners.without(&"a.test".parse().unwrap()), named(&["b.test"]));
    }

    #[test]
    fn the_own_trust_domain_and_too_many_partners_are_refused() {
        let own: TrustDomain = "example.org".parse().unwrap();
        let refused = Partners::check(named(&["a.test", "example.org"]), &own).unwrap_err();
        assert_eq!(refused, EntryRefused::FederatesWithItself { trust_domain: own.clone() });
        let many = |count: usize| (0..count).map(|number| format!("p{number}.test").parse().unwrap()).collect();
        assert!(Partners::check(many(Partners::MAX), &own).is_ok());
        let refused = Partners::check(many(Partners::MAX + 1), &own).unwrap_err();
        assert_eq!(refused, EntryRefused::TooManyPartners { limit: 64, actual: 65 });
    }
}
