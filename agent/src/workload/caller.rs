//! The process at the other end of a Unix socket, as it was when the connection was accepted.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::attestor::AttestError;
use super::process::{Look, Process};
use platform::exit::Exit;

/// The process that opened a connection.
#[derive(Debug)]
pub struct Caller {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The process; absent where it lives in a PID namespace that the agent does not see into.
    pub(super) process: Option<Process>,
    /// What it looked like when the connection was accepted; absent where `/proc` hides it.
    pub(super) at_accept: Option<Look>,
}

impl Caller {
    /// Takes hold of the process that connected this socket, right after it was accepted.
    ///
    /// # Errors
    /// The process has exited or is no longer what the kernel noted when it connected; the connection should be closed.
    pub fn of_stream(stream: &impl AsFd) -> Result<Self, AttestError> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials).map_err(|source| AttestError::Unreadable {
            what: "SO_PEERCRED",
            source: source.into(),
        })?;
        let process = numbered(credentials.pid()).map(|pid| process_of(stream, pid)).transpose()?;
        let at_accept = match &process {
            Some(process) => process.look()?,
            None => None,
        };
        // It may have changed its uid since it connected: then what /proc says is about someone else than SO_PEERCRED does.
        if at_accept.as_ref().is_some_and(|look| look.credentials.effective_uid() != credentials.uid()) {
            return Err(AttestError::Changed { what: "its uid" });
        }
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            process,
            at_accept,
        })
    }

    /// Takes hold of the process that has this number now, for `explain` and for brokers: its uid and gid are those it acts with now.
    ///
    /// # Errors
    /// There is no such process, or it hides from the agent.
    pub fn of_pid(pid: i32) -> Result<Self, AttestError> {
        let process = Process::open(numbered(pid).ok_or(AttestError::Exited)?)?;
        let at_accept = process.look()?;
        let credentials = &at_accept.as_ref().ok_or(AttestError::Unseen)?.credentials;
        Ok(Self {
            uid: credentials.effective_uid(),
            gid: credentials.effective_gid(),
            process: Some(process),
            at_accept,
        })
    }

    /// Returns the process's number in the agent's PID namespace; 0 where it has none there.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.as_ref().map_or(0, |process| process.pid().as_raw_nonzero().get())
    }

    /// Returns the uid that the process had when it connected.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns whether the process ran as this user when it was held, whichever of its uids one asks: the real, the effective and the saved one.
    #[must_use]
    pub fn runs_as(&self, uid: u32) -> bool {
        let [real, effective, saved, _file_system] = match &self.at_accept {
            Some(look) => look.credentials.uids,
            None => return false,
        };
        [real, effective, saved] == [uid; 3]
    }

    /// Sends a signal to this very process, if it is still what it was: through its pidfd, so that whoever has its number by then is never meant.
    ///
    /// # Errors
    /// It has exited, executed another program or changed its uids; or the kernel does not let the agent.
    pub fn signal(&self, signal: Signal) -> Result<(), AttestError> {
        let process = self.process.as_ref().ok_or(AttestError::Unseen)?;
        self.check_unchanged()?;
        process.signal(signal)
    }

    /// Refuses a process that has exited, executed another program or changed its uids since the connection was accepted.
    ///
    /// # Errors
    /// It has; what it was given before is not given to what it is now.
    pub fn check_unchanged(&self) -> Result<(), AttestError> {
        self.look_unchanged().map(drop)
    }

    /// Returns what the process looks like now, when that is what it was when the connection was accepted.
    pub(super) fn look_unchanged(&self) -> Result<Option<Look>, AttestError> {
        let Some(process) = &self.process else { return Ok(None) };
        let now = process.look()?;
        compare(self.at_accept.as_ref(), now.as_ref())?;
        Ok(now)
    }

    /// Returns what tells when the process ends.
    ///
    /// # Errors
    /// The system cannot watch it, or it lives in a PID namespace that the agent does not see into.
    pub fn exit(&self) -> Result<Exit, AttestError> {
        self.process.as_ref().map_or(Err(AttestError::Unseen), Process::exit)
    }

    /// Returns the process's directory in `/proc`.
    pub(super) fn directory(&self) -> Result<Option<OwnedFd>, AttestError> {
        self.process.as_ref().map_or(Ok(None), Process::directory)
    }
}

/// Returns the number as one that a process can have; the kernel gives 0 for one in a PID namespace that the agent does not see into.
fn numbered(pid: i32) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

/// Compares two looks at the same process.
fn compare(before: Option<&Look>, now: Option<&Look>) -> Result<(), AttestError> {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, None) => return Ok(()),
        _ => return Err(AttestError::Changed { what: "its visibility" }),
    };
    let differences = [
        ("its start time", before.start_time != now.start_time),
        ("its executable or mount namespace", before.origin != now.origin),
        ("its uid", before.credentials.uids != now.credentials.uids),
    ];
    match differences.into_iter().find(|(_, differs)| *differs) {
        Some((what, _)) => Err(AttestError::Changed { what }),
        None => Ok(()),
    }
}

/// Returns the process that connected the socket, by the pidfd that the kernel kept with the connection.
fn process_of(stream: &impl AsFd, pid: Pid) -> Result<Process, AttestError> {
    match getsockopt(stream, sockopt::PeerPidfd) {
        Ok(pidfd) => Ok(Process::new(pid, pidfd)),
        Err(nix::Error::ESRCH | nix::Error::EINVAL) => Err(AttestError::Exited),
        Err(nix::Error::ENOPROTOOPT) => process_by_number(stream, pid),
        Err(source) => Err(AttestError::Unreadable {
            what: "SO_PEERPIDFD",
            source: source.into(),
        }),
    }
}

/// Returns the process that has the caller's number now: for kernels before 6.5, which keep no pidfd with a connection.
///
/// The number may have passed to another process since the caller connected. If so the caller is gone, and its end of the socket with it,
/// unless it left that to a child; then the new process would have to have the caller's uid too ([`Caller::of_stream`] compares).
pub(super) fn process_by_number(stream: &impl AsFd, pid: Pid) -> Result<Process, AttestError> {
    let process = Process::open(pid)?;
    if hung_up(stream).map_err(|source| AttestError::Unreadable {
        what: "the connection",
        source: source.into(),
    })? {
        return Err(AttestError::Exited);
    }
    Ok(process)
}

fn hung_up(stream: &impl AsFd) -> Result<bool, Errno> {
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    poll(&mut polled, Some(&AT_ONCE))?;
    Ok(polled.iter().any(|fd| fd.revents().intersects(PollFlags::RDHUP | PollFlags::HUP)))
}
