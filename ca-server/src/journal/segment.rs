//! Segments: the files of the journal, and what is known of each without reading it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use trust_domains::Timestamp;

use super::frame::{ChainEnd, Hash};
use crate::store::disk::sync_directory;

/// The length after which a segment is closed: some seconds of records at 11,000 certificates a second, so that short certificates go soon; one
/// is held in memory whole while it is verified at open.
pub(super) const MAX_LEN: u64 = 32 * 1024 * 1024;

/// The format that this version reads and writes.
pub(super) const FORMAT: u32 = 1;

/// The octets before the first record.
pub(super) const HEADER_LEN: usize = 8 + 4 + 8 + 32;

/// How far apart the marks are from which a read starts: what it reads too much costs less than a seek.
const MARK_EVERY: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"TROTHJNL";
const SUFFIX: &str = ".journal";

/// The segments in order; the last is the one that is written.
#[derive(Debug, Default)]
pub(super) struct Segments(pub(super) VecDeque<Segment>);

/// One segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first_seq: u64,
    /// The number of the last record in it; one less than the first where there is none.
    pub(super) last_seq: u64,
    /// The octets that are written and verified.
    pub(super) len: u64,
    /// The latest end of a certificate or token in it.
    pub(super) last_not_after: Option<Timestamp>,
    /// Records from which a read can start, with their offsets.
    marks: Vec<(u64, u64)>,
}

/// What a segment's first octets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// A known format, the first record's number and the hash before it.
    Known { first_seq: u64, before: Hash },
    /// A format of another version.
    Foreign(u32),
}

impl Header {
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let (magic, rest) = octets.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let version = u32::from_be_bytes(*version);
        if *magic != MAGIC {
            return None;
        }
        if version != FORMAT {
            return Some(Self::Foreign(version));
        }
        let (first_seq, rest) = rest.split_first_chunk()?;
        Some(Self::Known {
            first_seq: u64::from_be_bytes(*first_seq),
            before: *rest.first_chunk()?,
        })
    }
}

impl Segment {
    /// Makes the segment that follows the end of the chain; its name and header are on the disk when it returns.
    pub(super) fn create(directory: &Path, end: ChainEnd) -> io::Result<(Self, File)> {
        let segment = Self::known(directory.join(format!("{:020}{SUFFIX}", end.last_seq + 1)), end.last_seq + 1);
        let mut file = OpenOptions::new().append(true).create_new(true).open(&segment.path)?;
        file.write_all(&[&MAGIC[..], &FORMAT.to_be_bytes(), &segment.first_seq.to_be_bytes(), &end.hash].concat())?;
        file.sync_all()?;
        sync_directory(directory)?;
        Ok((segment, file))
    }

    /// Returns a segment of which only the header has been read.
    pub(super) const fn known(path: PathBuf, first_seq: u64) -> Self {
        Self {
            path,
            first_seq,
            last_seq: first_seq.saturating_sub(1),
            len: HEADER_LEN as u64,
            last_not_after: None,
            marks: Vec::new(),
        }
    }

    /// Takes in a record that was written or read at the end.
    pub(super) fn push(&mut self, seq: u64, len: u64, not_after: Option<Timestamp>) {
        if self.marks.last().is_none_or(|(_, offset)| self.len - offset >= MARK_EVERY) {
            self.marks.push((seq, self.len));
        }
        self.last_seq = seq;
        self.len += len;
        self.last_not_after = self.last_not_after.max(not_after);
    }

    /// Returns the offset of the last mark at or before a record.
    pub(super) fn mark_before(&self, seq: u64) -> u64 {
        let at = self.marks.partition_point(|(marked, _)| *marked <= seq);
        at.checked_sub(1)
            .and_then(|at| self.marks.get(at))
            .map_or(HEADER_LEN as u64, |(_, offset)| *offset)
    }

    /// Returns the number of its records.
    pub(super) const fn records(&self) -> u64 {
        self.last_seq + 1 - self.first_seq
    }
}

impl Segments {
    /// Returns the closed segments in which every certificate and token has ended.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<Segment> {
        let closed = self.0.len().saturating_sub(1);
        self.0
            .iter()
            .take(closed)
            .filter(|segment| segment.last_not_after.is_none_or(|end| end < now))
            .cloned()
            .collect()
    }

    /// Returns the segments that hold records after a number.
    pub(super) fn after(&self, seq: u64) -> Vec<Segment> {
        self.0
            .iter()
            .filter(|segment| segment.last_seq > seq && segment.records() > 0)
            .cloned()
            .collect()
    }
}

/// Returns the paths of a directory's segments in their order, with the first number that each name says.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
