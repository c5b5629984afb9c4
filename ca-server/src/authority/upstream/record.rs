//! A cross-certificate as the store keeps it, sealed whole like an authority: nobody slips one in by writing to the disk.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::bundle::X509Authority;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::upstream::{ChainHash, CrossId, CrossUse};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::upstreams::CrossSource;
use trust_domains::x509::{CrossCertificate, UpstreamChain};

use super::error::UpstreamError;
use crate::seal::{SealError, SealedRecords};
use crate::store::{Key, RecordName, Write};

/// The version of the record.
pub(super) const FORMAT: u32 = 1;

/// One cross-certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CrossRecord {
    pub(super) format: u32,
    /// The root that it certifies.
    pub(super) root: AuthorityId,
    /// The upstream authority, by its key and by its name.
    pub(super) upstream: AuthorityId,
    pub(super) subject: String,
    pub(super) source: CrossSource,
    pub(super) sent: bool,
    pub(super) dedicated: bool,
    pub(super) created_at: Timestamp,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) certificate: Base64,
    /// What follows it in a chain: the upstream authority below its root.
    pub(super) intermediates: Vec<Base64>,
    /// The upstream authority's root, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upstream_root: Option<Base64>,
    /// The SHA-256 of the upstream authority's certificates when it signed: others make a new cross-certificate.
    pub(super) chain_sha256: Base64,
}

/// A cross-certificate that was just made or taken, before it is stored.
#[derive(Debug)]
pub(crate) struct NewCross {
    id: CrossId,
    record: CrossRecord,
}

impl NewCross {
    /// Describes a cross-certificate of this root. The root of a dedicated upstream authority must be there, and fit for the bundle.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn new(cross: &CrossCertificate, root: &AuthorityId, source: CrossSource, used: CrossUse, created_at: Timestamp) -> Result<Self, UpstreamError> {
        let chain = cross.upstream();
        if used.is_dedicated {
            dedicated_root(chain)?;
        }
        let base64 = |der: &[u8]| Base64(der.to_vec());
        let record = CrossRecord {
            format: FORMAT,
            root: root.clone(),
            upstream: chain.key_id(),
            subject: chain.subject(),
            source,
            sent: used.is_sent,
            dedicated: used.is_dedicated,
            created_at,
            not_before: cross.not_before(),
            not_after: cross.not_after(),
            certificate: base64(cross.der()),
            intermediates: chain.intermediates().iter().map(|der| base64(der)).collect(),
            upstream_root: chain.root().map(|der| base64(der)),
            chain_sha256: Base64(chain_hash(chain).to_vec()),
        };
        Ok(Self {
            id: CrossId::of(root, &record.upstream),
            record,
        })
    }

    /// Returns what it will be known by.
    pub(crate) fn id(&self) -> &CrossId {
        &self.id
    }

    /// Returns the write that stores it, in place of one by the same authority for the same root.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub(crate) fn write(&self, records: &SealedRecords) -> Result<Write, SealError> {
        records.put(cross_key(&self.id), &self.record)
    }
}

/// Returns the key of a cross-certificate in the store.
#[expect(clippy::expect_used, reason = "an id is 16 hex digits, and those are a record name")]
pub(super) fn cross_key(id: &CrossId) -> Key {
    Key::upstream(&RecordName::new(id.as_str()).expect("hex digits are a record name"))
}

/// Returns what tells one state of an upstream authority's certificates from another.
pub(super) fn chain_hash(chain: &UpstreamChain) -> ChainHash {
    let mut context = Context::new(&SHA256);
    chain.ders().iter().for_each(|der| context.update(der));
    let mut hash = ChainHash::default();
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(place, octet)| *place = *octet);
    hash
}

/// Returns the root of an upstream authority as the bundle holds it.
///
/// # Errors
/// It was not given, or is none.
pub(super) fn dedicated_root(chain: &UpstreamChain) -> Result<X509Authority, UpstreamError> {
    let root = chain.root().ok_or(UpstreamError::DedicatedRootMissing)?;
    X509Authority::parse(root).map_err(UpstreamError::Dedicated)
}
