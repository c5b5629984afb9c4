//! What every kind has in common: its line, the steps of a handover, and who signs meanwhile.

use std::time::Duration;

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, PrepareReason, Signing};
use super::line::{Line, Succession};
use super::policy::{ACK_NOTICE, KeyLife};
use super::state::{AuthorityKind, AuthorityState, Missing, Phase, Publication};
use crate::timestamp::Timestamp;

/// Who is waited for before a prepared authority may sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// Whether anybody is: it is published, and marked as such.
    pub(super) publishes: bool,
    /// How long nodes are waited for.
    pub(super) ack_deadline: Duration,
    /// How long those outside are given.
    pub(super) refreshes: Duration,
    /// Whether another one signs meanwhile.
    pub(super) another_signs: bool,
    /// Whether an emergency asks for it.
    pub(super) is_urgent: bool,
    /// Whether it may sign unknown, rather than nobody.
    pub(super) may_skip: bool,
}

/// What became of a handover that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandedOver {
    /// It goes its way, or none is due.
    Planned,
    /// A successor is due and would bring no gain.
    TooShort,
}

impl<'a> Planning<'a> {
    /// Returns the line of a kind.
    pub(super) fn line(&self, kind: AuthorityKind, life: KeyLife, may_sign: impl Fn(&AuthorityState) -> bool) -> Line<'a> {
        let members: Vec<_> = self.state.authorities.iter().filter(|authority| authority.kind == kind).collect();
        let usable = members
            .iter()
            .copied()
            .filter(|member| member.is_valid_at(self.now) && may_sign(member))
            .collect();
        Line {
            kind,
            now: self.now,
            life,
            members,
            usable,
            condemned: self.state.orders.iter().flat_map(|order| &order.replaces).collect(),
            ceiling: None,
            algorithm: None,
        }
    }

    /// Prepares, publishes, activates and retires the authorities of a line.
    pub(super) fn hand_over(&mut self, line: &Line<'a>, waits: Waits, prepare: impl FnOnce(Timestamp, PrepareReason) -> AuthorityAction) -> HandedOver {
        let unpublished = line.prepared().filter(|prepared| waits.publishes && prepared.publication.is_none());
        if let Some(unpublished) = unpublished {
            self.actions.push(AuthorityAction::Publish {
                id: unpublished.id.clone(),
                refreshes: waits.refreshes,
            });
        }
        match line.succession() {
            Succession::Activate(prepared, reason) => {
                if self.is_known(prepared, &waits) {
                    self.activate(line, prepared, reason);
                    return HandedOver::Planned;
                }
            }
            Succession::Prepare(not_after, reason) => self.actions.push(prepare(not_after, reason)),
            Succession::TooShort => {
                self.retire(line, line.active());
                return HandedOver::TooShort;
            }
            Succession::Nothing => {}
        }
        self.retire(line, line.active());
        HandedOver::Planned
    }

    /// Returns whether everybody who is waited for knows a prepared authority.
    fn is_known(&mut self, prepared: &AuthorityState, waits: &Waits) -> bool {
        if !waits.publishes || waits.may_skip {
            return true;
        }
        let Some(publication) = &prepared.publication else { return false };
        if waits.is_urgent {
            return self.is_settled(publication);
        }
        // A clock that jumped says nothing about how long anybody had.
        let waited = |wait| self.verdict.allows_destroying() && publication.at + wait <= self.now;
        let is_heard = match waits.another_signs {
            true => publication.missing.is_empty(),
            false => publication.missing.has_no_node(),
        };
        let by_nodes = is_heard || waited(waits.ack_deadline);
        // While nobody signs, nobody outside waits for a token that he can verify.
        let refreshes = if waits.another_signs {
            waits.refreshes.max(publication.refreshes)
        } else {
            Duration::ZERO
        };
        let by_relying_parties = refreshes.is_zero() || waited(refreshes);
        // While nobody signs everybody waits for them: that is told at once.
        if by_relying_parties && !by_nodes && (!waits.another_signs || publication.at + ACK_NOTICE <= self.now) {
            self.problems.push(AuthorityProblem::Unacknowledged {
                kind: prepared.kind,
                key: prepared.id.clone(),
                missing: publication.missing.clone(),
                signs_from: publication.at + waits.ack_deadline.max(refreshes),
            });
        }
        by_nodes && by_relying_parties
    }

    /// Returns whether an emergency waits no longer: every connected node has heard, or had its time. A moment that lies ahead was written by a clock that
    /// has been put right since, and is long past.
    pub(super) fn is_settled(&self, publication: &Publication) -> bool {
        let is_over = publication.at + self.policy.emergency_ack_deadline <= self.now || publication.at > self.now + self.policy.clock.skew;
        publication.missing_connected.is_empty() || is_over
    }

    /// Lets a prepared one sign, and all others of its line no more: one commit.
    fn activate(&mut self, line: &Line<'_>, prepared: &AuthorityState, reason: PrepareReason) {
        let others = line.members.iter().filter(|other| other.phase == Phase::Active);
        self.actions.push(AuthorityAction::Activate {
            id: prepared.id.clone(),
            reason,
            left_behind: prepared
                .publication
                .as_ref()
                .map_or_else(Missing::default, |publication| publication.missing.clone()),
            retires: others.map(|other| other.id.clone()).collect(),
        });
    }

    /// Retires all active ones but the one that signs.
    pub(super) fn retire(&mut self, line: &Line<'_>, signer: Option<&AuthorityState>) {
        let Some(signer) = signer else { return };
        for other in line.members.iter().filter(|other| other.phase == Phase::Active && other.id != signer.id) {
            self.actions.push(AuthorityAction::Retire {
                id: other.id.clone(),
                replaced_by: signer.id.clone(),
            });
        }
    }

    pub(super) fn signing(&mut self, line: &Line<'_>, signer: Option<&AuthorityState>, none: AuthorityProblem) -> Signing {
        let Some(signer) = signer else {
            self.problems.push(none);
            return Signing::Stopped;
        };
        if line.is_late(signer) {
            self.problems.push(AuthorityProblem::SuccessorLate {
                kind: line.kind,
                authority: signer.id.clone(),
                not_after: signer.not_after,
            });
        }
        Signing::With(signer.id.clone())
    }
}
