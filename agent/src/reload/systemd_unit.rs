//! Reloads through systemd, over D-Bus, as `systemctl reload` and `systemctl kill` do them.
//!
//! One connection a reload, to the system bus: the one that `DBUS_SYSTEM_BUS_ADDRESS` of the process names that starts the agent, or else the machine's. On that bus
//! only systemd may own the name `org.freedesktop.systemd1`. A unit that does not run has nothing to reload: it reads the new files when it starts.

mod error;
mod name;

use std::time::Duration;

use futures_util::StreamExt as _;
use zbus::proxy::SignalStream;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Proxy, connection};

pub use self::error::{UnitError, UnitFault};
pub use self::name::{ParseUnitNameError, UnitName};

/// Who reloads units.
const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// A job of the same unit that was queued before and contradicts is replaced, as `systemctl` does it.
const JOB_MODE: &str = "replace";

/// Whom a signal is sent to: the main process of a unit, as a line `ExecReload=/bin/kill -HUP $MAINPID` does.
const MAIN_PROCESS: &str = "main";

/// What systemd is asked to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAction {
    /// What its `ExecReload=` says.
    Reload,
    /// That; and where it has none, a restart.
    ReloadOrRestart,
    /// Sends this signal to its main process.
    Signal(i32),
}

/// A reload by systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitHook {
    /// Which unit.
    pub unit: UnitName,
    /// What to do with it.
    pub action: UnitAction,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitReload {
    /// systemd did it, and says that it went well.
    Done,
    /// The unit does not run, so there is nothing to reload.
    NotRunning {
        /// Its state, in systemd's word.
        state: String,
    },
}

impl UnitHook {
    /// Asks systemd, and waits until the job has ended, at most `timeout`. A job that takes longer goes on.
    ///
    /// # Errors
    /// [`UnitError`].
    pub async fn perform(&self, timeout: Duration) -> Result<UnitReload, UnitError> {
        let performed = match tokio::time::timeout(timeout, self.ask()).await {
            Ok(performed) => performed,
            Err(_) => Err(UnitFault::TimedOut { timeout }),
        };
        performed.map_err(|fault| UnitError::new(&self.unit, fault))
    }

    async fn ask(&self) -> Result<UnitReload, UnitFault> {
        let bus = connection::Builder::system().map_err(UnitFault::NoBus)?;
        let bus = bus.build().await.map_err(UnitFault::NoBus)?;
        let asked = self.ask_on(&bus).await;
        // Nothing is lost with the connection: what went wrong with its end is no matter of the reload.
        let _ = bus.close().await;
        asked
    }

    async fn ask_on(&self, bus: &Connection) -> Result<UnitReload, UnitFault> {
        let manager = Proxy::new(bus, SYSTEMD, MANAGER_PATH, MANAGER).await.map_err(UnitFault::from_call)?;
        if let Some(state) = self.idle_state(bus, &manager).await? {
            return Ok(UnitReload::NotRunning { state });
        }
        match self.action {
            UnitAction::Reload => self.job(&manager, "ReloadUnit").await,
            UnitAction::ReloadOrRestart => self.job(&manager, "ReloadOrRestartUnit").await,
            UnitAction::Signal(signal) => self.kill(&manager, signal).await,
        }
    }

    /// Returns the state of a unit that does not run.
    async fn idle_state(&self, bus: &Connection, manager: &Proxy<'_>) -> Result<Option<String>, UnitFault> {
        let path: OwnedObjectPath = manager.call("LoadUnit", &(self.unit.as_str(),)).await.map_err(UnitFault::from_call)?;
        let unit: Proxy<'_> = zbus::proxy::Builder::new(bus)
            .destination(SYSTEMD)
            .and_then(|builder| builder.path(path))
            .and_then(|builder| builder.interface(UNIT))
            .map_err(UnitFault::from_call)?
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
            .map_err(UnitFault::from_call)?;
        let loaded: String = unit.get_property("LoadState").await.map_err(UnitFault::from_call)?;
        if loaded != "loaded" {
            return Err(UnitFault::NotLoaded { state: loaded });
        }
        let active: String = unit.get_property("ActiveState").await.map_err(UnitFault::from_call)?;
        // "activating" and "reloading" are not idle: such a unit may have read the files before these, and systemd queues the job behind what goes on.
        Ok(matches!(active.as_str(), "inactive" | "failed" | "deactivating").then_some(active))
    }

    /// Queues a job, and waits for its result.
    async fn job(&self, manager: &Proxy<'_>, method: &str) -> Result<UnitReload, UnitFault> {
        // systemd tells of jobs only while somebody has subscribed; the match is there before the call, so that no result is missed.
        manager.call::<_, _, ()>("Subscribe", &()).await.map_err(UnitFault::from_call)?;
        // Of this unit alone: a queue that other units' jobs filled would hold up the answer to the call.
        let ended = manager
            .receive_signal_with_args("JobRemoved", &[(2, self.unit.as_str())])
            .await
            .map_err(UnitFault::from_call)?;
        let job: OwnedObjectPath = manager.call(method, &(self.unit.as_str(), JOB_MODE)).await.map_err(UnitFault::from_call)?;
        match result_of(&job, ended).await?.as_str() {
            "done" => Ok(UnitReload::Done),
            result => Err(UnitFault::Job { result: result.to_owned() }),
        }
    }

    async fn kill(&self, manager: &Proxy<'_>, signal: i32) -> Result<UnitReload, UnitFault> {
        let () = manager
            .call("KillUnit", &(self.unit.as_str(), MAIN_PROCESS, signal))
            .await
            .map_err(UnitFault::from_call)?;
        Ok(UnitReload::Done)
    }
}

/// Waits for the end of a job.
async fn result_of(job: &OwnedObjectPath, mut ended: SignalStream<'_>) -> Result<String, UnitFault> {
    while let Some(signal) = ended.next().await {
        let body = signal.body();
        let (_, removed, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().map_err(UnitFault::from_call)?;
        if removed == *job {
            return Ok(result);
        }
    }
    Err(UnitFault::BusLost)
}

#[cfg(test)]
mod tests;
