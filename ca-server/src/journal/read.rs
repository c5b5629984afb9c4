//! Reading records back, for those who follow or export them.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use trust_domains::wire::audit::AuditRecord;

use super::frame::{Frame, HEADER_LEN, MAX_LEN};
use super::segment::Segment;
use super::{JournalError, Shared};

/// Returns records with numbers after `after` and up to `last`, at most `limit`.
pub(super) fn read(shared: &Shared, after: u64, last: u64, limit: usize) -> Result<Vec<AuditRecord>, JournalError> {
    let mut records = Vec::new();
    let segments = shared.segments().after(after);
    for segment in segments {
        if records.len() >= limit {
            break;
        }
        match read_segment(&segment, after, last, limit, &mut records) {
            Ok(()) => {}
            // Dropped since it was looked up: its records have expired.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => {
                return Err(JournalError::Damaged {
                    after: records.last().map_or(after, |record: &AuditRecord| record.seq),
                });
            }
        }
    }
    Ok(records)
}

fn read_segment(segment: &Segment, after: u64, last: u64, limit: usize, records: &mut Vec<AuditRecord>) -> io::Result<()> {
    let mut file = File::open(&segment.path)?;
    let start = segment.mark_before(after + 1);
    file.seek(SeekFrom::Start(start))?;
    let mut left = segment.len - start;
    let mut reader = BufReader::new(file);
    let mut buffer = Vec::new();
    while left > 0 && records.len() < limit {
        let frame = read_frame(&mut reader, &mut buffer)?;
        left = left.saturating_sub(frame.len() as u64);
        let seq = frame.indexed().ok_or(io::ErrorKind::InvalidData)?.seq;
        if seq > last {
            break;
        }
        if seq > after {
            records.push(frame.record().ok_or(io::ErrorKind::InvalidData)?);
        }
    }
    Ok(())
}

fn read_frame<'a>(reader: &mut impl io::Read, buffer: &'a mut Vec<u8>) -> io::Result<Frame<'a>> {
    buffer.clear();
    reader.by_ref().take(HEADER_LEN as u64).read_to_end(buffer)?;
    let length = buffer
        .get(4..8)
        .and_then(|length| length.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = u64::from(length).min(MAX_LEN as u64);
    reader.by_ref().take(length).read_to_end(buffer)?;
    Frame::parse(buffer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
