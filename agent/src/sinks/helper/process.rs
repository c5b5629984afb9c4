//! The agent's side of a helper: started, asked, killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use platform::file_set::{Delivery, KeyMode, Layout};
use platform::privilege::Identity;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use trust_domains::delivery::{FileName, SetFile};
use zeroize::Zeroizing;

use super::WORDS;
use super::channel::Channel;
use super::error::HelperError;
use super::message::{Announced, Reply, Request};

/// How long one request may take: a set is written and synced in milliseconds, and a directory of 100,000 names is read in less than a second. An agent that
/// is told to end waits for it, and a service manager waits 30 s for the agent.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// This very program, whatever was installed over it since.
const PROGRAM: &str = "/proc/self/exe";

/// A helper process; dropping it kills it.
#[derive(Debug)]
pub(in crate::sinks) struct Helper {
    identity: Identity,
    directory: PathBuf,
    channel: Channel,
    /// Absent in tests of what is said only.
    process: Option<OwnedFd>,
}

impl Helper {
    /// Starts a helper for a directory, and waits until it has only its owner's rights.
    pub(in crate::sinks) fn start(identity: Identity, directory: &Path) -> Result<Self, HelperError> {
        let not_started = |source| HelperError::NotStarted {
            directory: directory.to_owned(),
            source,
        };
        let (ours, its) = UnixStream::pair().map_err(not_started)?;
        let process = start_process(command(identity, directory, its.into())).map_err(not_started)?;
        let mut helper = Self::connected(identity, directory, ours);
        helper.process = Some(process);
        helper.channel.end_within(ANSWER_WITHIN);
        match helper.answer()? {
            Reply::Done => Ok(helper),
            _other => Err(helper.ended(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Returns the agent's side of a socket on which a helper serves.
    pub(super) fn connected(identity: Identity, directory: &Path, ours: UnixStream) -> Self {
        Self {
            identity,
            directory: directory.to_owned(),
            channel: Channel::new(ours),
            process: None,
        }
    }

    /// Returns whose rights it has.
    pub(in crate::sinks) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens the directory, or looks at it again.
    pub(in crate::sinks) fn look(&mut self) -> Result<(), HelperError> {
        self.done(&Request::Look)
    }

    /// Puts a set in place.
    pub(in crate::sinks) fn deliver(&mut self, layout: Layout, key_mode: KeyMode, files: &[SetFile]) -> Result<Delivery, HelperError> {
        let announced = files.iter().map(|file| Announced {
            name: file.name.clone(),
            secret: file.secret,
            // A longer one is refused by its length.
            length: u32::try_from(file.content.len()).unwrap_or(u32::MAX),
        });
        let request = Request::Deliver {
            layout,
            key_mode: key_mode.to_string(),
            files: announced.collect(),
        };
        match self.ask(&request, files.iter().map(|file| file.content.as_slice()))? {
            Reply::Delivered { delivery } => Ok(delivery),
            _other => Err(self.ended(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Reads a small file of the set in place.
    pub(in crate::sinks) fn read(&mut self, name: &FileName) -> Result<Option<Zeroizing<Vec<u8>>>, HelperError> {
        match self.ask(&Request::Read { name: name.clone() }, [])? {
            Reply::Found { length: None } => Ok(None),
            Reply::Found { length: Some(length) } => self.channel.content(length).map(Some).map_err(|error| self.ended(error)),
            _other => Err(self.ended(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Removes what was put in place.
    pub(in crate::sinks) fn withdraw(&mut self) -> Result<(), HelperError> {
        self.done(&Request::Withdraw)
    }

    fn done(&mut self, request: &Request) -> Result<(), HelperError> {
        match self.ask(request, [])? {
            Reply::Done => Ok(()),
            _other => Err(self.ended(io::ErrorKind::InvalidData.into())),
        }
    }

    fn ask<'a>(&mut self, request: &Request, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<Reply, HelperError> {
        self.channel.end_within(ANSWER_WITHIN);
        let sent = self.channel.send(request, contents);
        sent.map_err(|error| self.ended(error))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Reply, HelperError> {
        match self.channel.receive() {
            Ok(Some(Reply::Failed(told))) => Err(HelperError::Told(told)),
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(self.ended(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.ended(error)),
        }
    }

    fn ended(&self, source: io::Error) -> HelperError {
        let directory = self.directory.clone();
        match source.kind() {
            io::ErrorKind::TimedOut => HelperError::Stuck {
                directory,
                within: ANSWER_WITHIN,
            },
            _ => HelperError::Ended { directory, source },
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.channel.end();
        if let Some(process) = &self.process {
            // It fails when the process is gone, or without CAP_KILL: then the end of the socket ends it, unless its owner stopped it.
            let _ended_otherwise = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// Returns the command of a helper: nothing of the agent's reaches it but the socket, and the log as its standard error.
fn command(identity: Identity, directory: &Path, socket: OwnedFd) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg0("troth")
        .args(WORDS)
        .arg(identity.uid.to_string())
        .arg(identity.gid.to_string())
        .arg(directory);
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    // A key that is pressed in the agent's terminal ends the agent only, which finishes first.
    command.process_group(0);
    command
}

/// Starts the process from a thread that waits for its end: the kernel kills it when the thread that started it ends, and others of ours come and go.
fn start_process(mut command: Command) -> io::Result<OwnedFd> {
    const STACK: usize = 128 * 1024;
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("sink-helper".to_owned()).stack_size(STACK).spawn(move || {
        let started = command.spawn();
        // It holds the helper's end of the socket: the end of the helper would not be seen.
        drop(command);
        let _nobody_waits = match started {
            Ok(child) => wait_for(child, &tell),
            Err(error) => tell.send(Err(error)),
        };
    })?;
    told.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
}

fn wait_for(mut child: Child, tell: &mpsc::SyncSender<io::Result<OwnedFd>>) -> Result<(), mpsc::SendError<io::Result<OwnedFd>>> {
    // Before the child is waited for its number is nobody else's.
    let opened = match i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        Some(pid) => pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from),
        None => Err(io::ErrorKind::InvalidData.into()),
    };
    tell.send(opened)?;
    match child.wait() {
        Ok(status) => tracing::debug!(%status, "a sink's helper ended"),
        Err(error) => tracing::warn!(%error, "a sink's helper could not be waited for"),
    }
    Ok(())
}
