//! What comes before anything is served: the process, its lock, its records, and what it joins by.

use platform::files;
use platform::lock::DirectoryLock;
use zeroize::Zeroizing;

use super::error::RunError;
use crate::config::{AgentConfig, JoinSource};
use crate::node::{Admission, SealedRecords};
use crate::workload::{Rights, unprovable};

/// The longest file that holds a join link.
const LONGEST_JOIN_FILE: usize = 4_096;

/// Failing to get more files or fewer dumps is no reason not to serve.
pub(super) fn prepare_process() {
    if let Err(error) = platform::process::raise_open_file_limit() {
        tracing::warn!(error = %error, "the limit of open files could not be raised");
    }
    if let Err(error) = platform::process::disable_core_dumps() {
        tracing::warn!(error = %error, "core dumps could not be switched off");
    }
}

pub(super) fn read_link(source: &JoinSource) -> Result<Admission, RunError> {
    let text = match source {
        JoinSource::Certificate(admission) => return Ok(Admission::Certificate(admission.clone())),
        JoinSource::Link(text) => text.clone(),
        JoinSource::File(path) => {
            let octets = files::read_secret(path, LONGEST_JOIN_FILE).map_err(RunError::JoinFile)?;
            Zeroizing::new(String::from_utf8_lossy(&octets).into_owned())
        }
    };
    Ok(Admission::Link(text.trim().parse()?))
}

/// Waiting for a dying predecessor blocks, so it is done off the runtime.
pub(super) async fn lock(config: &AgentConfig) -> Result<DirectoryLock, RunError> {
    let directory = config.data_dir.clone();
    match tokio::task::spawn_blocking(move || DirectoryLock::acquire(&directory, "lock")).await {
        Ok(lock) => Ok(lock?),
        Err(error) => Err(RunError::Proc(std::io::Error::other(error))),
    }
}

/// A passphrase may be asked for, or a token: waiting for those blocks, so it is done off the runtime.
pub(super) async fn open_records(config: &AgentConfig) -> Result<SealedRecords, RunError> {
    let (directory, source) = (config.data_dir.clone(), config.key_source.clone());
    match tokio::task::spawn_blocking(move || SealedRecords::open(&directory, &source)).await {
        Ok(records) => Ok(records?),
        Err(error) => Err(RunError::Proc(std::io::Error::other(error))),
    }
}

/// Says once which selectors nobody can rely on here.
pub(super) fn tell_unprovable() {
    match Rights::of_agent() {
        Ok(rights) => {
            for unknown in unprovable(rights) {
                tracing::warn!(selector = %unknown.kind, reason = %unknown.reason, "this agent cannot prove a selector");
            }
        }
        Err(error) => tracing::warn!(error = %error, "the agent's own rights cannot be read"),
    }
}
