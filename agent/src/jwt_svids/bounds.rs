//! The bounds of what is held: in number and octets, for each entry and in all. The least recently used go first.

use std::time::Duration;

use trust_domains::EntryId;

use super::held::{Held, TokenKey};
use super::slot::Signer;
use super::state::State;

/// The most tokens that are held: one for each of a few audiences of a thousand entries; about 8 MB with tokens of usual length.
pub(super) const MAX_HELD: usize = 8_192;

/// The most tokens that are held for one entry: one that asks for a new audience each time must not cost the others theirs.
pub(super) const MAX_HELD_PER_ENTRY: usize = 1_024;

/// The most octets that are held: tokens for long audiences have 12 KB.
pub(super) const MAX_HELD_OCTETS: usize = 16 * 1024 * 1024;

/// What a token costs beside its own octets and those of its audience: its places in the maps.
const PLACES: usize = 512;

impl State {
    /// Lets go of what was used least recently, until all limits are kept.
    pub(super) fn trim(&mut self) {
        while self.uses.count() > MAX_HELD || self.octets > MAX_HELD_OCTETS {
            let Some(key) = self.uses.oldest() else { break };
            self.drop_token(&key);
            self.forget_unneeded(&key);
        }
    }

    /// Lets go of the entry's least recently used tokens.
    pub(super) fn trim_entry(&mut self, entry: &EntryId) {
        while self.uses.count_of(entry) > MAX_HELD_PER_ENTRY {
            let Some(key) = self.uses.oldest_of(entry) else { break };
            self.drop_token(&key);
            self.forget_unneeded(&key);
        }
    }

    /// Drops the token, or the memory of a failure; those who wait go on waiting.
    pub(super) fn drop_token(&mut self, key: &TokenKey) {
        self.release(key);
        if let Some(slot) = self.slots.get_mut(key) {
            (slot.held, slot.signer) = (None, Signer::Good);
            (slot.failures, slot.retry_at, slot.last_error) = (0, Duration::ZERO, None);
        }
    }

    /// Takes what is held out of the accounts.
    pub(super) fn release(&mut self, key: &TokenKey) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if slot.use_number.is_some() {
            self.octets = self.octets.saturating_sub(octets(key, slot.held.as_ref()));
            self.uses.forget(key, slot.use_number.take());
        }
    }

    pub(super) fn forget_unneeded(&mut self, key: &TokenKey) {
        if self.slots.get(key).is_some_and(|slot| !slot.is_needed() && slot.failures == 0) {
            self.slots.remove(key);
        }
    }
}

pub(super) fn octets(key: &TokenKey, held: Option<&Held>) -> usize {
    PLACES + key.audience().octets() + held.map_or(0, |held| held.svid.token.as_str().len())
}
