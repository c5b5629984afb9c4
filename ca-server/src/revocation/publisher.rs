//! The loop that signs the lists and lets them out.

use std::sync::Arc;
use std::time::Duration;

use platform::telemetry::HealthHandle;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use trust_domains::Timestamp;
use trust_domains::crl::{CrlRefused, CrlSet};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::problem::with_causes;

use super::error::RevokeError;
use super::expanded::Expanded;
use super::lists::{DueLists, ListsError};
use super::settings::{CrlSettings, CrlUse};
use super::{CrlNumber, Published, Revocations};
use crate::authority::{Authorities, OrderError};
use crate::metrics::Metrics;
use crate::registry::records::RecordError;
use crate::registry::{StagedCrls, records};
use crate::store::{Commit, CommitError};

/// How often lists are signed at most: what is revoked within it goes out together.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// How often authorities and ended certificates are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often what has ended is dropped: in batches, so that patches stay small and few.
const DROP_EVERY: Duration = Duration::from_secs(60);

/// Signs the lists and lets them out.
pub struct Publisher {
    revocations: Revocations,
    authorities: Arc<Authorities>,
    settings: CrlSettings,
    metrics: Metrics,
    health: HealthHandle,
    expanded: Mutex<Expanded>,
}

/// The lists could not be let out; it is tried again.
#[derive(Debug, Error)]
enum PublishError {
    #[error("a certificate of an authority signs no lists")]
    Authority(#[from] CrlRefused),
    #[error("the number of the lists is not stored")]
    Commit(#[from] CommitError),
    #[error("the lists cannot be made")]
    Lists(#[from] ListsError),
    #[error("the set of lists would have {octets} bytes, more than {limit}; the issuing CA with the longest is replaced, and revoked as a whole")]
    Oversize {
        octets: usize,
        limit: usize,
        /// Why it cannot be replaced now.
        #[source]
        unrelieved: Option<OrderError>,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Rules(#[from] RevokeError),
    #[error("signing was interrupted")]
    Interrupted(#[from] JoinError),
}

/// Whether lists were signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Nothing,
    Signed,
}

impl Publisher {
    /// Returns a publisher that has looked at nothing yet.
    #[must_use]
    pub fn new(revocations: Revocations, authorities: Arc<Authorities>, settings: CrlSettings, metrics: Metrics, health: HealthHandle) -> Self {
        Self {
            revocations,
            authorities,
            settings,
            metrics,
            health,
            expanded: Mutex::default(),
        }
    }

    /// Looks for what the rules concern, and lets the lists out that are due: before anybody is served, so that nobody who is revoked is, and nobody hears that
    /// there are no lists.
    pub async fn prepare(&self) {
        self.expand().await;
        self.look().await;
    }

    /// Keeps the lists in step with rules and authorities, until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut rules = self.revocations.registry.rules();
        let mut drop_at = Instant::now();
        loop {
            rules.mark_unchanged();
            if Instant::now() >= drop_at {
                self.sweep().await;
                drop_at = Instant::now() + DROP_EVERY;
            }
            let outcome = self.look().await;
            let next = Instant::now() + if outcome == Outcome::Signed { SIGN_EVERY } else { LOOK_EVERY };
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    changed = timeout_at(next, rules.changed()) => match changed {
                        Ok(Ok(())) if outcome == Outcome::Signed => self.expand().await,
                        Ok(Ok(())) | Err(_) => break,
                        Ok(Err(_)) => return,
                    },
                }
            }
        }
    }

    /// Looks for what new rules concern, so that it is refused here before the lists are out.
    async fn expand(&self) {
        let mut expanded = self.expanded.lock().await;
        self.take_rules(&mut expanded);
    }

    /// Returns the commit up to which the rules are taken.
    fn take_rules(&self, expanded: &mut Expanded) -> u64 {
        let Revocations { registry, journal, .. } = &self.revocations;
        let (counter, added) = registry.view(|state| (state.counter(), expanded.take(&state.rules, journal, self.revocations.epoch())));
        registry.note_revoked(added, &[]);
        counter
    }

    async fn look(&self) -> Outcome {
        match self.publish().await {
            Ok(outcome) => {
                self.health.clear("crls");
                outcome
            }
            Err(error) => {
                let text = format!("revocation lists are not sent: {}; those before stay with the agents", with_causes(&error));
                if self.health.set_problem("crls", text) {
                    tracing::warn!(error = %with_causes(&error), "revocation lists are not sent; it is tried again");
                }
                Outcome::Nothing
            }
        }
    }

    /// Signs and lets out what is due.
    async fn publish(&self) -> Result<Outcome, PublishError> {
        let Revocations { registry, store, clock, .. } = &self.revocations;
        let mut expanded = self.expanded.lock().await;
        let shown = self.take_rules(&mut expanded);
        let now = clock.now().wall;
        let (held, last, in_use) = registry.view(|state| (state.crls.set().cloned(), state.crls.number(), state.uses_crls()));
        self.metrics.revocations(registry.view(|state| state.rules.len()), expanded.len());
        let in_use = in_use || self.settings.usage == CrlUse::Always;
        self.authorities.use_crls(in_use);
        if !in_use {
            self.note_shown(shown, None);
            return Ok(Outcome::Nothing);
        }
        let cas = self.authorities.listing_cas(now)?;
        let Some(mut due) = DueLists::after(held.as_deref(), cas, &expanded, None) else {
            self.note_shown(shown, None);
            return Ok(Outcome::Nothing);
        };
        let (mut over, mut frozen) = (None, None);
        if due.octets() > self.settings.max_bytes {
            let full = due.fullest().map(|ca| (ca.id().clone(), ca.serials()));
            over = Some(self.relieve(due.octets(), full.as_ref().map(|(id, _)| id)).await);
            // The others go on without it: its successor needs a list before it signs.
            let rest = full.and_then(|(id, serials)| Some((self.rest(held.as_deref(), &expanded, &id, now).transpose()?, serials)));
            match rest {
                Some((rest, serials)) => (due, frozen) = (rest?, Some(serials)),
                None => {
                    self.note_shown(shown, None);
                    return over.map_or(Ok(Outcome::Nothing), Err);
                }
            }
        }
        let number = CrlNumber::after(last, now);
        let begun = Instant::now();
        // Encoding and hashing a long list would hold up the calls on this thread.
        let set = tokio::task::spawn_blocking(move || due.sign(held.as_deref(), number.number, now)).await??;
        self.metrics.crls_signed(set.octets(), begun.elapsed());
        registry.stage(StagedCrls {
            number: number.number,
            set: Arc::new(set),
        });
        let stored = records::encode(&CrlNumber::key(), &number)?;
        let revision = store.commit(Commit::new("crls_published").put(CrlNumber::key(), stored)).await?;
        registry.settled(revision).await;
        expanded.note_signed(frozen.as_ref());
        self.note_shown(shown, Some(revision.counter));
        over.map_or(Ok(Outcome::Signed), Err)
    }

    /// Has the issuing CA with the longest list replaced, and revoked by one entry on its root's; returns the problem until that is done.
    async fn relieve(&self, octets: usize, full: Option<&AuthorityId>) -> PublishError {
        let limit = self.settings.max_bytes;
        let because = format!("its revocation list is too long: with it the set would have {octets} bytes, more than {limit}");
        let unrelieved = match full {
            Some(full) => self.authorities.relieve(full, &because).await.err(),
            None => None,
        };
        PublishError::Oversize { octets, limit, unrelieved }
    }

    /// Returns what is due while the list of one CA stays as it is out, if that fits.
    fn rest(&self, held: Option<&CrlSet>, expanded: &Expanded, frozen: &AuthorityId, now: Timestamp) -> Result<Option<DueLists>, PublishError> {
        let rest = DueLists::after(held, self.authorities.listing_cas(now)?, expanded, Some(frozen));
        Ok(rest.filter(|rest| rest.octets() <= self.settings.max_bytes))
    }

    /// Tells who waits that the lists that are out show the rules up to a commit.
    fn note_shown(&self, rules: u64, published: Option<u64>) {
        self.revocations.published.send_modify(|before| {
            *before = Published {
                rules: before.rules.max(rules),
                counter: published.unwrap_or(before.counter),
            };
        });
    }

    /// Drops what has ended, while the clock is believed.
    async fn sweep(&self) {
        let Revocations { registry, clock, .. } = &self.revocations;
        let now = clock.now();
        let swept = async {
            self.revocations.close_lifted().await?;
            if self.authorities.may_destroy(now) {
                let ended = self.expanded.lock().await.drop_ended(now.wall);
                registry.note_revoked([], &ended);
                self.revocations.sweep(now.wall, self.settings.renewal_grace).await?;
            }
            Ok::<_, RevokeError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(error = %with_causes(&error), "rules of revocation that are over were not swept away; it is tried again");
        }
    }
}
