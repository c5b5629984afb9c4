//! The peers that are wanted.

use std::fmt;

use super::pattern::PeerPattern;
use crate::spiffe_id::SpiffeId;
use crate::trust_domain::TrustDomain;

/// The rules of which one must mean a peer. Of an empty one nobody is wanted: there is no rule that means everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<PeerPattern>);

impl AllowList {
    /// Returns whether nobody is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether this identity is wanted by an asker of the trust domain `own`.
    #[must_use]
    pub fn admits(&self, spiffe_id: &SpiffeId, own: &TrustDomain) -> bool {
        self.0.iter().any(|pattern| pattern.means(spiffe_id, own))
    }

    /// Returns whether any identity of this trust domain may be wanted: the certificates of others need not be looked at.
    #[must_use]
    pub fn concerns(&self, trust_domain: &TrustDomain, own: &TrustDomain) -> bool {
        self.0.iter().any(|pattern| pattern.trust_domain(own) == trust_domain)
    }
}

impl FromIterator<PeerPattern> for AllowList {
    fn from_iter<I: IntoIterator<Item = PeerPattern>>(patterns: I) -> Self {
        let mut rules: Vec<_> = patterns.into_iter().collect();
        rules.sort_unstable();
        rules.dedup();
        Self(rules)
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{pattern}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_that_means_a_peer_is_enough_and_none_admits_nobody() {
        let own: TrustDomain = "td.example".parse().unwrap();
        let list: AllowList = ["/web", "spiffe://partner.test/api/*"].map(|text| text.parse().unwrap()).into_iter().collect();
        let admits = |list: &AllowList, id: &str| list.admits(&id.parse().unwrap(), &own);
        assert!(admits(&list, "spiffe://td.example/web") && admits(&list, "spiffe://partner.test/api/1"));
        assert!(!admits(&list, "spiffe://partner.test/web") && !admits(&list, "spiffe://td.example/api/1"));
        assert!(!admits(&AllowList::default(), "spiffe://td.example/web") && AllowList::default().is_empty());
        assert!(list.concerns(&own, &own) && list.concerns(&"partner.test".parse().unwrap(), &own) && !list.concerns(&"x.test".parse().unwrap(), &own));
        assert_eq!(list.to_string(), "/web, spiffe://partner.test/api/*");
    }
}
