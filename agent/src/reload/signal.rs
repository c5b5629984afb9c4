//! Reloads by a signal to a process.
//!
//! The process is held by a pidfd before anything is asked about it, and the signal goes through that pidfd: whoever has its number by then is never meant.
//! A process that a pid file names counts only if it runs as the sink's owner. A process with the wanted selectors is found as the Workload API finds its callers.

mod error;
mod name;
mod pid_file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::processes::{numbers, parent};
use trust_domains::{Selector, SelectorSet};

pub use self::error::SignalError;
pub use self::name::{ParseSignalNameError, SignalName};

use super::context::HookContext;
use crate::svids::WantedFacts;
use crate::workload::{AttestError, Attestor, Caller};

/// The most processes of this machine that are looked at: more than a Linux with its default `pid_max` has.
const MOST_PROCESSES: usize = 65_536;

/// The most processes that are looked at above one: chains of that length are nobody's service.
const MOST_ANCESTORS: usize = 1_024;

/// A reload by a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalHook {
    /// Which signal.
    pub signal: SignalName,
    /// To whom.
    pub target: SignalTarget,
}

/// Who gets the signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTarget {
    /// The process whose number is in this file, if it runs as the sink's owner.
    PidFile(PathBuf),
    /// Every process that has all of these selectors, but for those that the agent itself started.
    Selectors(Vec<Selector>),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// No process has the selectors: it reads the files when it starts.
    NotRunning,
    /// So many processes got it.
    Processes(usize),
}

impl SignalHook {
    /// Sends the signal.
    ///
    /// # Errors
    /// [`SignalError`]; also when it took longer than `timeout`.
    pub async fn perform(&self, context: &HookContext, timeout: Duration) -> Result<Signalled, SignalError> {
        match tokio::time::timeout(timeout, self.send(context)).await {
            Ok(sent) => sent,
            Err(_) => Err(SignalError::TimedOut { timeout }),
        }
    }

    async fn send(&self, context: &HookContext) -> Result<Signalled, SignalError> {
        match &self.target {
            SignalTarget::PidFile(path) => self.send_by_file(path, context.owner.uid).await,
            SignalTarget::Selectors(selectors) => self.send_by_selectors(selectors, &context.attestor).await,
        }
    }

    /// A file system may hang, so the file is read away from the runtime.
    async fn send_by_file(&self, path: &Path, owner: u32) -> Result<Signalled, SignalError> {
        let (signal, path) = (self.signal, path.to_owned());
        let sending = tokio::task::spawn_blocking(move || {
            let process = held_by_file(&path, owner)?;
            process.signal(signal.signal()).map_err(|source| SignalError::NotSent { source })
        });
        match sending.await {
            Ok(sent) => sent.map(|()| Signalled::Processes(1)),
            Err(stopped) => Err(SignalError::NotSent {
                source: AttestError::reading("the pid file", std::io::Error::other(stopped)),
            }),
        }
    }

    async fn send_by_selectors(&self, selectors: &[Selector], attestor: &Attestor) -> Result<Signalled, SignalError> {
        let wanted: SelectorSet = selectors.iter().cloned().collect();
        let facts = WantedFacts::of_selectors(&wanted);
        let (mut sent, mut failed) = (0, None);
        for pid in numbers().map_err(SignalError::Proc)?.filter(|pid| !is_agent(*pid)).take(MOST_PROCESSES) {
            match self.send_if(pid, &wanted, facts, attestor).await {
                Ok(true) => sent += 1,
                // Gone, hidden, or changing: whoever it is now is looked at the next time.
                Ok(false) | Err(AttestError::Exited | AttestError::Unseen | AttestError::Changed { .. }) => {}
                Err(error) => failed = Some(error),
            }
        }
        match (sent, failed) {
            (_, Some(source)) => Err(SignalError::NotSent { source }),
            (0, None) => Ok(Signalled::NotRunning),
            (sent, None) => Ok(Signalled::Processes(sent)),
        }
    }

    async fn send_if(&self, pid: i32, wanted: &SelectorSet, facts: WantedFacts, attestor: &Attestor) -> Result<bool, AttestError> {
        let process = Caller::of_pid(pid)?;
        // What costs is read only of those that have the ids.
        let attested = attestor
            .attest(&process, |ids| if may_be(wanted, ids) { facts } else { WantedFacts::default() })
            .await?;
        if !wanted.is_subset_of(&attested.selectors) {
            return Ok(false);
        }
        // Held by its pidfd: the number is this process's until the signal is sent, or nobody gets it.
        if is_below_the_agent(pid) {
            return Ok(false);
        }
        process.signal(self.signal.signal())?;
        Ok(true)
    }
}

/// Whether nothing that was proved already contradicts: no wanted id is another than the process's.
fn may_be(wanted: &SelectorSet, ids: &SelectorSet) -> bool {
    let is_id = |selector: &&Selector| selector.as_str().starts_with("unix:uid:") || selector.as_str().starts_with("unix:gid:");
    wanted.iter().filter(is_id).all(|selector| ids.contains(selector))
}

/// Holds the process that a pid file names, when it runs as this user and the file still names it.
fn held_by_file(path: &Path, owner: u32) -> Result<Caller, SignalError> {
    let pid = pid_file::read(path, owner)?;
    // Held first: everything after is about this process, whatever its number means by then.
    let process = Caller::of_pid(pid).map_err(|source| SignalError::NoProcess { path: path.to_owned(), source })?;
    if !process.runs_as(owner) {
        return Err(SignalError::NotOwners {
            path: path.to_owned(),
            pid,
            owner,
        });
    }
    // The service may have been started anew since the file was read.
    if pid_file::read(path, owner)? != pid {
        return Err(SignalError::Replaced { path: path.to_owned() });
    }
    Ok(process)
}

/// Returns whether the agent started this process, or one above it: helpers of sinks and reload commands run as the sink's owner, as the program does that is meant.
/// What cannot be read any more has ended.
fn is_below_the_agent(pid: i32) -> bool {
    let above = |pid: i32| parent(pid).filter(|parent| *parent > 1);
    // Numbers may be given anew meanwhile: a chain in a circle ends.
    std::iter::successors(above(pid), |pid| above(*pid)).take(MOST_ANCESTORS).any(is_agent)
}

fn is_agent(pid: i32) -> bool {
    u32::try_from(pid).is_ok_and(|pid| pid == std::process::id())
}

impl fmt::Display for SignalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            SignalTarget::PidFile(path) => write!(f, "signal {} by {}", self.signal, path.display()),
            SignalTarget::Selectors(_) => write!(f, "signal {} by selectors", self.signal),
        }
    }
}

#[cfg(test)]
mod tests;
