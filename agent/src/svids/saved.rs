//! The sealed cache: what a restarted agent serves while its server is away.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use tokio_util::sync::CancellationToken;
use trust_domains::bundle::SpiffeBundle;
use trust_domains::clock::Reading;
use trust_domains::plan::rotation::{HeldCredential, Jitter};
use trust_domains::problem::with_causes;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{EntryId, Revision, Serial, SpiffeId, Timestamp, TrustBundle};
use zeroize::Zeroizing;

use super::batch::SharedIssuers;
use super::cache::SvidCache;
use super::slot::Held;
use super::state::{Removed, State, Update};
use super::view::IssuedSvid;
use crate::node::{Record, SealedError, SealedRecords};

/// The version of the stored form.
const FORMAT: u32 = 1;

/// How long after a change it is written: a batch and the next message of the stream go into one write.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// The pause after a write: what a crash may lose is this old, and the server has all of it.
const PAUSE: Duration = Duration::from_secs(5);

/// What the cache held at one moment.
#[derive(Debug)]
pub(super) struct Kept {
    revision: Revision,
    bundle: Arc<TrustBundle>,
    /// Nothing while it is not known: what was taken up is an older version's.
    federated: Option<Vec<Arc<TrustBundle>>>,
    entries: Vec<Arc<NodeEntry>>,
    svids: Vec<Held>,
}

impl State {
    /// Returns what is worth keeping over a restart; `None` before the first sync.
    pub(super) fn worth_keeping(&self) -> Option<Kept> {
        let (revision, bundle) = (self.shown?, self.bundle.clone()?);
        let svids = self.slots.values().filter_map(|slot| {
            let mut held = slot.held.clone()?;
            if !slot.stale {
                // The entry's commit may have moved on without a change that the SVID shows.
                held.entry_revision = slot.entry.revision;
            }
            Some(held)
        });
        Some(Kept {
            revision,
            bundle,
            federated: (!self.incomplete).then(|| self.partners.all().cloned().collect()),
            entries: self.slots.values().map(|slot| slot.entry.clone()).collect(),
            svids: svids.collect(),
        })
    }
}

/// The stored form, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    node: &'a SpiffeId,
    revision: Revision,
    bundle: SpiffeBundle,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated: Option<Vec<SpiffeBundle>>,
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
    revision: Revision,
    bundle: SpiffeBundle,
    /// Absent in what versions before federation wrote: such a cache serves, and is no place to resume at.
    federated: Option<Vec<SpiffeBundle>>,
    entries: Vec<NodeEntry>,
    issuers: Vec<Base64>,
    svids: Vec<StoredSvid>,
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
    /// The record.
    #[error(transparent)]
    Sealed(#[from] SealedError),
}

/// Serializes what was kept; the keys in it are wiped with the returned octets.
fn write(kept: &Kept, node: &SpiffeId) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
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
        node,
        revision: kept.revision,
        bundle: kept.bundle.as_ref().into(),
        federated: kept
            .federated
            .as_ref()
            .map(|bundles| bundles.iter().map(|bundle| bundle.as_ref().into()).collect()),
        entries: &kept.entries,
        issuers,
        svids,
    };
    // Room for all of it from the start: a buffer that grows leaves copies of keys behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(16 * 1024 + 2 * 1024 * kept.svids.len() + 1024 * kept.entries.len()));
    serde_json::to_writer(&mut *octets, &written)?;
    Ok(octets)
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
}

/// Reads what an earlier run of this node kept.
pub(crate) fn load(records: &SealedRecords, node: &SpiffeId, now: Reading) -> Result<Option<Restored>, SavedUnreadable> {
    let Some(octets) = records.read(Record::Cache)? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&octets).map_err(|source| SealedError::Unknown { record: Record::Cache, source })?;
    if stored.format != FORMAT {
        return Err(SavedUnreadable::Format { found: stored.format });
    }
    if stored.node != *node {
        return Err(SavedUnreadable::OtherNode { found: stored.node });
    }
    let mut shared = SharedIssuers::default();
    let issuers: Vec<Bytes> = stored.issuers.iter().map(|der| shared.share(&der.0)).collect();
    let held = stored
        .svids
        .into_iter()
        .map(|svid| restored(svid, &issuers, now))
        .collect::<Option<Vec<_>>>()
        .ok_or(SavedUnreadable::Incomplete)?;
    let is_complete = stored.federated.is_some();
    let update = Update {
        revision: stored.revision,
        upserted: stored.entries,
        removed: Removed::Others,
        bundle: Some(stored.bundle.into_bundle()),
        federated: Some(stored.federated.into_iter().flatten().map(SpiffeBundle::into_bundle).collect()),
    };
    Ok(Some(Restored { update, held, is_complete }))
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
    };
    Some(Held {
        svid: Arc::new(svid),
        entry_revision,
        times,
    })
}

/// Keeps the sealed cache up to date.
pub(crate) struct Saver {
    pub(crate) cache: SvidCache,
    pub(crate) records: Arc<SealedRecords>,
    /// Returns who this node is now.
    pub(crate) node: tokio::sync::watch::Receiver<Option<crate::node::CurrentIdentity>>,
}

impl Saver {
    /// Writes after each change, and once more at the end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.cache.changes();
        changes.mark_unchanged();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = tokio::time::sleep(DEBOUNCE) => {}
                () = stop.cancelled() => break,
            }
            changes.mark_unchanged();
            self.save().await;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => break,
            }
        }
        self.save().await;
    }

    async fn save(&self) {
        let node = self.node.borrow().as_ref().map(|identity| identity.spiffe_id.clone());
        let kept = self.cache.read(|state| state.worth_keeping());
        let records = self.records.clone();
        // Sealing and writing 2 MB, and waiting for the disk, are not for the runtime.
        let saved = tokio::task::spawn_blocking(move || match (kept, node) {
            (Some(kept), Some(node)) => {
                let octets = write(&kept, &node).map_err(|source| SealedError::Unknown { record: Record::Cache, source })?;
                records.write(Record::Cache, &octets)
            }
            _ => records.remove(Record::Cache),
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %with_causes(&error), "the cache was not sealed on disk; a restart would serve an older one"),
            Err(error) => tracing::warn!(error = %error, "the cache was not sealed on disk"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svids::testing::{TTL, bundle, bundle_of, entry, issue_all, revision, snapshot};
    use trust_domains::clock::{Clock, ManualClock};

    fn records(dir: &tempfile::TempDir) -> SealedRecords {
        let data = dir.path().join("agent");
        platform::files::ensure_private_dir(&data, 0o700).unwrap();
        SealedRecords::open(&data, &dir.path().join("key")).unwrap()
    }

    fn node() -> SpiffeId {
        "spiffe://td.example/troth/agent/join_token/web-1".parse().unwrap()
    }

    fn filled(clock: &ManualClock) -> SvidCache {
        let cache = SvidCache::new(clock.shared());
        cache.apply(snapshot(7, vec![entry("a", 1), entry("b", 2)]));
        assert_eq!(issue_all(&cache, clock.now()), 2);
        cache
    }

    fn save(cache: &SvidCache, records: &SealedRecords) {
        let kept = cache.read(|state| state.worth_keeping()).unwrap();
        records.write(Record::Cache, &write(&kept, &node()).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_restarted_agent_serves_what_it_held() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        save(&filled(&clock), &records(&dir));
        clock.advance(TTL / 4);
        let cache = SvidCache::new(clock.shared());
        cache.restore(load(&records(&dir), &node(), clock.now()).unwrap().unwrap());
        assert_eq!(cache.resume_after(), Some(revision(7)));
        let proven = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
        let view = cache.subscribe(proven).next().await.unwrap();
        assert_eq!(view.svids.len(), 2);
        assert_eq!(&*view.svids[0].key_pkcs8, b"key");
        assert_eq!(*view.bundle, bundle());
        assert!(
            cache.due(&trust_domains::plan::rotation::RotationPolicy::default()).issue.is_empty(),
            "nothing is asked for twice"
        );
    }

    #[test]
    fn svids_that_ended_meanwhile_are_not_taken_up() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        save(&filled(&clock), &records(&dir));
        clock.advance(TTL * 2);
        let cache = SvidCache::new(clock.shared());
        cache.restore(load(&records(&dir), &node(), clock.now()).unwrap().unwrap());
        assert_eq!((cache.svid_count(), cache.entry_count()), (0, 2));
    }

    #[test]
    fn the_cache_of_another_node_is_not_taken_up() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        save(&filled(&clock), &records(&dir));
        let other = "spiffe://td.example/troth/agent/join_token/web-2".parse().unwrap();
        assert!(matches!(load(&records(&dir), &other, clock.now()), Err(SavedUnreadable::OtherNode { .. })));
    }

    #[test]
    fn issuers_are_written_once_and_shared_again() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        save(&filled(&clock), &records(&dir));
        let held = load(&records(&dir), &node(), clock.now()).unwrap().unwrap().held;
        assert_eq!(held[0].svid.chain[1].as_ptr(), held[1].svid.chain[1].as_ptr());
    }

    fn federating() -> NodeEntry {
        NodeEntry {
            federates_with: vec!["partner.test".parse().unwrap()],
            ..entry("a", 1)
        }
    }

    #[tokio::test]
    async fn the_bundles_of_partners_outlive_a_restart() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        let (before, partner) = (SvidCache::new(clock.shared()), bundle_of("partner.test"));
        before.apply(Update {
            federated: Some(vec![partner.clone()]),
            ..snapshot(7, vec![federating()])
        });
        issue_all(&before, clock.now());
        save(&before, &records(&dir));
        let cache = SvidCache::new(clock.shared());
        cache.restore(load(&records(&dir), &node(), clock.now()).unwrap().unwrap());
        let proven = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
        let view = cache.subscribe(proven).next().await.unwrap();
        assert_eq!(*view.federated[partner.trust_domain()], partner);
        assert_eq!(cache.resume_after(), Some(revision(7)));
    }

    #[test]
    fn a_cache_of_a_version_without_partners_serves_and_asks_for_a_snapshot() {
        let clock = ManualClock::new(Timestamp::from_unix(1_800_000_000));
        let dir = tempfile::tempdir().unwrap();
        save(&filled(&clock), &records(&dir));
        let mut stored: serde_json::Value = serde_json::from_slice(&records(&dir).read(Record::Cache).unwrap().unwrap()).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("federated").is_some());
        records(&dir).write(Record::Cache, stored.to_string().as_bytes()).unwrap();

        let cache = SvidCache::new(clock.shared());
        cache.restore(load(&records(&dir), &node(), clock.now()).unwrap().unwrap());
        assert_eq!((cache.svid_count(), cache.resume_after()), (2, None));
        save(&cache, &records(&dir));
        assert!(
            !load(&records(&dir), &node(), clock.now()).unwrap().unwrap().is_complete,
            "what was not known is not written as if it were"
        );
        cache.apply(snapshot(8, vec![entry("a", 1)]));
        assert_eq!(cache.resume_after(), Some(revision(8)));
    }
}
