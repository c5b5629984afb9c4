//! Who the proxy is, and what it believes, at each moment.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use platform::clock::sleep_until_wall;
use platform::telemetry::HealthHandle;
use platform::tls::TlsIdentity;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use trust_domains::clock::SharedClock;
use trust_domains::peering::PeerTrust;
use trust_domains::problem::{Coded as _, with_causes};
use trust_domains::{ConfiguredId, Serial, SpiffeId, Timestamp};

use super::metrics::ProxyMetrics;
use crate::source::{SourceState, X509Context};

/// The part of health that this is reported under.
const HEALTH_KEY: &str = "identity";

/// The credentials of one moment: key, chain, bundles and lists never mix with those of another.
pub(super) struct Standing {
    /// One more than those before, and than each withdrawal: whoever was not told of one sees the gap.
    pub(super) number: u64,
    pub(super) spiffe_id: SpiffeId,
    pub(super) serial: Serial,
    pub(super) not_after: Timestamp,
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) trust: PeerTrust,
}

/// Whether there are credentials.
#[derive(Debug, Clone, Default)]
pub(super) enum Presence {
    /// None came yet.
    #[default]
    Awaited,
    /// These. They may have ended: whoever uses them asks the clock.
    Held(Arc<Standing>),
    /// The agent says that this process is entitled to none any more.
    Withdrawn,
}

impl Presence {
    /// Returns what may be shown now.
    pub(super) fn at(&self, now: Timestamp) -> Option<Arc<Standing>> {
        match self {
            Self::Held(standing) if now <= standing.not_after => Some(Arc::clone(standing)),
            Self::Awaited | Self::Held(_) | Self::Withdrawn => None,
        }
    }
}

impl Standing {
    /// Takes the identity that is asked for, or the first, out of what the agent delivered.
    fn of(context: &X509Context, wanted: Option<&ConfiguredId>, number: u64) -> Result<Self, String> {
        let svid = match wanted {
            None => context.default_svid(),
            Some(wanted) => {
                let found = context.svids().iter().find(|svid| wanted.means(svid.spiffe_id()));
                found.ok_or_else(|| format!("this process is not entitled to {wanted}; make an entry for it, or name another with --spiffe-id"))?
            }
        };
        let identity = TlsIdentity::new(svid.chain(), svid.key()).map_err(|error| with_causes(&error))?;
        let bundles = context.bundles();
        let all = bundles.federated().chain(bundles.own()).cloned();
        Ok(Self {
            number,
            trust: PeerTrust::new(svid.spiffe_id().trust_domain(), all, context.crls().iter().cloned()),
            spiffe_id: svid.spiffe_id().clone(),
            serial: *svid.serial(),
            not_after: svid.not_after(),
            certified: identity.certified_key(),
        })
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("spiffe_id", &self.spiffe_id)
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// What was taken last, and how often something was taken or withdrawn.
#[derive(Default)]
struct Taken {
    context: Option<Arc<X509Context>>,
    number: u64,
}

/// What follows the credentials, and tells health how they are.
pub(super) struct Follower {
    pub(super) wanted: Option<ConfiguredId>,
    pub(super) clock: SharedClock,
    pub(super) health: HealthHandle,
    pub(super) metrics: ProxyMetrics,
}

impl Follower {
    /// Follows the Workload API until nobody listens. While the agent is away, what it delivered last stays until it ends.
    pub(super) async fn run(self, mut states: watch::Receiver<SourceState>, presence: watch::Sender<Presence>) {
        let mut taken = Taken::default();
        while !presence.is_closed() {
            let state = states.borrow_and_update().clone();
            self.take(&state, &mut taken, &presence);
            let now = presence.borrow().clone();
            let held = now.at(self.clock.now().wall);
            self.tell(&state, &now, held.as_deref());
            let ends = async {
                match &held {
                    Some(standing) => sleep_until_wall(self.clock.as_ref(), standing.not_after + Duration::from_secs(1)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = ends => {}
                () = presence.closed() => return,
            }
        }
    }

    fn take(&self, state: &SourceState, taken: &mut Taken, presence: &watch::Sender<Presence>) {
        if state.trouble.as_ref().is_some_and(|trouble| trouble.is_denied()) {
            taken.context = None;
            taken.number += 1;
            presence.send_if_modified(|now| {
                let was_held = matches!(now, Presence::Held(_));
                if was_held {
                    *now = Presence::Withdrawn;
                }
                was_held
            });
            return;
        }
        // With any other trouble the stream is gone, and what came last is known already.
        let (Some(context), None) = (&state.context, &state.trouble) else {
            return;
        };
        if taken.context.as_ref().is_some_and(|taken| Arc::ptr_eq(taken, context)) {
            return;
        }
        taken.context = Some(Arc::clone(context));
        taken.number += 1;
        match Standing::of(context, self.wanted.as_ref(), taken.number) {
            Ok(standing) => {
                tracing::info!(spiffe_id = %standing.spiffe_id, serial = %standing.serial, until = %standing.not_after, "the proxy has credentials");
                self.metrics.not_after.set(standing.not_after.unix());
                presence.send_replace(Presence::Held(Arc::new(standing)));
            }
            Err(problem) => {
                tracing::warn!(problem, "what the agent delivered is of no use here");
                presence.send_replace(Presence::Withdrawn);
            }
        }
    }

    fn tell(&self, state: &SourceState, presence: &Presence, held: Option<&Standing>) {
        match (held, &state.trouble) {
            (Some(_), None) => {
                self.health.set_ready();
                self.health.clear(HEALTH_KEY);
            }
            (Some(held), Some(trouble)) => {
                self.health.set_ready();
                let text = format!(
                    "no new credentials: {}; the present ones end at {}",
                    with_causes(trouble.as_ref()),
                    held.not_after
                );
                self.complain(text);
            }
            (None, None) if matches!(presence, Presence::Awaited) => {
                // The first answer of the agent takes a moment: that is no news yet.
                self.health.set_problem(HEALTH_KEY, "no credentials came yet, so every connection is refused");
            }
            (None, trouble) => {
                self.health.set_starting();
                let why = match trouble {
                    Some(trouble) => format!("{}; {}", with_causes(trouble.as_ref()), trouble.hint()),
                    None => "the agent delivered none that may be used".to_owned(),
                };
                self.complain(format!("no credentials, so every connection is refused: {why}"));
            }
        }
    }

    fn complain(&self, text: String) {
        if self.health.set_problem(HEALTH_KEY, text.clone()) {
            tracing::warn!(problem = text, "the proxy's credentials");
        }
    }
}
