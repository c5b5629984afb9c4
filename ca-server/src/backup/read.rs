//! Reading a backup: all of it is opened and understood before anything is made from it.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use platform::sealing::RecoveryKey;

use super::error::ReadBackupError;
use super::header::{BackupHeader, PREAMBLE};
use super::parts::{LONGEST_PART, Parts};
use super::records::{self, Record};

/// A backup that was opened with its recovery key, whole.
pub struct OpenedBackup {
    header: BackupHeader,
    pub(super) records: Vec<Record>,
}

impl OpenedBackup {
    /// Opens a backup.
    ///
    /// # Errors
    /// It cannot be read, is something else, was changed or cut off anywhere, or is sealed to another recovery key.
    pub fn open(path: &Path, key: &RecoveryKey) -> Result<Self, ReadBackupError> {
        let io = |source| ReadBackupError::Io { path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(io)?);
        Self::read(&mut reader, key).map_err(|fault| match fault {
            Fault::Io(error) if error.kind() == ErrorKind::UnexpectedEof => ReadBackupError::Damaged { what: "its end" },
            Fault::Io(error) => io(error),
            Fault::Refused(error) => error,
        })
    }

    /// Returns what the backup is of.
    #[must_use]
    pub fn header(&self) -> &BackupHeader {
        &self.header
    }

    fn read(reader: &mut impl Read, key: &RecoveryKey) -> Result<Self, Fault> {
        let mut preamble = [0; PREAMBLE];
        match reader.read_exact(&mut preamble) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(ReadBackupError::NotABackup.into()),
            read => read?,
        }
        let mut json = vec![0; BackupHeader::announced(&preamble)?];
        reader.read_exact(&mut json)?;
        let header = BackupHeader::parse(&json)?;
        if header.recovery_key != *key.public() {
            return Err(ReadBackupError::OtherRecoveryKey {
                expected: header.recovery_key,
                presented: key.public().clone(),
            }
            .into());
        }
        let data_key = key
            .open_key(&BackupHeader::key_context(&header.trust_domain), &header.key.0)
            .map_err(|_| ReadBackupError::Damaged { what: "its header" })?;
        let mut parts = Parts::behind(&[&preamble[..], &json].concat(), data_key);
        let mut records = Vec::new();
        let mut length = part_length(reader)?.ok_or(ReadBackupError::Damaged { what: "its end" })?;
        loop {
            let mut sealed = vec![0; length];
            reader.read_exact(&mut sealed)?;
            let next = part_length(reader)?;
            let damaged = ReadBackupError::Damaged {
                what: if next.is_none() { "its end" } else { "a part" },
            };
            let Ok(part) = parts.open(&sealed, next.is_none()) else {
                return Err(damaged.into());
            };
            records.extend(records::take_all(&part).ok_or(ReadBackupError::Damaged { what: "a record" })?);
            match next {
                Some(next) => length = next,
                None => return Ok(Self { header, records }),
            }
        }
    }
}

/// Returns the length of the next part, or `None` at the end of the file.
fn part_length(reader: &mut impl Read) -> Result<Option<usize>, Fault> {
    let mut length = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut length)?;
    if length.is_empty() {
        return Ok(None);
    }
    let length: [u8; 4] = length.try_into().map_err(|_| ReadBackupError::Damaged { what: "its end" })?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_PART {
        return Err(ReadBackupError::Damaged { what: "a part" }.into());
    }
    Ok(Some(length))
}

enum Fault {
    Io(io::Error),
    Refused(ReadBackupError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadBackupError> for Fault {
    fn from(error: ReadBackupError) -> Self {
        Self::Refused(error)
    }
}

impl std::fmt::Debug for OpenedBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedBackup").field("header", &self.header).finish_non_exhaustive()
    }
}
