//! Which lists are to be signed, and the signing.

use trust_domains::Timestamp;
use trust_domains::crl::{CrlSet, CrlSetRefused, RevokedSerial};
use trust_domains::plan::authority::AuthorityId;

use super::expanded::Expanded;
use crate::authority::{CrlSignError, ListingCa};

/// About the octets of a list beside its entries: names, times, extensions and signature of a P-256 CA.
const FRAME: usize = 400;

/// The octets of an entry: a serial of 16 octets and a date.
const ENTRY: usize = 35;

/// The lists of a complete set: those that are kept, and those to be signed.
#[derive(Debug)]
pub(super) struct DueLists {
    cas: Vec<ListingCa>,
    /// By the place of the CA: what its new list says.
    new: Vec<(usize, Vec<RevokedSerial>)>,
    /// By the place of the CA: how many entries its list has.
    entries: Vec<usize>,
}

/// The set cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListsError {
    #[error(transparent)]
    Set(#[from] CrlSetRefused),
    #[error(transparent)]
    Sign(#[from] CrlSignError),
}

impl DueLists {
    /// Compares what the CAs' lists shall say with the set that is out; `None` where it says just that. The list of `frozen` stays as it is out: it is too
    /// long to go on.
    pub(super) fn after(held: Option<&CrlSet>, cas: Vec<ListingCa>, expanded: &Expanded, frozen: Option<&AuthorityId>) -> Option<Self> {
        let held_list = |ca: &ListingCa| held.and_then(|held| held.list_of(ca.id()));
        let mut new = Vec::new();
        let mut entries = Vec::with_capacity(cas.len());
        for (place, ca) in cas.iter().enumerate() {
            match held_list(ca) {
                Some(list) if frozen == Some(ca.id()) => entries.push(list.len()),
                Some(list) if ca.revoked_cas().is_empty() && !expanded.has_unsigned(&ca.serials()) => entries.push(list.len()),
                list => {
                    let revoked = shall_say(ca, expanded);
                    entries.push(revoked.len());
                    let says_so = list.is_some_and(|list| list.revoked().map(|listed| listed.serial).eq(revoked.iter().map(|listed| listed.serial)));
                    if !says_so {
                        new.push((place, revoked));
                    }
                }
            }
        }
        let has_same_cas = held.is_some_and(|held| held.len() == cas.len());
        (!new.is_empty() || !has_same_cas).then_some(Self { cas, new, entries })
    }

    /// Returns about how many octets the set will have: asked before anything is signed.
    pub(super) fn octets(&self) -> usize {
        self.entries.iter().map(|entries| FRAME + entries * ENTRY).sum()
    }

    /// Returns the CA with the longest list, if any list has an entry.
    pub(super) fn fullest(&self) -> Option<&ListingCa> {
        let (place, _) = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entries)| **entries > 0)
            .max_by_key(|(_, entries)| **entries)?;
        self.cas.get(place)
    }

    /// Signs what is new. Encoding and hashing cost in proportion to the entries, the signature itself next to nothing.
    pub(super) fn sign(self, held: Option<&CrlSet>, number: u64, now: Timestamp) -> Result<CrlSet, ListsError> {
        let mut signed = Vec::with_capacity(self.new.len());
        for (place, revoked) in self.new {
            let Some(ca) = self.cas.get(place) else { continue };
            signed.push((ca.public().clone(), ca.sign(number, now, revoked.into_iter())?));
        }
        let is_kept = |id: &_| self.cas.iter().any(|ca| ca.id() == id);
        Ok(held.unwrap_or(&CrlSet::default()).replaced(signed, is_kept)?)
    }
}

/// Returns what the list of a CA shall say, in the order of the serials.
fn shall_say(ca: &ListingCa, expanded: &Expanded) -> Vec<RevokedSerial> {
    let mut revoked: Vec<_> = expanded.within(ca.serials()).chain(ca.revoked_cas().iter().copied()).collect();
    revoked.sort_by_key(|listed| listed.serial);
    revoked.dedup_by_key(|listed| listed.serial);
    revoked
}
