//! SHA-256 of executables: each file is read once, however many processes run it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::{AtFlags, StatxFlags, fstatfs, statx};
use tokio::sync::OnceCell;

use super::attestor::AttestError;
use super::process::Inode;
use super::shares::Share;

/// The largest executable that is hashed: a second or so of one core, and far above any program that is one file.
pub(super) const MAX_HASHED_SIZE: u64 = 1 << 30;

/// How many hashes are kept: more programs than one machine runs, at about 150 octets each.
const MAX_KEPT: usize = 1_024;

/// How much is read between two looks at whether anybody still waits for the hash.
const CHUNK: usize = 256 * 1024;

/// `FUSE_SUPER_MAGIC` of `linux/magic.h`.
const FUSE: u64 = 0x6573_5546;

/// A file and its state: content cannot change without its change time, which only the clock's owner can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    inode: Inode,
    size: u64,
    changed: (i64, u32),
}

/// Why an executable's content is not proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unhashable {
    #[error("the executable's file system is served by a user's program, which may show anybody anything")]
    ServedByUser,
    #[error("the executable has {size} bytes, more than the {MAX_HASHED_SIZE} that are read")]
    TooLarge { size: u64 },
    #[error("the agent may not read the executable")]
    NotPermitted,
}

/// The SHA-256 of a file.
type Hash = [u8; 32];

/// The hashes that are known or being made.
#[derive(Debug, Default)]
pub(super) struct FileHashes {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    uses: u64,
    files: HashMap<FileKey, (u64, Arc<OnceCell<Hash>>)>,
}

impl FileHashes {
    /// Returns the hash of an open executable; reads it only if no other caller has.
    ///
    /// When the caller that reads stops waiting, the reading stops, and another that waits for the same file reads it. `share` is
    /// held by the thread for as long as it reads.
    pub(super) async fn hash(&self, key: FileKey, file: File, share: Share) -> Result<Hash, AttestError> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| read_away_from_runtime(key, file, share)).await.copied()
    }

    /// Returns the place of a file's hash; makes room by forgetting the one used least recently.
    fn cell(&self, key: FileKey) -> Arc<OnceCell<Hash>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        if !kept.files.contains_key(&key) && kept.files.len() >= MAX_KEPT {
            let oldest = kept.files.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            oldest.and_then(|oldest| kept.files.remove(&oldest));
        }
        let (used, cell) = kept.files.entry(key).or_default();
        *used = now;
        Arc::clone(cell)
    }
}

/// Returns the state of an executable, or why its content proves nothing. It may wait for the file system.
pub(super) fn identify(file: &File) -> Result<Result<FileKey, Unhashable>, AttestError> {
    let reading = |source: rustix::io::Errno| AttestError::reading("its executable", source.into());
    if u64::try_from(fstatfs(file).map_err(reading)?.f_type) == Ok(FUSE) {
        return Ok(Err(Unhashable::ServedByUser));
    }
    let key = state(file)?;
    Ok(if key.size > MAX_HASHED_SIZE {
        Err(Unhashable::TooLarge { size: key.size })
    } else {
        Ok(key)
    })
}

fn state(file: &File) -> Result<FileKey, AttestError> {
    let stat = statx(file.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(|source| AttestError::reading("its executable", source.into()))?;
    Ok(FileKey {
        inode: Inode::of(&stat),
        size: stat.stx_size,
        changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
    })
}

impl FileKey {
    /// Returns which file it is.
    pub(super) fn inode(&self) -> Inode {
        self.inode
    }
}

/// Hashes a file on a thread of its own; the thread ends early when the caller stops waiting.
async fn read_away_from_runtime(key: FileKey, file: File, share: Share) -> Result<Hash, AttestError> {
    let given_up = Arc::new(AtomicBool::new(false));
    let _guard = SetOnDrop(Arc::clone(&given_up));
    let reading = tokio::task::spawn_blocking(move || {
        let _share = share;
        read(key, file, &given_up)
    });
    match reading.await {
        Ok(hash) => hash,
        Err(_stopped) => Err(AttestError::Deadline {
            what: "the hash of its executable",
        }),
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns the hash of a file that stayed as it was meanwhile.
fn read(key: FileKey, mut file: File, given_up: &AtomicBool) -> Result<Hash, AttestError> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    loop {
        if given_up.load(Ordering::Relaxed) {
            return Err(AttestError::Deadline {
                what: "the hash of its executable",
            });
        }
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => context.update(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(AttestError::reading("its executable", source)),
        }
    }
    if state(&file)? != key {
        return Err(AttestError::Changed { what: "its executable" });
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn share() -> Share {
        crate::workload::UidShares::new(1).try_take(0).unwrap()
    }

    fn identified(path: &std::path::Path) -> (FileKey, File) {
        let file = File::open(path).unwrap();
        (identify(&file).unwrap().unwrap(), file)
    }

    #[tokio::test]
    async fn a_file_is_read_once_and_again_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "abc").unwrap();
        let hashes = FileHashes::default();
        let (key, file) = identified(&path);
        let hash = hashes.hash(key, file, share()).await.unwrap();
        assert_eq!(hex::encode(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

        // The second caller's descriptor is at its end: read again, it would give the hash of nothing.
        let mut exhausted = File::open(&path).unwrap();
        exhausted.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(hashes.hash(key, exhausted, share()).await.unwrap(), hash);

        std::fs::write(&path, "abcd").unwrap();
        let (changed, file) = identified(&path);
        assert_ne!(changed, key);
        assert_ne!(hashes.hash(changed, file, share()).await.unwrap(), hash);
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_has_no_hash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "abc").unwrap();
        let (key, file) = identified(&path);
        File::options().append(true).open(&path).unwrap().write_all(b"d").unwrap();
        assert!(matches!(FileHashes::default().hash(key, file, share()).await, Err(AttestError::Changed { .. })));
    }

    #[test]
    fn a_file_past_the_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("huge")).unwrap();
        file.set_len(MAX_HASHED_SIZE + 1).unwrap();
        assert_eq!(identify(&file).unwrap(), Err(Unhashable::TooLarge { size: MAX_HASHED_SIZE + 1 }));
    }

    #[test]
    fn reading_stops_when_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "abc").unwrap();
        let (key, file) = identified(&path);
        assert!(matches!(read(key, file, &AtomicBool::new(true)), Err(AttestError::Deadline { .. })));
    }

    #[test]
    fn the_number_of_kept_hashes_is_bounded_and_the_least_recently_used_go_first() {
        let hashes = FileHashes::default();
        let key = |number| FileKey {
            inode: Inode { device: (0, 0), number },
            size: 0,
            changed: (0, 0),
        };
        for number in 0..MAX_KEPT as u64 {
            hashes.cell(key(number));
        }
        hashes.cell(key(0));
        hashes.cell(key(MAX_KEPT as u64));
        let kept = hashes.kept.lock().unwrap();
        assert_eq!(kept.files.len(), MAX_KEPT);
        assert!(kept.files.contains_key(&key(0)) && !kept.files.contains_key(&key(1)));
    }
}
