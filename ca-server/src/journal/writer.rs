//! The one thread that writes the journal: what waits is linked to the chain, written with one write, synced once, and only then acknowledged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::Receiver;
use tokio::sync::{oneshot, watch};
use trust_domains::clock::SharedClock;
use trust_domains::wire::audit::{AuditEvent, Decision, Issuance};
use trust_domains::{EntryId, SpiffeId, Timestamp};

use super::frame::{self, ChainEnd, TooLong};
use super::segment::Segment;
use super::serials::{Announced, Row};
use super::{JournalError, JournalOpenError, PruneReport, Shared};
use crate::store::disk::{Disk, sync_directory};

/// The octets after which a group takes no further append: a few milliseconds of writing.
const MAX_GROUP: usize = 1024 * 1024;

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Request {
    Append {
        events: Vec<AuditEvent>,
        answer: oneshot::Sender<Result<u64, JournalError>>,
    },
    Prune {
        now: Timestamp,
        answer: oneshot::Sender<Result<PruneReport, JournalError>>,
    },
}

/// The writing side of the journal.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    file: File,
    end: ChainEnd,
    shared: Arc<Shared>,
    last: watch::Sender<u64>,
    clock: SharedClock,
    disk: Disk,
    segment_len: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Writing,
    /// After a failed write or sync: what is on the disk is not known.
    Latched,
}

/// Records that are linked to the chain but not yet written.
#[derive(Debug)]
struct Group {
    octets: Vec<u8>,
    records: Vec<Record>,
    /// The certificates that the records announce, as the index keeps them: they are found while they may be asked for.
    rows: Vec<Row>,
    /// Who signs how much that ends when: one of these for a run of records that agree.
    signed: Vec<(String, Timestamp, u64)>,
    shared: Arc<Shared>,
    end: ChainEnd,
    answers: Vec<(oneshot::Sender<Result<u64, JournalError>>, u64)>,
}

#[derive(Debug)]
struct Record {
    seq: u64,
    len: u64,
    /// When what it announces ends.
    not_after: Option<Timestamp>,
}

impl Writer {
    pub(super) fn new(
        directory: &Path,
        end: ChainEnd,
        shared: Arc<Shared>,
        last: watch::Sender<u64>,
        clock: SharedClock,
        disk: Disk,
        segment_len: u64,
    ) -> Result<Self, JournalOpenError> {
        let io = |source| JournalOpenError::Io {
            doing: "opening a segment in",
            path: directory.to_owned(),
            source,
        };
        let current = shared.segments().0.back().map(|segment| segment.path.clone());
        let file = match current {
            Some(path) => OpenOptions::new().append(true).open(path).map_err(io)?,
            None => {
                let (segment, file) = Segment::create(directory, end).map_err(io)?;
                shared.segments().0.push_back(segment);
                file
            }
        };
        // What was read may have been written by a process that was killed before its sync: it counts from now on, so it must stay.
        disk.sync(&file).map_err(io)?;
        Ok(Self {
            directory: directory.to_owned(),
            file,
            end,
            shared,
            last,
            clock,
            disk,
            segment_len,
            state: State::Writing,
        })
    }

    /// Records that a torn tail was cut.
    pub(super) fn note_cut(&mut self, bytes: u64) -> Result<(), JournalError> {
        let mut group = Group::after(self.end, &self.shared);
        group.add(&[AuditEvent::TailCut { bytes }], self.end.last_seq, self.clock.now().wall)?;
        self.write(&mut group)
    }

    /// Does what is asked until no one can ask any more.
    pub(super) fn run(mut self, mut requests: Receiver<Request>) {
        let mut next = requests.blocking_recv();
        while let Some(request) = next {
            next = match request {
                Request::Append { events, answer } => self.append(events, answer, &mut requests),
                Request::Prune { now, answer } => {
                    let _ = answer.send(self.prune(now));
                    None
                }
            }
            .or_else(|| requests.blocking_recv());
        }
    }

    /// Records an append and those that wait behind it; returns a request that was taken from the queue but is something else.
    fn append(&mut self, events: Vec<AuditEvent>, answer: oneshot::Sender<Result<u64, JournalError>>, requests: &mut Receiver<Request>) -> Option<Request> {
        let now = self.clock.now().wall;
        let mut group = Group::after(self.end, &self.shared);
        let mut other = None;
        let (mut events, mut answer) = (events, answer);
        loop {
            group.take(events, answer, self.end.last_seq, now);
            if group.octets.len() >= MAX_GROUP {
                break;
            }
            match requests.try_recv() {
                Ok(Request::Append { events: more, answer: to }) => (events, answer) = (more, to),
                Ok(prune) => {
                    other = Some(prune);
                    break;
                }
                Err(_) => break,
            }
        }
        let outcome = self.write(&mut group);
        for (answer, seq) in group.answers {
            // Who does not wait any more is not told.
            let _ = answer.send(outcome.clone().map(|()| seq));
        }
        other
    }

    /// Writes and syncs a group, and shows it to readers.
    fn write(&mut self, group: &mut Group) -> Result<(), JournalError> {
        if group.records.is_empty() {
            return Ok(());
        }
        self.check()?;
        let written = self
            .begin_segment_if_due()
            .and_then(|()| self.file.write_all(&group.octets))
            .and_then(|()| self.disk.sync(&self.file));
        if let Err(error) = written {
            self.state = State::Latched;
            tracing::error!(%error, directory = %self.directory.display(), "The issuance journal cannot be written; nothing is signed until the next start");
            return Err(JournalError::Unavailable);
        }
        self.show(group);
        Ok(())
    }

    fn check(&self) -> Result<(), JournalError> {
        if self.state == State::Latched {
            return Err(JournalError::Unavailable);
        }
        // A file system that does not answer will not take a write either.
        let space = self.disk.check_space(&self.directory).map_err(|_| JournalError::Unavailable)?;
        space.map_err(|full| JournalError::DiskFull {
            free: full.free,
            reserve: full.reserve,
        })
    }

    /// Closes a full segment: everything in it is durable.
    fn begin_segment_if_due(&mut self) -> io::Result<()> {
        let due = self
            .shared
            .segments()
            .0
            .back()
            .is_none_or(|segment| segment.records() > 0 && segment.len >= self.segment_len);
        if due {
            let (segment, file) = Segment::create(&self.directory, self.end)?;
            self.file = file;
            self.shared.segments().0.push_back(segment);
        }
        Ok(())
    }

    fn show(&mut self, group: &mut Group) {
        self.end = group.end;
        self.shared.serials.push(std::mem::take(&mut group.rows));
        let signed = group.signed.iter();
        self.shared
            .signed
            .add(signed.map(|(issuer, not_after, count)| (issuer.as_str(), *not_after, *count)));
        if let Some(segment) = self.shared.segments().0.back_mut() {
            for record in &group.records {
                segment.push(record.seq, record.len, record.not_after);
            }
        }
        self.last.send_replace(self.end.last_seq);
    }

    fn prune(&mut self, now: Timestamp) -> Result<PruneReport, JournalError> {
        self.shared.serials.forget_expired(now);
        self.shared.signed.forget_expired(now);
        let expired = self.shared.segments().expired(now);
        let mut report = PruneReport::default();
        for segment in expired {
            self.drop_segment(&segment)?;
            report.segments += 1;
            report.records += segment.records();
        }
        Ok(report)
    }

    /// Records the drop first, so that a missing segment is accounted for; then removes it.
    fn drop_segment(&mut self, segment: &Segment) -> Result<(), JournalError> {
        let mut group = Group::after(self.end, &self.shared);
        group.add(&[dropped(segment)], self.end.last_seq, self.clock.now().wall)?;
        self.write(&mut group)?;
        let removed = fs::remove_file(&segment.path).and_then(|()| sync_directory(&self.directory));
        if let Err(error) = removed {
            tracing::warn!(%error, path = %segment.path.display(), "An expired segment of the journal cannot be removed");
            return Err(JournalError::Unavailable);
        }
        self.shared.segments().0.retain(|kept| kept.first_seq != segment.first_seq);
        Ok(())
    }
}

impl Group {
    fn after(end: ChainEnd, shared: &Arc<Shared>) -> Self {
        Self {
            octets: Vec::new(),
            records: Vec::new(),
            rows: Vec::new(),
            signed: Vec::new(),
            shared: Arc::clone(shared),
            end,
            answers: Vec::new(),
        }
    }

    /// Takes in one append, or refuses it alone.
    fn take(&mut self, events: Vec<AuditEvent>, answer: oneshot::Sender<Result<u64, JournalError>>, durable: u64, now: Timestamp) {
        match self.add(&events, durable, now) {
            Ok(()) => self.answers.push((answer, self.end.last_seq)),
            Err(refusal) => {
                let _ = answer.send(Err(refusal));
            }
        }
    }

    /// Links events to the chain: all of them, or none.
    fn add(&mut self, events: &[AuditEvent], durable: u64, now: Timestamp) -> Result<(), JournalError> {
        let (octets, records, rows, end) = (self.octets.len(), self.records.len(), self.rows.len(), self.end);
        for event in events {
            let start = self.octets.len();
            if let Err(TooLong(actual)) = self.end.append(&mut self.octets, durable, now, event) {
                self.octets.truncate(octets);
                self.records.truncate(records);
                self.rows.truncate(rows);
                self.end = end;
                return Err(JournalError::TooLarge { limit: frame::MAX_LEN, actual });
            }
            let len = (self.octets.len() - start) as u64;
            self.records.push(Record {
                seq: self.end.last_seq,
                len,
                not_after: not_after(event),
            });
            if let AuditEvent::Issued(issuance) = event {
                self.rows.extend(self.shared.serials.row(&announced(self.end.last_seq, now, issuance)));
            }
        }
        events.iter().for_each(|event| self.count(event));
        Ok(())
    }

    fn count(&mut self, event: &AuditEvent) {
        let Some((issuer, not_after)) = issuer(event).zip(not_after(event)) else {
            return;
        };
        match self.signed.last_mut() {
            Some((same, end, count)) if same == issuer && *end == not_after => *count += 1,
            _ => self.signed.push((issuer.to_owned(), not_after, 1)),
        }
    }
}

fn announced(seq: u64, at: Timestamp, issuance: &Issuance) -> Announced<'_> {
    Announced {
        seq,
        at,
        serial: issuance.serial,
        not_after: issuance.not_after,
        spiffe_id: issuance.spiffe_id.as_str(),
        entry: issuance.entry.as_ref().map(EntryId::as_str),
        node: issuance.node.as_ref().map(SpiffeId::as_str),
    }
}

fn not_after(event: &AuditEvent) -> Option<Timestamp> {
    match event {
        AuditEvent::Issued(issuance) => Some(issuance.not_after),
        AuditEvent::TokenIssued(issuance) => Some(issuance.not_after),
        AuditEvent::Decided(_) | AuditEvent::TailCut { .. } => None,
    }
}

fn issuer(event: &AuditEvent) -> Option<&str> {
    match event {
        AuditEvent::Issued(issuance) => Some(&issuance.issuer),
        AuditEvent::TokenIssued(issuance) => Some(&issuance.issuer),
        AuditEvent::Decided(_) | AuditEvent::TailCut { .. } => None,
    }
}

fn dropped(segment: &Segment) -> AuditEvent {
    AuditEvent::Decided(Decision {
        action: "journal_segment_dropped".to_owned(),
        subject: format!("records {} to {}", segment.first_seq, segment.last_seq),
        actor: "server".to_owned(),
        reason: Some("every certificate and token in it has expired".to_owned()),
        // No request caused it: W3C trace context keeps this value for none.
        trace_id: "0".repeat(32),
    })
}
