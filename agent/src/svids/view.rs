//! What a workload or a sink is given: whole values, in which key, chain and bundle never mix.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision, Selector, Serial, SpiffeId, Timestamp, TrustBundle, TrustDomain};
use zeroize::Zeroizing;

use super::lists::RevocationLists;

/// One X509-SVID with its private key.
pub struct IssuedSvid {
    /// The entry it was issued for.
    pub entry_id: EntryId,
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// The label that a workload with several identities tells them apart by.
    pub hint: Option<String>,
    /// The certificates in DER, leaf first, without the root; issuers are shared between SVIDs.
    pub chain: Vec<Bytes>,
    /// The private key: PKCS#8 in DER.
    pub key_pkcs8: Zeroizing<Vec<u8>>,
    /// The leaf's serial number.
    pub serial: Serial,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the agent will replace it.
    pub next_renewal: Timestamp,
    /// Whether an earlier run of the agent was given it: a later one may have been delivered before that run was killed.
    pub is_of_earlier_run: bool,
}

impl std::fmt::Debug for IssuedSvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedSvid")
            .field("spiffe_id", &self.spiffe_id)
            .field("serial", &self.serial)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Everything one subscriber is entitled to at one moment.
#[derive(Debug)]
pub struct IdentityView {
    /// Valid SVIDs, at least one; by the age of their entries, then by entry id.
    pub svids: Vec<Arc<IssuedSvid>>,
    /// The bundle of the trust domain.
    pub bundle: Arc<TrustBundle>,
    /// The bundles of the partners that the subscriber's own entries federate with, as far as there are any: one for each trust domain, never pooled.
    pub federated: BTreeMap<TrustDomain, Arc<TrustBundle>>,
    /// The revocation lists of the own trust domain: complete, or none.
    pub crls: Arc<RevocationLists>,
    /// Those of partners in `federated` that have any: complete, and of use with the bundle of that partner only.
    pub federated_crls: BTreeMap<TrustDomain, Arc<RevocationLists>>,
    /// The commit that the view shows.
    pub revision: Revision,
}

impl IdentityView {
    /// Returns whether a subscriber that has the other view already has this one: the commit it shows alone makes no difference.
    #[must_use]
    pub fn same_contents(&self, other: &Self) -> bool {
        self.same_svids(other) && Arc::ptr_eq(&self.bundle, &other.bundle) && are_same(&self.federated, &other.federated) && self.same_lists(other)
    }

    /// Returns whether both have the same revocation lists, of the own trust domain and of each partner.
    #[must_use]
    pub fn same_lists(&self, other: &Self) -> bool {
        let none = self.crls.is_empty() && other.crls.is_empty();
        (none || Arc::ptr_eq(&self.crls, &other.crls)) && are_same(&self.federated_crls, &other.federated_crls)
    }

    /// Returns whether there are any revocation lists.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        !self.crls.ders().is_empty() || !self.federated_crls.is_empty()
    }

    /// Returns the revocation lists that go with the bundle of a partner.
    #[must_use]
    pub fn crls_of(&self, partner: &TrustDomain) -> Arc<RevocationLists> {
        self.federated_crls.get(partner).cloned().unwrap_or_default()
    }

    /// Returns whether both have the same SVIDs.
    #[must_use]
    pub fn same_svids(&self, other: &Self) -> bool {
        self.svids.len() == other.svids.len() && self.svids.iter().zip(&other.svids).all(|(one, two)| Arc::ptr_eq(one, two))
    }

    /// Returns the bundles: that of the trust domain, then those of partners.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<TrustBundle>> {
        std::iter::once(&self.bundle).chain(self.federated.values())
    }

    /// Returns the bundle of a trust domain, if the subscriber may have it: bundles are never pooled.
    #[must_use]
    pub fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        self.bundles().find(|bundle| bundle.trust_domain() == trust_domain).cloned()
    }
}

/// Returns whether both give the same to the same partners; what stays the same keeps its place in memory.
fn are_same<T>(one: &BTreeMap<TrustDomain, Arc<T>>, other: &BTreeMap<TrustDomain, Arc<T>>) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && Arc::ptr_eq(one.1, other.1))
}

/// Why a subscriber is given nothing now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No entry of this node matches the subscriber.
    #[error("no entry of this node matches this process")]
    NotEntitled,
    /// Entries match, but none has a valid SVID: the server is away or refuses; or the entry that matched is gone.
    #[error("{reason}")]
    NothingValid {
        /// What happened, and since when; never another entry's business.
        reason: String,
        /// Whether the subscriber was entitled and no longer is.
        entry_gone: bool,
    },
    /// The agent has not yet had its first entries from the server or from its own sealed cache.
    #[error("the agent has not yet heard from its server")]
    Starting,
    /// This node is no longer a member of its trust domain: everything was taken back.
    #[error("{reason}")]
    Withdrawn {
        /// What happened to the node.
        reason: String,
    },
}

impl Unserved {
    /// Returns whether waiting cannot help: it takes an entry, not time.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::NotEntitled | Self::Withdrawn { .. } => true,
            Self::NothingValid { entry_gone, .. } => *entry_gone,
            Self::Starting => false,
        }
    }
}

impl Coded for Unserved {
    fn code(&self) -> Code {
        if self.is_denied() { Code::NoEntries } else { Code::WorkloadUnavailable }
    }
}

/// Which facts any entry of this node asks for: the attestor reads no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WantedFacts {
    /// Some entry has `unix:user:`.
    pub user: bool,
    /// Some entry has `unix:group:`.
    pub group: bool,
    /// Some entry has `unix:supplementary_gid:`.
    pub supplementary_gid: bool,
    /// Some entry has `unix:path:`.
    pub path: bool,
    /// Some entry has `unix:sha256:`.
    pub sha256: bool,
}

impl WantedFacts {
    /// Everything there is, as `explain` reads it.
    pub const ALL: Self = Self {
        user: true,
        group: true,
        supplementary_gid: true,
        path: true,
        sha256: true,
    };

    /// Returns the facts that these entries ask for.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a NodeEntry>) -> Self {
        Self::of_selectors(entries.into_iter().flat_map(|entry| &entry.selectors))
    }

    /// Returns the facts that these selectors are about.
    pub fn of_selectors<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> Self {
        let mut wanted = Self::default();
        for selector in selectors.into_iter().filter(|selector| selector.kind() == "unix") {
            match selector.value().split(':').next() {
                Some("user") => wanted.user = true,
                Some("group") => wanted.group = true,
                Some("supplementary_gid") => wanted.supplementary_gid = true,
                Some("path") => wanted.path = true,
                Some("sha256") => wanted.sha256 = true,
                _ => {}
            }
        }
        wanted
    }
}
