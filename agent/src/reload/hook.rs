//! One hook, whatever its kind.

use std::fmt;
use std::time::Duration;

use platform::reload_command::ReloadCommand;

use super::command;
use super::context::HookContext;
use super::error::HookError;
use super::http::HttpHook;
use super::probe::Probe;
use super::signal::{SignalHook, Signalled};
use super::systemd_unit::{UnitHook, UnitReload};

/// A `[[sink.reload]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadHook {
    /// What it does.
    pub action: ReloadAction,
    /// How long that may take.
    pub timeout: Duration,
    /// What shows that the program has read its files.
    pub probe: Option<Probe>,
}

/// What a hook does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadAction {
    /// Runs a command.
    Command(ReloadCommand),
    /// Sends an HTTP request.
    Http(HttpHook),
    /// Sends a signal to a process.
    Signal(SignalHook),
    /// Asks systemd.
    Unit(UnitHook),
}

/// What a run that succeeded did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Performed {
    /// The program was told.
    Done,
    /// The program does not run: it reads the files when it starts.
    NotRunning,
}

impl ReloadHook {
    /// Makes the program read its files, and waits for the probe if there is one.
    ///
    /// # Errors
    /// [`HookError`].
    pub async fn perform(&self, context: &HookContext) -> Result<Performed, HookError> {
        let performed = self.act(context).await?;
        if let (Performed::Done, Some(probe)) = (performed, &self.probe) {
            probe.confirm(&context.leaf).await?;
        }
        Ok(performed)
    }

    async fn act(&self, context: &HookContext) -> Result<Performed, HookError> {
        match &self.action {
            ReloadAction::Command(command) => {
                command::perform(command, context, self.timeout).await?;
                Ok(Performed::Done)
            }
            ReloadAction::Http(request) => {
                request.perform(&context.changed, context.owner.uid, self.timeout).await?;
                Ok(Performed::Done)
            }
            ReloadAction::Signal(signal) => match signal.perform(context, self.timeout).await? {
                Signalled::Processes(_) => Ok(Performed::Done),
                Signalled::NotRunning => Ok(Performed::NotRunning),
            },
            ReloadAction::Unit(unit) => match unit.perform(self.timeout).await? {
                UnitReload::Done => Ok(Performed::Done),
                UnitReload::NotRunning { .. } => Ok(Performed::NotRunning),
            },
        }
    }
}

impl fmt::Display for ReloadHook {
    /// Names the hook as people know it. A command's arguments, a URL and selectors are left out: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            ReloadAction::Command(command) => write!(f, "command {command}"),
            ReloadAction::Http(_) => f.write_str("http"),
            ReloadAction::Signal(signal) => write!(f, "{signal}"),
            ReloadAction::Unit(unit) => write!(f, "systemd unit {}", unit.unit.as_str()),
        }
    }
}
