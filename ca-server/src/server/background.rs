//! What goes on beside the calls: authorities, the server's own SVID, health, and sweeping.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use platform::process;
use platform::telemetry::HealthHandle;
use tokio::time::{MissedTickBehavior, interval};
use trust_domains::clock::SharedClock;
use trust_domains::problem::Coded as _;

use super::tls::NodeTls;
use super::{Context, Rooms};
use crate::attestation::JoinTokens;
use crate::authority::Authorities;
use crate::issuance::ServerIdentity;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::store::disk::RESERVE;

/// How often free space and sizes are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often ended tokens and expired parts of the journal are swept away.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Free space below which an operator hears of it: twice what stops issuing.
const LITTLE_SPACE: u64 = 2 * RESERVE;

/// Starts the tasks beside the listeners.
pub(super) fn spawn(rooms: &Rooms, context: &Context, identity: ServerIdentity, tls: &Arc<NodeTls>, data_dir: &Path) {
    let Context {
        health,
        metrics,
        clock,
        shutdown,
    } = context;
    let (authorities, until) = (Arc::clone(&rooms.authorities), shutdown.clone());
    rooms.tasks.spawn(async move { authorities.run(until).await });
    rooms.tasks.spawn(identity.run(shutdown.clone()));
    let begin = |task: BoxFuture<'static, ()>| {
        let until = shutdown.clone();
        rooms.tasks.spawn(async move { until.run_until_cancelled(task).await });
    };
    begin(Box::pin(Arc::clone(tls).follow()));
    begin(Box::pin(report_authorities(Arc::clone(&rooms.authorities), health.clone())));
    begin(Box::pin(watch_token(Arc::clone(&rooms.authorities), health.clone())));
    begin(Box::pin(look(
        Arc::clone(&rooms.registry),
        metrics.clone(),
        health.clone(),
        data_dir.to_owned(),
    )));
    begin(Box::pin(sweep(
        Arc::clone(&rooms.tokens),
        rooms.journal.clone(),
        Arc::clone(&rooms.authorities),
        Arc::clone(clock),
    )));
}

/// Looks from time to time whether the token with the signing keys is there, and says in health when it is not: before the next signature is due, and after it
/// is back.
async fn watch_token(authorities: Arc<Authorities>, health: HealthHandle) {
    let Some(mut trouble) = authorities.key_trouble() else { return };
    let mut ticks = ticks(LOOK_EVERY);
    loop {
        match trouble.borrow_and_update().clone() {
            Some(text) => drop(health.set_problem("signing-keys", text)),
            None => drop(health.clear("signing-keys")),
        }
        tokio::select! {
            changed = trouble.changed() => if changed.is_err() { return },
            // What is wrong is noted by the look itself.
            _ = ticks.tick() => drop(authorities.check_keys().await),
        }
    }
}

/// Says in health what is wrong with the authorities.
async fn report_authorities(authorities: Arc<Authorities>, health: HealthHandle) {
    let mut problems = authorities.problems();
    loop {
        let texts: Vec<_> = problems.borrow_and_update().iter().map(ToString::to_string).collect();
        if texts.is_empty() {
            health.clear("authorities");
        } else if health.set_problem("authorities", texts.join("; ")) {
            tracing::warn!(problems = texts.join("; "), "the authorities need attention");
        }
        if problems.changed().await.is_err() {
            return;
        }
    }
}

/// Notes sizes, and says in health when the disk fills up.
async fn look(registry: Arc<Registry>, metrics: Metrics, health: HealthHandle, data_dir: PathBuf) {
    let mut ticks = ticks(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let (entries, nodes) = registry.view(|state| (state.entries.len(), state.nodes.len()));
        metrics.sizes(entries, nodes);
        match process::free_space(&data_dir) {
            Ok(free) if free < LITTLE_SPACE => {
                let text = format!(
                    "only {} MiB are free under {}: below {} MiB nothing is issued; free some space",
                    free >> 20,
                    data_dir.display(),
                    RESERVE >> 20
                );
                if health.set_problem("disk", text) {
                    tracing::warn!(free, "the disk is almost full");
                }
            }
            Ok(_) => {
                health.clear("disk");
            }
            Err(error) => tracing::debug!(%error, "the free space cannot be read"),
        }
    }
}

/// Sweeps away what has ended. The journal only while the clock is believed: what is dropped does not come back.
async fn sweep(tokens: Arc<JoinTokens>, journal: Journal, authorities: Arc<Authorities>, clock: SharedClock) {
    let mut ticks = ticks(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = tokens.sweep().await {
            tracing::warn!(%error, code = %error.code(), "ended join tokens were not swept away; it is tried again");
        }
        let now = clock.now();
        if authorities.may_destroy(now) {
            match journal.prune(now.wall).await {
                Ok(pruned) if pruned.segments > 0 => tracing::info!(
                    segments = pruned.segments,
                    records = pruned.records,
                    "expired parts of the journal were dropped"
                ),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, code = %error.code(), "expired parts of the journal were not dropped; it is tried again"),
            }
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
