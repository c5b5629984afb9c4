//! The loop beside the authorities' own: the files of an upstream authority are looked at as they change, and what the plan says about cross-certificates is done.

use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use trust_domains::problem::{Coded as _, with_causes};

use super::change::Configured;
use super::error::UpstreamError;
use crate::authority::Authorities;
use crate::config::UpstreamConfig;

/// How often the files are looked at: a renewed certificate counts within seconds.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How many looks in a row must fail before it is told: certificate and key are two files, and are not replaced at one moment.
const PATIENCE: u32 = 2;

/// The part of health that this is.
const PROBLEM: &str = "upstream";

/// What keeps cross-certificates as they should be. Nothing that goes wrong here ends anything: leaves verify under our own root all the same.
pub struct Following {
    authorities: Arc<Authorities>,
    configured: Option<UpstreamConfig>,
    health: HealthHandle,
    failed: u32,
}

impl Following {
    /// Looks for the first time, before the server says that it is ready; what keeps it from doing its work is in health from the first moment.
    pub async fn start(authorities: Arc<Authorities>, configured: Option<UpstreamConfig>, health: HealthHandle) -> Self {
        let mut following = Self {
            authorities,
            configured,
            health,
            failed: PATIENCE,
        };
        following.look().await;
        following
    }

    /// Goes on looking until the server ends.
    pub async fn run(mut self) {
        loop {
            // A new root is certified before it signs: its turn comes next, and who makes a root waits for acknowledgements first.
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.authorities.wake_upstream.notified() => {}
            }
            self.look().await;
        }
    }

    /// Looks once, and does what is due.
    pub(super) async fn look(&mut self) {
        let (problems, failed) = self.act().await;
        self.failed = failed.as_ref().map_or(0, |_| self.failed.saturating_add(1));
        let mut texts: Vec<String> = problems;
        if let Some(error) = failed.filter(|_| self.failed > PATIENCE) {
            texts.push(format!(
                "the upstream authority certifies nothing new, cross-certificates stay as they are: {}; {}",
                with_causes(&error),
                error.hint()
            ));
        } else if self.failed > 0 {
            // It may be put right before anybody needs to know: what was told stays told until then.
            return;
        }
        if texts.is_empty() {
            self.health.clear(PROBLEM);
        } else if self.health.set_problem(PROBLEM, texts.join("; ")) {
            tracing::warn!(problems = texts.join("; "), "the cross-certificates need attention");
        }
    }

    /// Performs the plan; returns what an operator must know, and why something could not be done.
    async fn act(&self) -> (Vec<String>, Option<UpstreamError>) {
        let now = self.authorities.clock.now().wall;
        let read = self.configured.as_ref().map(|configured| {
            let files = &configured.files;
            files.chain(now).map(|chain| Configured {
                files,
                chain,
                used: configured.used,
            })
        });
        let (configured, unread) = match read.transpose() {
            Ok(configured) => (configured, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(configured) = &configured {
            self.authorities.configured_upstream.store(Some(Arc::new(configured.chain.key_id())));
        }
        let (problems, failed) = self.authorities.look_upstream(configured.as_ref()).await;
        (problems.iter().map(ToString::to_string).collect(), unread.or(failed))
    }
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("files", &self.configured.as_ref().map(|configured| &configured.files))
            .finish_non_exhaustive()
    }
}
