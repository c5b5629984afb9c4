//! sled's directory: made, opened and checked; with a descriptor of our own on sled's file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sled::Db;
use trust_domains::Revision;

use super::layout::{self, Assembler, FORMAT, FORMAT_KEY, HEAD_KEY, Head, NotARecord};
use crate::store::disk::sync_directory;
use crate::store::{Item, Key, Prefix, StoreError};

/// An open sled with what this backend adds.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    db: Db,
    /// Opened before sled wrote anything: the kernel reports a failed write-back once to each descriptor that was open then, and sled does not
    /// look at what its own says.
    file: File,
}

/// sled's page cache. The registry holds entries in memory itself; sled's default of 1 GiB would hold them once more.
const CACHE: u64 = 8 * 1024 * 1024;

/// How long a dying owner is waited for. Tests have owners that live.
const OWNER_PATIENCE: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(5) };

/// How often it is looked again.
const OWNER_POLL: Duration = Duration::from_millis(20);

impl Files {
    pub(super) fn create(directory: &Path, start: Revision) -> Result<Self, StoreError> {
        let io = |doing, source| StoreError::Io {
            doing,
            directory: directory.to_owned(),
            source,
        };
        fs::create_dir_all(directory).map_err(|error| io("making the store's directory", error))?;
        let mut present = fs::read_dir(directory).map_err(|error| io("reading the store's directory", error))?;
        if present.next().is_some() {
            return Err(StoreError::Exists {
                directory: directory.to_owned(),
            });
        }
        let files = Self::open_sled(directory)?;
        let mut batch = sled::Batch::default();
        batch.insert(FORMAT_KEY, &FORMAT.to_be_bytes());
        batch.insert(HEAD_KEY, layout::encode_revision(start));
        files.db.apply_batch(batch).map_err(|error| files.failed(&error))?;
        files.settle()?;
        // The directory is there after a power loss when the one above it says so.
        let above = directory.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(above).map_err(|error| io("syncing the directory above", error))?;
        Ok(files)
    }

    pub(super) fn open(directory: &Path) -> Result<(Self, Revision), StoreError> {
        if !directory.join("db").is_file() {
            return Err(StoreError::Missing {
                directory: directory.to_owned(),
            });
        }
        remove_unfinished_snapshots(directory).map_err(|source| StoreError::Io {
            doing: "removing an unfinished file",
            directory: directory.to_owned(),
            source,
        })?;
        let files = Self::open_sled(directory)?;
        files.check_format()?;
        if !files.no_blobs()? {
            return Err(files.damaged("pages lie outside the log"));
        }
        // What sled recovered may have been written by a process that was killed before its sync: it is served from now on, so it must stay.
        files.settle()?;
        let head = files.db.get(HEAD_KEY).map_err(|error| files.failed(&error))?;
        let revision = head
            .as_deref()
            .and_then(layout::parse_revision)
            .ok_or_else(|| files.damaged("its revision cannot be read"))?;
        Ok((files, revision))
    }

    fn open_sled(directory: &Path) -> Result<Self, StoreError> {
        let io = |doing, source| StoreError::Io {
            doing,
            directory: directory.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("db"))
            .map_err(|error| io("opening", error))?;
        wait_for_owner(&file, directory)?;
        // Without its flusher thread, which would write between our syncs and only log it when its own sync fails. Segments are cleaned all the
        // same: sled moves a page out of a sparse one whenever it replaces another page.
        let config = sled::Config::new().path(directory).cache_capacity(CACHE).flush_every_ms(None);
        // sled asserts while it recovers: a damaged file is an error to us, not the end.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) => return Err(classify(&error, directory)),
            Err(_) => {
                return Err(StoreError::Damaged {
                    directory: directory.to_owned(),
                    what: "its log cannot be recovered".to_owned(),
                });
            }
        };
        Ok(Self {
            directory: directory.to_owned(),
            db,
            file,
        })
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let stored = self.db.get(FORMAT_KEY).map_err(|error| self.failed(&error))?;
        let Some(stored) = stored else {
            let empty = self.db.is_empty();
            return Err(if empty {
                StoreError::Incomplete {
                    directory: self.directory.clone(),
                }
            } else {
                self.damaged("its format is not named")
            });
        };
        let found = <[u8; 4]>::try_from(&stored[..])
            .map(u32::from_be_bytes)
            .map_err(|_| self.damaged("its format cannot be read"))?;
        if found != FORMAT {
            return Err(StoreError::FormatUnknown { found, known: FORMAT });
        }
        Ok(())
    }

    /// Puts everything that is in sled on the disk, names included.
    fn settle(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| self.failed(&error))?;
        self.file.sync_all().map_err(|error| self.io("syncing", error))?;
        File::open(self.directory.join("conf"))
            .and_then(|conf| conf.sync_all())
            .map_err(|error| self.io("syncing", error))?;
        sync_directory(&self.directory).map_err(|error| self.io("syncing", error))
    }

    pub(super) const fn db(&self) -> &Db {
        &self.db
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the head of a record.
    pub(super) fn head(&self, key: &Key) -> Result<Option<Head>, StoreError> {
        let stored = self.db.get(key.as_str()).map_err(|error| self.failed(&error))?;
        let Some(stored) = stored else { return Ok(None) };
        let (head, _) = Head::parse(&stored).ok_or_else(|| self.damaged(key.as_str()))?;
        Ok(Some(head))
    }

    /// Returns the records under a prefix behind a key, in order, at most so many.
    pub(super) fn items(&self, prefix: Prefix, behind: Option<&Key>, limit: usize) -> Result<Vec<Item>, StoreError> {
        let start = match behind {
            None => Bound::Included(prefix.as_str().as_bytes().to_vec()),
            // Behind the last piece that the record may have.
            Some(key) => Bound::Excluded(layout::piece_key(key, u16::MAX)),
        };
        let mut assembler = Assembler::default();
        for pair in self.db.range::<Vec<u8>, _>((start, Bound::Unbounded)) {
            let (key, value) = pair.map_err(|error| self.failed(&error))?;
            if !key.starts_with(prefix.as_str().as_bytes()) || (assembler.records() >= limit && Key::from_stored(&key).is_some()) {
                break;
            }
            if key.first() != Some(&0) {
                assembler.push(&key, &value).map_err(|NotARecord(at)| self.damaged(&at))?;
            }
        }
        assembler.finish().map_err(|NotARecord(at)| self.damaged(&at))
    }

    /// Returns whether every page is in the log, none in a file of its own.
    pub(super) fn no_blobs(&self) -> Result<bool, StoreError> {
        let mut blobs = fs::read_dir(self.directory.join("blobs")).map_err(|error| self.io("reading blobs/", error))?;
        Ok(blobs.next().is_none())
    }

    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> StoreError {
        StoreError::Io {
            doing,
            directory: self.directory.clone(),
            source,
        }
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged {
            directory: self.directory.clone(),
            what: what.to_owned(),
        }
    }

    pub(super) fn failed(&self, error: &sled::Error) -> StoreError {
        classify(error, &self.directory)
    }
}

fn classify(error: &sled::Error, directory: &Path) -> StoreError {
    let directory = directory.to_owned();
    match error {
        sled::Error::Io(source) => StoreError::Io {
            doing: "reading or writing",
            directory,
            source: io::Error::new(source.kind(), source.to_string()),
        },
        sled::Error::Unsupported(what) => StoreError::Damaged { directory, what: what.clone() },
        other => StoreError::Damaged {
            directory,
            what: other.to_string(),
        },
    }
}

/// sled takes a lock on its file and gives up at once; a process that is being killed still holds it for a moment.
fn wait_for_owner(file: &File, directory: &Path) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    while let Err(error) = flock(file, FlockOperation::NonBlockingLockExclusive) {
        if waited >= OWNER_PATIENCE || error != rustix::io::Errno::WOULDBLOCK {
            return Err(StoreError::InUse {
                directory: directory.to_owned(),
            });
        }
        std::thread::sleep(OWNER_POLL);
        waited += OWNER_POLL;
    }
    // sled locks through a descriptor of its own, which ours would shut out.
    flock(file, FlockOperation::Unlock).map_err(|error| StoreError::Io {
        doing: "unlocking",
        directory: directory.to_owned(),
        source: error.into(),
    })
}

/// sled writes its index as `snap.N.generating` and renames it; killed in between, it takes the unfinished file for the newest index and does
/// not open. The log holds everything that the index says.
fn remove_unfinished_snapshots(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
