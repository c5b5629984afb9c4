//! What a stream was told of partners, so that it is told no more than it needs: their lists may be long.

use std::collections::BTreeMap;

use trust_domains::wire::crls::{CrlsWhole, PartnerCrls};
use trust_domains::wire::standings::PartnerStanding;
use trust_domains::{SpiffeBundle, TrustDomain};

use super::messages::ToldFederated;
use crate::registry::{Federated, GivenCrls};

/// What a stream was told of partners.
#[derive(Debug, Default)]
pub(super) struct ToldPartners {
    /// Since which commit the lists are given that the agent has. Not known where it resumed with what it had.
    crls: Option<BTreeMap<TrustDomain, u64>>,
    standings: Vec<PartnerStanding>,
}

impl ToldPartners {
    /// The next message is a snapshot: of what that does not name the agent keeps nothing.
    pub(super) fn start_over(&mut self) {
        self.crls = Some(BTreeMap::new());
    }

    /// Returns all bundles, and of the lists those that the agent does not have. It keeps lists as long as it has the bundle.
    pub(super) fn news(&mut self, federated: Federated) -> ToldFederated {
        let given: BTreeMap<_, _> = federated.crls.iter().map(|given| (given.trust_domain.clone(), given.since)).collect();
        let told = self.crls.take();
        let may_have = |partner: &TrustDomain| told.as_ref().is_none_or(|told| told.contains_key(partner));
        let is_new = |given: &&GivenCrls| told.as_ref().and_then(|told| told.get(&given.trust_domain)) != Some(&given.since);
        let partners = federated.bundles.iter().map(SpiffeBundle::trust_domain);
        let withdrawn = partners.filter(|partner| may_have(partner) && !given.contains_key(partner));
        let withdrawn = withdrawn.map(|partner| PartnerCrls {
            trust_domain: partner.clone(),
            lists: CrlsWhole::default(),
        });
        let crls = federated.crls.iter().filter(is_new).map(GivenCrls::wire).chain(withdrawn).collect();
        self.crls = Some(given);
        ToldFederated {
            crls,
            bundles: federated.bundles,
            to_all: federated.to_all,
        }
    }

    /// Returns how the server stands with the partners, when that is another than was told.
    pub(super) fn new_standings(&mut self, now: Vec<PartnerStanding>) -> Option<Vec<PartnerStanding>> {
        if now == self.standings {
            return None;
        }
        self.standings.clone_from(&now);
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trust_domains::TrustBundle;
    use trust_domains::crl::CrlSet;

    use super::*;

    /// Partners with their bundles, and since when lists of them are given.
    fn federated(partners: &[(&str, Option<u64>)]) -> Federated {
        let name = |name: &str| name.parse::<TrustDomain>().unwrap();
        let given = |(partner, since): &(&str, Option<u64>)| {
            Some(GivenCrls {
                trust_domain: name(partner),
                set: Arc::new(CrlSet::default()),
                since: (*since)?,
            })
        };
        Federated {
            bundles: partners.iter().map(|(partner, _)| TrustBundle::new(name(partner)).into()).collect(),
            crls: partners.iter().filter_map(given).collect(),
            to_all: Vec::new(),
        }
    }

    fn told(partners: &mut ToldPartners, now: &[(&str, Option<u64>)]) -> Vec<String> {
        let news = partners.news(federated(now));
        assert_eq!(news.bundles.len(), now.len(), "bundles are told whole");
        news.crls.iter().map(|crls| crls.trust_domain.to_string()).collect()
    }

    #[test]
    fn lists_are_told_once_and_again_when_they_changed_or_went() {
        let mut partners = ToldPartners::default();
        partners.start_over();
        assert_eq!(told(&mut partners, &[("a", Some(1)), ("b", None)]), ["a"]);
        assert!(told(&mut partners, &[("a", Some(1)), ("b", None)]).is_empty());
        assert_eq!(told(&mut partners, &[("a", Some(2)), ("b", Some(2))]), ["a", "b"]);
        assert_eq!(told(&mut partners, &[("a", None), ("b", Some(2))]), ["a"], "withdrawn");
        // The agent lets go of lists with their bundle: they are told with it again.
        assert!(told(&mut partners, &[("a", None)]).is_empty());
        assert_eq!(told(&mut partners, &[("b", Some(2))]), ["b"]);
    }

    #[test]
    fn who_resumed_with_unknown_lists_is_told_of_every_partner() {
        let mut partners = ToldPartners::default();
        assert_eq!(told(&mut partners, &[("a", Some(1)), ("b", None)]), ["a", "b"]);
        assert!(told(&mut partners, &[("a", Some(1)), ("b", None)]).is_empty());
    }
}
