//! The head of a backup: what it is of, readable without a key.

use platform::sealing::RecoveryPublicKey;
use serde::{Deserialize, Serialize};
use trust_domains::wire::encoding::Base64;
use trust_domains::{Revision, Timestamp, TrustDomain};

use super::error::ReadBackupError;

/// What every backup starts with.
pub(super) const MAGIC: &[u8; 8] = b"TROTHBAK";

/// The version of the form.
pub(super) const FORMAT: u32 = 1;

/// The octets before the header itself.
pub(super) const PREAMBLE: usize = MAGIC.len() + 8;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// Whose trust domain it is.
    pub trust_domain: TrustDomain,
    /// When it was made, by the clock of the machine that made it.
    pub made_at: Timestamp,
    /// The commit that it shows.
    pub revision: Revision,
    /// The public half of the recovery key that opens it.
    pub recovery_key: RecoveryPublicKey,
    /// The authorities whose keys live in a token, which no backup holds. None is named where the store could not be unsealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys_not_included: Vec<String>,
    /// The key of the parts, sealed to the recovery key.
    pub(super) key: Base64,
}

impl BackupHeader {
    /// The longest header with what is before it: a name of 255 octets, some keys, and the names of a few hundred keys that live in a token.
    pub const LONGEST: usize = 64 * 1024;

    /// Reads the header at the beginning of a backup.
    ///
    /// # Errors
    /// The octets are no backup, or are too few.
    pub fn of(octets: &[u8]) -> Result<Self, ReadBackupError> {
        let (preamble, rest) = octets.split_first_chunk().ok_or(ReadBackupError::NotABackup)?;
        let json = rest.get(..Self::announced(preamble)?);
        Self::parse(json.ok_or(ReadBackupError::Damaged { what: "its header" })?)
    }

    /// Returns the header with all that comes before it.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok().filter(|json| json.len() + PREAMBLE <= Self::LONGEST)?;
        let length = u32::try_from(json.len()).ok()?;
        Some([MAGIC, &FORMAT.to_be_bytes()[..], &length.to_be_bytes()[..], &json].concat())
    }

    /// Returns the length of the header that such a preamble announces.
    pub(super) fn announced(preamble: &[u8; PREAMBLE]) -> Result<usize, ReadBackupError> {
        let (magic, numbers) = preamble.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(ReadBackupError::NotABackup);
        }
        let number = |octets: &[u8]| octets.try_into().map(u32::from_be_bytes).unwrap_or_default();
        let (format, length) = numbers.split_at(4);
        if number(format) != FORMAT {
            return Err(ReadBackupError::FormatUnknown {
                found: number(format),
                known: FORMAT,
            });
        }
        let length = usize::try_from(number(length)).unwrap_or(usize::MAX);
        if length + PREAMBLE > Self::LONGEST {
            return Err(ReadBackupError::Damaged { what: "its header" });
        }
        Ok(length)
    }

    /// Reads the JSON of a header.
    pub(super) fn parse(json: &[u8]) -> Result<Self, ReadBackupError> {
        serde_json::from_slice(json).map_err(|_| ReadBackupError::Damaged { what: "its header" })
    }

    /// Returns what the key of the parts is sealed for.
    pub(super) fn key_context(trust_domain: &TrustDomain) -> String {
        format!("backup-key/{trust_domain}")
    }
}
