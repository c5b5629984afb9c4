//! From what the registry says to the lines of a stream.

use std::collections::BTreeMap;

use trust_domains::plan::authority::AuthorityId;
use trust_domains::wire::node::{NodeEntry, SyncMessage};
use trust_domains::{EntryId, Revision, SpiffeBundle};

use crate::limits::ENTRIES_PER_MESSAGE;
use crate::registry::{HeldEntry, Registry};

/// Returns the parts of a snapshot, bundles and the list of tainted authorities in the last.
pub(super) fn snapshot<'a>(
    registry: &'a Registry,
    revision: Revision,
    entries: &'a [HeldEntry],
    bundle: SpiffeBundle,
    federated: Vec<SpiffeBundle>,
    tainted: Vec<AuthorityId>,
) -> impl Iterator<Item = SyncMessage> + 'a {
    let parts = entries.len().div_ceil(ENTRIES_PER_MESSAGE).max(1);
    let (mut bundle, mut federated, mut tainted) = (Some(bundle), federated, tainted);
    (1..=parts).map(move |part| {
        let from = (part - 1) * ENTRIES_PER_MESSAGE;
        let entries = entries.iter().skip(from).take(ENTRIES_PER_MESSAGE).map(|held| shown(registry, held)).collect();
        let last = part == parts;
        SyncMessage::Snapshot {
            revision,
            entries,
            bundle: if last { bundle.take() } else { None },
            federated: if last { std::mem::take(&mut federated) } else { Vec::new() },
            tainted: if last { std::mem::take(&mut tainted) } else { Vec::new() },
            crls: None,
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
    pub(super) federated: Option<Vec<SpiffeBundle>>,
    /// All authorities whose credentials are to be replaced.
    pub(super) tainted: Option<Vec<AuthorityId>>,
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
    } = trust;
    (1..=parts).map(move |part| {
        let (mut upserted, mut removed) = (Vec::new(), Vec::new());
        for (id, now) in changes.by_ref().take(ENTRIES_PER_MESSAGE) {
            match now {
                Some(held) => upserted.push(shown(registry, &held)),
                None => removed.push(id),
            }
        }
        let last = part == parts;
        SyncMessage::Delta {
            revision: if last { revision } else { shown_before },
            upserted,
            removed,
            bundle: if last { own.take() } else { None },
            federated: if last { federated.take() } else { None },
            tainted: if last { tainted.take() } else { None },
            crls: None,
        }
    })
}

fn shown(registry: &Registry, held: &HeldEntry) -> NodeEntry {
    held.entry.node_entry(registry.at(held.modified))
}
