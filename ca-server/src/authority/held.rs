//! One authority, opened: its record, and the key that it may sign with.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trust_domains::bundle::AuthorityRefused;
use trust_domains::join_link::RootHash;
use trust_domains::plan::authority::{Asked, AuthorityId, AuthorityKind, AuthorityState, BundleKey, Missing, Phase, Publication};
use trust_domains::public_key::KeyHash;
use trust_domains::{Timestamp, TrustBundle, TrustDomain};

use super::issuer::{Issuer, IssuerError};
use super::key::KeyError;
use super::key_store::KeyStore;
use super::partners_seen::PartnersSeen;
use super::record::{AuthorityRecord, FORMAT, Header, Notes, OLDEST_FORMAT, TOKEN_FORMAT, TokenKeyRecord};
use super::stored_key::StoredKey;
use super::token_key::TokenKey;
use super::witness::BundleWitness;
use crate::seal::{SealError, SealedRecords};
use crate::store::{Item, Key, RecordName, Write};

/// One authority with the commit that last wrote it.
#[derive(Debug)]
pub(super) struct Held {
    authority: Authority,
    pub(super) modified: u64,
}

/// What changes in the record of an authority; the rest stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) phase: Option<Phase>,
    pub(super) told: Told,
    pub(super) because: Option<String>,
    pub(super) asked: Option<Asked>,
}

impl Change {
    /// Moves it to another phase.
    pub(super) fn to(phase: Phase, because: String) -> Self {
        Self {
            phase: Some(phase),
            because: Some(because),
            ..Self::default()
        }
    }

    /// Nobody was told of it as it is then.
    pub(super) fn told_nobody(self) -> Self {
        Self { told: Told::Nobody, ..self }
    }
}

/// Whether every node was told of an authority as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Told {
    /// As the record says.
    #[default]
    AsBefore,
    /// From this moment on; and those outside hear of it within this time.
    At(Timestamp, Duration),
    /// Not yet.
    Nobody,
}

/// What an authority is, with what it signs with.
#[derive(Debug)]
enum Authority {
    Ca(AuthorityRecord, Arc<Issuer>),
    Token(TokenKeyRecord, Arc<TokenKey>),
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
    #[error("authority {record} has format {found}, this version knows {known}")]
    FormatUnknown {
        /// Its key in the store.
        record: String,
        /// The version it names.
        found: u32,
        /// The version that is known.
        known: u32,
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
    /// Opens a stored authority. Its head is read first: it says what the rest is.
    pub(super) fn open(records: &SealedRecords, keys: &KeyStore, item: &Item) -> Result<Self, ReadAuthorityError> {
        let name = || item.key.to_string();
        let sealed = |source| ReadAuthorityError::Seal { record: name(), source };
        let unreadable = |source| ReadAuthorityError::Key { record: name(), source };
        let Header { format, kind } = records.open_item(item).map_err(sealed)?;
        let known = match kind {
            AuthorityKind::X509Root | AuthorityKind::X509Issuing => FORMAT,
            AuthorityKind::Jwt | AuthorityKind::Wit => TOKEN_FORMAT,
        };
        if !(OLDEST_FORMAT..=known).contains(&format) {
            return Err(ReadAuthorityError::FormatUnknown {
                record: name(),
                found: format,
                known,
            });
        }
        let authority = match kind {
            AuthorityKind::X509Root | AuthorityKind::X509Issuing => {
                let record: AuthorityRecord = records.open_item(item).map_err(sealed)?;
                let key = keys.open(&record.private_key).map_err(unreadable)?;
                let issuer = Issuer::new(Arc::from(record.certificate.0.as_slice()), key);
                let issuer = issuer.map_err(|source| ReadAuthorityError::Issuer { record: name(), source })?;
                Authority::Ca(record, Arc::new(issuer))
            }
            AuthorityKind::Jwt | AuthorityKind::Wit => {
                let record: TokenKeyRecord = records.open_item(item).map_err(sealed)?;
                let signer = keys.open_token_key(record.algorithm, &record.private_key).map_err(unreadable)?;
                let key = TokenKey::new(signer, record.not_before, record.not_after).map_err(unreadable)?;
                Authority::Token(record, Arc::new(key))
            }
        };
        Ok(Self {
            authority,
            modified: item.modified,
        })
    }

    pub(super) fn id(&self) -> &AuthorityId {
        match &self.authority {
            Authority::Ca(_, issuer) => issuer.id(),
            Authority::Token(_, key) => key.id(),
        }
    }

    pub(super) fn kind(&self) -> AuthorityKind {
        match &self.authority {
            Authority::Ca(record, _) => record.kind,
            Authority::Token(record, _) => record.kind,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match &self.authority {
            Authority::Ca(record, _) => record.phase,
            Authority::Token(record, _) => record.phase,
        }
    }

    pub(super) fn created_at(&self) -> Timestamp {
        match &self.authority {
            Authority::Ca(record, _) => record.created_at,
            Authority::Token(record, _) => record.created_at,
        }
    }

    pub(super) fn not_before(&self) -> Timestamp {
        match &self.authority {
            Authority::Ca(_, issuer) => issuer.not_before(),
            Authority::Token(_, key) => key.not_before(),
        }
    }

    pub(super) fn not_after(&self) -> Timestamp {
        match &self.authority {
            Authority::Ca(_, issuer) => issuer.not_after(),
            Authority::Token(_, key) => key.not_after(),
        }
    }

    /// Returns the hash of its public key, if a workload could have the same one.
    pub(super) fn key_hash(&self) -> Option<KeyHash> {
        match &self.authority {
            Authority::Ca(_, issuer) => Some(issuer.key().public_key().hash()),
            Authority::Token(_, key) => key.key_hash(),
        }
    }

    /// Returns the stored form of its key.
    pub(super) fn stored_key(&self) -> &StoredKey {
        match &self.authority {
            Authority::Ca(record, _) => &record.private_key,
            Authority::Token(record, _) => &record.private_key,
        }
    }

    /// Returns it as a CA, if it is one.
    pub(super) fn ca(&self) -> Option<(&AuthorityRecord, &Arc<Issuer>)> {
        match &self.authority {
            Authority::Ca(record, issuer) => Some((record, issuer)),
            Authority::Token(..) => None,
        }
    }

    /// Returns it as a token key, if it is one.
    pub(super) fn token(&self) -> Option<(&TokenKeyRecord, &Arc<TokenKey>)> {
        match &self.authority {
            Authority::Ca(..) => None,
            Authority::Token(record, key) => Some((record, key)),
        }
    }

    /// Returns why it is in its state, and what was asked of it.
    pub(super) fn notes(&self) -> &Notes {
        match &self.authority {
            Authority::Ca(record, _) => &record.notes,
            Authority::Token(record, _) => &record.notes,
        }
    }

    /// Returns when every node was told of it as it is now, and how long those outside could take to hear of it.
    pub(super) fn published(&self) -> Option<(Timestamp, Duration)> {
        let (at, refreshes_s) = match &self.authority {
            Authority::Ca(record, _) => (record.published_at, record.refreshes_s),
            Authority::Token(record, _) => (record.published_at, record.refreshes_s),
        };
        Some((at?, Duration::from_secs(refreshes_s)))
    }

    /// Returns the write that keeps it as it is: its place in the order of commits alone moves on.
    pub(super) fn again(&self, records: &SealedRecords) -> Result<Write, SealError> {
        self.changed(records, &Change::default())
    }

    /// Returns the write that changes it.
    pub(super) fn changed(&self, records: &SealedRecords, change: &Change) -> Result<Write, SealError> {
        let place = authority_key(self.id());
        let phase = change.phase.unwrap_or(self.phase());
        let notes = Notes {
            because: change.because.clone().or_else(|| self.notes().because.clone()),
            asked: change.asked.unwrap_or(self.notes().asked),
        };
        let (published_at, refreshes) = match change.told {
            Told::AsBefore => self.published().unzip(),
            Told::At(at, refreshes) => (Some(at), Some(refreshes)),
            Told::Nobody => (None, None),
        };
        let refreshes_s = refreshes.unwrap_or_default().as_secs();
        match &self.authority {
            Authority::Ca(record, _) => records.put(
                place,
                &AuthorityRecord {
                    phase,
                    published_at,
                    refreshes_s,
                    notes,
                    ..record.clone()
                },
            ),
            Authority::Token(record, _) => records.put(
                place,
                &TokenKeyRecord {
                    phase,
                    published_at,
                    refreshes_s,
                    notes,
                    ..record.clone()
                },
            ),
        }
    }

    /// Returns what the plan sees of it. Nodes are asked about only where somebody waits for them: to know one that comes, or to give up one that an order
    /// takes away.
    pub(super) fn state(&self, witness: &dyn BundleWitness, partners: &PartnersSeen, now: Timestamp, is_going: bool) -> AuthorityState {
        let is_waited_for = match self.phase() {
            Phase::Prepared => true,
            Phase::Revoked | Phase::Tainted => is_going,
            Phase::Active | Phase::Old => false,
        };
        // An issuing CA is published when its empty list is out, which may be a moment later than the commit that says so.
        let shown_since = match self.kind() {
            AuthorityKind::X509Issuing if self.phase() == Phase::Prepared => witness.list_out_since(self.id()).unwrap_or(u64::MAX).max(self.modified),
            AuthorityKind::Jwt | AuthorityKind::Wit | AuthorityKind::X509Issuing | AuthorityKind::X509Root => self.modified,
        };
        let ask = |witness: &dyn Fn() -> Missing| if is_waited_for { witness() } else { Missing::default() };
        let publication = self.published().map(|(at, refreshes)| Publication {
            at,
            refreshes,
            missing: ask(&|| witness.missing(shown_since, now).with_partners(self.behind(partners, at).into_iter().collect())),
            // An emergency waits for partners with the last of its steps only: until then they are to know nothing.
            missing_connected: ask(&|| match self.phase() {
                Phase::Revoked => witness
                    .missing_connected(shown_since, now)
                    .with_partners(self.behind(partners, at).into_iter().collect()),
                _ => witness.missing_connected(shown_since, now),
            }),
        });
        AuthorityState {
            id: self.id().clone(),
            kind: self.kind(),
            phase: self.phase(),
            issuer: self.ca().and_then(|(record, _)| record.root.clone()),
            not_before: self.not_before(),
            not_after: self.not_after(),
            algorithm: self.token().map(|(_, key)| key.algorithm()),
            publication,
            asked: self.notes().asked,
        }
    }

    /// Returns the partners that show that they are behind with it as it is since a moment; what is not in the bundle concerns no partner.
    pub(super) fn behind(&self, partners: &PartnersSeen, since: Timestamp) -> Vec<TrustDomain> {
        let key = match self.kind() {
            AuthorityKind::X509Issuing => None,
            AuthorityKind::Jwt | AuthorityKind::Wit => Some(BundleKey::token(self.id())),
            AuthorityKind::X509Root => self.ca().map(|(_, issuer)| BundleKey::Root(RootHash::of_der(issuer.certificate()))),
        };
        key.map(|key| partners.behind(&key, self.phase(), since)).unwrap_or_default()
    }

    /// Returns whether the bundle holds it: from its preparation on, so that it is known before it signs; a tainted one until what it signed is replaced.
    pub(super) fn is_published(&self) -> bool {
        let is_of_bundle = match self.kind() {
            AuthorityKind::X509Root | AuthorityKind::Jwt | AuthorityKind::Wit => true,
            AuthorityKind::X509Issuing => false,
        };
        is_of_bundle
            && match self.phase() {
                Phase::Prepared | Phase::Active | Phase::Old | Phase::Tainted => true,
                Phase::Revoked => false,
            }
    }

    /// Adds it to a bundle.
    pub(super) fn add_to(&self, bundle: TrustBundle) -> Result<TrustBundle, ReadAuthorityError> {
        match &self.authority {
            Authority::Ca(_, issuer) => bundle.with_x509_authority(issuer.certificate()).map_err(|source| ReadAuthorityError::Root {
                id: issuer.id().clone(),
                source,
            }),
            Authority::Token(record, key) => Ok(match record.kind {
                AuthorityKind::Wit => bundle.with_wit_authority(key.jwk().clone()),
                AuthorityKind::Jwt | AuthorityKind::X509Root | AuthorityKind::X509Issuing => bundle.with_jwt_authority(key.jwk().clone()),
            }),
        }
    }
}
