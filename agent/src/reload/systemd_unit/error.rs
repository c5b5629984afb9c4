//! Why systemd did not reload a unit.

use std::time::Duration;

use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Coded};

use super::name::UnitName;

/// A unit was not reloaded.
#[derive(Debug, thiserror::Error)]
#[error("{unit} was not reloaded")]
pub struct UnitError {
    unit: UnitName,
    #[source]
    fault: UnitFault,
}

/// What was in the way.
#[derive(Debug, thiserror::Error)]
pub enum UnitFault {
    /// The bus ended the connection.
    #[error("the system bus ended the connection before the job had ended")]
    BusLost,
    /// systemd refused the call, or could not be asked.
    #[error("systemd could not be asked")]
    Call(#[source] zbus::Error),
    /// The job ended in another way than done.
    #[error("systemd says of the job: {result}")]
    Job {
        /// systemd's word: `failed`, `timeout`, `canceled`, `dependency`, `skipped` and others.
        result: String,
    },
    /// There is no system bus here, or it does not let the agent in.
    #[error("the system bus cannot be reached")]
    NoBus(#[source] zbus::Error),
    /// There is no such unit, or it cannot be loaded.
    #[error("systemd has no such unit loaded: {state}")]
    NotLoaded {
        /// systemd's word: `not-found`, `bad-setting`, `masked` and others.
        state: String,
    },
    /// The unit has no `ExecReload=`.
    #[error("the unit has nothing to be reloaded by: {description}")]
    NotReloadable {
        /// What systemd says.
        description: String,
    },
    /// The agent may not do that: polkit, or the bus's policy.
    #[error("the agent may not do that: {description}")]
    Refused {
        /// What systemd says.
        description: String,
    },
    /// It took too long.
    #[error("the job did not end within {}", format_duration(*timeout))]
    TimedOut {
        /// The time it had.
        timeout: Duration,
    },
}

impl UnitError {
    pub(super) fn new(unit: &UnitName, fault: UnitFault) -> Self {
        Self { unit: unit.clone(), fault }
    }

    /// Returns what was in the way.
    #[must_use]
    pub fn fault(&self) -> &UnitFault {
        &self.fault
    }
}

impl UnitFault {
    /// Sorts what a call came back with: what an operator can do differs.
    pub(super) fn from_call(error: zbus::Error) -> Self {
        let zbus::Error::MethodError(name, description, _) = &error else {
            return Self::Call(error);
        };
        let description = description.clone().unwrap_or_else(|| name.to_string());
        match name.as_str() {
            "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.LoadFailed" => Self::NotLoaded { state: description },
            "org.freedesktop.systemd1.JobTypeNotApplicable" => Self::NotReloadable { description },
            "org.freedesktop.DBus.Error.AccessDenied" | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Self::Refused { description },
            refused if refused.starts_with("org.freedesktop.PolicyKit1.Error.") => Self::Refused { description },
            _ => Self::Call(error),
        }
    }
}

impl Coded for UnitError {
    fn code(&self) -> Code {
        match self.fault {
            UnitFault::BusLost | UnitFault::Call(_) | UnitFault::NoBus(_) => Code::CannotReach,
            UnitFault::Job { .. } | UnitFault::TimedOut { .. } => Code::UnitReloadFailed,
            UnitFault::NotLoaded { .. } | UnitFault::NotReloadable { .. } => Code::UnitNotReloadable,
            UnitFault::Refused { .. } => Code::UnitRefused,
        }
    }

    fn hint(&self) -> String {
        let unit = &self.unit;
        match self.fault {
            UnitFault::BusLost | UnitFault::Call(_) | UnitFault::NoBus(_) => {
                "check that systemd and the system bus run here and that the agent sees /run/dbus/system_bus_socket; without them use another kind of hook"
                    .to_owned()
            }
            UnitFault::Job { .. } | UnitFault::TimedOut { .. } => format!("look at why the unit did not reload: systemctl status {unit}; journalctl -u {unit}"),
            UnitFault::NotLoaded { .. } => format!("check the name: systemctl status {unit}"),
            UnitFault::NotReloadable { .. } => format!("give the hook a signal, as in signal = \"HUP\", or give {unit} a line ExecReload="),
            UnitFault::Refused { .. } => format!("run the agent as root, or give its user a polkit rule for {unit}: docs/reload-hooks.md has it"),
        }
    }
}
