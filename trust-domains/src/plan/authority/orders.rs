//! Carrying out what an operator ordered. Each step follows from the phases of the authorities, so that a crash between any two goes on where it was.

use super::Planning;
use super::action::{AuthorityAction, ForgetReason};
use super::line::Line;
use super::order::{Extent, Order};
use super::state::{AuthorityKind, AuthorityState, Missing, Phase};

/// The lines of all kinds.
pub(super) struct Lines<'a> {
    pub(super) roots: Line<'a>,
    pub(super) issuing: Line<'a>,
    pub(super) jwt: Line<'a>,
    pub(super) wit: Line<'a>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(&self, kind: AuthorityKind) -> &Line<'a> {
        match kind {
            AuthorityKind::X509Root => &self.roots,
            AuthorityKind::X509Issuing => &self.issuing,
            AuthorityKind::Jwt => &self.jwt,
            AuthorityKind::Wit => &self.wit,
        }
    }

    pub(super) fn all(&self) -> [&Line<'a>; 4] {
        // Issuing CAs before their roots: those go last.
        [&self.issuing, &self.jwt, &self.wit, &self.roots]
    }
}

impl<'a> Planning<'a> {
    /// Returns whether an emergency waits for the handover of a kind.
    pub(super) fn is_urgent(&self, kind: AuthorityKind) -> bool {
        self.state.orders.iter().any(|order| order.is_emergency() && order.concerns(kind))
    }

    /// Takes the next steps of every order.
    pub(super) fn carry_out(&mut self, lines: &Lines<'a>) {
        for order in &self.state.orders {
            let going: Vec<_> = self
                .state
                .authorities
                .iter()
                .filter(|authority| order.replaces.contains(&authority.id))
                .collect();
            match order.extent {
                Extent::Replace => self.replace(order, &going, lines),
                Extent::Relieve | Extent::Taint | Extent::Withdraw => self.take_away(order, &going, lines),
            }
        }
    }

    /// A planned replacement is done when a successor signs: the handover itself is that of every day.
    fn replace(&mut self, order: &Order, going: &[&AuthorityState], lines: &Lines<'a>) {
        let all_retired = going.iter().all(|member| !matches!(member.phase, Phase::Active | Phase::Prepared));
        if all_retired && self.is_succeeded(order.line(), lines) {
            self.finish(order, Missing::default());
        }
    }

    /// An emergency: what was prepared is forgotten, and once a successor signs the old ones are tainted, replaced everywhere, and taken out of the bundle.
    fn take_away(&mut self, order: &Order, going: &[&AuthorityState], lines: &Lines<'a>) {
        for prepared in going.iter().filter(|member| member.phase == Phase::Prepared) {
            self.actions.push(AuthorityAction::Forget {
                id: prepared.id.clone(),
                reason: ForgetReason::Ordered,
            });
        }
        if !self.is_succeeded(order.line(), lines) {
            return;
        }
        let mut left_behind = Missing::default();
        let mut is_done = true;
        for member in going {
            is_done &= self.take_away_one(order, member, &mut left_behind);
        }
        if is_done {
            self.finish(order, left_behind);
        }
    }

    /// Takes the next step with one authority; returns whether there is none left.
    fn take_away_one(&mut self, order: &Order, member: &AuthorityState, left_behind: &mut Missing) -> bool {
        let next = match (member.phase, &member.publication) {
            (Phase::Prepared, _) => return false,
            (Phase::Active | Phase::Old, _) => AuthorityAction::Taint {
                id: member.id.clone(),
                order: order.id.clone(),
            },
            (Phase::Tainted | Phase::Revoked, None) => AuthorityAction::Publish {
                id: member.id.clone(),
                refreshes: std::time::Duration::ZERO,
            },
            (Phase::Tainted | Phase::Revoked, Some(publication)) if !self.is_settled(publication) => return false,
            (Phase::Tainted, Some(publication)) if order.extent != Extent::Taint => AuthorityAction::Revoke {
                id: member.id.clone(),
                order: order.id.clone(),
                left_behind: publication.missing.clone(),
            },
            (Phase::Tainted | Phase::Revoked, Some(publication)) => {
                *left_behind = publication.missing.clone();
                return true;
            }
        };
        self.actions.push(next);
        false
    }

    /// Returns whether something that stays signs in the place of what goes; of roots, an issuing CA under it as well.
    pub(super) fn is_succeeded(&self, kind: AuthorityKind, lines: &Lines<'a>) -> bool {
        let stays = |kind| {
            let line = lines.of(kind);
            line.active().is_some_and(|active| !line.is_condemned(active))
        };
        match kind {
            AuthorityKind::X509Root => stays(AuthorityKind::X509Root) && stays(AuthorityKind::X509Issuing),
            AuthorityKind::X509Issuing | AuthorityKind::Jwt | AuthorityKind::Wit => !self.is_planned(kind) || stays(kind),
        }
    }

    fn finish(&mut self, order: &Order, left_behind: Missing) {
        self.actions.push(AuthorityAction::Finish {
            order: order.id.clone(),
            left_behind,
        });
    }
}
