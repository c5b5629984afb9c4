//! Orders of an operator: what is named becomes a rule.

use std::time::Duration;

use tokio::time::timeout;
use trust_domains::node::NodeName;
use trust_domains::revocation::{RevocationBound, RevocationCause, RevocationRule, RevocationTarget};
use trust_domains::wire::admin::{RevocationView, RevokeRequest, RevokeTarget, Revoked};
use trust_domains::wire::authorities::MAX_BECAUSE;
use trust_domains::{EntryId, Revision, Serial, SpiffeId, Timestamp};

use super::error::RevokeError;
use super::{Revocations, rule_id};
use crate::decisions::Cause;
use crate::registry::{EditError, HeldRule, records};
use crate::store::{Commit, Key, RecordName};

/// How long an order waits for its lists to be out. The rule is stored then: whatever holds the lists up, they come.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);

/// A rule with the certificates that it concerns.
pub(super) struct Draft {
    pub(super) rule: RevocationRule,
    pub(super) certificates: usize,
}

impl Revocations {
    /// Revokes what an operator names, and returns when the lists are out.
    ///
    /// # Errors
    /// It names nothing, or it cannot be recorded or stored: then nothing is revoked.
    pub async fn revoke(&self, request: &RevokeRequest, cause: &Cause) -> Result<Revoked, RevokeError> {
        let because = request.because.as_deref().map(str::trim).filter(|because| !because.is_empty());
        if let Some(actual) = because.map(str::len).filter(|length| *length > MAX_BECAUSE) {
            return Err(RevokeError::BecauseTooLong { limit: MAX_BECAUSE, actual });
        }
        let target = self.target(&request.target)?;
        let Some(Draft { rule, certificates }) = self.draft(target, RevocationCause::Ordered, because, cause) else {
            return Ok(Revoked {
                rule: None,
                certificates: 0,
                revision: self.registry.revision(),
            });
        };
        let id = rule_id(rule.made_at)?;
        let mut decision = cause.decision("certificates_revoked", subject(&rule.target));
        decision.reason = Some(because.map_or_else(
            || format!("{certificates} certificates"),
            |because| format!("{certificates} certificates: {because}"),
        ));
        self.decisions.record(vec![decision]).await?;
        let key = Key::revocation(&id);
        let stored = records::encode(&key, &rule)?;
        let revision = self.store.commit(Commit::new("revoked").absent(key.clone()).put(key, stored)).await?;
        let revision = self.published(revision).await;
        Ok(Revoked {
            rule: Some(view(&id, &rule)),
            certificates,
            revision,
        })
    }

    /// Returns rules in the order of their names, at most so many, and whether there are more.
    #[must_use]
    pub fn list(&self, after: Option<&RecordName>, limit: usize) -> (Vec<RevocationView>, bool) {
        self.registry.view(|state| {
            let later = state.rules.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
            let mut views: Vec<_> = later.take(limit + 1).map(|(id, HeldRule { rule, .. })| view(id, rule)).collect();
            let more = views.len() > limit;
            views.truncate(limit);
            (views, more)
        })
    }

    /// Waits until lists are out that show the rules of a commit, and returns the commit that brought them: later lists show them too.
    pub(super) async fn published(&self, rules: Revision) -> Revision {
        let mut published = self.published.subscribe();
        let shown = published.wait_for(|published| published.rules >= rules.counter);
        let counter = match timeout(PUBLISHED_WITHIN, shown).await {
            Ok(Ok(published)) => published.counter.max(rules.counter),
            Ok(Err(_)) | Err(_) => rules.counter,
        };
        let revision = self.registry.at(counter);
        self.registry.settled(revision).await;
        revision
    }

    /// Returns a rule on everything of a target until now; `None` where nothing that has not ended falls under it.
    pub(super) fn draft(&self, target: RevocationTarget, cause: RevocationCause, because: Option<&str>, actor: &Cause) -> Option<Draft> {
        let now = self.clock.now().wall;
        let rule = RevocationRule {
            target,
            bound: RevocationBound {
                before: Some(now),
                through: self.journal.last_seq(),
                epoch: self.epoch(),
            },
            made_at: now,
            until: now,
            cause,
            because: because.map(str::to_owned),
            actor: actor.actor.clone(),
        };
        let found = self.journal.concerned([&rule].into_iter(), self.epoch(), 0);
        let unexpired = found.iter().filter(|found| found.not_after >= now);
        let until = unexpired.clone().map(|found| found.not_after).max()?;
        Some(Draft {
            certificates: unexpired.count(),
            rule: RevocationRule { until, ..rule },
        })
    }

    fn target(&self, named: &RevokeTarget) -> Result<RevocationTarget, RevokeError> {
        Ok(match named {
            RevokeTarget::Entry(text) => RevocationTarget::Entry { entry: self.entry(text)? },
            RevokeTarget::Node(text) => RevocationTarget::Node { spiffe_id: self.node(text)? },
            RevokeTarget::Serial(serial) => RevocationTarget::Serial { serial: self.serial(*serial)? },
            RevokeTarget::SpiffeId(text) => RevocationTarget::SpiffeId {
                spiffe_id: SpiffeId::expand(&self.trust_domain, text)?,
            },
        })
    }

    /// An entry may be deleted already: its id alone says what was issued for it.
    fn entry(&self, text: &str) -> Result<EntryId, RevokeError> {
        match self.registry.find_entry(&self.trust_domain, text) {
            Ok(held) => Ok(held.entry.id().clone()),
            Err(error @ EditError::NotFound { .. }) => text.parse().map_err(|_| error.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// A node may be gone already: its SPIFFE ID alone says what was issued through it.
    fn node(&self, text: &str) -> Result<SpiffeId, RevokeError> {
        match self.registry.find_node(&self.trust_domain, text) {
            Ok(held) => Ok(held.record.spiffe_id().clone()),
            Err(error @ EditError::NodeNotFound { .. }) if text.parse::<NodeName>().is_err() => {
                let id = SpiffeId::expand(&self.trust_domain, text)?;
                if id.as_agent().is_some() { Ok(id) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn serial(&self, serial: Serial) -> Result<Serial, RevokeError> {
        let now = self.clock.now().wall;
        let ends = |ends: &Timestamp| *ends >= now;
        if self.journal.not_after(&serial).filter(ends).is_none() {
            return Err(RevokeError::Unknown { serial });
        }
        if self.journal.is_of(&serial, &self.trust_domain.id()) {
            return Err(RevokeError::OfAuthority { serial });
        }
        Ok(serial)
    }
}

fn view(id: &RecordName, rule: &RevocationRule) -> RevocationView {
    RevocationView {
        id: id.as_str().to_owned(),
        target: rule.target.clone(),
        made_at: rule.made_at,
        before: rule.bound.before,
        until: rule.until,
        cause: rule.cause,
        because: rule.because.clone(),
        actor: rule.actor.clone(),
    }
}

fn subject(target: &RevocationTarget) -> String {
    match target {
        RevocationTarget::Entry { entry } => format!("entry {entry}"),
        RevocationTarget::Listed { issuer, serials } => format!("{} serials of {issuer}", serials.len()),
        RevocationTarget::Node { spiffe_id } => format!("node {spiffe_id}"),
        RevocationTarget::Serial { serial } => format!("serial {serial}"),
        RevocationTarget::SpiffeId { spiffe_id } => spiffe_id.to_string(),
    }
}
