//! How this server stands with its partners, for the streams of nodes that need them. It is of no commit: whoever fetches from partners says it, and each
//! stream tells it when it next has nothing else to say.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use trust_domains::federation::PartnerState;
use trust_domains::wire::standings::PartnerStanding;
use trust_domains::{SpiffeId, Timestamp, TrustDomain};

use super::Registry;

/// How this server stands with each partner.
pub type Standings = BTreeMap<TrustDomain, PartnerStanding>;

impl Registry {
    /// Takes how it stands with each partner now: the state, and the code of the last failure. What stays keeps its moment.
    pub fn note_standings(&self, now: Timestamp, states: impl IntoIterator<Item = (TrustDomain, PartnerState, Option<String>)>) {
        let before = self.standings();
        let stands = |(trust_domain, state, error): (TrustDomain, PartnerState, Option<String>)| {
            let same = before.get(&trust_domain).filter(|before| before.state == state && before.error == error);
            let since = same.map_or(now, |before| before.since);
            let standing = PartnerStanding {
                trust_domain: trust_domain.clone(),
                state,
                since,
                error,
            };
            (trust_domain, standing)
        };
        let standings: Standings = states.into_iter().map(stands).collect();
        if standings != *before {
            *self.standings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(standings);
        }
    }

    /// Returns how it stands with the partners that a node needs.
    pub fn standings_of(&self, node: &SpiffeId) -> Vec<PartnerStanding> {
        let standings = self.standings();
        if standings.is_empty() {
            return Vec::new();
        }
        self.view(|state| {
            let needed = state.partners.needed_by(state.aliases.parents_of(node));
            needed.into_iter().filter_map(|partner| standings.get(partner)).cloned().collect()
        })
    }

    fn standings(&self) -> Arc<Standings> {
        Arc::clone(&self.standings.read().unwrap_or_else(PoisonError::into_inner))
    }
}
