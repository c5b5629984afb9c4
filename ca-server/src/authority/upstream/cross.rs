//! One cross-certificate, opened.

use std::sync::Arc;

use trust_domains::Timestamp;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::upstream::{ChainHash, CrossId, CrossState, CrossUse};
use trust_domains::wire::upstreams::CrossView;
use trust_domains::x509::to_pem;

use super::record::{CrossRecord, FORMAT};
use crate::authority::held::ReadAuthorityError;
use crate::seal::SealedRecords;
use crate::store::Item;

/// One cross-certificate with the commit that last wrote it.
#[derive(Debug)]
pub(in crate::authority) struct Cross {
    id: CrossId,
    record: CrossRecord,
    /// The cross-certificate and what follows it in a chain.
    chain: Vec<Arc<[u8]>>,
    pub(in crate::authority) modified: u64,
}

impl Cross {
    /// Opens a stored cross-certificate.
    pub(in crate::authority) fn open(records: &SealedRecords, item: &Item) -> Result<Self, ReadAuthorityError> {
        let name = || item.key.to_string();
        let record: CrossRecord = records.open_item(item).map_err(|source| ReadAuthorityError::Seal { record: name(), source })?;
        if record.format != FORMAT {
            return Err(ReadAuthorityError::FormatUnknown {
                record: name(),
                found: record.format,
                known: FORMAT,
            });
        }
        let chain = std::iter::once(&record.certificate).chain(&record.intermediates);
        Ok(Self {
            id: CrossId::of(&record.root, &record.upstream),
            chain: chain.map(|der| Arc::from(der.0.as_slice())).collect(),
            record,
            modified: item.modified,
        })
    }

    pub(super) fn id(&self) -> &CrossId {
        &self.id
    }

    /// Returns the root that it certifies.
    pub(in crate::authority) fn root(&self) -> &AuthorityId {
        &self.record.root
    }

    /// Returns the upstream authority, by its key.
    pub(super) fn upstream(&self) -> &AuthorityId {
        &self.record.upstream
    }

    pub(super) fn not_after(&self) -> Timestamp {
        self.record.not_after
    }

    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.record.not_before <= now && now < self.record.not_after
    }

    pub(super) fn used(&self) -> CrossUse {
        CrossUse {
            is_sent: self.record.sent,
            is_dedicated: self.record.dedicated,
        }
    }

    /// Returns it with what follows it in a chain.
    pub(super) fn chain(&self) -> &[Arc<[u8]>] {
        &self.chain
    }

    /// Returns the root of its upstream authority, where that belongs to the bundle.
    pub(in crate::authority) fn dedicated_root(&self) -> Option<&[u8]> {
        let root = self.record.upstream_root.as_ref().filter(|_| self.record.dedicated);
        root.map(|root| root.0.as_slice())
    }

    /// Returns what the plan sees of it.
    pub(super) fn state(&self) -> CrossState {
        let mut chain = ChainHash::default();
        chain.iter_mut().zip(&self.record.chain_sha256.0).for_each(|(place, octet)| *place = *octet);
        CrossState {
            id: self.id.clone(),
            root: self.record.root.clone(),
            upstream: self.record.upstream.clone(),
            chain,
            used: self.used(),
            not_before: self.record.not_before,
            not_after: self.record.not_after,
        }
    }

    /// Returns what operators see of it.
    pub(super) fn view(&self) -> CrossView {
        CrossView {
            id: self.id.clone(),
            root: self.record.root.clone(),
            upstream: self.record.subject.clone(),
            upstream_key_id: self.record.upstream.clone(),
            source: self.record.source,
            sent: self.record.sent,
            dedicated: self.record.dedicated,
            not_before: self.record.not_before,
            not_after: self.record.not_after,
            created_at: self.record.created_at,
            chain_pem: self.chain.iter().map(|der| to_pem(der)).collect(),
        }
    }
}
