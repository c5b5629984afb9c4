//! One authority, opened: its record, and the key that it may sign with.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trust_domains::bundle::AuthorityRefused;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityState, Phase, Publication};
use trust_domains::public_key::KeyHash;
use trust_domains::{Timestamp, TrustBundle};

use super::issuer::{Issuer, IssuerError};
use super::key::KeyError;
use super::key_store::KeyStore;
use super::record::{AuthorityRecord, FORMAT, Header, OLDEST_FORMAT, TOKEN_FORMAT, TokenKeyRecord};
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

    /// Returns the write that keeps it in another phase.
    pub(super) fn in_phase(&self, records: &SealedRecords, phase: Phase) -> Result<Write, SealError> {
        let place = authority_key(self.id());
        match &self.authority {
            Authority::Ca(record, _) => records.put(place, &AuthorityRecord { phase, ..record.clone() }),
            Authority::Token(record, _) => records.put(place, &TokenKeyRecord { phase, ..record.clone() }),
        }
    }

    /// Returns what the plan sees of it. Only a key that waits for acknowledgements is asked about.
    pub(super) fn state(&self, witness: &dyn BundleWitness, now: Timestamp) -> AuthorityState {
        let published = self.token().and_then(|(record, _)| Some((record.published_at?, record.refreshes_s)));
        let publication = published.map(|(at, refreshes_s)| Publication {
            at,
            refreshes: Duration::from_secs(refreshes_s),
            missing: match self.phase() {
                Phase::Prepared => witness.missing(self.modified, now),
                Phase::Active | Phase::Old | Phase::Tainted | Phase::Revoked => Default::default(),
            },
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
        }
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
