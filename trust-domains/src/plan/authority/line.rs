//! A line of succession: the authorities of one kind, of which one signs and the next takes its place.

use std::time::Duration;

use super::action::PrepareReason;
use super::id::AuthorityId;
use super::policy::KeyLife;
use super::state::{Asked, AuthorityKind, AuthorityState, Phase};
use crate::jws::TokenAlgorithm;
use crate::plan::validity::SHORTEST_LIFE;
use crate::timestamp::Timestamp;

/// The authorities of one kind at one moment.
pub(super) struct Line<'a> {
    pub(super) kind: AuthorityKind,
    pub(super) now: Timestamp,
    pub(super) life: KeyLife,
    /// All of the kind, in any phase.
    pub(super) members: Vec<&'a AuthorityState>,
    /// Those that are valid now; of issuing CAs, those under the active root.
    pub(super) usable: Vec<&'a AuthorityState>,
    /// Those that an operator's order takes away.
    pub(super) condemned: Vec<&'a AuthorityId>,
    /// What a new one cannot outlast: the end of the root that signs it.
    pub(super) ceiling: Option<Timestamp>,
    /// What tokens shall be signed with; none for CAs.
    pub(super) algorithm: Option<TokenAlgorithm>,
}

/// The next step of a line towards a successor.
pub(super) enum Succession<'a> {
    /// The prepared one may take over.
    Activate(&'a AuthorityState, PrepareReason),
    /// Nothing is due.
    Nothing,
    /// One must be made, to last until then.
    Prepare(Timestamp, PrepareReason),
    /// One must be made, but it would bring no gain: its root ends too soon.
    TooShort,
}

impl<'a> Line<'a> {
    /// Returns the usable ones of this phase.
    fn usable(&self, phase: Phase) -> impl Iterator<Item = &'a AuthorityState> {
        self.usable.iter().copied().filter(move |authority| authority.phase == phase)
    }

    /// Returns the one that is active and usable: of several the one that ends last, but one that is not wanted only if there is no other.
    pub(super) fn active(&self) -> Option<&'a AuthorityState> {
        longest(self.usable(Phase::Active).filter(|active| self.is_wanted(active))).or_else(|| longest(self.usable(Phase::Active)))
    }

    /// Returns the prepared one that is next, if there is one worth it: first the one that an operator named.
    pub(super) fn prepared(&self) -> Option<&'a AuthorityState> {
        self.named().or_else(|| {
            longest(
                self.candidates()
                    .filter(|prepared| prepared.asked != Asked::Nothing || self.is_worth(prepared.not_after)),
            )
        })
    }

    /// Returns the prepared one that an operator wants to sign.
    fn named(&self) -> Option<&'a AuthorityState> {
        longest(self.candidates().filter(|prepared| prepared.asked == Asked::Activated))
    }

    fn candidates(&self) -> impl Iterator<Item = &'a AuthorityState> {
        self.usable(Phase::Prepared).filter(|prepared| self.is_wanted(prepared))
    }

    /// Returns whether it signs with the algorithm that is configured, and no order takes it away.
    pub(super) fn is_wanted(&self, authority: &AuthorityState) -> bool {
        authority.algorithm == self.algorithm && !self.is_condemned(authority)
    }

    /// Returns whether an order takes it away.
    pub(super) fn is_condemned(&self, authority: &AuthorityState) -> bool {
        self.condemned.contains(&&authority.id)
    }

    /// Returns whether an operator asked for a change of this line.
    pub(super) fn is_ordered(&self) -> bool {
        self.members.iter().any(|member| self.is_condemned(member)) || self.named().is_some()
    }

    /// Returns the active one if what it signs with is what is configured: the one that a successor is measured by.
    fn measure(&self) -> Option<&'a AuthorityState> {
        self.active().filter(|active| self.is_wanted(active))
    }

    /// Returns the next step.
    pub(super) fn succession(&self) -> Succession<'a> {
        let Some(reason) = self.successor_reason() else {
            return Succession::Nothing;
        };
        if let Some(prepared) = self.prepared() {
            return match self.must_activate() {
                true => Succession::Activate(prepared, reason),
                false => Succession::Nothing,
            };
        }
        let full = self.now + self.life.life();
        let not_after = self.ceiling.map_or(full, |ceiling| full.min(ceiling));
        match self.is_worth(not_after) {
            true => Succession::Prepare(not_after, reason),
            false => Succession::TooShort,
        }
    }

    /// Returns whether the active one is within its signing margin.
    pub(super) fn is_late(&self, signer: &AuthorityState) -> bool {
        self.now.duration_until(signer.not_after) < self.life.signing_margin()
    }

    /// Returns why a successor must be prepared by now.
    fn successor_reason(&self) -> Option<PrepareReason> {
        let Some(active) = self.active() else {
            return Some(PrepareReason::NoneActive);
        };
        if self.is_condemned(active) || self.named().is_some() {
            return Some(PrepareReason::Ordered);
        }
        if let (Some(signs_with), Some(wanted)) = (active.algorithm, self.algorithm)
            && signs_with != wanted
        {
            return Some(PrepareReason::OtherAlgorithm { active: signs_with, wanted });
        }
        let prepare_at = self.life.signing_margin().saturating_add(self.life.handover_lead().saturating_mul(2));
        (self.left(active) <= prepare_at).then_some(PrepareReason::EndsSoon { not_after: active.not_after })
    }

    fn must_activate(&self) -> bool {
        let activate_at = self.life.signing_margin().saturating_add(self.life.handover_lead());
        self.named().is_some() || self.measure().is_none_or(|active| self.left(active) <= activate_at)
    }

    fn left(&self, authority: &AuthorityState) -> Duration {
        self.now.duration_until(authority.not_after)
    }

    /// An authority is worth its key if it outlasts the active one by the lead: near the root's end all would end with the root.
    pub(super) fn is_worth(&self, not_after: Timestamp) -> bool {
        match self.measure() {
            Some(active) => not_after >= active.not_after + self.life.handover_lead(),
            None => not_after > self.now + SHORTEST_LIFE,
        }
    }
}

/// Returns the authority that ends last; of several the one with the greatest identifier, so that every look picks the same.
pub(super) fn longest<'a>(authorities: impl Iterator<Item = &'a AuthorityState>) -> Option<&'a AuthorityState> {
    authorities.max_by(|one, other| (one.not_after, &one.id).cmp(&(other.not_after, &other.id)))
}
