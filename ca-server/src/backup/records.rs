//! Records in the parts of a backup, one behind the other: length of the key, key, length of the value, value.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::store::{Commit, Item, Key};

/// One record of the store, as a backup keeps it. Which commit wrote it means nothing elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(crate) value: Bytes,
}

/// Puts a record behind others.
pub(super) fn put(part: &mut BytesMut, item: &Item) {
    // A key has at most 263 octets and a value 8 MiB: the store refuses longer ones.
    let key = item.key.as_str().as_bytes();
    part.put_u16(u16::try_from(key.len()).unwrap_or(u16::MAX));
    part.put_slice(key);
    part.put_u32(u32::try_from(item.value.len()).unwrap_or(u32::MAX));
    part.put_slice(&item.value);
}

/// Takes the records out of a part; `None` when it holds anything else.
pub(super) fn take_all(part: &[u8]) -> Option<Vec<Record>> {
    let mut rest = part;
    let mut records = Vec::new();
    while rest.has_remaining() {
        let key_length = usize::from(rest.try_get_u16().ok()?);
        let (key, behind) = rest.split_at_checked(key_length)?;
        rest = behind;
        let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        if length > Commit::MAX_OCTETS {
            return None;
        }
        let (value, behind) = rest.split_at_checked(length)?;
        rest = behind;
        records.push(Record {
            key: Key::from_stored(key)?,
            value: Bytes::copy_from_slice(value),
        });
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::RecordName;

    proptest! {
        #[test]
        fn what_was_put_is_taken_again(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let items: Vec<_> = values.into_iter().enumerate().map(|(at, value)| Item {
                key: Key::authority(&RecordName::new(&format!("a{at}")).unwrap()),
                value: value.into(),
                modified: 7,
            }).collect();
            let mut part = BytesMut::new();
            items.iter().for_each(|item| put(&mut part, item));
            let expected: Vec<_> = items.into_iter().map(|item| Record { key: item.key, value: item.value }).collect();
            prop_assert_eq!(take_all(&part), Some(expected));
        }

        #[test]
        fn other_octets_are_refused_or_are_records(octets: Vec<u8>) {
            if let Some(records) = take_all(&octets) {
                let mut part = BytesMut::new();
                records.into_iter().for_each(|record| put(&mut part, &Item { key: record.key, value: record.value, modified: 0 }));
                prop_assert_eq!(&part[..], &octets[..]);
            }
        }
    }
}
