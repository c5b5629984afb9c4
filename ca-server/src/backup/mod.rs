//! Backup and restore: the whole store in one file that only the recovery key opens, and a trust domain that goes on from it elsewhere.
//!
//! - A backup is a snapshot at one revision, made while the server runs or from the directory of a stopped one, whose key source is not needed: a lost key
//!   file is no lost trust domain.
//! - It is sealed to the recovery key's public half, so neither the server nor whoever finds the file can open it.
//! - The journal is not in it. What was issued after the backup is known to nobody but the agents: [`restore`] therefore replaces every key that signs below
//!   the root, and starts with numbers above all that the old server can have published.
//!
//! ```text
//! "TROTHBAK", version: u32, length: u32, header: JSON
//! length: u32, sealed part        the records, about 1 MiB a part; the last one is sealed as the last
//! ```
//! Numbers are big-endian. The header is readable, and bound to each part: one that was changed opens nothing.

mod error;
mod file;
mod header;
mod make;
mod parts;
mod read;
mod records;
mod restore;
#[cfg(test)]
mod tests;

pub use error::{BackupError, ReadBackupError};
pub use file::{BackupFile, WriteBackupError};
pub use header::BackupHeader;
pub use make::{Backup, of_running, of_stopped};
pub use read::OpenedBackup;
pub use restore::{RestoreError, RestoreParams, RestoreReport, restore};
