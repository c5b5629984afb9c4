//! Setting and deleting the bundles of partner trust domains by hand.

use trust_domains::bundle::{BundleSource, MAX_BUNDLE_BYTES, ParsedBundle, PartnerBundle, Replacement, SkippedKey};
use trust_domains::problem::with_causes;
use trust_domains::wire::admin::EntryChange;
use trust_domains::wire::bundles::{BundleDeleted, BundleFormat, BundleResult, BundleSet, BundleView, FederatedEntries, SetBundle, SkippedPart};
use trust_domains::{SpiffeId, TrustBundle, TrustDomain};

use super::bundle_refused::BundleRefused;
use super::plan::Step;
use super::{EditError, Editor};
use crate::decisions::Cause;
use crate::limits::PARTNER_BUNDLES;
use crate::registry::{HeldBundle, HeldEntry, HeldRelationship, records};
use crate::store::{Commit, Key};

impl Editor {
    /// Sets the bundle of a partner. One that says the same as the stored one changes nothing.
    ///
    /// # Errors
    /// The trust domain is the own one, the document is no bundle or older than the stored one, the bundles together are too large, or it cannot be recorded
    /// or committed.
    pub async fn set_bundle(&self, partner: TrustDomain, request: &SetBundle, cause: &Cause) -> Result<BundleSet, BundleRefused> {
        self.refuse_own(&partner)?;
        let ParsedBundle { bundle: offered, skipped } = parse(&partner, request)?;
        let _locked = self.bundles.lock().await;
        let stored = self.registry.view(|state| state.partners.find(&partner).cloned());
        let result = match &stored {
            None => BundleResult::Created,
            Some(stored) => match stored.partner.judge(&offered)? {
                Replacement::Changed => BundleResult::Updated,
                Replacement::Same => BundleResult::Unchanged,
            },
        };
        let mut warnings = warnings(&offered, stored.as_ref(), result);
        if let Some(relationship) = self.relationship_with(&partner) {
            warnings.push(override_warning(&relationship));
        }
        let revision = match result {
            BundleResult::Unchanged => self.registry.revision(),
            BundleResult::Created | BundleResult::Updated => self.write_bundle(offered, stored.as_ref(), cause).await?,
        };
        let (view, nodes) = self.registry.view(|state| {
            let held = state.partners.find(&partner);
            let view = held.map(|held| BundleView::of_partner(&held.partner, state.entries_federating(&partner)));
            (view, state.nodes_federating(&partner).into_iter().collect())
        });
        Ok(BundleSet {
            bundle: view.ok_or(BundleRefused::NotFound { trust_domain: partner })?,
            result,
            skipped: skipped.into_iter().map(told).collect(),
            warnings,
            nodes,
            revision,
        })
    }

    async fn write_bundle(&self, offered: TrustBundle, stored: Option<&HeldBundle>, cause: &Cause) -> Result<trust_domains::Revision, BundleRefused> {
        let mut decision = cause.decision("bundle_set", offered.trust_domain());
        decision.reason = Some(contents("by hand", &offered));
        let key = Key::bundle(offered.trust_domain());
        let partner = PartnerBundle::new(offered, BundleSource::Manual, self.clock.now().wall, cause.actor.clone());
        let record = records::encode(&key, &partner)?;
        self.refuse_too_much(record.len(), stored)?;
        self.decisions.record(vec![decision]).await?;
        let commit = match stored {
            Some(stored) => Commit::new("bundle_set").unmodified(key.clone(), stored.modified),
            None => Commit::new("bundle_set").absent(key.clone()),
        };
        let revision = self.store.commit(commit.put(key, record)).await?;
        self.registry.settled(revision).await;
        Ok(revision)
    }

    pub(super) fn refuse_too_much(&self, octets: usize, stored: Option<&HeldBundle>) -> Result<(), BundleRefused> {
        let others = self.registry.view(|state| state.partners.octets()) - stored.map_or(0, |stored| stored.octets);
        if others + octets > PARTNER_BUNDLES {
            return Err(BundleRefused::TooMuch {
                limit: PARTNER_BUNDLES,
                actual: others + octets,
            });
        }
        Ok(())
    }

    /// Deletes the bundle of a partner. New peers of that trust domain are refused from then on; entries that federate with it are as `entries` says.
    ///
    /// # Errors
    /// There is none, entries federate with it and shall not, or it cannot be recorded or committed. The bundle goes first: after a failure to change
    /// entries it is gone, and the same call goes on with them.
    pub async fn delete_bundle(&self, partner: &TrustDomain, entries: FederatedEntries, cause: &Cause) -> Result<BundleDeleted, BundleRefused> {
        self.refuse_own(partner)?;
        let _locked = self.bundles.lock().await;
        if self.relationship_with(partner).is_some() {
            return Err(BundleRefused::Fetched { trust_domain: partner.clone() });
        }
        let (stored, federating, nodes) = self.registry.view(|state| {
            let nodes: Vec<SpiffeId> = state.nodes_federating(partner).into_iter().collect();
            (state.partners.find(partner).cloned(), state.partners.entries_of(partner), nodes)
        });
        let dissociates = entries == FederatedEntries::Dissociate;
        if stored.is_none() && !(dissociates && federating > 0) {
            return Err(BundleRefused::NotFound { trust_domain: partner.clone() });
        }
        if entries == FederatedEntries::Refuse && federating > 0 {
            return Err(BundleRefused::InUse {
                trust_domain: partner.clone(),
                entries: federating,
            });
        }
        if let Some(stored) = stored {
            self.decisions.record(vec![cause.decision("bundle_deleted", partner)]).await?;
            let key = Key::bundle(partner);
            let commit = Commit::new("bundle_deleted").unmodified(key.clone(), stored.modified).delete(key);
            // Lists are of use with the bundle only.
            let commit = commit.delete(Key::bundle_crls(partner));
            let revision = self.store.commit(commit).await?;
            self.registry.settled(revision).await;
        }
        let dissociated = if dissociates { self.dissociate(partner, cause).await? } else { 0 };
        Ok(BundleDeleted {
            trust_domain: partner.clone(),
            entries: federating,
            dissociated,
            nodes,
            revision: self.registry.revision(),
        })
    }

    /// Takes a partner out of every entry, and returns how many there were.
    pub(super) async fn dissociate(&self, partner: &TrustDomain, cause: &Cause) -> Result<usize, EditError> {
        let _locked = self.locks.lock_all().await;
        let federating: Vec<HeldEntry> = self.registry.view(|state| {
            let of_parent = |parent| {
                state
                    .entries
                    .under(parent)
                    .filter(|held| held.entry.federates_with().contains(partner))
                    .cloned()
            };
            state.partners.parents_of(partner).flat_map(|(parent, _)| of_parent(parent)).collect()
        });
        let mut steps = Vec::with_capacity(federating.len());
        for held in federating {
            let change = EntryChange {
                federates_with: Some(held.entry.federates_with().without(partner)),
                ..EntryChange::default()
            };
            let entry = held.entry.with_spec(held.entry.change(&change, &self.trust_domain, None)?);
            steps.push(Step::Update {
                held,
                entry: entry.into(),
                differences: vec!["federates_with"],
            });
        }
        let changed = steps.len();
        self.perform(steps, cause).await?;
        Ok(changed)
    }

    fn refuse_own(&self, partner: &TrustDomain) -> Result<(), BundleRefused> {
        if *partner == self.trust_domain {
            return Err(BundleRefused::Own { trust_domain: partner.clone() });
        }
        Ok(())
    }

    /// Returns what the operator should know of the partners that a new or changed entry names: those whose bundle is not here yet.
    pub(super) fn partners_awaited<'a>(&self, partners: &'a [TrustDomain]) -> impl Iterator<Item = String> + use<'a> {
        let awaited: Vec<(&TrustDomain, bool)> = match partners {
            [] => Vec::new(),
            _ => self.registry.view(|state| {
                let missing = partners.iter().filter(|partner| state.partners.find(partner).is_none());
                missing.map(|partner| (partner, state.relationships.find(partner).is_some())).collect()
            }),
        };
        awaited.into_iter().map(|(partner, is_fetched)| {
            let next = match is_fetched {
                true => format!("look at how its fetch stands: troth federation show {partner}"),
                false => format!("accept its link: troth federation accept LINK; or set its bundle: troth bundle set --trust-domain {partner} FILE"),
            };
            format!("there is no bundle of {partner} yet: its workloads are not trusted until there is one; {next}")
        })
    }
}

pub(super) fn parse(partner: &TrustDomain, request: &SetBundle) -> Result<ParsedBundle, BundleRefused> {
    let document = request.document.as_bytes();
    Ok(match request.format {
        BundleFormat::Pem => ParsedBundle::parse_pem(partner, document)?,
        BundleFormat::Spiffe => ParsedBundle::parse(partner, document)?,
    })
}

/// FED-05: what an operator sets by hand counts until the next fetch.
fn override_warning(held: &HeldRelationship) -> String {
    let partner = held.relationship.trust_domain();
    format!(
        "there is a relationship with {partner}: this bundle counts until the next fetch from {}, which replaces it; to keep it: troth federation delete {partner}, then set it again",
        held.relationship.url()
    )
}

fn told(skipped: SkippedKey) -> SkippedPart {
    SkippedPart {
        position: skipped.position,
        reason: with_causes(&skipped.reason),
    }
}

/// Says what is in a bundle, for the journal.
pub(super) fn contents(source: &str, bundle: &TrustBundle) -> String {
    let sequence = bundle
        .sequence()
        .map_or_else(|| "no sequence".to_owned(), |sequence| format!("sequence {sequence}"));
    let (x509, jwt, wit) = (bundle.x509_authorities().len(), bundle.jwt_authorities().len(), bundle.wit_authorities().len());
    format!("{source}, {sequence}: {x509} X.509, {jwt} JWT and {wit} WIT authorities")
}

/// Says which roots of a bundle name another trust domain than the bundle is of: probably somebody's mistake, and nothing that a standard forbids.
#[must_use]
pub fn foreign_roots(bundle: &TrustBundle) -> Vec<String> {
    let own = bundle.trust_domain().id();
    let others = bundle.x509_authorities().iter().filter(|root| {
        let names = root.certificate().uri_sans();
        !names.is_empty() && !names.iter().any(|name| name == own.as_str())
    });
    let told = others.map(|root| {
        format!(
            "the root {} names {}, not {own}",
            root.certificate().subject(),
            root.certificate().uri_sans().join(", ")
        )
    });
    told.collect()
}

/// Says what is probably a mistake of whoever sets the bundle.
fn warnings(offered: &TrustBundle, stored: Option<&HeldBundle>, result: BundleResult) -> Vec<String> {
    let partner = offered.trust_domain();
    let mut warnings = Vec::new();
    if offered.is_empty() {
        warnings.push(format!("the bundle holds no key: nothing of {partner} is trusted"));
    }
    warnings.extend(foreign_roots(offered));
    if let (Some(stored), BundleResult::Updated) = (stored, result) {
        let before = stored.partner.bundle();
        if offered.jwt_authorities().is_empty() && !before.jwt_authorities().is_empty() {
            warnings.push(format!(
                "the bundle before it had keys of JWTs and this one has none: JWTs of {partner} are not trusted any more"
            ));
        }
        if offered.sequence().is_some() && offered.sequence() == before.sequence() && !offered.has_same_keys(before) {
            warnings.push("it has the sequence number of the bundle before it, and other keys".to_owned());
        }
    }
    warnings
}

/// A document within its limit is within that of the call, whatever it is written in.
const _: () = assert!(crate::limits::BUNDLE_BODY > 2 * MAX_BUNDLE_BYTES);
