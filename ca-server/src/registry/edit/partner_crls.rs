//! Keeping the revocation lists of partners: verified under the bundle that is held, recorded, and committed only where they say something new.

use trust_domains::crl::{CrlSet, FetchedCrls, PartnerCrlsRefused};
use trust_domains::problem::{Code, Coded};
use trust_domains::{Revision, TrustDomain};

use super::Editor;
use super::bundle_refused::BundleRefused;
use super::fetched::Taken;
use crate::decisions::Cause;
use crate::limits::PARTNER_CRLS;
use crate::registry::partner_crls::PartnerCrlsRecord;
use crate::registry::{HeldRelationship, records};
use crate::store::{Commit, Key};

/// Why lists of a partner are not kept. Those that are held stay.
#[derive(Debug, thiserror::Error)]
pub enum TakeCrlsRefused {
    /// They cannot be recorded or committed.
    #[error(transparent)]
    Edit(#[from] BundleRefused),
    /// There is no bundle that they could be believed under.
    #[error("no bundle of {trust_domain} is held, under which its revocation lists could be believed")]
    NoBundle {
        /// The partner.
        trust_domain: TrustDomain,
    },
    /// They are not believed, or not complete.
    #[error(transparent)]
    Refused(#[from] PartnerCrlsRefused),
    /// The relationship is another one by now.
    #[error("the relationship with {trust_domain} was changed meanwhile")]
    Superseded {
        /// The partner.
        trust_domain: TrustDomain,
    },
    /// Those of all partners together are too large.
    #[error("with them the revocation lists of all partners have {actual} bytes, the limit is {limit}")]
    TooMuch {
        /// The limit.
        limit: usize,
        /// What they would have.
        actual: usize,
    },
}

impl Coded for TakeCrlsRefused {
    fn code(&self) -> Code {
        match self {
            Self::Edit(error) => error.code(),
            Self::NoBundle { .. } => Code::BundleNotFound,
            Self::Refused(error) => error.code(),
            Self::Superseded { .. } => Code::StoreConflict,
            Self::TooMuch { .. } => Code::CrlRefused,
        }
    }
}

impl Editor {
    /// Keeps the lists that were fetched for a relationship.
    ///
    /// # Errors
    /// They are not believed under the partner's bundle, not complete or too large, the relationship is no longer what they were fetched for, or they cannot be
    /// recorded or committed.
    pub async fn take_crls(&self, held: &HeldRelationship, fetched: &FetchedCrls, cause: &Cause) -> Result<Taken, TakeCrlsRefused> {
        let partner = held.relationship.trust_domain();
        let _locked = self.bundles.lock().await;
        if self.relationship_with(partner).is_none_or(|now| now.modified != held.modified) {
            return Err(TakeCrlsRefused::Superseded { trust_domain: partner.clone() });
        }
        let (bundle, stored, all) = self.registry.view(|state| {
            let crls = state.partners.crls();
            (state.partners.find(partner).cloned(), crls.find(partner).cloned(), crls.octets())
        });
        let bundle = bundle.ok_or_else(|| TakeCrlsRefused::NoBundle { trust_domain: partner.clone() })?;
        let now = self.clock.now().wall;
        let before = stored.as_ref().map_or_else(CrlSet::default, |stored| (*stored.set).clone());
        let set = CrlSet::of_partner(bundle.partner.bundle(), fetched, &before, now)?;
        if set == before {
            return Ok(Taken::Same);
        }
        let key = Key::bundle_crls(partner);
        let record = records::encode(&key, &PartnerCrlsRecord::of(&set, now)).map_err(BundleRefused::from)?;
        let actual = all - stored.as_ref().map_or(0, |stored| stored.octets) + record.len();
        if actual > PARTNER_CRLS {
            return Err(TakeCrlsRefused::TooMuch { limit: PARTNER_CRLS, actual });
        }
        // The bundle under which they were verified is still the one that is held.
        let mut commit = Commit::new("federation_crls_taken").unmodified(Key::bundle(partner), bundle.modified);
        commit = match &stored {
            Some(stored) => commit.unmodified(key.clone(), stored.modified),
            None => commit.absent(key.clone()),
        };
        let revision = self.commit_crls(partner, commit.put(key, record), contents(&set), cause).await?;
        Ok(Taken::Taken(revision.counter))
    }

    /// Withdraws the lists of a partner whose relationship names no place of any. Returns whether there were some.
    ///
    /// # Errors
    /// It cannot be recorded or committed.
    pub async fn drop_crls(&self, partner: &TrustDomain, cause: &Cause) -> Result<bool, BundleRefused> {
        let _locked = self.bundles.lock().await;
        let stored = self.registry.view(|state| state.partners.crls().find(partner).map(|held| held.modified));
        let fetches = self.relationship_with(partner).is_some_and(|held| held.relationship.crl_url().is_some());
        let Some(modified) = stored.filter(|_| !fetches) else { return Ok(false) };
        let key = Key::bundle_crls(partner);
        let commit = Commit::new("federation_crls_dropped").unmodified(key.clone(), modified).delete(key);
        self.commit_crls(partner, commit, "no revocation lists are fetched".to_owned(), cause).await?;
        Ok(true)
    }

    async fn commit_crls(&self, partner: &TrustDomain, commit: Commit, reason: String, cause: &Cause) -> Result<Revision, BundleRefused> {
        let mut decision = cause.decision(commit.name, partner);
        decision.reason = Some(reason);
        self.decisions.record(vec![decision]).await?;
        let revision = self.store.commit(commit).await?;
        self.registry.settled(revision).await;
        Ok(revision)
    }
}

/// Says what is in a set, for the journal.
fn contents(set: &CrlSet) -> String {
    let revoked: usize = set.lists().map(|(_, crl)| crl.len()).sum();
    format!("fetched: {} lists, {revoked} serials, highest number {}", set.len(), set.highest_number())
}
