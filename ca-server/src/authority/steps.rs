//! Performing the plan: each action is recorded, then one commit, then shown.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthorityAction, AuthorityId, AuthorityKind, ForgetReason, Missing, Phase, PrepareReason};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::audit::{AuditEvent, Decision};
use trust_domains::{SpiffeId, Timestamp};

use super::authorities::{Authorities, LoadAuthoritiesError};
use super::create::{CreateError, Making};
use super::held::{Held, authority_key};
use super::issuer::Issuer;
use super::record::TokenKeyRecord;
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
            AuthorityAction::PrepareIssuing { root, not_after, reason } => self.prepare_issuing(root, not_after, reason).await,
            AuthorityAction::PrepareToken {
                kind,
                algorithm,
                not_after,
                reason,
            } => self.prepare_token(kind, algorithm, not_after, reason).await,
            AuthorityAction::Publish { id, refreshes } => self.publish(id, refreshes).await,
            AuthorityAction::Activate { id, reason, left_behind } => self.activate(id, reason, left_behind).await,
            AuthorityAction::Retire { id, replaced_by } => self.move_to(id, Phase::Old, "authority_retired", format!("replaced by {replaced_by}")).await,
            AuthorityAction::Forget { id, reason } => self.forget(id, reason).await,
        }
    }

    async fn prepare_issuing(&self, root: AuthorityId, not_after: Timestamp, reason: PrepareReason) -> Result<(), StepError> {
        let set = self.set();
        let (_, root) = set.find(&root).and_then(Held::ca).ok_or(StepError::Gone { id: root })?;
        let actor = self.actor();
        let made = self.making(not_after, &actor).issuing(root, Phase::Prepared).await?;
        let id = made.issuer.id();
        self.decide("authority_prepared", id, prepare_text(reason)).await?;
        let key = authority_key(id);
        let mut commit = Commit::new("authority_prepared").absent(key.clone());
        commit.writes.push(self.records.put(key, &made.record)?);
        self.committed(commit).await
    }

    /// Makes a token key. Its commit puts it into the bundle; nobody is asked for it yet.
    async fn prepare_token(&self, kind: AuthorityKind, algorithm: TokenAlgorithm, not_after: Timestamp, reason: PrepareReason) -> Result<(), StepError> {
        let actor = self.actor();
        let made = self.making(not_after, &actor).token_key(kind, algorithm, Phase::Prepared).await?;
        self.decide("authority_prepared", &made.id, prepare_text(reason)).await?;
        let key = authority_key(&made.id);
        let mut commit = Commit::new("authority_prepared").absent(key.clone());
        commit.writes.push(self.records.put(key, &made.record)?);
        self.committed(commit).await
    }

    /// Marks a key as published, by a commit after the one that put it into the bundle. The bundle with it is what every stream hands out by now, so
    /// whoever acknowledges this commit or a later one has it.
    async fn publish(&self, id: AuthorityId, refreshes: Duration) -> Result<(), StepError> {
        let set = self.set();
        let gone = || StepError::Gone { id: id.clone() };
        let held = set.find(&id).ok_or_else(gone)?;
        let (record, _) = held.token().ok_or_else(gone)?;
        self.decide("authority_published", &id, "the bundle with it is handed out".to_owned()).await?;
        let record = TokenKeyRecord {
            published_at: Some(self.clock.now().wall),
            refreshes_s: refreshes.as_secs(),
            ..record.clone()
        };
        let key = authority_key(&id);
        let mut commit = Commit::new("authority_published").unmodified(key.clone(), held.modified);
        commit.writes.push(self.records.put(key, &record)?);
        self.committed(commit).await
    }

    /// Lets an authority sign, an issuing CA after its trial: from this commit on it is the one that ends last, and so the one that signs.
    async fn activate(&self, id: AuthorityId, reason: PrepareReason, left_behind: Missing) -> Result<(), StepError> {
        let set = self.set();
        let gone = |id: &AuthorityId| StepError::Gone { id: id.clone() };
        let held = set.find(&id).ok_or_else(|| gone(&id))?;
        if let Some((record, issuer)) = held.ca() {
            let root = record.root.as_ref().and_then(|root| set.find(root)).and_then(Held::ca);
            let (_, root) = root.ok_or_else(|| gone(&id))?;
            self.stand_trial(issuer, root).await?;
        }
        let text = match left_behind.is_empty() {
            true => prepare_text(reason),
            false => format!("{}; the deadline passed without {left_behind}", prepare_text(reason)),
        };
        self.move_to(id, Phase::Active, "authority_activated", text).await
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

    async fn move_to(&self, id: AuthorityId, phase: Phase, action: &'static str, reason: String) -> Result<(), StepError> {
        let set = self.set();
        let held = set.find(&id).ok_or(StepError::Gone { id: id.clone() })?;
        self.decide(action, &id, reason).await?;
        let mut commit = Commit::new(action).unmodified(authority_key(&id), held.modified);
        commit.writes.push(held.in_phase(&self.records, phase)?);
        self.committed(commit).await
    }

    /// Destroys a key and its record. One that leaves the bundle takes another of it along, so that the bundle's sequence grows (BUN-03).
    async fn forget(&self, id: AuthorityId, reason: ForgetReason) -> Result<(), StepError> {
        let set = self.set();
        let held = set.find(&id).ok_or(StepError::Gone { id: id.clone() })?;
        self.decide("authority_forgotten", &id, forget_text(reason)).await?;
        let key = authority_key(&id);
        let mut commit = Commit::new("authority_forgotten").unmodified(key.clone(), held.modified).delete(key);
        if let Some(another) = set.another_published(&id).filter(|_| held.is_published()) {
            commit = commit.unmodified(authority_key(another.id()), another.modified);
            commit.writes.push(another.in_phase(&self.records, another.phase())?);
        }
        self.committed(commit).await
    }

    async fn committed(&self, commit: Commit) -> Result<(), StepError> {
        self.store.commit(commit).await?;
        self.reload().await?;
        Ok(())
    }

    async fn decide(&self, action: &'static str, id: &AuthorityId, reason: String) -> Result<(), StepError> {
        tracing::info!(action, authority = %id, reason, "an authority changes");
        let decision = Decision {
            action: action.to_owned(),
            subject: id.to_string(),
            actor: self.actor(),
            reason: Some(reason),
            trace_id: String::new(),
        };
        self.recorder.append(vec![AuditEvent::Decided(decision)]).await.map_err(StepError::Journal)?;
        Ok(())
    }

    /// Who acts when nobody asked: the server itself.
    fn actor(&self) -> String {
        SpiffeId::server(&self.trust_domain).as_str().to_owned()
    }
}

fn prepare_text(reason: PrepareReason) -> String {
    match reason {
        PrepareReason::EndsSoon { not_after } => format!("the active one ends at {not_after}"),
        PrepareReason::NoneActive => "none is active".to_owned(),
        PrepareReason::OtherAlgorithm { active, wanted } => format!("{wanted} is configured, and the active one signs {active}"),
    }
}

fn forget_text(reason: ForgetReason) -> String {
    match reason {
        ForgetReason::Ended { not_after } => format!("it ended at {not_after}"),
        ForgetReason::NotNeeded => "it was not needed".to_owned(),
    }
}
