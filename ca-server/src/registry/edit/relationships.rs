//! Setting up, changing and ending relationships with partners.
//!
//! A relationship and its bundle are two records. What changes both is one commit: nobody sees a bundle of a partner that is no longer one, or trusts a link
//! whose bundle is not here.

use trust_domains::bundle::{BundleSource, PartnerBundle};
use trust_domains::federation::{EndpointProfile, Relationship, RelationshipSpec};
use trust_domains::wire::bundles::{BundleResult, FederatedEntries, SetBundle};
use trust_domains::wire::federation::{CreateRelationship, RelationshipDeleted, UpdateRelationship};
use trust_domains::{Revision, SpiffeBundle, SpiffeId, TrustBundle, TrustDomain};

use super::Editor;
use super::bundle_refused::BundleRefused;
use super::bundles::{contents, foreign_roots, parse};
use super::relationship_refused::RelationshipRefused;
use crate::decisions::Cause;
use crate::limits::RELATIONSHIPS;
use crate::registry::{HeldRelationship, records};
use crate::store::{Commit, Key};

/// What came of a change of a relationship.
#[derive(Debug)]
pub struct SavedRelationship {
    /// What was done.
    pub result: BundleResult,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The nodes concerned: those that have its bundle, or had it.
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}

/// What one commit does about a partner.
pub(super) struct PartnerChange {
    /// The word of the commit and of the decision.
    pub(super) action: &'static str,
    /// Why, for the journal.
    pub(super) reason: String,
    /// The relationship as it shall be, and the commit of what it was.
    pub(super) relationship: (Option<Relationship>, Option<u64>),
    /// The bundle that takes the place of the one before; that one stays without it.
    pub(super) bundle: Option<PartnerBundle>,
}

impl Editor {
    /// Sets up a relationship. An equal one is not set up twice.
    ///
    /// # Errors
    /// The trust domain is the own one, what is said does not go together, there is one that says something else, there is nothing by which the endpoint could
    /// prove itself, or it cannot be recorded or committed.
    pub async fn create_relationship(&self, request: CreateRelationship, cause: &Cause) -> Result<SavedRelationship, RelationshipRefused> {
        self.refuse_own_partner(&request.trust_domain)?;
        let spec = RelationshipSpec {
            profile: request.endpoint_profile()?,
            bootstrap: request
                .bootstrap
                .as_ref()
                .map(|document| bootstrap(&request.trust_domain, document))
                .transpose()?,
            trust_domain: request.trust_domain,
            url: request.url,
            redirects: request.redirects,
            all_entries: request.all_entries,
            crl_url: request.crl_url,
        };
        let _locked = self.bundles.lock().await;
        if let Some(held) = self.relationship_with(&spec.trust_domain) {
            let differences = differences(held.relationship.spec(), &spec);
            return match differences.is_empty() {
                true => Ok(self.unchanged(&spec.trust_domain)),
                false => Err(exists(&held.relationship, &spec, differences)),
            };
        }
        let partner = spec.trust_domain.clone();
        let relationship = Relationship::new(spec, self.clock.now().wall, cause.actor.clone())?;
        self.put_relationship(&partner, relationship, None, cause).await
    }

    /// Changes a relationship; what is absent stays.
    ///
    /// # Errors
    /// There is none, or as [`create_relationship`](Self::create_relationship).
    pub async fn update_relationship(
        &self,
        partner: &TrustDomain,
        request: UpdateRelationship,
        cause: &Cause,
    ) -> Result<SavedRelationship, RelationshipRefused> {
        let _locked = self.bundles.lock().await;
        let not_found = || RelationshipRefused::NotFound { trust_domain: partner.clone() };
        let held = self.relationship_with(partner).ok_or_else(not_found)?;
        let spec = changed(held.relationship.spec(), request)?;
        if differences(held.relationship.spec(), &spec).is_empty() {
            return Ok(self.unchanged(partner));
        }
        let relationship = held.relationship.with_spec(spec)?;
        self.put_relationship(partner, relationship, Some(held), cause).await
    }

    async fn put_relationship(
        &self,
        partner: &TrustDomain,
        relationship: Relationship,
        before: Option<HeldRelationship>,
        cause: &Cause,
    ) -> Result<SavedRelationship, RelationshipRefused> {
        self.refuse_without_source(&relationship)?;
        self.refuse_too_many(before.is_some())?;
        let (nodes_before, held) = self
            .registry
            .view(|state| (state.nodes_federating(partner), state.partners.find(partner).cloned()));
        let mut warnings = relationship.bootstrap().map(|given| foreign_roots(given.bundle())).unwrap_or_default();
        // A bundle that is held counts more than one to begin with: what the operator gives now is newer than both.
        let is_new = |given: &SpiffeBundle| before.as_ref().is_none_or(|before| before.relationship.bootstrap() != Some(given));
        let given = relationship.bootstrap().filter(|given| is_new(given));
        let bundle = given
            .zip(held.as_ref())
            .filter(|(given, held)| !held.partner.bundle().has_same_keys(given.bundle()));
        let bundle = bundle.map(|(given, _)| PartnerBundle::new(given.bundle().clone(), BundleSource::Manual, self.clock.now().wall, cause.actor.clone()));
        match (&bundle, &held) {
            (Some(_), _) => warnings.push(format!(
                "the bundle of {partner} that was held is replaced by the one that was given, until the next fetch"
            )),
            (None, Some(held)) if before.is_none() && held.partner.source() == BundleSource::Manual => {
                warnings.push(format!("the bundle of {partner} that was set by hand stays until the first fetch"));
            }
            (None, _) => {}
        }
        let result = match before {
            None => BundleResult::Created,
            Some(_) => BundleResult::Updated,
        };
        let change = PartnerChange {
            action: match result {
                BundleResult::Created => "federation_created",
                BundleResult::Unchanged | BundleResult::Updated => "federation_updated",
            },
            reason: told(relationship.spec()),
            relationship: (Some(relationship), before.map(|before| before.modified)),
            bundle,
        };
        let revision = self.commit_partner(partner, change, cause).await?;
        let nodes = self.registry.view(|state| state.nodes_federating(partner));
        Ok(SavedRelationship {
            result,
            warnings,
            nodes: nodes_before.union(&nodes).cloned().collect(),
            revision,
        })
    }

    /// Ends a relationship: its bundle goes with it. Entries that federate with it are as `entries` says.
    ///
    /// # Errors
    /// There is none, entries federate with it and shall not, or it cannot be recorded or committed. The relationship goes first: after a failure to change
    /// entries it is gone, and `bundle delete` goes on with them.
    pub async fn delete_relationship(
        &self,
        partner: &TrustDomain,
        entries: FederatedEntries,
        cause: &Cause,
    ) -> Result<RelationshipDeleted, RelationshipRefused> {
        let _locked = self.bundles.lock().await;
        let (held, bundle, federating, named, nodes) = self.registry.view(|state| {
            let nodes: Vec<SpiffeId> = state.nodes_federating(partner).into_iter().collect();
            let (federating, named) = (state.entries_federating(partner), state.partners.entries_of(partner));
            (
                state.relationships.find(partner).cloned(),
                state.partners.find(partner).cloned(),
                federating,
                named,
                nodes,
            )
        });
        let dissociates = entries == FederatedEntries::Dissociate;
        if held.is_none() && !(dissociates && named > 0) {
            return Err(RelationshipRefused::NotFound { trust_domain: partner.clone() });
        }
        if entries == FederatedEntries::Refuse && named > 0 {
            return Err(RelationshipRefused::InUse {
                trust_domain: partner.clone(),
                entries: named,
            });
        }
        let bundle_deleted = held.is_some() && bundle.is_some();
        if let Some(held) = held {
            self.decisions
                .record(vec![cause.decision("federation_deleted", partner)])
                .await
                .map_err(BundleRefused::from)?;
            let (key, bundle_key) = (Key::federation(partner), Key::bundle(partner));
            let commit = Commit::new("federation_deleted").unmodified(key.clone(), held.modified).delete(key);
            let commit = match &bundle {
                Some(bundle) => commit.unmodified(bundle_key.clone(), bundle.modified).delete(bundle_key),
                None => commit.absent(bundle_key),
            };
            let revision = self
                .store
                .commit(commit.delete(Key::fetch(partner)).delete(Key::bundle_crls(partner)))
                .await
                .map_err(BundleRefused::from)?;
            self.registry.settled(revision).await;
        }
        let dissociated = match dissociates {
            true => self.dissociate(partner, cause).await.map_err(RelationshipRefused::Entries)?,
            false => 0,
        };
        Ok(RelationshipDeleted {
            trust_domain: partner.clone(),
            bundle_deleted,
            entries: federating,
            dissociated,
            nodes,
            revision: self.registry.revision(),
        })
    }

    /// Records and commits what changes about one partner, under the condition that nobody changed it since; the caller holds the lock of bundles.
    pub(super) async fn commit_partner(&self, partner: &TrustDomain, change: PartnerChange, cause: &Cause) -> Result<Revision, BundleRefused> {
        let key = Key::federation(partner);
        let mut commit = Commit::new(change.action);
        commit = match change.relationship.1 {
            Some(modified) => commit.unmodified(key.clone(), modified),
            None => commit.absent(key.clone()),
        };
        if let Some(relationship) = &change.relationship.0 {
            commit = commit.put(key.clone(), records::encode(&key, relationship)?);
        }
        if let Some(bundle) = &change.bundle {
            let stored = self.registry.view(|state| state.partners.find(partner).cloned());
            let key = Key::bundle(partner);
            let record = records::encode(&key, bundle)?;
            self.refuse_too_much(record.len(), stored.as_ref())?;
            commit = match &stored {
                Some(stored) => commit.unmodified(key.clone(), stored.modified),
                None => commit.absent(key.clone()),
            };
            commit = commit.put(key, record);
        }
        let mut decision = cause.decision(change.action, partner);
        decision.reason = Some(change.reason);
        self.decisions.record(vec![decision]).await?;
        let revision = self.store.commit(commit).await?;
        self.registry.settled(revision).await;
        Ok(revision)
    }

    /// FED-19 to FED-21: an endpoint that proves a SPIFFE ID does so by a bundle that is here, or that is fetched by itself.
    pub(super) fn refuse_without_source(&self, relationship: &Relationship) -> Result<(), RelationshipRefused> {
        let Some(trust_domain) = relationship.needs_bundle_of().filter(|needed| *needed != self.trust_domain) else {
            return Ok(());
        };
        let is_partner = trust_domain == *relationship.trust_domain();
        let has_source = self.registry.view(|state| {
            let is_fetched = !is_partner && state.relationships.find(&trust_domain).is_some();
            is_fetched || state.partners.find(&trust_domain).is_some()
        });
        match (has_source, relationship.profile()) {
            (false, EndpointProfile::HttpsSpiffe { endpoint_id }) => Err(RelationshipRefused::SourceMissing {
                endpoint_id: endpoint_id.clone(),
                trust_domain,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn refuse_too_many(&self, is_there: bool) -> Result<(), RelationshipRefused> {
        match !is_there && self.registry.view(|state| state.relationships.len()) >= RELATIONSHIPS {
            true => Err(RelationshipRefused::TooMany { limit: RELATIONSHIPS }),
            false => Ok(()),
        }
    }

    pub(super) fn refuse_own_partner(&self, partner: &TrustDomain) -> Result<(), RelationshipRefused> {
        match *partner == self.trust_domain {
            true => Err(RelationshipRefused::Own { trust_domain: partner.clone() }),
            false => Ok(()),
        }
    }

    pub(super) fn relationship_with(&self, partner: &TrustDomain) -> Option<HeldRelationship> {
        self.registry.view(|state| state.relationships.find(partner).cloned())
    }

    pub(super) fn unchanged(&self, partner: &TrustDomain) -> SavedRelationship {
        SavedRelationship {
            result: BundleResult::Unchanged,
            warnings: Vec::new(),
            nodes: self.registry.view(|state| state.nodes_federating(partner)).into_iter().collect(),
            revision: self.registry.revision(),
        }
    }
}

/// Names the fields of what is offered that say something else than what is stored. A bundle to begin with that is not given again is none: it has done its work.
pub(super) fn differences(stored: &RelationshipSpec, offered: &RelationshipSpec) -> Vec<&'static str> {
    let fields = [
        ("url", stored.url != offered.url),
        ("profile", stored.profile.name() != offered.profile.name()),
        ("endpoint_id", stored.profile.endpoint_id() != offered.profile.endpoint_id()),
        ("redirects", stored.redirects != offered.redirects),
        ("all_entries", stored.all_entries != offered.all_entries),
        ("crl_url", stored.crl_url != offered.crl_url),
        ("bootstrap", offered.bootstrap.is_some() && stored.bootstrap != offered.bootstrap),
    ];
    fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn bootstrap(partner: &TrustDomain, document: &SetBundle) -> Result<SpiffeBundle, RelationshipRefused> {
    match parse(partner, document) {
        Ok(parsed) => Ok(SpiffeBundle::from(parsed.bundle)),
        Err(BundleRefused::Parse(error)) => Err(RelationshipRefused::Bootstrap(error)),
        Err(error) => Err(error.into()),
    }
}

/// Returns what is said of a relationship after a change.
fn changed(before: &RelationshipSpec, request: UpdateRelationship) -> Result<RelationshipSpec, RelationshipRefused> {
    let profile = match (request.profile, request.endpoint_id) {
        (None, None) => before.profile.clone(),
        (Some(profile), endpoint_id) => EndpointProfile::of(profile, endpoint_id)?,
        (None, Some(endpoint_id)) => EndpointProfile::of(before.profile.name(), Some(endpoint_id))?,
    };
    let crl_url = match request.crl_url.as_deref() {
        None => before.crl_url.clone(),
        Some("") => None,
        Some(url) => Some(url.parse()?),
    };
    let given = request
        .bootstrap
        .as_ref()
        .map(|document| bootstrap(&before.trust_domain, document))
        .transpose()?;
    // What was to begin with goes where the new profile has no use for it.
    let kept = before.bootstrap.clone().filter(|_| profile.is_self_serving(&before.trust_domain));
    Ok(RelationshipSpec {
        trust_domain: before.trust_domain.clone(),
        url: request.url.unwrap_or_else(|| before.url.clone()),
        profile,
        redirects: request.redirects.unwrap_or(before.redirects),
        all_entries: request.all_entries.unwrap_or(before.all_entries),
        crl_url,
        bootstrap: given.or(kept),
    })
}

/// Says what a relationship is, for the journal and for refusals.
pub(super) fn told(spec: &RelationshipSpec) -> String {
    let all = if spec.all_entries { ", for all entries" } else { "" };
    let redirects = if spec.redirects { "" } else { ", no redirects" };
    let crls = spec.crl_url.as_ref().map_or_else(String::new, |url| format!(", revocation lists at {url}"));
    let begins = spec
        .bootstrap
        .as_ref()
        .map(|bundle| format!(", to begin with {}", contents("a bundle given", bundle.bundle())));
    format!("{} by {}{all}{redirects}{crls}{}", spec.url, spec.profile, begins.unwrap_or_default())
}

pub(super) fn exists(held: &Relationship, offered: &RelationshipSpec, differences: Vec<&'static str>) -> RelationshipRefused {
    RelationshipRefused::Exists {
        trust_domain: held.trust_domain().clone(),
        differences,
        before: told(held.spec()),
        offered: told(offered),
    }
}

/// Returns the bundle as a fetch brought it.
pub(super) fn fetched(bundle: TrustBundle, at: trust_domains::Timestamp, cause: &Cause) -> PartnerBundle {
    PartnerBundle::new(bundle, BundleSource::Federation, at, cause.actor.clone())
}
