//! Keeping bundles that were fetched: judged against what is held, recorded, and committed only where they say something new.

use trust_domains::bundle::{ParsedBundle, PartnerBundle, SkippedKey};
use trust_domains::federation::{Relationship, RelationshipSpec};
use trust_domains::join_link::RootHash;
use trust_domains::plan::fetching::{Verdict, judge};
use trust_domains::problem::with_causes;
use trust_domains::wire::bundles::BundleResult;
use trust_domains::{SpiffeId, Timestamp, TrustDomain};

use super::Editor;
use super::bundle_refused::BundleRefused;
use super::bundles::contents;
use super::relationship_refused::{RelationshipRefused, TakeRefused};
use super::relationships::{PartnerChange, SavedRelationship, differences, exists, fetched, told};
use crate::decisions::Cause;
use crate::federation::FetchRecord;
use crate::limits::ENTRIES_PER_COMMIT;
use crate::registry::{HeldRelationship, records};
use crate::store::{Commit, Key};

/// What came of a bundle that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The one that is held says the same: nothing was written.
    Same,
    /// It took its place, with the commit of this counter.
    Taken(u64),
}

/// A relationship that is accepted together with the bundle that was fetched by it.
#[derive(Debug)]
pub struct AcceptedFetch {
    /// What the link says.
    pub spec: RelationshipSpec,
    /// The bundle, and what of its document was passed over.
    pub fetched: ParsedBundle,
    /// The roots that the link names.
    pub pins: Vec<RootHash>,
    /// Whether a relationship that says something else is replaced.
    pub replace: bool,
}

impl Editor {
    /// Keeps a bundle that was fetched for a relationship.
    ///
    /// # Errors
    /// It may not be taken, the relationship is no longer what it was fetched for, or it cannot be recorded or committed.
    pub async fn take_fetched(&self, held: &HeldRelationship, parsed: ParsedBundle, cause: &Cause) -> Result<Taken, TakeRefused> {
        let partner = held.relationship.trust_domain();
        let _locked = self.bundles.lock().await;
        if self.relationship_with(partner).is_none_or(|now| now.modified != held.modified) {
            return Err(TakeRefused::Superseded { trust_domain: partner.clone() });
        }
        let stored = self.registry.view(|state| state.partners.find(partner).map(|held| held.partner.clone()));
        match judge(stored.as_deref(), &parsed.bundle, &[]) {
            Verdict::Refuse(refusal) => Err(refusal.into()),
            Verdict::Same => Ok(Taken::Same),
            Verdict::Take => {
                let change = PartnerChange {
                    action: "federation_bundle_taken",
                    reason: told_of(&parsed),
                    relationship: (None, Some(held.modified)),
                    bundle: Some(fetched(parsed.bundle, self.clock.now().wall, cause)),
                };
                let revision = self.commit_partner(partner, change, cause).await?;
                Ok(Taken::Taken(revision.counter))
            }
        }
    }

    /// Says what accepting a link would do, and refuses what it may not.
    ///
    /// # Errors
    /// The trust domain is the own one, the bundle may not be taken, or a relationship says something else and shall stay.
    pub fn judge_accepted(&self, accepted: &AcceptedFetch) -> Result<BundleResult, AcceptRefused> {
        let partner = &accepted.spec.trust_domain;
        self.refuse_own_partner(partner)?;
        let (held, stored) = self.registry.view(|state| {
            let stored = state.partners.find(partner).map(|held| held.partner.clone());
            (state.relationships.find(partner).cloned(), stored)
        });
        self.refuse_too_many(held.is_some())?;
        let others = held.map(|held| (differing(&held, stored.as_deref(), accepted), held));
        if let Some((differences, held)) = others.as_ref().filter(|(differences, _)| !differences.is_empty() && !accepted.replace) {
            return Err(exists(&held.relationship, &accepted.spec, differences.clone()).into());
        }
        // Who replaces a relationship begins anew: its numbers may too.
        let stored = stored.filter(|_| !accepted.replace);
        let verdict = match judge(stored.as_deref(), &accepted.fetched.bundle, &accepted.pins) {
            Verdict::Refuse(refusal) => {
                return Err(AcceptRefused::Bundle {
                    trust_domain: partner.clone(),
                    source: refusal.into(),
                });
            }
            verdict => verdict,
        };
        Ok(match others {
            None => BundleResult::Created,
            Some((differences, _)) if differences.is_empty() && verdict == Verdict::Same => BundleResult::Unchanged,
            Some(_) => BundleResult::Updated,
        })
    }

    /// Returns the roots by which a partner with a relationship is believed now, where a link with these pins names none of them: whoever made that link may be
    /// somebody else under the same name, and is believed instead only by `replace`.
    #[must_use]
    pub fn roots_replaced(&self, partner: &TrustDomain, pins: &[RootHash]) -> Vec<RootHash> {
        self.registry.view(|state| {
            let stored = state.relationships.find(partner).and_then(|_| state.partners.find(partner));
            unnamed_roots(stored.map(|held| &*held.partner), pins)
        })
    }

    /// Names what a relationship that there is says differently than the link: that is what `replace` is for.
    #[must_use]
    pub fn differences_of(&self, accepted: &AcceptedFetch) -> Vec<&'static str> {
        let partner = &accepted.spec.trust_domain;
        self.registry.view(|state| {
            let stored = state.partners.find(partner).map(|held| &*held.partner);
            state
                .relationships
                .find(partner)
                .map(|held| differing(held, stored, accepted))
                .unwrap_or_default()
        })
    }

    /// Sets up the relationship of a link, together with the bundle that was fetched by it.
    ///
    /// # Errors
    /// As [`judge_accepted`](Self::judge_accepted), or it cannot be recorded or committed.
    pub async fn accept(&self, accepted: AcceptedFetch, cause: &Cause) -> Result<SavedRelationship, AcceptRefused> {
        let _locked = self.bundles.lock().await;
        let result = self.judge_accepted(&accepted)?;
        let AcceptedFetch {
            spec, fetched: parsed, pins, ..
        } = accepted;
        let partner = spec.trust_domain.clone();
        if result == BundleResult::Unchanged {
            return Ok(self.unchanged(&partner));
        }
        let before = self.relationship_with(&partner);
        let nodes_before = self.registry.view(|state| state.nodes_federating(&partner));
        let reason = reason(&spec, &pins, &parsed);
        let now = self.clock.now().wall;
        let relationship = match &before {
            Some(before) => before.relationship.with_spec(spec),
            None => Relationship::new(spec, now, cause.actor.clone()),
        };
        let change = PartnerChange {
            action: "federation_accepted",
            reason,
            relationship: (Some(relationship.map_err(RelationshipRefused::from)?), before.map(|before| before.modified)),
            bundle: Some(fetched(parsed.bundle, now, cause)),
        };
        let revision = self.commit_partner(&partner, change, cause).await.map_err(RelationshipRefused::from)?;
        let nodes = self.registry.view(|state| state.nodes_federating(&partner));
        let nodes: Vec<SpiffeId> = nodes_before.union(&nodes).cloned().collect();
        Ok(SavedRelationship {
            result,
            warnings: Vec::new(),
            nodes,
            revision,
        })
    }
}

impl Editor {
    /// Writes when fetches last succeeded, of those partners that there still are.
    ///
    /// # Errors
    /// It cannot be committed.
    pub async fn remember_fetches(&self, successes: &[(TrustDomain, Timestamp)]) -> Result<(), BundleRefused> {
        let _locked = self.bundles.lock().await;
        for part in successes.chunks(ENTRIES_PER_COMMIT) {
            let mut commit = Commit::new("fetches_remembered");
            for (partner, at) in part.iter().filter(|(partner, _)| self.relationship_with(partner).is_some()) {
                let key = Key::fetch(partner);
                commit = commit.put(key.clone(), records::encode(&key, &FetchRecord { last_success: *at })?);
            }
            if !commit.writes.is_empty() {
                self.store.commit(commit).await?;
            }
        }
        Ok(())
    }
}

fn differing(held: &HeldRelationship, stored: Option<&PartnerBundle>, accepted: &AcceptedFetch) -> Vec<&'static str> {
    let mut differences = differences(held.relationship.spec(), &accepted.spec);
    if !unnamed_roots(stored, &accepted.pins).is_empty() {
        differences.push("roots");
    }
    differences
}

/// Says what was accepted, for the journal: what the link pinned, and what came.
fn reason(spec: &RelationshipSpec, pins: &[RootHash], parsed: &ParsedBundle) -> String {
    let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
    format!("{}; the link names {}; {}", told(spec), pins.join(", "), told_of(parsed))
}

/// Says what was fetched, for the journal.
fn told_of(parsed: &ParsedBundle) -> String {
    let contents = contents("fetched", &parsed.bundle);
    match passed_over(&parsed.skipped) {
        Some(passed_over) => format!("{contents}; {passed_over}"),
        None => contents,
    }
}

/// Says what of a document was passed over, if anything was.
#[must_use]
pub fn passed_over(skipped: &[SkippedKey]) -> Option<String> {
    let first = skipped.first()?;
    Some(format!(
        "{} of the bundle's keys are passed over, the first: key {}, {}",
        skipped.len(),
        first.position,
        with_causes(&first.reason)
    ))
}

/// Why a link is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptRefused {
    /// The relationship.
    #[error(transparent)]
    Relationship(#[from] RelationshipRefused),
    /// The bundle.
    #[error("the bundle of {trust_domain} is not taken")]
    Bundle {
        /// The partner.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: TakeRefused,
    },
}

/// Returns the roots of a bundle, where none of them is among those that a link names.
fn unnamed_roots(stored: Option<&PartnerBundle>, pins: &[RootHash]) -> Vec<RootHash> {
    let roots: Vec<RootHash> = stored.map_or_else(Vec::new, |stored| stored.bundle().x509_ders().map(|der| RootHash::of_der(der)).collect());
    match roots.iter().any(|root| pins.contains(root)) {
        true => Vec::new(),
        false => roots,
    }
}
