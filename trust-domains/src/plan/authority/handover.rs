//! What every kind has in common: its line, the steps of a handover, and who signs meanwhile.

use super::Planning;
use super::action::{AuthorityAction, AuthorityProblem, PrepareReason, Signing};
use super::line::Line;
use super::policy::KeyLife;
use super::state::{AuthorityKind, AuthorityState, Missing, Phase};

impl<'a> Planning<'a> {
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
            ceiling: None,
            algorithm: None,
        }
    }

    pub(super) fn activate(&mut self, prepared: &AuthorityState, reason: PrepareReason, left_behind: Missing) {
        self.actions.push(AuthorityAction::Activate {
            id: prepared.id.clone(),
            reason,
            left_behind,
        });
    }

    /// Retires all active ones but the one that signs from now on.
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
