//! The part of the admin API about trust bundles.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/admin/bundles?limit=N&after=T` | - | [`Page`](super::admin::Page) of [`BundleView`] |
//! | `GET /v1/admin/bundles/{trust_domain}` | - | [`SpiffeBundle`](crate::bundle::SpiffeBundle) |
//! | `PUT /v1/admin/bundles/{trust_domain}` | [`SetBundle`] | [`BundleSet`] |
//! | `DELETE /v1/admin/bundles/{trust_domain}?entries=E` | - | [`BundleDeleted`] |
//!
//! `E` says what becomes of entries that federate with it: [`FederatedEntries`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bundle::{BundleSource, PartnerBundle, TrustBundle};
use crate::revision::Revision;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// A bundle as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleView {
    /// Whose it is.
    pub trust_domain: TrustDomain,
    /// Where it comes from.
    pub source: BundleOrigin,
    /// How many roots of X509-SVIDs it holds.
    pub x509_authorities: usize,
    /// How many keys of JWT-SVIDs.
    pub jwt_authorities: usize,
    /// How many keys of WIT-SVIDs.
    pub wit_authorities: usize,
    /// Its sequence number, if it has one.
    pub sequence: Option<u64>,
    /// How often its publisher wants it to be fetched, in seconds.
    pub refresh_hint_s: Option<u64>,
    /// When it was set; absent for the own one.
    pub set_at: Option<Timestamp>,
    /// Who set it; absent for the own one.
    pub set_by: Option<String>,
    /// How many entries federate with it; absent for the own one, which every entry has.
    pub entries: Option<usize>,
}

/// Where a bundle comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BundleOrigin {
    /// It was fetched from the partner's bundle endpoint.
    Federation,
    /// An operator set it by hand.
    Manual,
    /// It is the trust domain's own, by its authorities.
    Own,
}

impl From<BundleSource> for BundleOrigin {
    fn from(source: BundleSource) -> Self {
        match source {
            BundleSource::Federation => Self::Federation,
            BundleSource::Manual => Self::Manual,
        }
    }
}

impl BundleView {
    /// Returns how the own bundle is shown.
    #[must_use]
    pub fn of_own(bundle: &TrustBundle) -> Self {
        Self {
            trust_domain: bundle.trust_domain().clone(),
            source: BundleOrigin::Own,
            x509_authorities: bundle.x509_authorities().len(),
            jwt_authorities: bundle.jwt_authorities().len(),
            wit_authorities: bundle.wit_authorities().len(),
            sequence: bundle.sequence(),
            refresh_hint_s: bundle.refresh_hint().map(|hint| hint.as_secs()),
            set_at: None,
            set_by: None,
            entries: None,
        }
    }

    /// Returns how a partner's bundle is shown, with so many entries that federate with it.
    #[must_use]
    pub fn of_partner(partner: &PartnerBundle, entries: usize) -> Self {
        Self {
            source: partner.source().into(),
            set_at: Some(partner.set_at()),
            set_by: Some(partner.set_by().to_owned()),
            entries: Some(entries),
            ..Self::of_own(partner.bundle())
        }
    }
}

/// Sets the bundle of a partner by hand; the one before is replaced as a whole.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBundle {
    /// How the document is written.
    pub format: BundleFormat,
    /// The document, at most 1 MiB.
    pub document: String,
}

/// How a bundle that is set is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BundleFormat {
    /// Roots in PEM.
    Pem,
    /// A SPIFFE bundle document (JSON).
    Spiffe,
}

/// A partner's bundle is set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BundleSet {
    /// As it is now.
    #[serde(flatten)]
    pub bundle: BundleView,
    /// What was done.
    pub result: BundleResult,
    /// What in the document was passed over.
    pub skipped: Vec<SkippedPart>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The nodes concerned: those with an entry that federates with it.
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}

/// What was done with a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BundleResult {
    /// It is the first of its trust domain.
    Created,
    /// The one that is stored says the same, or the same under a later number.
    Unchanged,
    /// It took another's place.
    Updated,
}

/// A part of a document that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedPart {
    /// Its place in the document, from 0.
    pub position: usize,
    /// Why.
    pub reason: String,
}

/// What becomes of the entries that federate with a bundle that is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FederatedEntries {
    /// The trust domain is taken out of them.
    Dissociate,
    /// They stay as they are, and have the next bundle that is set.
    Keep,
    /// While there are any, the bundle is not deleted.
    #[default]
    Refuse,
}

/// A partner's bundle is gone.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BundleDeleted {
    /// Whose it was.
    pub trust_domain: TrustDomain,
    /// How many entries federated with it.
    pub entries: usize,
    /// How many of them do no longer.
    pub dissociated: usize,
    /// The nodes concerned.
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}
