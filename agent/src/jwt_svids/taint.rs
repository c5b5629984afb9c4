//! Tokens whose key is tainted: replaced at once, and given to nobody from the moment that a successor signs.

use std::cmp::Reverse;

use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{Jitter, retry_delay};
use trust_domains::plan::tainted::Tainted;

use super::held::TokenKey;
use super::slot::Signer;
use super::state::State;

impl State {
    /// Takes the list: the tokens concerned that somebody asked for are wanted anew, the most recently used first. The others are when they are asked for.
    pub(super) fn taint(&mut self, tainted: Tainted) {
        if self.tainted == tainted {
            return;
        }
        self.tainted = tainted;
        let mut wanted: Vec<(Reverse<Option<u64>>, TokenKey)> = Vec::new();
        for (key, slot) in &mut self.slots {
            let is_tainted = slot.held.as_ref().is_some_and(|held| self.tainted.signed_token(held.svid.token.as_str()));
            slot.signer = match (is_tainted, slot.signer) {
                (true, Signer::Replaced) => Signer::Replaced,
                (true, Signer::Good | Signer::Tainted) => Signer::Tainted,
                (false, _) => Signer::Good,
            };
            if is_tainted && slot.used && !slot.queued && !slot.in_flight {
                slot.queued = true;
                wanted.push((Reverse(slot.use_number), key.clone()));
            }
        }
        wanted.sort_unstable_by_key(|(used, _)| *used);
        self.queue.extend(wanted.into_iter().map(|(_, key)| key));
    }

    /// A successor signs: what is tainted is given to nobody any more, and kept only while it is being replaced.
    pub(super) fn withhold_tainted(&mut self) {
        if self.tainted.is_empty() {
            return;
        }
        let mut unwanted = Vec::new();
        for (key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.signer == Signer::Tainted) {
            slot.signer = Signer::Replaced;
            if !slot.queued && !slot.in_flight {
                unwanted.push(key.clone());
            }
        }
        for key in unwanted {
            self.drop_token(&key);
            self.forget_unneeded(&key);
        }
    }

    /// The token that just came is by a tainted key too: asking for another at once would bring the same.
    pub(super) fn put_off(&mut self, key: &TokenKey, jitter: Jitter, now: Reading) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let life = slot.held.as_ref().map_or_else(Default::default, |held| held.life);
        slot.signer = Signer::Tainted;
        slot.failures = slot.failures.saturating_add(1);
        slot.retry_at = now.since_boot.saturating_add(retry_delay(slot.failures, life, jitter));
        let retry_at = slot.retry_at;
        self.look_by(retry_at, now);
    }

    /// Returns whether a token of a tainted key may still be given out.
    pub(super) fn shows_tainted(&self) -> bool {
        !self.tainted.is_empty() && self.slots.values().any(|slot| slot.signer == Signer::Tainted)
    }
}
