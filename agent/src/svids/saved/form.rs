//! The stored form of the sealed cache.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use trust_domains::bundle::SpiffeBundle;
use trust_domains::clock::Reading;
use trust_domains::crl::{CrlSet, CrlSetRefused};
use trust_domains::plan::restart::{MachineTag, RestartRefused, SealedBy, admit};
use trust_domains::plan::rotation::{HeldCredential, Jitter};
use trust_domains::plan::validity::DEFAULT_CLOCK_SKEW;
use trust_domains::wire::crls::{CrlsWhole, PartnerCrls};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision, Serial, SpiffeId, Timestamp, TrustDomain};
use zeroize::Zeroizing;

use super::{Kept, last_seen};
use crate::node::{Record, SealedError, SealedRecords};
use crate::svids::batch::SharedIssuers;
use crate::svids::partner_lists;
use crate::svids::partners::Federated;
use crate::svids::slot::Held;
use crate::svids::state::{Removed, Update};
use crate::svids::view::IssuedSvid;

/// The version of the stored form.
const FORMAT: u32 = 1;

/// The stored form, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    node: &'a SpiffeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    last_seen: Timestamp,
    revision: Revision,
    bundle: SpiffeBundle,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated: Option<Vec<SpiffeBundle>>,
    federated_crls: Vec<PartnerCrls>,
    given_to_all: &'a BTreeSet<TrustDomain>,
    lists: StoredLists,
    entries: &'a [Arc<NodeEntry>],
    issuers: Vec<Text<'a>>,
    svids: Vec<WrittenSvid<'a>>,
}

#[derive(Serialize)]
struct WrittenSvid<'a> {
    entry_id: &'a EntryId,
    entry_revision: Revision,
    spiffe_id: &'a SpiffeId,
    hint: &'a Option<String>,
    leaf: Text<'a>,
    /// Positions in the list of issuers.
    issuers: Vec<usize>,
    key: Text<'a>,
    serial: Serial,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// Octets as base64, without a copy that outlives the writing.
struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0)))
    }
}

/// The stored form, as it is read.
#[derive(Deserialize)]
struct Stored {
    format: u32,
    node: SpiffeId,
    /// The machine's tag in hex. Absent where it has none, and in what versions wrote that did not ask.
    machine: Option<String>,
    /// The newest time seen. Absent in what versions wrote that did not keep it.
    last_seen: Option<Timestamp>,
    revision: Revision,
    bundle: SpiffeBundle,
    /// Absent in what versions before federation wrote: such a cache serves, and is no place to resume at.
    federated: Option<Vec<SpiffeBundle>>,
    /// The revocation lists of partners. Absent in what versions before them wrote: as for federation.
    federated_crls: Option<Vec<PartnerCrls>>,
    /// Absent in what versions wrote that did not know of such partners: as for federation.
    given_to_all: Option<BTreeSet<TrustDomain>>,
    /// Absent in what versions before revocation wrote: as for federation.
    lists: Option<StoredLists>,
    entries: Vec<NodeEntry>,
    issuers: Vec<Base64>,
    svids: Vec<StoredSvid>,
}

/// The revocation lists.
#[derive(Serialize, Deserialize)]
struct StoredLists {
    /// The epoch of the server that had all of them.
    epoch: Option<u64>,
    /// Whether the server of the commit had all of them: else the commit is no place to resume at.
    are_the_servers: bool,
    whole: CrlsWhole,
}

#[derive(Deserialize)]
struct StoredSvid {
    entry_id: EntryId,
    entry_revision: Revision,
    spiffe_id: SpiffeId,
    hint: Option<String>,
    leaf: Base64,
    issuers: Vec<usize>,
    key: Base64,
    serial: Serial,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// The sealed cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SavedUnreadable {
    /// Another version wrote it.
    #[error("the sealed cache has format {found}; this version knows {FORMAT}")]
    Format {
        /// The format it names.
        found: u32,
    },
    /// An SVID names an issuer that is not there.
    #[error("the sealed cache is not complete")]
    Incomplete,
    /// It was another node's.
    #[error("the sealed cache is that of {found}")]
    OtherNode {
        /// Whose it is.
        found: SpiffeId,
    },
    /// This machine, or its clock, is not one by which it may be served.
    #[error(transparent)]
    Refused(#[from] RestartRefused),
    /// The revocation lists in it.
    #[error("the revocation lists in the sealed cache cannot be used")]
    Lists(#[from] CrlSetRefused),
    /// The record.
    #[error(transparent)]
    Sealed(#[from] SealedError),
}

/// Who seals a cache, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing<'a> {
    pub(super) node: &'a SpiffeId,
    pub(super) machine: Option<MachineTag>,
    pub(super) last_seen: Timestamp,
}

/// Serializes what was kept; the keys in it are wiped with the returned octets.
pub(super) fn write(kept: &Kept, by: Sealing<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut issuers: Vec<&Bytes> = Vec::new();
    let mut svids = Vec::with_capacity(kept.svids.len());
    for held in &kept.svids {
        let Some((leaf, above)) = held.svid.chain.split_first() else { continue };
        svids.push(WrittenSvid {
            entry_id: &held.svid.entry_id,
            entry_revision: held.entry_revision,
            spiffe_id: &held.svid.spiffe_id,
            hint: &held.svid.hint,
            leaf: Text(leaf),
            issuers: above.iter().map(|issuer| position(&mut issuers, issuer)).collect(),
            key: Text(&held.svid.key_pkcs8),
            serial: held.svid.serial,
            issued_at: held.svid.issued_at,
            expires_at: held.svid.expires_at,
        });
    }
    let issuers = issuers.into_iter().map(|issuer| Text(issuer)).collect();
    let written = Written {
        format: FORMAT,
        node: by.node,
        machine: by.machine.map(|MachineTag(tag)| hex::encode(tag)),
        last_seen: by.last_seen,
        revision: kept.revision,
        bundle: kept.bundle.as_ref().into(),
        federated: kept
            .federated
            .as_ref()
            .map(|bundles| bundles.iter().map(|bundle| bundle.as_ref().into()).collect()),
        federated_crls: kept.federated_crls.iter().map(of_partner).collect(),
        given_to_all: &kept.given_to_all,
        lists: StoredLists {
            epoch: kept.lists.epoch,
            are_the_servers: kept.lists.are_the_servers,
            whole: kept.lists.held.whole(),
        },
        entries: &kept.entries,
        issuers,
        svids,
    };
    // Room for all of it from the start: a buffer that grows leaves copies of keys behind.
    let octets = 16 * 1024 + 2 * 1024 * kept.svids.len() + 1024 * kept.entries.len() + 2 * kept.lists.held.octets();
    let mut octets = Zeroizing::new(Vec::with_capacity(octets));
    serde_json::to_writer(&mut *octets, &written)?;
    Ok(octets)
}

fn of_partner((partner, set): &(TrustDomain, CrlSet)) -> PartnerCrls {
    PartnerCrls {
        trust_domain: partner.clone(),
        lists: set.whole(),
    }
}

fn position<'a>(issuers: &mut Vec<&'a Bytes>, issuer: &'a Bytes) -> usize {
    issuers.iter().position(|known| *known == issuer).unwrap_or_else(|| {
        issuers.push(issuer);
        issuers.len() - 1
    })
}

/// What an earlier run kept.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Entries and bundles, as the server said.
    pub(crate) update: Update,
    /// The SVIDs.
    pub(crate) held: Vec<Held>,
    /// Whether it has everything that the server said of that commit, as far as this version knows.
    pub(crate) is_complete: bool,
    /// The epoch of the server that had all revocation lists.
    pub(crate) lists_epoch: Option<u64>,
}

/// Reads what an earlier run of this node kept, if it may be served on this machine now. A cache that may not is left as it is: the clock may be put right.
pub(crate) fn load(records: &SealedRecords, node: &SpiffeId, machine: Option<MachineTag>, now: Reading) -> Result<Option<Restored>, SavedUnreadable> {
    let Some(octets) = records.read(Record::Cache)? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&octets).map_err(|source| SealedError::Unknown { record: Record::Cache, source })?;
    if stored.format != FORMAT {
        return Err(SavedUnreadable::Format { found: stored.format });
    }
    if stored.node != *node {
        return Err(SavedUnreadable::OtherNode { found: stored.node });
    }
    let sealed_by = SealedBy {
        machine: stored.machine.as_deref().map(tag).transpose()?,
        last_seen: stored.last_seen.max(last_seen::read(records)?),
    };
    admit(&sealed_by, machine, now.wall, DEFAULT_CLOCK_SKEW)?;
    let mut shared = SharedIssuers::default();
    let issuers: Vec<Bytes> = stored.issuers.iter().map(|der| shared.share(&der.0)).collect();
    let held = stored
        .svids
        .into_iter()
        .map(|svid| restored(svid, &issuers, now))
        .collect::<Option<Vec<_>>>()
        .ok_or(SavedUnreadable::Incomplete)?;
    let has_partners = stored.federated.is_some() && stored.federated_crls.is_some() && stored.given_to_all.is_some();
    let is_complete = has_partners && stored.lists.as_ref().is_some_and(|lists| lists.are_the_servers);
    let (lists_epoch, lists) = stored.lists.map_or((None, CrlsWhole::default()), |lists| (lists.epoch, lists.whole));
    let update = Update {
        revision: stored.revision,
        upserted: stored.entries,
        removed: Removed::Others,
        bundle: Some(stored.bundle.into_bundle()),
        federated_crls: partner_lists::read(&stored.federated_crls.unwrap_or_default()),
        federated: Some(Federated {
            bundles: stored.federated.into_iter().flatten().map(SpiffeBundle::into_bundle).collect(),
            given_to_all: stored.given_to_all.unwrap_or_default(),
        }),
        crls: Some(CrlSet::read(&lists)?),
        // Not kept: without its server a node can replace nothing, and each stream begins with the list.
        tainted: None,
    };
    Ok(Some(Restored {
        update,
        held,
        is_complete,
        lists_epoch,
    }))
}

fn tag(text: &str) -> Result<MachineTag, RestartRefused> {
    let mut tag = [0; 16];
    // Sealed, and yet no tag: by a version that names machines in another way.
    hex::decode_to_slice(text, &mut tag).map_err(|_| RestartRefused::OtherMachine)?;
    Ok(MachineTag(tag))
}

fn restored(svid: StoredSvid, issuers: &[Bytes], now: Reading) -> Option<Held> {
    let above = svid.issuers.iter().map(|at| issuers.get(*at).cloned()).collect::<Option<Vec<_>>>()?;
    let times = HeldCredential::restored(now, svid.issued_at, svid.expires_at, Jitter::new(crate::sync::jitter()));
    let entry_revision = svid.entry_revision;
    let svid = IssuedSvid {
        entry_id: svid.entry_id,
        spiffe_id: svid.spiffe_id,
        hint: svid.hint,
        chain: std::iter::once(Bytes::from(svid.leaf.0.into_boxed_slice())).chain(above).collect(),
        key_pkcs8: Zeroizing::new(svid.key.0),
        serial: svid.serial,
        issued_at: svid.issued_at,
        expires_at: svid.expires_at,
        next_renewal: times.next_renewal(now),
        is_of_earlier_run: true,
    };
    Some(Held {
        svid: Arc::new(svid),
        entry_revision,
        times,
    })
}
