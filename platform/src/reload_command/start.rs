//! How a command is started: with nothing of the process that starts it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities};

use super::error::CommandError;
use super::running::RunningCommand;
use super::settings::ReloadCommand;
use crate::privilege::Identity;

/// Where commands are looked for that a command or script names.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command finds.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Its variables, beside `PATH`.
    pub variables: Vec<(String, OsString)>,
    /// As whom it runs; as this process if nobody is named.
    pub identity: Option<Identity>,
}

impl ReloadCommand {
    /// Starts the command. It is killed, with all it started, if what is returned goes before it has ended.
    ///
    /// Waits for the system to start it, so not on a thread of the runtime that others need.
    ///
    /// # Errors
    /// [`CommandError::Start`].
    pub fn start(&self, surroundings: &Surroundings) -> Result<RunningCommand, CommandError> {
        let child = spawn(self.command(surroundings)).map_err(|source| CommandError::Start {
            program: self.program().to_owned(),
            source,
        })?;
        Ok(RunningCommand::new(child, self.program()))
    }

    fn command(&self, surroundings: &Surroundings) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(self.arguments())
            .env_clear()
            .env("PATH", PATH)
            .envs(surroundings.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(identity) = surroundings.identity {
            // Before exec the child takes the group, drops all supplementary groups, and takes the user, in this order.
            command.gid(identity.gid).uid(identity.uid);
        }
        command
    }
}

/// Starts a command from a thread of its own that has no ambient capabilities: the command would inherit them, as its user is not always another than ours.
fn spawn(mut command: Command) -> io::Result<Child> {
    let thread = std::thread::Builder::new().name("hook".to_owned()).spawn(move || {
        without_inherited_capabilities()?;
        command.spawn()
    })?;
    thread.join().unwrap_or_else(|_panic| Err(io::ErrorKind::Other.into()))
}

/// Empties what this thread's children would inherit of its capabilities.
fn without_inherited_capabilities() -> Result<(), Errno> {
    let sets = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            inheritable: CapabilitySet::empty(),
            ..sets
        },
    )?;
    match clear_ambient_capability_set() {
        // A kernel without them (before 4.3).
        Err(Errno::INVAL) => Ok(()),
        cleared => cleared,
    }
}
