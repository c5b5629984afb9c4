//! From what the registry says to the lines of a stream.

use std::collections::BTreeMap;

use trust_domains::plan::authority::AuthorityId;
use trust_domains::wire::crls::{CrlsChange, CrlsWhole, PartnerCrls};
use trust_domains::wire::node::{NodeEntry, SyncMessage};
use trust_domains::{EntryId, Revision, SpiffeBundle, TrustDomain};

use crate::limits::ENTRIES_PER_MESSAGE;
use crate::registry::{HeldEntry, Registry};

/// What a stream is told of partners.
#[derive(Debug, Default)]
pub(super) struct ToldFederated {
    /// All bundles.
    pub(super) bundles: Vec<SpiffeBundle>,
    /// Those of these partners that every entry has.
    pub(super) to_all: Vec<TrustDomain>,
    /// The revocation lists that it was not told yet; none for a partner whose lists are not given any more.
    pub(super) crls: Vec<PartnerCrls>,
}

/// What a snapshot brings beside entries.
pub(super) struct Whole {
    /// The bundle of the trust domain.
    pub(super) bundle: SpiffeBundle,
    /// Those of the node's partners, and the lists that go with them.
    pub(super) federated: ToldFederated,
    /// The authorities whose credentials are to be replaced.
    pub(super) tainted: Vec<AuthorityId>,
    /// The revocation lists, if any are delivered.
    pub(super) crls: Option<CrlsWhole>,
}

/// Returns the parts of a snapshot, everything beside entries in the last.
pub(super) fn snapshot<'a>(registry: &'a Registry, revision: Revision, entries: &'a [HeldEntry], state: Whole) -> impl Iterator<Item = SyncMessage> + 'a {
    let parts = entries.len().div_ceil(ENTRIES_PER_MESSAGE).max(1);
    let Whole {
        bundle,
        mut federated,
        mut tainted,
        mut crls,
    } = state;
    let mut bundle = Some(bundle);
    (1..=parts).map(move |part| {
        let from = (part - 1) * ENTRIES_PER_MESSAGE;
        let entries = entries.iter().skip(from).take(ENTRIES_PER_MESSAGE).map(|held| shown(registry, held)).collect();
        let last = part == parts;
        SyncMessage::Snapshot {
            revision,
            entries,
            bundle: if last { bundle.take() } else { None },
            federated: if last { std::mem::take(&mut federated.bundles) } else { Vec::new() },
            federated_crls: if last { std::mem::take(&mut federated.crls) } else { Vec::new() },
            given_to_all: if last { std::mem::take(&mut federated.to_all) } else { Vec::new() },
            tainted: if last { std::mem::take(&mut tainted) } else { Vec::new() },
            crls: if last { crls.take() } else { None },
            last,
        }
    })
}

/// What a delta brings beside entries; what is not said stays.
#[derive(Default)]
pub(super) struct Trust {
    /// That of the trust domain.
    pub(super) own: Option<SpiffeBundle>,
    /// All of the node's partners.
    pub(super) federated: Option<ToldFederated>,
    /// All authorities whose credentials are to be replaced.
    pub(super) tainted: Option<Vec<AuthorityId>>,
    /// What became of the revocation lists: changes, one after the other.
    pub(super) crls: Vec<CrlsChange>,
}

/// Returns the parts of a delta. All but the last carry the commit that the agent shows already: acknowledging a part says nothing of the rest.
pub(super) fn delta<'a>(
    registry: &'a Registry,
    shown_before: Revision,
    revision: Revision,
    changes: BTreeMap<EntryId, Option<HeldEntry>>,
    trust: Trust,
) -> impl Iterator<Item = SyncMessage> + 'a {
    let parts = changes.len().div_ceil(ENTRIES_PER_MESSAGE).max(1);
    let mut changes = changes.into_iter();
    let Trust {
        mut own,
        mut federated,
        mut tainted,
        mut crls,
    } = trust;
    let mut newest_crls = crls.pop();
    let earlier = crls.into_iter().map(move |change| SyncMessage::Delta {
        revision: shown_before,
        upserted: Vec::new(),
        removed: Vec::new(),
        bundle: None,
        federated: None,
        federated_crls: Vec::new(),
        given_to_all: Vec::new(),
        tainted: None,
        crls: Some(change),
    });
    let parts = (1..=parts).map(move |part| {
        let (mut upserted, mut removed) = (Vec::new(), Vec::new());
        for (id, now) in changes.by_ref().take(ENTRIES_PER_MESSAGE) {
            match now {
                Some(held) => upserted.push(shown(registry, &held)),
                None => removed.push(id),
            }
        }
        let last = part == parts;
        let (federated, given_to_all, federated_crls) = match federated.take_if(|_| last) {
            Some(told) => (Some(told.bundles), told.to_all, told.crls),
            None => (None, Vec::new(), Vec::new()),
        };
        SyncMessage::Delta {
            revision: if last { revision } else { shown_before },
            upserted,
            removed,
            bundle: if last { own.take() } else { None },
            federated,
            federated_crls,
            given_to_all,
            tainted: if last { tainted.take() } else { None },
            crls: if last { newest_crls.take() } else { None },
        }
    });
    earlier.chain(parts)
}

fn shown(registry: &Registry, held: &HeldEntry) -> NodeEntry {
    held.entry.node_entry(registry.at(held.modified))
}
