//! Reloads by a command.
//!
//! It runs as the sink's owner, in `/`, with an environment of its own, nothing to read, and in its own process group. What it says goes to the log, line by line and
//! bounded. When its time is over the whole group, and whoever left it,
//! gets TERM, and KILL a little later; the process that was started is never left a zombie.

mod descendants;
mod error;
mod group;
mod output;
mod settings;

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::thread::{CapabilitySet, CapabilitySets};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use self::error::{CommandError, ParseCommandError};
pub use self::settings::CommandHook;

use self::group::Group;
use super::context::HookContext;

/// Where commands are looked for that a command or script names.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a group that got TERM has until it gets KILL.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// How long is waited for what KILL leaves: a process that waits for a dead disk ends later, and is reaped by then.
const REAP_WITHIN: Duration = Duration::from_secs(5);

/// How long output is waited for when the command has ended: what it left in the background may hold the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

impl CommandHook {
    /// Runs the command, and waits for its end, at most `timeout`.
    ///
    /// # Errors
    /// [`CommandError`]: it cannot be started, took too long, or says by its exit code that it failed.
    pub async fn perform(&self, context: &HookContext, timeout: Duration) -> Result<(), CommandError> {
        let mut child = start(self.command(context)).await.map_err(|source| CommandError::Start {
            program: self.program().to_owned(),
            source,
        })?;
        let mut group = Group::of(&child).map_err(|source| CommandError::Start {
            program: self.program().to_owned(),
            source: std::io::Error::other(source),
        })?;
        let output = output::log(child.stdout.take(), child.stderr.take(), self.program());
        tokio::pin!(output);
        let ended = {
            let ending = tokio::time::timeout(timeout, group.leader_ended());
            tokio::pin!(ending);
            tokio::select! {
                ended = &mut ending => { let _ = tokio::time::timeout(OUTPUT_GRACE, &mut output).await; ended }
                () = &mut output => ending.await,
            }
        };
        if ended.is_err() {
            group.terminate();
            let _ = tokio::time::timeout(KILL_AFTER, group.leader_ended()).await;
            group.kill();
            reap(&mut child).await;
            group.forget();
            return Err(CommandError::TimedOut {
                program: self.program().to_owned(),
                timeout,
            });
        }
        group.forget();
        match reap(&mut child).await {
            Some(status) if status.success() => Ok(()),
            status => Err(CommandError::Failed {
                program: self.program().to_owned(),
                status,
            }),
        }
    }

    fn command(&self, context: &HookContext) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(self.arguments())
            .env_clear()
            .env("PATH", PATH)
            .env("TROTH_SINK_DIRECTORY", &context.directory)
            .env("TROTH_SPIFFE_ID", context.spiffe_id.to_string())
            .env("TROTH_SERIAL", context.serial.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if !context.owner.is_agent() {
            // Before exec the child takes the group, drops all supplementary groups, and takes the user, in this order.
            command.gid(context.owner.gid).uid(context.owner.uid);
        }
        command
    }
}

/// Starts a command from a thread of its own that has no ambient capabilities: the command would inherit them, as its user is not always another than the agent's.
async fn start(mut command: Command) -> std::io::Result<Child> {
    let runtime = Handle::current();
    let (started, answer) = oneshot::channel();
    std::thread::Builder::new().name("hook".to_owned()).spawn(move || {
        let _entered = runtime.enter();
        let child = match without_inherited_capabilities() {
            Ok(()) => command.spawn(),
            Err(errno) => Err(errno.into()),
        };
        // Nobody waits any more: the child is killed as it is dropped.
        let _ = started.send(child);
    })?;
    answer.await.unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
}

/// Empties what this thread's children would inherit of its capabilities.
fn without_inherited_capabilities() -> Result<(), rustix::io::Errno> {
    let sets = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            inheritable: CapabilitySet::empty(),
            ..sets
        },
    )?;
    match rustix::thread::clear_ambient_capability_set() {
        // A kernel without them (before 4.3).
        Err(rustix::io::Errno::INVAL) => Ok(()),
        cleared => cleared,
    }
}

async fn reap(child: &mut Child) -> Option<ExitStatus> {
    tokio::time::timeout(REAP_WITHIN, child.wait()).await.ok()?.ok()
}

#[cfg(test)]
mod tests;
