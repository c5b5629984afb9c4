//! What the rules concern: serials, found once and kept until they end.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use trust_domains::crl::RevokedSerial;
use trust_domains::revocation::{RevocationRule, RevocationTarget};
use trust_domains::{Serial, Timestamp};

use crate::journal::Journal;
use crate::registry::HeldRule;
use crate::store::RecordName;

/// How many ended serials leave the lists at once: each is a gap in the patch, of some 35 octets.
const DROPPED_AT_ONCE: usize = 512;

/// Every certificate that is revoked and has not ended.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    revoked: BTreeMap<Serial, Certificate>,
    /// The rules that were looked for, each as of the commit that wrote it.
    rules: HashMap<RecordName, u64>,
    /// The last record of the journal in which what falls under the open rules was looked for.
    looked_through: u64,
    /// Serials that came or went since the lists were signed last.
    unsigned: HashSet<Serial>,
}

#[derive(Debug, Clone, Copy)]
struct Certificate {
    revoked_at: Timestamp,
    not_after: Timestamp,
}

impl Expanded {
    /// Looks for what new rules concern, and for what was recorded since under those that are open. Returns the serials that are new.
    pub(super) fn take(&mut self, rules: &BTreeMap<RecordName, HeldRule>, journal: &Journal, epoch: u64) -> Vec<Serial> {
        // Read before the look: what comes in between is looked at twice and not passed over.
        let through = journal.last_seq();
        let is_new = |id: &RecordName, held: &HeldRule| self.rules.get(id) != Some(&held.modified);
        let new_ids: Vec<_> = rules
            .iter()
            .filter(|(id, held)| is_new(id, held))
            .map(|(id, held)| (id.clone(), held.modified))
            .collect();
        let new: Vec<&RevocationRule> = rules.iter().filter(|(id, held)| is_new(id, held)).map(|(_, held)| &*held.rule).collect();
        let open: Vec<&RevocationRule> = rules.values().map(|held| &*held.rule).filter(|rule| rule.bound.before.is_none()).collect();
        let mut found = listed(&new);
        found.extend(in_journal(&new, journal, epoch, 0));
        if through > self.looked_through && !open.is_empty() {
            found.extend(in_journal(&open, journal, epoch, self.looked_through));
        }
        self.looked_through = through;
        if rules.len() < self.rules.len() {
            self.rules.retain(|id, _| rules.contains_key(id));
        }
        self.rules.extend(new_ids);
        // What is on a list already keeps its date.
        found.retain(|(serial, certificate)| match self.revoked.entry(*serial) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(*certificate);
                true
            }
        });
        let serials: Vec<_> = found.into_iter().map(|(serial, _)| serial).collect();
        self.unsigned.extend(&serials);
        serials
    }

    /// Forgets some of those that have ended, and returns them.
    pub(super) fn drop_ended(&mut self, now: Timestamp) -> Vec<Serial> {
        let ended = self.revoked.iter().filter(|(_, certificate)| certificate.not_after < now);
        let ended: Vec<_> = ended.map(|(serial, _)| *serial).take(DROPPED_AT_ONCE).collect();
        for serial in &ended {
            self.revoked.remove(serial);
        }
        self.unsigned.extend(&ended);
        ended
    }

    pub(super) fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Returns whether any of these serials came or went since the lists were signed.
    pub(super) fn has_unsigned(&self, serials: &RangeInclusive<Serial>) -> bool {
        self.unsigned.iter().any(|serial| serials.contains(serial))
    }

    /// Returns what is revoked of these serials, in their order.
    pub(super) fn within(&self, serials: RangeInclusive<Serial>) -> impl Iterator<Item = RevokedSerial> + '_ {
        self.revoked.range(serials).map(|(serial, certificate)| RevokedSerial {
            serial: *serial,
            at: certificate.revoked_at,
        })
    }

    /// Notes that lists are out that say all of it, but for what is among the serials of a list that is frozen.
    pub(super) fn note_signed(&mut self, frozen: Option<&RangeInclusive<Serial>>) {
        self.unsigned.retain(|serial| frozen.is_some_and(|frozen| frozen.contains(serial)));
    }
}

/// Returns the serials that rules name themselves: they need no journal.
fn listed(rules: &[&RevocationRule]) -> Vec<(Serial, Certificate)> {
    let serials = |rule: &RevocationRule| match &rule.target {
        RevocationTarget::Serial { serial } => vec![*serial],
        RevocationTarget::Listed { serials, .. } => serials.clone(),
        RevocationTarget::Entry { .. } | RevocationTarget::Node { .. } | RevocationTarget::SpiffeId { .. } => Vec::new(),
    };
    let certificate = |rule: &RevocationRule| Certificate {
        revoked_at: rule.made_at,
        not_after: rule.until,
    };
    rules
        .iter()
        .flat_map(|rule| serials(rule).into_iter().map(|serial| (serial, certificate(rule))))
        .collect()
}

fn in_journal(rules: &[&RevocationRule], journal: &Journal, epoch: u64, after: u64) -> Vec<(Serial, Certificate)> {
    let named = |rule: &&&RevocationRule| !matches!(rule.target, RevocationTarget::Serial { .. } | RevocationTarget::Listed { .. });
    let rules: Vec<&RevocationRule> = rules.iter().filter(named).copied().collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let concerned = journal.concerned(rules.iter().copied(), epoch, after).into_iter();
    let certificate = concerned.filter_map(|found| {
        let certificate = Certificate {
            revoked_at: rules.get(found.rule)?.made_at,
            not_after: found.not_after,
        };
        Some((found.serial, certificate))
    });
    certificate.collect()
}
