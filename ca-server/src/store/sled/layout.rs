//! How records lie in sled: a value of at most 4 KiB under the record's key, what is longer in further pieces under keys that follow it.
//!
//! ```text
//! KEY             modified: u64, length: u32, first octets of the value
//! KEY \0 u16      further octets of the value, pieces 1, 2, ...
//! \0format        u32
//! \0head          epoch: u64, counter: u64
//! ```
//! Numbers are big-endian. No record's key holds a zero octet, so the pieces follow their record directly and nothing else is between them.

use bytes::BytesMut;
use trust_domains::Revision;

use crate::store::{Commit, Item, Key};

/// The format that this version reads and writes.
pub(super) const FORMAT: u32 = 1;

/// Where the format is.
pub(super) const FORMAT_KEY: &[u8] = b"\0format";

/// Where the latest revision is.
pub(super) const HEAD_KEY: &[u8] = b"\0head";

/// The longest value that sled is given: its leaves split at 17 items, so that a page stays under the 128 KiB at which sled moves it to `blobs/`.
const PIECE: usize = 4_096;

/// `modified` and `length`.
const HEADER: usize = 12;

/// What the first piece holds of the value.
const FIRST: usize = PIECE - HEADER;

/// The head of a stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The counter of the revision that wrote it.
    pub(super) modified: u64,
    /// The length of the whole value.
    pub(super) length: u32,
}

impl Head {
    pub(super) fn parse(stored: &[u8]) -> Option<(Self, &[u8])> {
        let (modified, rest) = stored.split_first_chunk()?;
        let (length, first) = rest.split_first_chunk()?;
        Some((
            Self {
                modified: u64::from_be_bytes(*modified),
                length: u32::from_be_bytes(*length),
            },
            first,
        ))
    }

    /// Returns the numbers of the further pieces.
    pub(super) fn further_pieces(self) -> std::ops::RangeInclusive<u16> {
        let beyond = (self.length as usize).saturating_sub(FIRST);
        // A commit's size limit keeps it far below: 8 MiB are 2,048 pieces.
        1..=u16::try_from(beyond.div_ceil(PIECE)).unwrap_or(u16::MAX)
    }
}

/// Splits a record into what is stored: its key and each further one, with their values.
pub(super) fn split<'a>(key: &'a Key, head: Head, value: &'a [u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 'a {
    let (first, rest) = value.split_at(value.len().min(FIRST));
    let stored = [&head.modified.to_be_bytes()[..], &head.length.to_be_bytes()[..], first].concat();
    let further = (1..).zip(rest.chunks(PIECE)).map(|(piece, octets)| (piece_key(key, piece), octets.to_vec()));
    std::iter::once((key.as_str().into(), stored)).chain(further)
}

/// Returns the key of a further piece.
pub(super) fn piece_key(key: &Key, piece: u16) -> Vec<u8> {
    [key.as_str().as_bytes(), &[0], &piece.to_be_bytes()[..]].concat()
}

/// Puts records together again from stored pairs in their order; fails on anything that was not stored so.
///
/// Values lie one behind the other in large blocks: a hundred thousand small allocations would be given back to the system late or never.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    open: Option<Open>,
    items: Vec<Item>,
    /// Ends with what there is of the open record's value.
    block: BytesMut,
}

#[derive(Debug)]
struct Open {
    key: Key,
    head: Head,
    next_piece: u16,
}

/// The length of a block: far over the 128 KiB from which an allocation is given back as soon as it is freed.
const BLOCK: usize = 1024 * 1024;

/// Stored octets that no record was stored as.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotARecord(pub(super) String);

impl Assembler {
    pub(super) fn push(&mut self, stored_key: &[u8], stored: &[u8]) -> Result<(), NotARecord> {
        let damaged = || NotARecord(String::from_utf8_lossy(stored_key).into_owned());
        if let Some(key) = Key::from_stored(stored_key) {
            self.close()?;
            let (head, first) = Head::parse(stored)
                .filter(|(head, _)| head.length as usize <= Commit::MAX_OCTETS)
                .ok_or_else(damaged)?;
            if self.block.capacity() < head.length as usize {
                self.block = BytesMut::with_capacity(BLOCK.max(head.length as usize));
            }
            self.block.extend_from_slice(first);
            self.open = Some(Open { key, head, next_piece: 1 });
            return Ok(());
        }
        let open = self
            .open
            .as_mut()
            .filter(|open| piece_key(&open.key, open.next_piece) == stored_key)
            .ok_or_else(damaged)?;
        self.block.extend_from_slice(stored);
        open.next_piece = open.next_piece.saturating_add(1);
        Ok(())
    }

    /// Returns how many records were begun.
    pub(super) fn records(&self) -> usize {
        self.items.len() + usize::from(self.open.is_some())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Item>, NotARecord> {
        self.close()?;
        Ok(self.items)
    }

    fn close(&mut self) -> Result<(), NotARecord> {
        let Some(Open { key, head, .. }) = self.open.take() else { return Ok(()) };
        let value = self.block.split().freeze();
        if value.len() != head.length as usize {
            return Err(NotARecord(key.to_string()));
        }
        self.items.push(Item {
            key,
            value,
            modified: head.modified,
        });
        Ok(())
    }
}

pub(super) fn encode_revision(revision: Revision) -> Vec<u8> {
    [revision.epoch.to_be_bytes(), revision.counter.to_be_bytes()].concat()
}

pub(super) fn parse_revision(stored: &[u8]) -> Option<Revision> {
    let (epoch, rest) = stored.split_first_chunk()?;
    Some(Revision {
        epoch: u64::from_be_bytes(*epoch),
        counter: u64::from_be_bytes(rest.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(modified: u64, value: &[u8]) -> Head {
        Head {
            modified,
            length: u32::try_from(value.len()).unwrap(),
        }
    }

    fn store(key: &Key, value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        split(key, head(9, value), value).collect()
    }

    fn load(stored: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<Item>, NotARecord> {
        let mut assembler = Assembler::default();
        for (key, value) in stored {
            assembler.push(key, value)?;
        }
        assembler.finish()
    }

    proptest! {
        #[test]
        fn what_was_split_is_put_together_again(lengths in proptest::collection::vec(0_usize..20_000, 1..6)) {
            let mut stored = Vec::new();
            let mut expected = Vec::new();
            for (at, length) in lengths.into_iter().enumerate() {
                let key = Key::authority(&crate::store::RecordName::new(&format!("a{at}")).unwrap());
                let value: Vec<u8> = (0..=250).cycle().take(length).collect();
                stored.extend(store(&key, &value));
                expected.push(Item { key, value: value.into(), modified: 9 });
            }
            prop_assert!(stored.iter().all(|(_, value)| value.len() <= PIECE));
            prop_assert!(stored.is_sorted());
            prop_assert_eq!(load(&stored), Ok(expected));
        }

        #[test]
        fn the_further_pieces_are_those_that_splitting_makes(length in 0_usize..20_000) {
            let key = Key::meta("k");
            let value = vec![1; length];
            let further: Vec<_> = head(1, &value).further_pieces().map(|piece| piece_key(&key, piece)).collect();
            let made: Vec<_> = store(&key, &value).into_iter().skip(1).map(|(key, _)| key).collect();
            prop_assert_eq!(further, made);
        }
    }

    #[test]
    fn a_missing_a_foreign_and_a_doubled_piece_are_found() {
        let key = Key::meta("k");
        let whole = store(&key, &[7; 10_000]);
        assert_eq!(whole.len(), 3);
        let without = |missing: usize| {
            whole
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != missing)
                .map(|(_, pair)| pair.clone())
                .collect::<Vec<_>>()
        };
        for missing in 0..3 {
            assert!(load(&without(missing)).is_err(), "piece {missing}");
        }
        let doubled = [&whole[..], &whole[2..]].concat();
        assert!(load(&doubled).is_err());
        assert!(load(&[(b"meta/k".to_vec(), vec![0; 11])]).is_err());
    }

    #[test]
    fn a_revision_is_read_back_from_exactly_its_octets() {
        let revision = Revision {
            epoch: u64::MAX - 1,
            counter: 77,
        };
        let stored = encode_revision(revision);
        assert_eq!(parse_revision(&stored), Some(revision));
        assert_eq!(parse_revision(&stored[1..]), None);
        assert_eq!(parse_revision(&[&stored[..], &[0]].concat()), None);
    }
}
