//! What the service manager hears: that the process serves, how it is, and that it still lives.

use std::time::Duration;

use sd_notify::NotifyState;
use serde::de::IgnoredAny;
use tokio_util::sync::CancellationToken;
use trust_domains::wire::admin::{Health, HealthState};

use crate::client::CallError;
use crate::sockets::SocketPath;
use crate::telemetry::HealthHandle;
use crate::unix_http::UnixHttpClient;

/// The variable that says where the service manager listens (sd_notify(3)).
const SOCKET: &str = "NOTIFY_SOCKET";

/// How often the status is looked at: what an operator reads in `systemctl status` is no older.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The longest status, in octets; the rest is in `troth health`.
const LONGEST_STATUS: usize = 500;

/// How a process shows that it lives: it answers a call on a socket of its own, through accept loop, router and locks, as it answers anybody.
///
/// A timer alone would beat on while nobody is served.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The process's own admin socket.
    pub socket: SocketPath,
    /// What is read there.
    pub path: &'static str,
}

impl Probe {
    async fn answers(&self, within: Duration) -> bool {
        let client = UnixHttpClient::new(self.socket.clone(), within);
        match client.get::<IgnoredAny>(self.path).await {
            // A refusal is an answer: whoever has too much to do lives.
            Ok(_) | Err(CallError::Refused(_)) => true,
            Err(error) => {
                tracing::error!(%error, path = self.path, "this process does not answer itself; the service manager restarts it when that goes on");
                false
            }
        }
    }
}

/// Tells the service manager how the process is.
#[derive(Debug)]
pub struct Notifier {
    health: HealthHandle,
    probe: Option<Probe>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Returns who tells the service manager, if there is one that listens. A process without an admin socket has no probe: its sign of life says that
    /// its tasks get their turn, and no more.
    #[must_use]
    pub fn from_environment(health: HealthHandle, probe: impl Into<Option<Probe>>) -> Option<Self> {
        std::env::var_os(SOCKET)?;
        Some(Self {
            health,
            probe: probe.into(),
            watchdog: sd_notify::watchdog_enabled(),
        })
    }

    /// Says that the process serves, and from then on how it is, until `shutdown`; then that it ends.
    ///
    /// While the manager has a watchdog, a sign of life goes out at least once in three quarters of its interval, each after the process answered itself.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut told = None;
        self.tell(&mut told, &[NotifyState::Ready]);
        tokio::select! {
            () = self.follow(&mut told) => {}
            () = self.beat() => {}
            () = shutdown.cancelled() => {}
        }
        send(&[NotifyState::Stopping]);
    }

    async fn follow(&self, told: &mut Option<Health>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.tell(told, &[]);
        }
    }

    fn tell(&self, told: &mut Option<Health>, also: &[NotifyState<'_>]) {
        let health = self.health.snapshot();
        if told.as_ref() == Some(&health) && also.is_empty() {
            return;
        }
        let status = status(&health);
        let states: Vec<_> = also.iter().cloned().chain([NotifyState::Status(&status)]).collect();
        send(&states);
        *told = Some(health);
    }

    /// Never returns.
    async fn beat(&self) {
        let Some(interval) = self.watchdog else { return std::future::pending().await };
        loop {
            let lives = match &self.probe {
                Some(probe) => probe.answers(interval / 4).await,
                None => true,
            };
            if lives {
                send(&[NotifyState::Watchdog]);
            }
            tokio::time::sleep(interval / 2).await;
        }
    }
}

/// A manager that does not listen is no reason to serve worse.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Returns one line: a line break would begin another assignment.
fn status(health: &Health) -> String {
    let word = match health.state {
        HealthState::Ready => return "ready".to_owned(),
        HealthState::Starting => "starting",
        HealthState::Degraded => "degraded",
    };
    let text: String = health
        .problems
        .join("; ")
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let kept = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .take_while(|end| *end <= LONGEST_STATUS)
        .last();
    match kept.and_then(|end| text.get(..end)) {
        Some(text) => format!("{word}: {text}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(state: HealthState, problems: &[&str]) -> Health {
        let problems = problems.iter().map(|&text| text.to_owned()).collect();
        Health { state, problems }
    }

    #[test]
    fn a_status_is_one_line_of_bounded_length_that_names_the_problems() {
        assert_eq!(status(&health(HealthState::Ready, &[])), "ready");
        assert_eq!(status(&health(HealthState::Starting, &[])), "starting");
        let two = health(HealthState::Degraded, &["no server\nREADY=1", "disk"]);
        assert_eq!(status(&two), "degraded: no server READY=1; disk");
        let long = health(HealthState::Degraded, &["\u{e9}".repeat(600).as_str()]);
        assert_eq!(status(&long).len(), "degraded: ".len() + LONGEST_STATUS);
    }
}
