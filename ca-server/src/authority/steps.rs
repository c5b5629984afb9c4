//! Performing the plan: each action is recorded, then one commit, then shown.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthorityAction, AuthorityId, AuthorityKind, Extent, ForgetReason, Missing, OrderId, Phase, PrepareReason};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::audit::{AuditEvent, Decision};
use trust_domains::{SpiffeId, Timestamp};

use super::authorities::Authorities;
use super::create::{CreateError, Making, NewAuthority, NewTokenKey};
use super::held::{Change, Held, Told, authority_key};
use super::issuer::Issuer;
use super::loading::{LoadAuthoritiesError, Turn, turn_key};
use super::order_record::{KEPT_DONE, order_key};
use super::set::AuthoritySet;
use super::trial::{self, TrialError};
use crate::journal::JournalError;
use crate::seal::SealError;
use crate::store::{Commit, CommitError};

/// A step in the life of an authority failed; what was committed before it stays.
#[derive(Debug, Error)]
pub enum StepError {
    /// The commit was not performed.
    #[error("the step cannot be stored")]
    Commit(#[from] CommitError),
    /// The authority cannot be made.
    #[error("the authority cannot be made")]
    Create(#[from] CreateError),
    /// The authority that the plan names is not there any more.
    #[error("authority {id} is gone")]
    Gone {
        /// Which.
        id: AuthorityId,
    },
    /// The journal did not take the decision.
    #[error("the step cannot be recorded")]
    Journal(#[source] JournalError),
    /// The authorities cannot be read back.
    #[error("the authorities cannot be read back")]
    Load(#[from] LoadAuthoritiesError),
    /// The record cannot be sealed.
    #[error("the authority cannot be sealed")]
    Seal(#[from] SealError),
    /// The authority did not stand its trial.
    #[error("authority {id} is not activated: it did not stand its trial")]
    Trial {
        /// Which.
        id: AuthorityId,
        /// Why.
        #[source]
        source: Box<TrialError>,
    },
}

impl Coded for StepError {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::Create(error) => error.code(),
            Self::Gone { .. } | Self::Trial { .. } => Code::Internal,
            Self::Journal(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Seal(error) => error.code(),
        }
    }
}

impl StepError {
    /// Returns whether another replica went first: it wrote since this one looked, or what the plan named is gone. Then it is looked at again.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Commit(CommitError::Conflict { .. }) | Self::Gone { .. })
    }

    /// Returns the text of the lowest cause, for the log.
    pub(super) fn cause(&self) -> String {
        let mut lowest: &dyn std::error::Error = self;
        while let Some(source) = lowest.source() {
            lowest = source;
        }
        lowest.to_string()
    }
}

impl Authorities {
    pub(super) async fn perform(&self, action: AuthorityAction) -> Result<(), StepError> {
        match action {
            AuthorityAction::PrepareIssuing { root, not_after, reason } => self.prepare_issuing(root, not_after, prepare_text(reason)).await,
            AuthorityAction::PrepareRoot { not_after, reason } => self.prepare_root(not_after, prepare_text(reason)).await,
            AuthorityAction::PrepareToken {
                kind,
                algorithm,
                not_after,
                reason,
            } => self.prepare_token(kind, algorithm, not_after, prepare_text(reason)).await,
            AuthorityAction::Publish { id, refreshes } => self.publish(id, refreshes).await,
            AuthorityAction::Activate {
                id,
                reason,
                left_behind,
                retires,
            } => self.activate(id, reason, &left_behind, &retires).await,
            AuthorityAction::Retire { id, replaced_by } => self.retire(&id, &replaced_by).await,
            AuthorityAction::Taint { id, order } => self.taint(&id, &order).await,
            AuthorityAction::Revoke { id, order, left_behind } => self.revoke(&id, &order, &left_behind).await,
            AuthorityAction::Finish { order, left_behind } => self.finish(&order, &left_behind).await,
            AuthorityAction::Forget { id, reason } => self.forget(id, reason).await,
        }
    }

    /// Makes a root. Its commit puts it into the bundle; it signs nothing yet.
    pub(super) async fn prepare_root(&self, not_after: Timestamp, because: String) -> Result<(), StepError> {
        let actor = self.actor();
        let made = self.making(not_after, &actor).root(Phase::Prepared).await?;
        self.store_new_ca(made, because).await
    }

    pub(super) async fn prepare_issuing(&self, root: AuthorityId, not_after: Timestamp, because: String) -> Result<(), StepError> {
        let set = self.set();
        let (_, root) = set.find(&root).and_then(Held::ca).ok_or(StepError::Gone { id: root })?;
        let actor = self.actor();
        let made = self.making(not_after, &actor).issuing(root, Phase::Prepared).await?;
        self.store_new_ca(made, because).await
    }

    async fn store_new_ca(&self, made: NewAuthority, because: String) -> Result<(), StepError> {
        let NewAuthority { mut record, issuer } = made;
        let id = issuer.id();
        self.decide("authority_prepared", id, because.clone()).await?;
        record.notes.because = Some(because);
        let key = authority_key(id);
        let mut commit = Commit::new("authority_prepared").absent(key.clone());
        commit.writes.push(self.records.put(key, &record)?);
        self.committed(commit).await
    }

    /// Makes a token key. Its commit puts it into the bundle; nobody is asked for it yet.
    pub(super) async fn prepare_token(&self, kind: AuthorityKind, algorithm: TokenAlgorithm, not_after: Timestamp, because: String) -> Result<(), StepError> {
        let actor = self.actor();
        let NewTokenKey { id, mut record } = self.making(not_after, &actor).token_key(kind, algorithm, Phase::Prepared).await?;
        self.decide("authority_prepared", &id, because.clone()).await?;
        record.notes.because = Some(because);
        let key = authority_key(&id);
        let mut commit = Commit::new("authority_prepared").absent(key.clone());
        commit.writes.push(self.records.put(key, &record)?);
        self.committed(commit).await
    }

    /// Marks an authority as published, by a commit after the one that made it what it is. What every stream hands out by now tells of that, so whoever
    /// acknowledges this commit or a later one has heard it.
    async fn publish(&self, id: AuthorityId, refreshes: Duration) -> Result<(), StepError> {
        let set = self.set();
        let held = set.find(&id).ok_or_else(|| StepError::Gone { id: id.clone() })?;
        self.decide("authority_published", &id, format!("every node is told of it: it is {}", held.phase()))
            .await?;
        let told = Told::At(self.clock.now().wall, refreshes);
        self.change("authority_published", vec![(held, Change { told, ..Change::default() })]).await
    }

    /// Lets an authority sign, an issuing CA after its trial; those that signed before it do so no more, from the same commit on.
    async fn activate(&self, id: AuthorityId, reason: PrepareReason, left_behind: &Missing, retires: &[AuthorityId]) -> Result<(), StepError> {
        let set = self.set();
        let gone = |id: &AuthorityId| StepError::Gone { id: id.clone() };
        let held = set.find(&id).ok_or_else(|| gone(&id))?;
        if let Some((record, issuer)) = held.ca()
            && let Some(root) = &record.root
        {
            let (_, root) = set.find(root).and_then(Held::ca).ok_or_else(|| gone(&id))?;
            self.stand_trial(issuer, root).await?;
        }
        let because = match left_behind.is_empty() {
            true => prepare_text(reason),
            false => format!("{}; without the acknowledgement of {left_behind}", prepare_text(reason)),
        };
        self.note_left_behind(held.kind(), left_behind).await?;
        let replaced = format!("replaced by {id}");
        self.decide("authority_activated", &id, because.clone()).await?;
        let mut changes = vec![(held, Change::to(Phase::Active, because))];
        for other in retires {
            let other = set.find(other).ok_or_else(|| gone(other))?;
            self.decide("authority_retired", other.id(), replaced.clone()).await?;
            changes.push((other, Change::to(Phase::Old, replaced.clone())));
        }
        self.change("authority_activated", changes).await
    }

    /// Notes in the planned orders about a kind who did not acknowledge the successor in time: it is their outcome. Noted before the successor signs, so that
    /// a crash between the two leaves nobody out.
    async fn note_left_behind(&self, kind: AuthorityKind, left_behind: &Missing) -> Result<(), StepError> {
        if left_behind.is_empty() {
            return Ok(());
        }
        let set = self.set();
        for record in set.running().filter(|order| order.extent == Extent::Replace && order.kind == kind) {
            let noted = record.noting(format!("{left_behind} did not acknowledge it"));
            let mut commit = Commit::new("replacement_noted");
            commit.writes.push(self.records.put(order_key(&record.id), &noted)?);
            self.committed(commit).await?;
        }
        Ok(())
    }

    async fn retire(&self, id: &AuthorityId, replaced_by: &AuthorityId) -> Result<(), StepError> {
        let set = self.set();
        let held = set.find(id).ok_or_else(|| StepError::Gone { id: id.clone() })?;
        let because = format!("replaced by {replaced_by}");
        self.decide("authority_retired", id, because.clone()).await?;
        self.change("authority_retired", vec![(held, Change::to(Phase::Old, because))]).await
    }

    /// Has everything replaced that an authority signed, and with a root all that its issuing CAs signed. Who hears of it is told anew.
    async fn taint(&self, id: &AuthorityId, order: &OrderId) -> Result<(), StepError> {
        let set = self.set();
        let because = ordered_text(&set, order);
        let mut changes = Vec::new();
        for held in set
            .with_those_under(id)
            .into_iter()
            .filter(|held| !matches!(held.phase(), Phase::Tainted | Phase::Revoked))
        {
            self.decide("authority_tainted", held.id(), because.clone()).await?;
            changes.push((held, Change::to(Phase::Tainted, because.clone()).told_nobody()));
        }
        self.change("authority_tainted", changes).await
    }

    /// Takes an authority out of the bundle, and with a root its issuing CAs out of use for ever.
    async fn revoke(&self, id: &AuthorityId, order: &OrderId, left_behind: &Missing) -> Result<(), StepError> {
        let set = self.set();
        let because = match left_behind.is_empty() {
            true => ordered_text(&set, order),
            false => format!("{}; {left_behind} may still hold what it signed", ordered_text(&set, order)),
        };
        let gone: Vec<_> = set.with_those_under(id).into_iter().filter(|held| held.phase() != Phase::Revoked).collect();
        let mut changes = Vec::new();
        for held in &gone {
            self.decide("authority_revoked", held.id(), because.clone()).await?;
            changes.push((*held, Change::to(Phase::Revoked, because.clone()).told_nobody()));
        }
        let ids: Vec<_> = gone.iter().map(|held| held.id()).collect();
        changes.extend(set.another_published(&ids).map(|another| (another, Change::default())));
        self.change("authority_revoked", changes).await
    }

    /// Notes that an order is carried out. The oldest of those that are done go.
    async fn finish(&self, id: &OrderId, left_behind: &Missing) -> Result<(), StepError> {
        let set = self.set();
        let Some(record) = set.running().find(|running| running.id == *id) else {
            return Ok(());
        };
        let outcome = (!left_behind.has_no_node()).then(|| format!("{} did not acknowledge it", left_behind.nodes()));
        let mut text = outcome.clone().unwrap_or_else(|| "every node acknowledged it".to_owned());
        // No fault of the replacement: partners fetch when they fetch, and the authority shows who has.
        if !left_behind.partners().is_empty() {
            text.push_str(&format!("; {} may hold it still", left_behind.partners()));
        }
        self.decide_about("replacement_finished", &record.id, text).await?;
        let mut commit = Commit::new("replacement_finished");
        let finished = record.finished(self.clock.now().wall, outcome);
        commit.writes.push(self.records.put(order_key(id), &finished)?);
        let done: Vec<_> = set.orders().iter().filter(|order| order.finished_at.is_some()).collect();
        let too_old = done.iter().take((done.len() + 1).saturating_sub(KEPT_DONE));
        let commit = too_old.fold(commit, |commit, order| commit.delete(order_key(&order.id)));
        self.committed(commit).await
    }

    async fn stand_trial(&self, issuer: &Arc<Issuer>, root: &Issuer) -> Result<(), StepError> {
        let now = self.clock.now().wall;
        trial::stand(&self.trust_domain, issuer, root, self.recorder.as_ref(), now, self.settings.skew)
            .await
            .map_err(|source| StepError::Trial {
                id: issuer.id().clone(),
                source: Box::new(source),
            })
    }

    fn making<'a>(&'a self, not_after: Timestamp, actor: &'a str) -> Making<'a> {
        Making {
            trust_domain: &self.trust_domain,
            keys: &self.keys,
            recorder: self.recorder.as_ref(),
            now: self.clock.now().wall,
            skew: self.settings.skew,
            not_after,
            permitted: &self.settings.permitted,
            actor,
        }
    }

    /// Destroys a key and its record. One that leaves the bundle takes another of it along, so that the bundle's sequence grows (BUN-03).
    async fn forget(&self, id: AuthorityId, reason: ForgetReason) -> Result<(), StepError> {
        let set = self.set();
        let held = set.find(&id).ok_or(StepError::Gone { id: id.clone() })?;
        self.decide("authority_forgotten", &id, forget_text(reason)).await?;
        // Before the record goes, which is the last to know where the key is. After a crash in between it is destroyed already, and the record goes then.
        self.keys.destroy(held.stored_key()).await;
        let key = authority_key(&id);
        let mut commit = Commit::new("authority_forgotten").unmodified(key.clone(), held.modified).delete(key);
        if let Some(another) = set.another_published(&[&id]).filter(|_| held.is_published()) {
            commit = commit.unmodified(authority_key(another.id()), another.modified);
            commit.writes.push(another.again(&self.records)?);
        }
        self.committed(commit).await
    }

    /// Commits changes of several authorities at once.
    pub(super) async fn change(&self, name: &'static str, changes: Vec<(&Held, Change)>) -> Result<(), StepError> {
        let mut commit = Commit::new(name);
        for (held, change) in changes {
            commit = commit.unmodified(authority_key(held.id()), held.modified);
            commit.writes.push(held.changed(&self.records, &change)?);
        }
        self.committed(commit).await
    }

    /// Commits, in this replica's turn: if another one committed since this one looked, it is a conflict.
    pub(super) async fn committed(&self, commit: Commit) -> Result<(), StepError> {
        let key = turn_key();
        let mut commit = match self.set().turn() {
            Some(modified) => commit.unmodified(key.clone(), modified),
            None => commit.absent(key.clone()),
        };
        commit.writes.push(self.records.put(key, &Turn {})?);
        self.store.commit(commit).await?;
        self.reload().await?;
        Ok(())
    }

    async fn decide(&self, action: &'static str, id: &AuthorityId, reason: String) -> Result<(), StepError> {
        self.decide_about(action, id, reason).await
    }

    pub(super) async fn decide_about(&self, action: &'static str, subject: impl std::fmt::Display, reason: String) -> Result<(), StepError> {
        tracing::info!(action, %subject, reason, "an authority changes");
        let decision = Decision {
            action: action.to_owned(),
            subject: subject.to_string(),
            actor: self.actor(),
            reason: Some(reason),
            trace_id: String::new(),
        };
        self.recorder.append(vec![AuditEvent::Decided(decision)]).await.map_err(StepError::Journal)?;
        Ok(())
    }

    /// Who acts when nobody asked: the server itself.
    pub(super) fn actor(&self) -> String {
        SpiffeId::server(&self.trust_domain).as_str().to_owned()
    }
}

fn prepare_text(reason: PrepareReason) -> String {
    match reason {
        PrepareReason::EndsSoon { not_after } => format!("the active one ends at {not_after}"),
        PrepareReason::Ordered => "an operator ordered it".to_owned(),
        PrepareReason::NoneActive => "none is active".to_owned(),
        PrepareReason::OtherAlgorithm { active, wanted } => format!("{wanted} is configured, and the active one signs {active}"),
    }
}

fn forget_text(reason: ForgetReason) -> String {
    match reason {
        ForgetReason::Ended { not_after } => format!("it ended at {not_after}"),
        ForgetReason::FromTheFuture { not_before } => format!("a clock that was ahead made it: it would begin at {not_before}"),
        ForgetReason::NothingUnder => "its issuing CAs have all ended".to_owned(),
        ForgetReason::Ordered => "an operator ordered it; it signed nothing".to_owned(),
        ForgetReason::NotNeeded => "it was not needed".to_owned(),
    }
}

/// Returns why an order was given.
fn ordered_text(set: &AuthoritySet, id: &OrderId) -> String {
    let because = set.running().find(|running| running.id == *id).map(|running| running.because.as_str());
    format!("order {id}: {}", because.unwrap_or("an operator's"))
}
