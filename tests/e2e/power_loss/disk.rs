//! A disk whose power may fail at any step: what was synced is kept, of the rest nothing or any part.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::trace::Step;

/// The pieces of a write that reach the disk each by itself.
const PAGE: usize = 4096;

/// A directory tree with what of it is on the disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<File>,
    /// As the process sees them.
    live: BTreeMap<PathBuf, Node>,
    /// As they are after a power loss.
    synced: BTreeMap<PathBuf, Node>,
    /// By directory: what changed in it since it was synced.
    names: HashMap<PathBuf, Log<NameChange>>,
    /// Syncs under way: how much each covers.
    syncs: HashMap<usize, u64>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    /// As the process sees it.
    length: usize,
    changes: Log<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    SetLength(usize),
    Write(usize, Vec<u8>),
}

#[derive(Debug, Clone)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Changes that are not on the disk yet, and how many are.
#[derive(Debug, Clone)]
struct Log<T> {
    done: u64,
    open: Vec<T>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { done: 0, open: Vec::new() }
    }
}

impl<T> Log<T> {
    fn end(&self) -> u64 {
        self.done + self.open.len() as u64
    }

    /// Takes out what came before `end`.
    fn take_until(&mut self, end: u64) -> Vec<T> {
        let count = usize::try_from(end.saturating_sub(self.done)).expect("a small number").min(self.open.len());
        self.done += count as u64;
        self.open.drain(..count).collect()
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::SetLength(length) => content.resize(*length, 0),
            Self::Write(offset, octets) => write(content, *offset, octets),
        }
    }

    /// Applies a part: each page of a write by itself.
    fn apply_some(&self, content: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Self::SetLength(_) if chance.one_in(2) => self.apply(content),
            Self::SetLength(_) => {}
            Self::Write(offset, octets) => {
                let mut at = 0;
                while at < octets.len() {
                    let end = (at + PAGE - (offset + at) % PAGE).min(octets.len());
                    if chance.one_in(2) {
                        write(content, offset + at, &octets[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    let end = offset + octets.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(octets);
}

fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Add(path, node) => drop(names.insert(path.clone(), *node)),
        NameChange::Remove(path) => drop(names.remove(path)),
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

/// Chances that are the same in each run: xorshift.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Returns chances of their own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

impl Disk {
    /// Takes a directory tree as it is, all of it on the disk.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        disk.take(root);
        disk.synced = disk.live.clone();
        disk
    }

    fn take(&mut self, path: &Path) {
        if path.is_dir() {
            self.live.insert(path.to_owned(), Node::Directory);
            for entry in std::fs::read_dir(path).expect("a directory") {
                self.take(&entry.expect("its entry").path());
            }
        } else if path.is_file() {
            let content = std::fs::read(path).expect("a file");
            let node = self.new_file(content);
            self.live.insert(path.to_owned(), node);
        }
    }

    fn new_file(&mut self, synced: Vec<u8>) -> Node {
        self.files.push(File {
            length: synced.len(),
            synced,
            changes: Log::default(),
        });
        Node::File(self.files.len() - 1)
    }

    /// Does what the process did.
    pub fn perform(&mut self, step: &Step) {
        match step {
            Step::MakeDirectory(path) => self.name(NameChange::Add(path.clone(), Node::Directory), path),
            Step::Open { path, create, truncate } => {
                if *create && !self.live.contains_key(path) {
                    let node = self.new_file(Vec::new());
                    self.name(NameChange::Add(path.clone(), node), path);
                }
                if *truncate {
                    self.change(path, Change::SetLength(0));
                }
            }
            Step::Remove(path) => self.name(NameChange::Remove(path.clone()), path),
            Step::Rename(from, to) => {
                assert_eq!(from.parent(), to.parent(), "a rename into another directory is not understood");
                self.name(NameChange::Rename(from.clone(), to.clone()), from);
            }
            Step::Send(_) => {}
            Step::SetLength { path, length } => self.change(path, Change::SetLength(*length)),
            Step::SyncBegins { call, path } => {
                let covers = match self.live.get(path) {
                    Some(Node::File(file)) => self.files[*file].changes.end(),
                    _ => self.names.entry(path.clone()).or_default().end(),
                };
                self.syncs.insert(*call, covers);
            }
            Step::SyncEnds { call, path } => {
                let covers = self.syncs.remove(call).expect("the sync began");
                self.sync(path, covers);
            }
            Step::Write { path, offset, octets } => {
                let offset = offset.unwrap_or_else(|| self.file(path).length);
                self.change(path, Change::Write(offset, octets.clone()));
            }
        }
    }

    fn name(&mut self, change: NameChange, path: &Path) {
        apply_name(&mut self.live, &change);
        self.names.entry(path.parent().expect("a directory").to_owned()).or_default().open.push(change);
    }

    fn change(&mut self, path: &Path, change: Change) {
        let file = self.file(path);
        file.length = match &change {
            Change::SetLength(length) => *length,
            Change::Write(offset, octets) => file.length.max(offset + octets.len()),
        };
        file.changes.open.push(change);
    }

    fn file(&mut self, path: &Path) -> &mut File {
        match self.live.get(path) {
            Some(Node::File(file)) => &mut self.files[*file],
            other => panic!("{} is {other:?}, no file that can be written", path.display()),
        }
    }

    fn sync(&mut self, path: &Path, covers: u64) {
        if let Some(Node::File(file)) = self.live.get(path) {
            let file = &mut self.files[*file];
            for change in file.changes.take_until(covers) {
                change.apply(&mut file.synced);
            }
        } else if let Some(log) = self.names.get_mut(path) {
            for change in log.take_until(covers) {
                apply_name(&mut self.synced, &change);
            }
        }
    }

    /// Returns how much is not on the disk.
    pub fn unsynced(&self) -> usize {
        self.files.iter().map(|file| file.changes.open.len()).sum::<usize>() + self.names.values().map(|log| log.open.len()).sum::<usize>()
    }

    /// Writes what a power loss now leaves of `root` to `target`: what was synced, and by chance parts of the rest.
    pub fn leave(&self, root: &Path, target: &Path, mut chance: Option<&mut Chance>) {
        let mut names = self.synced.clone();
        if let Some(chance) = chance.as_deref_mut() {
            // A file system writes the changes of one directory in their order.
            for log in self.names.values() {
                let kept = chance.below(log.open.len() + 1);
                log.open[..kept].iter().for_each(|change| apply_name(&mut names, change));
            }
        }
        for (path, node) in names {
            let Ok(inside) = path.strip_prefix(root) else { continue };
            let target = target.join(inside);
            match node {
                Node::Directory => std::fs::create_dir_all(&target).expect("a directory"),
                // Its directory may not be on the disk.
                Node::File(_) if !target.parent().is_some_and(Path::is_dir) => {}
                Node::File(file) => {
                    let file = &self.files[file];
                    let mut content = file.synced.clone();
                    if let Some(chance) = chance.as_deref_mut() {
                        file.changes.open.iter().for_each(|change| change.apply_some(&mut content, chance));
                    }
                    std::fs::write(&target, content).expect("a file");
                }
            }
        }
    }
}

#[test]
fn only_what_was_synced_is_left() {
    let folder = tempfile::tempdir().expect("a directory");
    let (root, file, other) = (Path::new("/d"), PathBuf::from("/d/f"), PathBuf::from("/d/g"));
    let mut disk = Disk {
        live: BTreeMap::from([(root.to_owned(), Node::Directory)]),
        synced: BTreeMap::from([(root.to_owned(), Node::Directory)]),
        ..Disk::default()
    };
    let mut number = 0;
    let mut left = |disk: &Disk, name: &str| {
        number += 1;
        let target = folder.path().join(number.to_string());
        disk.leave(root, &target, None);
        std::fs::read(target.join(name)).ok()
    };
    let sync = |disk: &mut Disk, call, path: &Path| {
        disk.perform(&Step::SyncBegins { call, path: path.to_owned() });
        disk.perform(&Step::SyncEnds { call, path: path.to_owned() });
    };
    disk.perform(&Step::Open {
        path: file.clone(),
        create: true,
        truncate: false,
    });
    disk.perform(&Step::Write {
        path: file.clone(),
        offset: Some(0),
        octets: b"one".to_vec(),
    });
    sync(&mut disk, 1, &file);
    assert_eq!(left(&disk, "f"), None, "its name is not on the disk");
    sync(&mut disk, 2, root);
    assert_eq!(left(&disk, "f").as_deref(), Some(&b"one"[..]));
    disk.perform(&Step::SyncBegins { call: 3, path: file.clone() });
    disk.perform(&Step::Write {
        path: file.clone(),
        offset: None,
        octets: b"two".to_vec(),
    });
    disk.perform(&Step::SyncEnds { call: 3, path: file.clone() });
    assert_eq!(left(&disk, "f").as_deref(), Some(&b"one"[..]), "the sync began before the write ended");
    disk.perform(&Step::Rename(file.clone(), other.clone()));
    sync(&mut disk, 4, &other);
    assert_eq!(left(&disk, "f").as_deref(), Some(&b"onetwo"[..]));
    assert_eq!(left(&disk, "g"), None);
    sync(&mut disk, 5, root);
    assert_eq!((left(&disk, "f"), left(&disk, "g").as_deref()), (None, Some(&b"onetwo"[..])));
    assert_eq!(disk.unsynced(), 0);
}
