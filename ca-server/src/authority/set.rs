//! All authorities at one moment, as one whole value.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;
use trust_domains::bundle::{AuthorityRefused, DEFAULT_REFRESH};
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityState, Phase};
use trust_domains::public_key::KeyHash;
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

use super::issuer::{Issuer, IssuerError};
use super::key::{AuthorityKey, KeyError};
use super::record::{AuthorityRecord, FORMAT};
use crate::seal::{SealError, SealedRecords};
use crate::store::{Item, Key, RecordName};

/// One authority with the commit that last wrote it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: AuthorityRecord,
    pub(super) issuer: Arc<Issuer>,
    pub(super) modified: u64,
}

/// A stored authority cannot be used.
#[derive(Debug, Error)]
pub enum ReadAuthorityError {
    /// The record cannot be opened.
    #[error("authority {record} cannot be opened")]
    Seal {
        /// Its key in the store.
        record: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// A newer version wrote the record.
    #[error("authority {record} has format {found}, this version knows {FORMAT}")]
    FormatUnknown {
        /// Its key in the store.
        record: String,
        /// The version it names.
        found: u32,
    },
    /// The private key cannot be read.
    #[error("the key of authority {record} cannot be read")]
    Key {
        /// Its key in the store.
        record: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Certificate and key do not fit.
    #[error("authority {record} cannot be used")]
    Issuer {
        /// Its key in the store.
        record: String,
        /// Why.
        #[source]
        source: IssuerError,
    },
    /// A root is none.
    #[error("root {id} cannot stand in a bundle")]
    Root {
        /// Which.
        id: AuthorityId,
        /// Why.
        #[source]
        source: AuthorityRefused,
    },
}

/// Returns the key of an authority in the store.
#[expect(clippy::expect_used, reason = "an authority's id is 2 to 64 hex digits, and those are a record name")]
pub(crate) fn authority_key(id: &AuthorityId) -> Key {
    Key::authority(&RecordName::new(id.as_str()).expect("hex digits are a record name"))
}

impl Held {
    pub(super) fn open(records: &SealedRecords, item: &Item) -> Result<Self, ReadAuthorityError> {
        let name = || item.key.to_string();
        let record: AuthorityRecord = records.open_item(item).map_err(|source| ReadAuthorityError::Seal { record: name(), source })?;
        if record.format != FORMAT {
            return Err(ReadAuthorityError::FormatUnknown {
                record: name(),
                found: record.format,
            });
        }
        let key = AuthorityKey::from_pkcs8(&record.private_key.0).map_err(|source| ReadAuthorityError::Key { record: name(), source })?;
        let issuer = Issuer::new(Arc::from(record.certificate.0.as_slice()), key).map_err(|source| ReadAuthorityError::Issuer { record: name(), source })?;
        Ok(Self {
            record,
            issuer: Arc::new(issuer),
            modified: item.modified,
        })
    }

    fn is_active(&self, kind: AuthorityKind, now: Timestamp) -> bool {
        self.record.kind == kind && self.record.phase == Phase::Active && self.issuer.not_before() <= now && now < self.issuer.not_after()
    }

    fn state(&self) -> AuthorityState {
        AuthorityState {
            id: self.issuer.id().clone(),
            kind: self.record.kind,
            phase: self.record.phase,
            issuer: self.record.root.clone(),
            not_before: self.issuer.not_before(),
            not_after: self.issuer.not_after(),
        }
    }
}

/// All authorities of this replica.
#[derive(Debug)]
pub(super) struct AuthoritySet {
    held: Vec<Held>,
    keys: HashSet<KeyHash>,
}

impl AuthoritySet {
    pub(super) fn new(held: Vec<Held>) -> Self {
        let keys = held.iter().map(|held| held.issuer.key().public_key().hash()).collect();
        Self { held, keys }
    }

    /// Returns what the plan looks at.
    pub(super) fn states(&self) -> Vec<AuthorityState> {
        self.held.iter().map(Held::state).collect()
    }

    pub(super) fn find(&self, id: &AuthorityId) -> Option<&Held> {
        self.held.iter().find(|held| held.issuer.id() == id)
    }

    /// Returns the issuing CA that signs now: the same that the plan names.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        let root = self.root(now)?;
        let usable = self
            .held
            .iter()
            .filter(|held| held.is_active(AuthorityKind::X509Issuing, now) && held.record.root.as_ref() == Some(root.id()));
        longest(usable)
    }

    /// Returns the root that signs issuing CAs now.
    pub(super) fn root(&self, now: Timestamp) -> Option<&Arc<Issuer>> {
        longest(self.held.iter().filter(|held| held.is_active(AuthorityKind::X509Root, now)))
    }

    pub(super) fn owns_key(&self, key: &KeyHash) -> bool {
        self.keys.contains(key)
    }

    /// Returns the trust bundle: every root that relying parties shall believe, the active one first, then by age.
    ///
    /// Its sequence is the counter of the commit that last wrote one of these roots. A commit that takes a root away writes another one with it, so that
    /// the sequence grows with every change (BUN-03).
    pub(super) fn bundle(&self, trust_domain: &TrustDomain) -> Result<TrustBundle, ReadAuthorityError> {
        let mut roots: Vec<&Held> = self
            .held
            .iter()
            .filter(|held| held.record.kind == AuthorityKind::X509Root && is_published(held.record.phase))
            .collect();
        roots.sort_by_key(|root| (root.record.phase != Phase::Active, root.record.created_at));
        let sequence = roots.iter().map(|root| root.modified).max().unwrap_or_default();
        let empty = TrustBundle::new(trust_domain.clone())
            .with_sequence(sequence)
            .with_refresh_hint(DEFAULT_REFRESH);
        roots.into_iter().try_fold(empty, |bundle, root| {
            bundle
                .with_x509_authority(root.issuer.certificate())
                .map_err(|source| ReadAuthorityError::Root {
                    id: root.issuer.id().clone(),
                    source,
                })
        })
    }
}

/// A prepared root is published before it signs, a tainted one until what it signed is replaced.
fn is_published(phase: Phase) -> bool {
    match phase {
        Phase::Prepared | Phase::Active | Phase::Old | Phase::Tainted => true,
        Phase::Revoked => false,
    }
}

fn longest<'a>(held: impl Iterator<Item = &'a Held>) -> Option<&'a Arc<Issuer>> {
    held.map(|held| &held.issuer)
        .max_by(|one, other| (one.not_after(), one.id()).cmp(&(other.not_after(), other.id())))
}
