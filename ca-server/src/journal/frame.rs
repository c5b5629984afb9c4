//! One record as it lies in a segment, and its link in the chain.

use std::borrow::Cow;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use trust_domains::wire::audit::{AuditEvent, AuditRecord};
use trust_domains::{Serial, Timestamp};

use super::serials::Announced;

/// A link of the chain.
pub(super) type Hash = [u8; 32];

/// The hash before the first record.
pub(super) const ORIGIN: Hash = [0; 32];

/// The longest record: a hundred times what an issuance needs; the longest audience of a token fits even where each octet of it is escaped, with the longest
/// SPIFFE IDs beside it.
pub(super) const MAX_LEN: usize = 64 * 1024;

/// The octets before a record's JSON.
pub(super) const HEADER_LEN: usize = 4 + 4 + 8 + 32;

/// The first octets of a record: what a look behind damage searches for.
const MAGIC: [u8; 4] = *b"TRJ\x01";

/// A record as it was read, not yet verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The number of the last durable record when this one was written.
    pub(super) durable: u64,
    pub(super) hash: Hash,
    pub(super) json: &'a [u8],
}

/// What is written of a record.
#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    at: Timestamp,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Read {
    seq: u64,
    at: Timestamp,
    #[serde(flatten)]
    event: AuditEvent,
}

/// What the index needs of a record: a third of the cost of reading it all.
#[derive(Debug, Deserialize)]
pub(super) struct Indexed<'a> {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) serial: Option<Serial>,
    #[serde(default)]
    pub(super) not_after: Option<Timestamp>,
    #[serde(default, borrow)]
    spiffe_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    entry: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    node: Option<Cow<'a, str>>,
    /// Who signed what ends then.
    #[serde(default, borrow)]
    pub(super) issuer: Option<Cow<'a, str>>,
}

impl Indexed<'_> {
    /// Returns the certificate that the record announces, if it does.
    pub(super) fn announced(&self) -> Option<Announced<'_>> {
        Some(Announced {
            seq: self.seq,
            at: self.at,
            serial: self.serial?,
            not_after: self.not_after?,
            spiffe_id: self.spiffe_id.as_deref()?,
            entry: self.entry.as_deref(),
            node: self.node.as_deref(),
        })
    }
}

/// The end of the chain, to which the next record is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChainEnd {
    pub(super) last_seq: u64,
    pub(super) hash: Hash,
}

impl ChainEnd {
    /// The chain before its first record.
    pub(super) const START: Self = Self { last_seq: 0, hash: ORIGIN };

    /// Writes the next record behind what is in the buffer.
    pub(super) fn append(&mut self, buffer: &mut Vec<u8>, durable: u64, at: Timestamp, event: &AuditEvent) -> Result<(), TooLong> {
        let start = buffer.len();
        let seq = self.last_seq + 1;
        buffer.resize(start + HEADER_LEN, 0);
        if serde_json::to_writer(&mut *buffer, &Written { seq, at, event }).is_err() {
            // It has no map with foreign keys and writes to memory.
            return Err(TooLong(usize::MAX));
        }
        let Some((header, json)) = buffer.get_mut(start..).and_then(|record| record.split_at_mut_checked(HEADER_LEN)) else {
            return Err(TooLong(0));
        };
        let length = json.len();
        let hash = link(&self.hash, json);
        let fields = [
            &MAGIC[..],
            &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes(),
            &durable.to_be_bytes(),
            &hash,
        ]
        .concat();
        header.copy_from_slice(&fields);
        if length > MAX_LEN {
            return Err(TooLong(length));
        }
        *self = Self { last_seq: seq, hash };
        Ok(())
    }

    /// Verifies that a record is the next, and moves on to it.
    pub(super) fn follow<'a>(&mut self, frame: &Frame<'a>) -> Option<Indexed<'a>> {
        if link(&self.hash, frame.json) != frame.hash {
            return None;
        }
        let indexed = frame.indexed().filter(|indexed| indexed.seq == self.last_seq + 1)?;
        *self = Self {
            last_seq: indexed.seq,
            hash: frame.hash,
        };
        Some(indexed)
    }
}

/// A record is longer than is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

impl<'a> Frame<'a> {
    /// Reads the record at the beginning of the octets; `None` where there is no whole one.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let (magic, rest) = octets.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (durable, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        if *magic != MAGIC || length > MAX_LEN {
            return None;
        }
        Some(Self {
            durable: u64::from_be_bytes(*durable),
            hash: *hash,
            json: rest.get(..length)?,
        })
    }

    /// Returns the octets that it takes.
    pub(super) const fn len(&self) -> usize {
        HEADER_LEN + self.json.len()
    }

    pub(super) fn indexed(&self) -> Option<Indexed<'a>> {
        serde_json::from_slice(self.json).ok()
    }

    pub(super) fn record(&self) -> Option<AuditRecord> {
        let Read { seq, at, event } = serde_json::from_slice(self.json).ok()?;
        Some(AuditRecord {
            seq,
            at,
            hash: hex::encode(self.hash),
            event,
        })
    }
}

/// Returns whether behind damage to a record there is one that was written when the damaged one was already durable: then the damage is not a
/// torn write.
pub(super) fn was_durable(seq: u64, behind: &[u8]) -> bool {
    let starts = behind.windows(MAGIC.len()).enumerate().filter(|(_, octets)| *octets == MAGIC).map(|(at, _)| at);
    starts
        .filter_map(|at| behind.get(at..).and_then(Frame::parse))
        .any(|frame| frame.durable >= seq && frame.indexed().is_some())
}

fn link(before: &Hash, json: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(json);
    let mut hash = ORIGIN;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: u64) -> AuditEvent {
        AuditEvent::TailCut { bytes }
    }

    fn written(count: u64) -> Vec<u8> {
        let (mut chain, mut buffer) = (ChainEnd::START, Vec::new());
        for number in 0..count {
            chain.append(&mut buffer, number, Timestamp::from_unix(1_800_000_000), &cut(number)).unwrap();
        }
        buffer
    }

    #[test]
    fn a_record_is_read_back_with_its_number_time_and_hash() {
        let buffer = written(2);
        let first = Frame::parse(&buffer).unwrap();
        let second = Frame::parse(&buffer[first.len()..]).unwrap();
        let record = second.record().unwrap();
        assert_eq!((record.seq, record.event, second.durable), (2, cut(1), 1));
        assert_eq!(record.hash, hex::encode(link(&first.hash, second.json)));
        assert_eq!(first.len() + second.len(), buffer.len());
    }

    #[test]
    fn the_chain_follows_only_the_unchanged_record_that_comes_next() {
        let buffer = written(2);
        let first = Frame::parse(&buffer).unwrap();
        let second = Frame::parse(&buffer[first.len()..]).unwrap();
        let mut chain = ChainEnd::START;
        assert!(chain.follow(&second).is_none(), "the second is not the first");
        assert!(chain.follow(&first).is_some());
        assert!(chain.follow(&first).is_none(), "the first does not come twice");
        let changed = [second.json, b" "].concat();
        assert!(chain.follow(&Frame { json: &changed, ..second }).is_none());
        assert!(chain.follow(&second).is_some());
    }

    #[test]
    fn a_record_cut_anywhere_is_none() {
        let buffer = written(1);
        for end in 0..buffer.len() {
            assert_eq!(Frame::parse(&buffer[..end]), None, "{end}");
        }
    }

    #[test]
    fn an_event_over_the_limit_is_refused_and_the_chain_stays() {
        let mut chain = ChainEnd::START;
        let long = AuditEvent::Decided(trust_domains::wire::audit::Decision {
            action: "x".repeat(MAX_LEN),
            subject: String::new(),
            actor: String::new(),
            reason: None,
            trace_id: String::new(),
        });
        assert!(chain.append(&mut Vec::new(), 0, Timestamp::from_unix(0), &long).is_err());
        assert_eq!(chain, ChainEnd::START);
    }

    #[test]
    fn a_later_record_proves_that_an_earlier_one_was_durable() {
        let buffer = written(3);
        let first = Frame::parse(&buffer).unwrap().len();
        // The second was written when 1 was durable, the third when 2 was.
        assert!(was_durable(2, &buffer[first + 10..]));
        assert!(!was_durable(3, &buffer[first + 10..]));
        assert!(!was_durable(2, b"TRJ\x01TRJ\x01 nothing"));
    }
}
