//! Opening: every segment is read, the chain verified, the index rebuilt, and a torn tail cut.
//!
//! Only the last segment can be torn: one is closed after its last record is durable. In it, whatever does not follow the chain is a write that
//! was never acknowledged, unless a later record says that it was durable: then it is damage, and cutting it would hide certificates.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use trust_domains::Timestamp;

use super::JournalOpenError;
use super::frame::{ChainEnd, Frame, was_durable};
use super::segment::{self, FORMAT, HEADER_LEN, Header, Segment, Segments};
use super::serials::Serials;
use super::signed::Signed;
use crate::store::disk::sync_directory;

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Segments,
    pub(super) serials: Serials,
    pub(super) signed: Signed,
    pub(super) end: ChainEnd,
    pub(super) cut_bytes: u64,
    pub(super) records: u64,
}

pub(super) fn recover(directory: &Path, now: Timestamp) -> Result<Recovered, JournalOpenError> {
    fs::create_dir_all(directory).map_err(at("making", directory))?;
    let found = segment::list(directory).map_err(at("reading", directory))?;
    let mut recovered = Recovered {
        segments: Segments::default(),
        serials: Serials::default(),
        signed: Signed::default(),
        end: ChainEnd::START,
        cut_bytes: 0,
        records: 0,
    };
    let last = found.len().saturating_sub(1);
    for (number, (named, path)) in found.into_iter().enumerate() {
        let place = if number == last { Place::Last } else { Place::Closed };
        recovered.read_segment(path, named, place, now)?;
    }
    sync_directory(directory).map_err(at("syncing", directory))?;
    Ok(recovered)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Closed,
    Last,
}

impl Recovered {
    fn read_segment(&mut self, path: PathBuf, named: u64, place: Place, now: Timestamp) -> Result<(), JournalOpenError> {
        let octets = fs::read(&path).map_err(at("reading", &path))?;
        let damaged = |offset: usize, seq| JournalOpenError::Damaged {
            path: path.clone(),
            offset: offset as u64,
            seq,
        };
        let before = match Header::parse(&octets) {
            Some(Header::Known { first_seq, before }) if first_seq == named => before,
            Some(Header::Foreign(found)) => return Err(JournalOpenError::FormatUnknown { path, found, known: FORMAT }),
            // Its making was interrupted: records are written only after the header is durable.
            _ if place == Place::Last && octets.len() <= HEADER_LEN => return self.remove(&path, octets.len()),
            _ => return Err(damaged(0, named)),
        };
        self.link_segment(named, before).ok_or_else(|| damaged(0, named))?;

        let mut segment = Segment::known(path.clone(), named);
        let end = self.read_records(&mut segment, &octets, now);
        if end < octets.len() {
            let (seq, behind) = (self.end.last_seq + 1, octets.get(end..).unwrap_or_default());
            if place == Place::Closed || was_durable(seq, behind) {
                return Err(damaged(end, seq));
            }
            cut(&path, end as u64).map_err(at("cutting", &path))?;
            self.cut_bytes += behind.len() as u64;
        }
        self.segments.0.push_back(segment);
        Ok(())
    }

    /// A segment continues the chain, or comes after ones that were dropped; never before what was read.
    fn link_segment(&mut self, first_seq: u64, before: super::frame::Hash) -> Option<()> {
        let last = first_seq.checked_sub(1)?;
        let continues = last == self.end.last_seq && before == self.end.hash;
        let after_dropped = last > self.end.last_seq;
        self.end = ChainEnd { last_seq: last, hash: before };
        (continues || after_dropped).then_some(())
    }

    /// Follows the chain as far as it goes, and returns where it ends.
    fn read_records(&mut self, segment: &mut Segment, octets: &[u8], now: Timestamp) -> usize {
        let mut offset = HEADER_LEN;
        while let Some(frame) = octets.get(offset..).and_then(Frame::parse) {
            let Some(record) = self.end.follow(&frame) else { break };
            segment.push(record.seq, frame.len() as u64, record.not_after);
            self.serials.add(record.announced().filter(|announced| announced.not_after >= now));
            let signed = record.issuer.as_deref().zip(record.not_after).map(|(issuer, not_after)| (issuer, not_after, 1));
            self.signed.add(signed.filter(|(_, not_after, _)| *not_after >= now));
            self.records += 1;
            offset += frame.len();
        }
        offset
    }

    fn remove(&mut self, path: &Path, len: usize) -> Result<(), JournalOpenError> {
        self.cut_bytes += len as u64;
        fs::remove_file(path).map_err(at("removing", path))
    }
}

fn cut(path: &Path, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalOpenError {
    move |source| JournalOpenError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
