//! The authorities and the orders about them, as an operator sees them.

use std::collections::BTreeSet;

use trust_domains::plan::authority::{AuthoritiesState, AuthorityId, AuthorityKind, Extent, Order, OrderId, Phase, steps};
use trust_domains::wire::authorities::{Acknowledged, AuthorityView, ReplaceRequest, ReplacementStep, ReplacementView, StepState};
use trust_domains::{Timestamp, TrustDomain};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::authorities::Authorities;
use super::held::Held;
use super::order_record::OrderRecord;
use super::orders::OrderError;

impl Authorities {
    /// Returns all authorities, those of a kind together, the active one first; `partners` are the trust domains whose members believe our bundle.
    #[must_use]
    pub fn views(&self, partners: &[TrustDomain]) -> Vec<AuthorityView> {
        let set = self.set();
        let mut held: Vec<_> = set.held().collect();
        held.sort_by_key(|held| (held.kind(), place(held.phase()), std::cmp::Reverse(held.not_after()), held.id().clone()));
        held.into_iter().map(|held| self.view_of(held, partners)).collect()
    }

    /// Returns one authority.
    #[must_use]
    pub fn view(&self, id: &AuthorityId, partners: &[TrustDomain]) -> Option<AuthorityView> {
        self.set().find(id).map(|held| self.view_of(held, partners))
    }

    fn view_of(&self, held: &Held, partners: &[TrustDomain]) -> AuthorityView {
        AuthorityView {
            id: held.id().clone(),
            kind: held.kind(),
            state: held.phase(),
            subject: held.ca().and_then(|(_, issuer)| subject(issuer.certificate())),
            key_id: held.id().to_string(),
            issuer: held.ca().and_then(|(record, _)| record.root.clone()),
            algorithm: held.token().map(|(_, key)| key.algorithm()),
            created_at: held.created_at(),
            not_before: held.not_before(),
            not_after: held.not_after(),
            because: held.notes().because.clone(),
            acknowledged: self.acknowledged(held),
            partners_behind: self.partners_behind(held, partners),
            signed: None,
        }
    }

    fn acknowledged(&self, held: &Held) -> Option<Acknowledged> {
        held.published()?;
        let now = self.now();
        let missing = self.witness.missing(held.modified, now);
        Some(Acknowledged {
            nodes: self.witness.concerned(now).saturating_sub(missing.count()),
            missing: missing.some().to_vec(),
            missing_count: missing.count(),
        })
    }

    /// Partners that show what they hold of ours are behind by that; those that do not, until they had the time to fetch.
    fn partners_behind(&self, held: &Held, partners: &[TrustDomain]) -> Vec<TrustDomain> {
        let Some((at, _)) = held.published().filter(|_| held.kind() != AuthorityKind::X509Issuing) else {
            return Vec::new();
        };
        let waits = trust_domains::plan::authority::REFRESHES_BEFORE_USE * self.settings.refresh_hint;
        let silent = partners.iter().filter(|partner| !self.partners_seen.tells(partner)).cloned();
        let mut behind = self.held_back(held, at);
        behind.extend(silent.filter(|_| self.now() < at + waits));
        behind.sort_unstable();
        behind
    }

    /// Returns the partners that show that they are behind with what an order took out of the bundle.
    fn withdrawn_behind(&self, order: &Order) -> Vec<TrustDomain> {
        let set = self.set();
        let revoked = order
            .replaces
            .iter()
            .filter_map(|id| set.find(id))
            .filter(|held| held.phase() == Phase::Revoked);
        let behind = revoked.filter_map(|held| Some(self.held_back(held, held.published()?.0)));
        behind.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What has ended is believed by nobody, whoever still shows it.
    fn held_back(&self, held: &Held, at: Timestamp) -> Vec<TrustDomain> {
        match self.now() < held.not_after() {
            true => held.behind(&self.partners_seen, at),
            false => Vec::new(),
        }
    }

    /// Returns the replacements, the newest first.
    #[must_use]
    pub fn replacements(&self) -> Vec<ReplacementView> {
        let (set, state) = (self.set(), self.state(self.now()));
        set.orders().iter().rev().map(|record| self.replacement_view(record, &state)).collect()
    }

    /// Returns one replacement.
    #[must_use]
    pub fn replacement_of(&self, id: &OrderId) -> Option<ReplacementView> {
        let (set, state) = (self.set(), self.state(self.now()));
        let record = set.orders().iter().find(|record| record.id == *id)?;
        Some(self.replacement_view(record, &state))
    }

    fn replacement_view(&self, record: &OrderRecord, state: &AuthoritiesState) -> ReplacementView {
        let order = record.order();
        let mut steps = self.steps_of(&order, state);
        if record.finished_at.is_some() {
            steps.iter_mut().for_each(done);
        }
        ReplacementView {
            id: Some(record.id.to_string()),
            kind: record.kind,
            compromised: record.extent == Extent::Withdraw,
            replaces: record.replaces.clone(),
            because: record.because.clone(),
            ordered_at: Some(record.ordered_at),
            // What took its place goes on instead.
            steps: if record.outcome.as_deref().is_some_and(|outcome| outcome.ends_with("took its place")) {
                Vec::new()
            } else {
                steps
            },
            finished_at: record.finished_at,
            outcome: record.outcome.clone(),
            partners_behind: self.withdrawn_behind(&order),
        }
    }

    /// Returns what a replacement would do, and does nothing.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn rehearse(&self, request: &ReplaceRequest) -> Result<ReplacementView, OrderError> {
        let order = self.replacement(request)?;
        let mut state = self.state(self.now());
        state.orders.push(order.clone());
        let mut steps = self.steps_of(&order, &state);
        steps
            .iter_mut()
            .filter(|step| step.state == StepState::Running)
            .for_each(|step| step.state = StepState::Pending);
        Ok(ReplacementView {
            id: None,
            kind: order.kind,
            compromised: request.compromised,
            replaces: order.replaces,
            because: request.because.clone(),
            ordered_at: None,
            steps,
            finished_at: None,
            outcome: None,
            partners_behind: Vec::new(),
        })
    }

    fn steps_of(&self, order: &Order, state: &AuthoritiesState) -> Vec<ReplacementStep> {
        steps(self.now(), order, state, &self.settings.policy)
    }
}

fn done(step: &mut ReplacementStep) {
    (step.state, step.waiting_for_count, step.until) = (StepState::Done, 0, None);
    step.waiting_for.clear();
}

/// What signs comes first, then what will, then what did.
fn place(phase: Phase) -> u8 {
    match phase {
        Phase::Active => 0,
        Phase::Prepared => 1,
        Phase::Old => 2,
        Phase::Tainted => 3,
        Phase::Revoked => 4,
    }
}

fn subject(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.subject().to_string())
}
