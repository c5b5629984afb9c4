//! The part of the admin API about relationships with other trust domains.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/admin/federation?limit=N&after=T` | - | [`Page`](super::admin::Page) of [`RelationshipView`] |
//! | `POST /v1/admin/federation` | [`CreateRelationship`] | [`RelationshipSaved`] |
//! | `GET /v1/admin/federation/{trust_domain}` | - | [`RelationshipView`] |
//! | `PUT /v1/admin/federation/{trust_domain}` | [`UpdateRelationship`] | [`RelationshipSaved`] |
//! | `DELETE /v1/admin/federation/{trust_domain}?entries=E` | - | [`RelationshipDeleted`] |
//! | `POST /v1/admin/federation/{trust_domain}/refresh` | - | [`RelationshipView`], after the fetch has ended |
//! | `GET /v1/admin/federation-invite` | - | [`Invite`] |
//! | `POST /v1/admin/federation-accept` | [`AcceptLink`] | [`Accepted`] |
//! | `GET /v1/admin/federation-changes?since=N` | - | [`FederationChanges`]: waits until there is something newer than `N` |
//!
//! `E` says what becomes of entries that federate with it: [`FederatedEntries`](super::bundles::FederatedEntries).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bundles::{BundleResult, SetBundle};
use crate::bundle::TrustBundle;
use crate::federation::{EndpointProfile, EndpointUrl, FederationLink, FetchProblem, FetchStatus, ProfileName, Relationship};
use crate::join_link::RootHash;
use crate::revision::Revision;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// A relationship as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelationshipView {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// Where its bundle is.
    pub url: EndpointUrl,
    /// How the endpoint proves itself.
    pub profile: ProfileName,
    /// The SPIFFE ID that the endpoint proves; null for `https_web`.
    pub endpoint_id: Option<SpiffeId>,
    /// How it stands with its bundle: `status`, `last_success`, `last_attempt`, `next_fetch`, `last_error`, `sequence`.
    #[serde(flatten)]
    pub fetching: FetchStatus,
    /// Whether redirects are followed.
    pub redirects: bool,
    /// Whether every entry federates with it.
    pub all_entries: bool,
    /// Where its revocation lists are; null when none are fetched.
    pub crl_url: Option<EndpointUrl>,
    /// How it stands with its revocation lists; null when none are fetched or held.
    #[serde(default)]
    pub crls: Option<PartnerCrlsView>,
    /// How many entries federate with it.
    pub entries: usize,
    /// Whether a bundle of it is held.
    pub has_bundle: bool,
    /// The other direction, as far as the partner shows it: whether it holds our newest bundle; null when it does not tell.
    pub holds_ours: Option<bool>,
    /// When it was set up.
    pub created_at: Timestamp,
    /// Who set it up.
    pub created_by: String,
}

/// How it stands with the revocation lists of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartnerCrlsView {
    /// How many lists are held.
    pub lists: usize,
    /// How many certificates they revoke.
    pub revoked: usize,
    /// Whether they are delivered with the partner's bundle: lists that have ended are not.
    pub delivered: bool,
    /// When the first of them ends whose CA goes on; null when they end with their CAs.
    pub ends_at: Option<Timestamp>,
    /// When they were last fetched well; null when this process has not yet.
    pub last_success: Option<Timestamp>,
    /// Why the last fetch brought none; null when it brought them.
    pub last_error: Option<FetchProblem>,
}

/// What a list adds to a stored relationship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipFacts {
    /// How it stands with its bundle.
    pub fetching: FetchStatus,
    /// How it stands with its revocation lists.
    pub crls: Option<PartnerCrlsView>,
    /// How many entries federate with it.
    pub entries: usize,
    /// Whether a bundle of it is held.
    pub has_bundle: bool,
    /// Whether the partner holds our newest bundle, as far as it tells.
    pub holds_ours: Option<bool>,
}

impl RelationshipView {
    /// Returns how a relationship is shown.
    #[must_use]
    pub fn of(relationship: &Relationship, facts: RelationshipFacts) -> Self {
        Self {
            trust_domain: relationship.trust_domain().clone(),
            url: relationship.url().clone(),
            profile: relationship.profile().name(),
            endpoint_id: relationship.profile().endpoint_id().cloned(),
            fetching: facts.fetching,
            redirects: relationship.redirects(),
            all_entries: relationship.all_entries(),
            crl_url: relationship.crl_url().cloned(),
            crls: facts.crls,
            entries: facts.entries,
            has_bundle: facts.has_bundle,
            holds_ours: facts.holds_ours,
            created_at: relationship.created_at(),
            created_by: relationship.created_by().to_owned(),
        }
    }
}

/// Sets up a relationship.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRelationship {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// Where its bundle is.
    pub url: EndpointUrl,
    /// How the endpoint proves itself.
    pub profile: ProfileName,
    /// The SPIFFE ID that the endpoint proves; `https_spiffe` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<SpiffeId>,
    /// Whether redirects are followed; so without it.
    #[serde(default = "yes")]
    pub redirects: bool,
    /// Whether every entry federates with it.
    #[serde(default)]
    pub all_entries: bool,
    /// Where its revocation lists are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_url: Option<EndpointUrl>,
    /// The bundle for the first fetch of an `https_spiffe` endpoint that serves its own trust domain's bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<SetBundle>,
}

fn yes() -> bool {
    true
}

/// Changes a relationship: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRelationship {
    /// Replaces where its bundle is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<EndpointUrl>,
    /// Replaces how the endpoint proves itself, with the endpoint's ID: that of before does not stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Replaces the SPIFFE ID that the endpoint proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<SpiffeId>,
    /// Replaces whether redirects are followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirects: Option<bool>,
    /// Replaces whether every entry federates with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_entries: Option<bool>,
    /// Replaces where its revocation lists are; an empty text takes them away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl_url: Option<String>,
    /// Replaces the bundle for the first fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<SetBundle>,
}

/// A relationship is set up or changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RelationshipSaved {
    /// As it is now.
    #[serde(flatten)]
    pub relationship: RelationshipView,
    /// What was done.
    pub result: BundleResult,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The nodes concerned: those with an entry that federates with it.
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}

/// A relationship is gone: its bundle is fetched no longer, and no workload has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RelationshipDeleted {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// Whether a bundle of it was held, and is gone.
    pub bundle_deleted: bool,
    /// How many entries federated with it.
    pub entries: usize,
    /// How many of them do no longer.
    pub dissociated: usize,
    /// The nodes concerned.
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}

/// What a partner needs to federate with this trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// All of it in one line.
    pub link: FederationLink,
    /// This trust domain.
    pub trust_domain: TrustDomain,
    /// Where its bundle is.
    pub url: EndpointUrl,
    /// How the endpoint proves itself.
    pub profile: ProfileName,
    /// The SPIFFE ID that the endpoint proves; null for `https_web`.
    pub endpoint_id: Option<SpiffeId>,
    /// SHA-256 of each root's DER, in hex.
    pub root_sha256: Vec<RootHash>,
    /// What would keep partners from believing the endpoint.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl From<FederationLink> for Invite {
    fn from(link: FederationLink) -> Self {
        Self {
            trust_domain: link.trust_domain().clone(),
            url: link.url().clone(),
            profile: link.profile().name(),
            endpoint_id: link.profile().endpoint_id().cloned(),
            root_sha256: link.roots().to_vec(),
            warnings: Vec::new(),
            link,
        }
    }
}

/// Accepts a partner's link.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptLink {
    /// The link.
    pub link: FederationLink,
    /// Whether a relationship that says something else is replaced.
    #[serde(default)]
    pub replace: bool,
    /// Whether only what would be trusted is told: the bundle is fetched, and nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether every entry federates with it; where every entry does already, it stays so.
    #[serde(default)]
    pub all_entries: bool,
    /// Where its revocation lists are; where they are fetched already, absent leaves it so.
    #[serde(default)]
    pub crl_url: Option<EndpointUrl>,
}

/// A partner's link is accepted, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The relationship that there was; null without one.
    pub existing: Option<RelationshipView>,
    /// The roots that were believed until now, where the link names none of them; empty otherwise.
    pub replaced_roots: Vec<RootHash>,
    /// The relationship as it is now, or would be.
    pub relationship: RelationshipView,
    /// What is trusted by it.
    pub bundle: AcceptedBundle,
    /// What was done, or would be.
    pub result: BundleResult,
    /// Whether nothing was kept.
    pub dry_run: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The nodes concerned: those that have its bundle, or had it. None where nothing was kept.
    #[serde(default)]
    pub nodes: Vec<SpiffeId>,
    /// The newest commit.
    pub revision: Revision,
}

/// What is trusted by a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedBundle {
    /// The roots of X509-SVIDs.
    pub roots: Vec<AcceptedRoot>,
    /// How many keys of JWT-SVIDs.
    pub jwt_authorities: usize,
    /// How many keys of WIT-SVIDs.
    pub wit_authorities: usize,
    /// Its sequence number, if it has one.
    pub sequence: Option<u64>,
    /// How often its publisher wants it to be fetched, in seconds.
    pub refresh_hint_s: Option<u64>,
}

/// A root that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedRoot {
    /// SHA-256 of its DER, in hex.
    pub sha256: RootHash,
    /// Its subject.
    pub subject: String,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// Whether the link names it.
    pub pinned: bool,
}

impl AcceptedBundle {
    /// Returns what is trusted by a bundle, with the roots that a link names.
    #[must_use]
    pub fn of(bundle: &TrustBundle, pins: &[RootHash]) -> Self {
        let roots = bundle.x509_authorities().iter().map(|root| AcceptedRoot {
            sha256: root.hash(),
            subject: root.certificate().subject().to_string(),
            not_after: root.certificate().not_after(),
            pinned: pins.contains(&root.hash()),
        });
        Self {
            roots: roots.collect(),
            jwt_authorities: bundle.jwt_authorities().len(),
            wit_authorities: bundle.wit_authorities().len(),
            sequence: bundle.sequence(),
            refresh_hint_s: bundle.refresh_hint().map(|hint| hint.as_secs()),
        }
    }
}

/// What has changed among the relationships.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FederationChanges {
    /// The number of the newest change: what the next call names as `since`.
    pub since: u64,
    /// Those that changed, as they are now.
    pub items: Vec<RelationshipView>,
    /// Whether these are all that there are, since what happened after `since` is not known: what is not among them is gone.
    pub whole: bool,
    /// Those that are gone.
    pub deleted: Vec<TrustDomain>,
}

impl CreateRelationship {
    /// Returns the profile with its endpoint's ID.
    ///
    /// # Errors
    ///
    /// They do not go together.
    pub fn endpoint_profile(&self) -> Result<EndpointProfile, crate::federation::ProfileError> {
        EndpointProfile::of(self.profile, self.endpoint_id.clone())
    }
}
