use std::path::{Path, PathBuf};

use platform::sealing::{FileKeySource, RecoveryKey};
use proptest::prelude::*;
use trust_domains::Timestamp;
use trust_domains::clock::ManualClock;
use trust_domains::node::{NodeRecord, NodeSvid};
use trust_domains::plan::authority::{AuthorityKind, Phase};
use trust_domains::problem::{Code, Coded as _};
use trust_domains::public_key::KeyHash;
use trust_domains::{SelectorSet, Serial};

use super::*;
use crate::authority::phases;
use crate::config::DataDir;
use crate::init::{InitParams, RecoveryChoice, init};
use crate::registry::records;
use crate::seal::open_store;
use crate::store::disk::Disk;
use crate::store::{Commit, Key, Prefix, RecordName, SledStore, Snapshot, Store as _};

const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

/// A stopped server with two nodes, one of them banned, and a join token; and its recovery key.
struct Old {
    directory: tempfile::TempDir,
    recovery_file: PathBuf,
}

impl Old {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let recovery_file = directory.path().join("recovery.key");
        let old = Self { directory, recovery_file };
        init(InitParams {
            trust_domain: "example.org".parse().unwrap(),
            data_dir: old.data_dir().path().to_owned(),
            key_source: None,
            signing_keys: crate::config::SigningKeysPlace::Store,
            recovery: RecoveryChoice::File(old.recovery_file.clone()),
            jwt_algorithm: Default::default(),
            upstream: None,
            clock: ManualClock::new(NOW).shared(),
        })
        .await
        .unwrap();
        let mut commit = Commit::new("test");
        for (name, banned) in [("web-1", false), ("web-2", true)] {
            let record = node(name).with_ban(banned);
            let key = Key::node(record.name());
            let stored = records::encode(&key, &record).unwrap();
            commit = commit.put(key, stored);
        }
        commit = commit.put(Key::token(&RecordName::new("t1").unwrap()), "sealed");
        old.store().commit(commit).await.unwrap();
        old
    }

    fn data_dir(&self) -> DataDir {
        DataDir::new(self.directory.path().join("old"))
    }

    fn store(&self) -> SledStore {
        SledStore::open(&self.data_dir().store(), Disk::real()).unwrap()
    }

    async fn backup(&self) -> PathBuf {
        let path = self.directory.path().join("a.backup");
        let mut file = BackupFile::create(&path).unwrap();
        for part in of_stopped(&self.data_dir(), NOW).await.unwrap() {
            file.write(&part.unwrap()).unwrap();
        }
        file.finish().unwrap();
        path
    }

    fn params(&self, from: &Path, to: &str) -> RestoreParams {
        RestoreParams {
            from: from.to_owned(),
            recovery_key_file: self.recovery_file.clone(),
            data_dir: self.directory.path().join(to),
            key_source: None,
            clock: ManualClock::new(NOW).shared(),
        }
    }
}

fn node(name: &str) -> NodeRecord {
    let svid = NodeSvid {
        key: KeyHash::of_spki(name.as_bytes()),
        serial: Serial::from_parts([0; 4], [1; 11]),
        expires_at: NOW,
    };
    let id = format!("spiffe://example.org/troth/agent/join_token/{name}").parse().unwrap();
    NodeRecord::new(id, SelectorSet::default(), NOW, svid).unwrap()
}

async fn everything(store: &SledStore) -> Snapshot {
    store.snapshot(Prefix::ALL).await.unwrap()
}

#[tokio::test]
async fn a_trust_domain_is_restored_with_nothing_but_the_backup_and_the_recovery_key() {
    let old = Old::new().await;
    let backup = old.backup().await;
    let before = everything(&old.store()).await;
    std::fs::remove_file(old.data_dir().default_key_file()).unwrap();

    let report = restore(old.params(&backup, "new")).await.unwrap();
    assert_eq!((report.entries, report.nodes, report.void_tokens), (0, 2, 1));
    assert_eq!(report.banned, ["web-2".parse().unwrap()]);
    assert_eq!(report.header.revision, before.revision);

    let new = SledStore::open(&DataDir::new(&report.data_dir).store(), Disk::real()).unwrap();
    let opened = open_store(&new, &FileKeySource::open(&old.directory.path().join("new.seal.key")).unwrap())
        .await
        .unwrap();
    assert_eq!(opened.trust_domain.as_str(), "example.org");
    let after = everything(&new).await;
    assert_ne!(after.revision.epoch, before.revision.epoch);
    assert_eq!(after.revision, report.revision);
    let above = before.revision.counter + (1 << 32);
    assert!(
        after.items.iter().all(|item| item.modified > above),
        "whatever is counted by commits is above all that was published"
    );
    assert!(after.items.iter().all(|item| !Prefix::TOKENS.contains(&item.key)), "join tokens are void");

    let phases = phases(&opened.records, &after.items);
    let of = |kind| phases.iter().filter(|(held, _)| *held == kind).map(|(_, phase)| *phase).collect::<Vec<_>>();
    assert_eq!(of(AuthorityKind::X509Root), [Phase::Active]);
    assert_eq!(of(AuthorityKind::X509Issuing), [Phase::Old]);
    assert_eq!(of(AuthorityKind::Jwt), [Phase::Old]);
}

#[tokio::test]
async fn what_is_no_whole_backup_of_this_recovery_key_makes_nothing() {
    let old = Old::new().await;
    let backup = std::fs::read(old.backup().await).unwrap();
    let of_length = |length: usize| backup[..length].to_vec();
    let with = |at: usize, octet: u8| {
        let mut changed = backup.clone();
        changed[at] ^= octet;
        changed
    };
    let cases = [
        ("empty", Vec::new(), Code::BackupInvalid),
        ("another file", b"-----BEGIN CERTIFICATE-----\n".to_vec(), Code::BackupInvalid),
        ("cut off in its header", of_length(40), Code::BackupInvalid),
        ("cut off before its parts", of_length(20 + 4), Code::BackupInvalid),
        ("cut off at its end", of_length(backup.len() - 1), Code::BackupInvalid),
        ("longer than it was", [&backup[..], b"x"].concat(), Code::BackupInvalid),
        ("of a newer version", with(11, 2), Code::StoreFormatUnknown),
        ("changed in a part", with(backup.len() - 20, 1), Code::BackupInvalid),
    ];
    for (name, octets, expected) in cases {
        let file = old.directory.path().join("changed.backup");
        std::fs::write(&file, octets).unwrap();
        let error = restore(old.params(&file, "new")).await.unwrap_err();
        assert_eq!(error.code(), expected, "{name}: {error}");
        assert!(!old.directory.path().join("new").exists(), "{name}");
        assert!(!old.directory.path().join("new.seal.key").exists(), "{name}");
    }
}

#[tokio::test]
async fn a_header_that_was_changed_opens_nothing() {
    let old = Old::new().await;
    let backup = std::fs::read(old.backup().await).unwrap();
    let text = String::from_utf8_lossy(&backup);
    let at = text.find("\"counter\":").or_else(|| text.find("revision")).unwrap();
    let key = RecoveryKey::parse(std::fs::read_to_string(&old.recovery_file).unwrap().trim()).unwrap();
    for offset in 0..40 {
        let mut changed = backup.clone();
        changed[at + offset] ^= 1;
        let file = old.directory.path().join("changed.backup");
        std::fs::write(&file, changed).unwrap();
        OpenedBackup::open(&file, &key).unwrap_err();
    }
}

#[tokio::test]
async fn another_recovery_key_and_a_mistyped_one_are_told_apart() {
    let old = Old::new().await;
    let backup = old.backup().await;
    let other = RecoveryKey::generate().unwrap().expose().unwrap();
    let right = std::fs::read_to_string(&old.recovery_file).unwrap();
    let mistyped = right.trim().strip_suffix(|_: char| true).unwrap().to_owned() + "x";
    for (text, expected) in [(other.as_str(), Code::RecoveryKeyWrong), (mistyped.as_str(), Code::KeySourceUnavailable)] {
        std::fs::write(&old.recovery_file, text).unwrap();
        let error = restore(old.params(&backup, "new")).await.unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        assert!(!old.directory.path().join("new").exists());
    }
}

#[tokio::test]
async fn a_directory_that_holds_something_is_left_alone() {
    let old = Old::new().await;
    let backup = old.backup().await;
    let error = restore(old.params(&backup, "old")).await.unwrap_err();
    assert_eq!(error.code(), Code::DataDirNotEmpty);
    assert_eq!(everything(&old.store()).await.items.len(), 4 + 3);
}

#[tokio::test]
async fn a_trust_domain_without_a_recovery_key_has_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("server");
    let params = InitParams {
        trust_domain: "example.org".parse().unwrap(),
        data_dir: data_dir.clone(),
        key_source: None,
        signing_keys: crate::config::SigningKeysPlace::Store,
        recovery: RecoveryChoice::None,
        jwt_algorithm: Default::default(),
        upstream: None,
        clock: ManualClock::new(NOW).shared(),
    };
    init(params).await.unwrap();
    let error = of_stopped(&DataDir::new(data_dir), NOW).await.unwrap_err();
    assert_eq!(error.code(), Code::RecoveryKeyMissing);
}

#[tokio::test]
async fn a_store_of_many_parts_comes_back_record_by_record() {
    let old = Old::new().await;
    let store = old.store();
    for number in 0..5_u8 {
        let key = Key::authority(&RecordName::new(&format!("{number:02x}")).unwrap());
        store.commit(Commit::new("test").put(key, vec![number; 700_000])).await.unwrap();
    }
    let before = everything(&store).await;
    drop(store);
    let path = old.backup().await;
    let key = RecoveryKey::parse(std::fs::read_to_string(&old.recovery_file).unwrap().trim()).unwrap();
    let opened = OpenedBackup::open(&path, &key).unwrap();
    let expected: Vec<_> = before.items.into_iter().map(|item| (item.key, item.value)).collect();
    let found: Vec<_> = opened.records.into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_backup_is_never_written_over_and_an_unfinished_one_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.backup");
    let mut begun = BackupFile::create(&path).unwrap();
    begun.write(b"half").unwrap();
    drop(begun);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);

    let begun = BackupFile::create(&path).unwrap();
    std::fs::write(&path, "of somebody else").unwrap();
    assert!(matches!(begun.finish().unwrap_err(), WriteBackupError::Exists { .. }));
    assert!(matches!(BackupFile::create(&path).unwrap_err(), WriteBackupError::Exists { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "of somebody else");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

proptest! {
    #[test]
    fn no_octets_are_taken_for_a_header_by_a_panic(octets: Vec<u8>) {
        let with_magic = [&b"TROTHBAK\0\0\0\x01\0\0\0\x10"[..], &octets].concat();
        prop_assert!(BackupHeader::of(&octets).is_err());
        prop_assert!(BackupHeader::of(&with_magic).is_err());
    }
}
