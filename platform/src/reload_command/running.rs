//! A command that runs, to its end or to the end of its time.

use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::process::{ChildStderr, ChildStdout};

use super::error::CommandError;
use super::group::Group;
use super::output;
use crate::exit::Exit;

/// How long a group that got TERM has until it gets KILL.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// How long is waited for what KILL leaves: a process that waits for a dead disk ends later, and is reaped by then.
const REAP_WITHIN: Duration = Duration::from_secs(5);

/// How long output is waited for when the command has ended: what it left in the background may hold the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// A command that was started. Nobody else may reap it: as long as it is not, its number and its group's are its own.
#[derive(Debug)]
pub struct RunningCommand {
    /// Until it is reaped.
    child: Option<Child>,
    group: Group,
    program: String,
}

impl RunningCommand {
    pub(super) fn new(child: Child, program: &str) -> Self {
        Self {
            group: Group::of(leader(&child)),
            child: Some(child),
            program: program.to_owned(),
        }
    }

    /// Returns its process id, which is its own until [`finish`](Self::finish) has returned.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().and_then(leader)
    }

    /// Waits for its end, at most `timeout`.
    ///
    /// # Errors
    /// [`CommandError`]: it took too long, or says by its exit code that it failed.
    pub async fn finish(mut self, timeout: Duration) -> Result<(), CommandError> {
        let exit = self.watch().map_err(|source| CommandError::Start {
            program: self.program.clone(),
            source,
        })?;
        if !self.ends_within(&exit, timeout).await {
            self.end(&exit).await;
            return Err(CommandError::TimedOut {
                program: self.program.clone(),
                timeout,
            });
        }
        self.group.forget();
        match self.reap() {
            Some(status) if status.success() => Ok(()),
            status => Err(CommandError::Failed {
                program: self.program.clone(),
                status,
            }),
        }
    }

    fn watch(&self) -> std::io::Result<Exit> {
        let pid = self.pid().ok_or(std::io::ErrorKind::NotFound)?;
        Exit::of(Arc::new(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Logs what it says until it ends, and returns whether it did in time.
    async fn ends_within(&mut self, exit: &Exit, timeout: Duration) -> bool {
        let (stdout, stderr) = match &mut self.child {
            Some(child) => (child.stdout.take(), child.stderr.take()),
            None => (None, None),
        };
        let stdout = stdout.and_then(|stream| ChildStdout::from_std(stream).ok());
        let output = output::log(stdout, stderr.and_then(|stream| ChildStderr::from_std(stream).ok()), &self.program);
        let ending = tokio::time::timeout(timeout, exit.ended());
        tokio::pin!(output, ending);
        let ended = tokio::select! {
            ended = &mut ending => { let _ = tokio::time::timeout(OUTPUT_GRACE, &mut output).await; ended }
            () = &mut output => ending.await,
        };
        ended.is_ok()
    }

    /// Ends it and all it started.
    async fn end(&mut self, exit: &Exit) {
        self.group.terminate();
        let _ = tokio::time::timeout(KILL_AFTER, exit.ended()).await;
        self.group.kill();
        let _ = tokio::time::timeout(REAP_WITHIN, exit.ended()).await;
        self.group.forget();
        self.reap();
    }

    /// Takes its end in, if it has ended.
    fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait();
        if !matches!(status, Ok(None)) {
            self.child = None;
        }
        status.ok().flatten()
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.group.kill();
        self.group.forget();
        if let Some(mut child) = self.child.take() {
            // It was killed: this ends at once, but for a process that waits for a dead disk.
            let _reaped_with_us = std::thread::Builder::new().name("hook".to_owned()).spawn(move || child.wait());
        }
    }
}

fn leader(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}
