//! What partners show that they hold of our bundle, and who is behind by it.
//!
//! - A partner that tells is believed against itself only: who says that it holds a key it does not hold has only its own workloads refuse good peers, and who
//!   says that it lacks one holds nothing back for longer than the deadlines of the plan.
//! - A partner that tells and holds nothing of ours is not behind: federation goes one way there.
//! - A partner that does not tell is behind until it had the time to fetch: [`REFRESHES_BEFORE_USE`](super::REFRESHES_BEFORE_USE) refresh hints.

use std::collections::BTreeSet;
use std::fmt;

use super::{AuthorityId, Phase};
use crate::bundle::TrustBundle;
use crate::join_link::RootHash;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// What of our bundle a partner showed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OursSeen {
    at: Timestamp,
    keys: BTreeSet<BundleKey>,
}

/// A key of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleKey {
    /// A root, by the SHA-256 of its DER.
    Root(RootHash),
    /// A key of tokens, by its `kid`.
    Token(String),
}

impl BundleKey {
    /// Returns the key of tokens with this identifier.
    #[must_use]
    pub fn token(id: &AuthorityId) -> Self {
        Self::Token(id.to_string())
    }
}

/// Returns the keys of a bundle.
fn keys_of(bundle: &TrustBundle) -> BTreeSet<BundleKey> {
    let roots = bundle.x509_authorities().iter().map(|root| BundleKey::Root(root.hash()));
    let tokens = bundle.jwt_authorities().iter().chain(bundle.wit_authorities());
    roots.chain(tokens.filter_map(|key| Some(BundleKey::Token(key.key_id()?.to_owned())))).collect()
}

impl OursSeen {
    /// Returns what a partner shows of our bundle; nothing of it without one.
    #[must_use]
    pub fn new(shown: Option<&TrustBundle>, at: Timestamp) -> Self {
        Self {
            at,
            keys: shown.map(keys_of).unwrap_or_default(),
        }
    }

    /// Returns the same, seen again at a later moment.
    #[must_use]
    pub fn seen_again(self, at: Timestamp) -> Self {
        Self { at, ..self }
    }

    /// Returns whether it holds exactly the keys of our bundle as it is now.
    #[must_use]
    pub fn holds(&self, ours: &TrustBundle) -> bool {
        self.keys == keys_of(ours)
    }

    /// Returns whether the partner is behind with a key that every node was told of at a moment, as it is in this phase: it does not show one that it must
    /// know, or was not yet seen without one that is revoked.
    #[must_use]
    pub fn is_behind(&self, key: &BundleKey, phase: Phase, since: Timestamp) -> bool {
        match phase {
            _ if self.keys.is_empty() => false,
            Phase::Revoked => self.keys.contains(key) || self.at < since,
            // On its way out, whoever holds it and whoever does not.
            Phase::Tainted => false,
            Phase::Active | Phase::Old | Phase::Prepared => !self.keys.contains(key),
        }
    }
}

/// Partners that are behind: their number, and some of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartnersBehind {
    count: usize,
    some: Vec<TrustDomain>,
}

impl PartnersBehind {
    /// The most names that are kept: enough for a person to begin with.
    pub const MOST_NAMED: usize = 10;

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<TrustDomain> for PartnersBehind {
    fn from_iter<I: IntoIterator<Item = TrustDomain>>(partners: I) -> Self {
        let mut behind = Self::default();
        for partner in partners {
            behind.count += 1;
            if behind.some.len() < Self::MOST_NAMED {
                behind.some.push(partner);
            }
        }
        behind
    }
}

impl fmt::Display for PartnersBehind {
    /// `2 partners (a.test, b.test)`, or with `...` where there are more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.some.iter().map(TrustDomain::as_str).collect();
        let (noun, more) = (
            if self.count == 1 { "partner" } else { "partners" },
            if self.count > names.len() { ", ..." } else { "" },
        );
        match self.count {
            0 => f.write_str("no partner"),
            count => write!(f, "{count} {noun} ({}{more})", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::x509::testing::TestCa;

    const PUBLISHED: Timestamp = Timestamp::from_unix(1_000);
    const PHASES: [Phase; 5] = [Phase::Prepared, Phase::Active, Phase::Old, Phase::Tainted, Phase::Revoked];

    fn bundle(roots: &[&TestCa]) -> TrustBundle {
        let empty = TrustBundle::new("td.example".parse().unwrap());
        roots.iter().fold(empty, |bundle, root| bundle.with_x509_authority(&root.der).unwrap())
    }

    fn key(root: &TestCa) -> BundleKey {
        BundleKey::Root(RootHash::of_der(&root.der))
    }

    #[test]
    fn a_partner_is_behind_with_what_it_does_not_show_and_with_what_it_still_shows() {
        let (old, new) = (TestCa::root("old", "td.example"), TestCa::root("new", "td.example"));
        let seen = |roots: &[&TestCa], at| OursSeen::new(Some(&bundle(roots)), Timestamp::from_unix(at));
        assert!(seen(&[&old], 2_000).is_behind(&key(&new), Phase::Prepared, PUBLISHED));
        assert!(!seen(&[&old, &new], 2_000).is_behind(&key(&new), Phase::Prepared, PUBLISHED));
        assert!(seen(&[&old, &new], 2_000).is_behind(&key(&old), Phase::Revoked, PUBLISHED));
        assert!(!seen(&[&new], 2_000).is_behind(&key(&old), Phase::Revoked, PUBLISHED));
        assert!(seen(&[&new], 999).is_behind(&key(&old), Phase::Revoked, PUBLISHED), "it may have fetched since");
        assert!(seen(&[&old], 2_000).holds(&bundle(&[&old])) && !seen(&[&old], 2_000).holds(&bundle(&[&old, &new])));
    }

    #[test]
    fn a_partner_that_holds_nothing_of_ours_is_never_behind() {
        let root = TestCa::root("root", "td.example");
        for phase in PHASES {
            assert!(!OursSeen::new(None, Timestamp::from_unix(0)).is_behind(&key(&root), phase, PUBLISHED));
        }
    }

    #[test]
    fn many_partners_are_counted_and_some_named() {
        let named: PartnersBehind = (0..12).map(|number| format!("p{number:02}.test").parse().unwrap()).collect();
        assert_eq!(named.count(), 12);
        assert!(named.to_string().starts_with("12 partners (p00.test, p01.test") && named.to_string().ends_with("p09.test, ...)"));
        assert_eq!(PartnersBehind::default().to_string(), "no partner");
    }

    proptest! {
        #[test]
        fn who_shows_our_newest_bundle_after_it_was_published_is_behind_with_nothing(held in 1_u8..16, phase in 0_usize..5, later in 0_i64..1_000) {
            let keys: BTreeSet<BundleKey> = (0..4_u8).filter(|bit| held & (1 << bit) != 0).map(|bit| BundleKey::Token(bit.to_string())).collect();
            let seen = OursSeen { at: Timestamp::from_unix(1_000 + later), keys: keys.clone() };
            for bit in 0..4_u8 {
                let key = BundleKey::Token(bit.to_string());
                let is_in = keys.contains(&key);
                // The bundle holds what is not revoked.
                let expected = PHASES[phase] != Phase::Tainted && (PHASES[phase] == Phase::Revoked) == is_in;
                prop_assert_eq!(seen.is_behind(&key, PHASES[phase], PUBLISHED), expected);
            }
        }
    }
}
