//! One fetch from one partner: by what the endpoint is believed, what came, and what became of it.

use std::sync::Arc;

use trust_domains::bundle::{MAX_BUNDLE_BYTES, ParseBundleError, ParsedBundle};
use trust_domains::crl::CrlSet;
use trust_domains::federation::{EndpointAuthority, Relationship};
use trust_domains::problem::{Coded as _, Problem, with_causes};
use trust_domains::{TrustBundle, TrustDomain};

use super::Federation;
use super::error::FetchFailed;
use super::fetch::{Content, EndpointTrust, FetchTarget};
use crate::decisions::Cause;
use crate::registry::edit::{TakeRefused, Taken};
use crate::registry::{HeldBundle, HeldRelationship};

/// Documents longer than this are read where waiting for a processor holds nobody up: usual ones have 2 to 10 KiB, and a MiB takes some 20 ms.
const LONG_DOCUMENT: usize = 64 * 1024;

/// Failures of a partner that are logged as such; those behind them are for who debugs.
const LOGGED_FAILURES: u32 = 3;

/// What brought the fetch about.
#[derive(Debug, Clone)]
pub(super) enum Occasion {
    /// It was due.
    Due,
    /// An operator asked.
    Asked(Cause),
}

impl Occasion {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Due => Federation::own_cause(),
            Self::Asked(cause) => cause.clone(),
        }
    }
}

/// What a fetch starts from, as it shows at one commit.
struct Look {
    relationship: HeldRelationship,
    held: Option<HeldBundle>,
}

/// What a fetch that succeeded brought.
struct Success {
    taken: Taken,
    etag: Option<String>,
}

impl Federation {
    /// Fetches from a partner once, and settles what came of it. Nothing happens when it is no partner any more.
    pub(super) async fn fetch_once(&self, partner: &TrustDomain, occasion: &Occasion) {
        // One at a time: of two the later would be judged by what the earlier took.
        let Some(turn) = self.with_partners(|partners| partners.known.get(partner).map(|known| Arc::clone(&known.turn))) else {
            return;
        };
        let _turn = turn.lock().await;
        let look = self.registry.view(|state| {
            Some(Look {
                relationship: state.relationships.find(partner)?.clone(),
                held: state.partners.find(partner).cloned(),
            })
        });
        let Some(look) = look else { return };
        let outcome = self.attempt(&look, occasion).await;
        let has_answered = outcome.is_ok();
        self.settle(partner, &look, outcome, occasion).await;
        self.fetch_beside(&look.relationship, has_answered, &occasion.cause()).await;
    }

    async fn attempt(&self, look: &Look, occasion: &Occasion) -> Result<Success, FetchFailed> {
        let relationship = &look.relationship.relationship;
        let partner = relationship.trust_domain();
        let target = FetchTarget {
            url: relationship.url().clone(),
            trust: self.trust(relationship)?,
            redirects: self.redirects && relationship.redirects(),
            etag: self.etag_of(partner, look.held.as_ref()),
            limit: MAX_BUNDLE_BYTES,
        };
        let fetched = self.fetcher.fetch(&target).await?;
        let taken = match fetched.content {
            Content::NotModified if target.etag.is_none() => return Err(FetchFailed::NoDocument),
            Content::NotModified => Taken::Same,
            Content::Document(document) => {
                let parsed = read(partner, document).await?;
                self.editor.take_fetched(&look.relationship, parsed, &occasion.cause()).await?
            }
        };
        Ok(Success { taken, etag: fetched.etag })
    }

    /// Returns by what the endpoint is believed: always by the newest bundle that is held of its own trust domain (FED-25).
    pub(super) fn trust(&self, relationship: &Relationship) -> Result<EndpointTrust, FetchFailed> {
        let held = relationship.endpoint_trust_domain().and_then(|of| self.bundle_of(&of));
        match relationship.authority(held.as_deref()) {
            EndpointAuthority::Missing { trust_domain } => match relationship.profile().endpoint_id() {
                Some(endpoint_id) => Err(FetchFailed::SourceMissing {
                    endpoint_id: endpoint_id.clone(),
                    trust_domain,
                }),
                None => Ok(EndpointTrust::Web),
            },
            EndpointAuthority::Spiffe { endpoint_id, bundle } => Ok(EndpointTrust::Spiffe {
                id: endpoint_id.clone(),
                bundle: Arc::new(bundle.clone()),
                lists: self.lists_of(&endpoint_id.trust_domain()),
            }),
            EndpointAuthority::Web => Ok(EndpointTrust::Web),
        }
    }

    /// Returns the newest bundle of a trust domain, the own one too.
    pub(super) fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        if *trust_domain == self.trust_domain {
            return Some(Arc::clone(&self.own.borrow()));
        }
        self.registry
            .view(|state| state.partners.find(trust_domain).map(|held| Arc::new(held.partner.bundle().clone())))
    }

    /// Returns the revocation lists that are held of a partner; none of anybody else. Our own server is no endpoint that revokes itself.
    pub(super) fn lists_of(&self, partner: &TrustDomain) -> Arc<CrlSet> {
        self.registry
            .view(|state| state.partners.crls().find(partner).map(|held| Arc::clone(&held.set)))
            .unwrap_or_default()
    }

    /// Returns the tag of the document whose bundle is still the one that is held: one that an operator set since is replaced by the next fetch.
    fn etag_of(&self, partner: &TrustDomain, held: Option<&HeldBundle>) -> Option<String> {
        let held = held?;
        let partners = self.lock();
        let (etag, modified) = partners.known.get(partner)?.etag.as_ref()?;
        (*modified == held.modified).then(|| etag.clone())
    }

    /// Notes how a fetch ended, and tells whom it concerns.
    async fn settle(&self, partner: &TrustDomain, look: &Look, outcome: Result<Success, FetchFailed>, occasion: &Occasion) {
        if let Err(FetchFailed::Take(TakeRefused::Superseded { .. })) = &outcome {
            // The relationship that there is now is due by itself.
            return;
        }
        let held = self.registry.view(|state| state.partners.find(partner).cloned());
        let hint = held.as_ref().and_then(|held| held.partner.bundle().refresh_hint());
        let jitter = Self::jitter();
        let now = self.clock.now();
        let result = outcome.as_ref().map(|_| ()).map_err(Problem::of);
        let code = result.as_ref().copied().map_err(Problem::code);
        let is_taken = matches!(&outcome, Ok(Success { taken: Taken::Taken(_), .. }));
        let noted = self.with_partners(|partners| {
            let number = partners.changes.next();
            let known = partners.known.get_mut(partner).filter(|known| known.modified == look.relationship.modified)?;
            known.changed = number;
            known.settle(now, result.as_ref().err().cloned(), hint, jitter);
            if let Ok(success) = &outcome {
                // The tag is that of what was held before, or was taken: not of what an operator set in between.
                let stands_for = match success.taken {
                    Taken::Same => look.held.as_ref().map(|held| held.modified),
                    Taken::Taken(commit) => Some(commit),
                };
                known.etag = success.etag.clone().zip(stands_for);
            }
            let due = match is_taken {
                true => {
                    known.recorded.note_taken(now);
                    None
                }
                false => known.recorded.note(now, code, matches!(occasion, Occasion::Asked(_))),
            };
            Some((due, known.failures))
        });
        let Some((due, failures)) = noted else { return };
        self.metrics.partner_fetched(match (&outcome, code) {
            (_, Err(code)) => code.word(),
            (Ok(_), Ok(())) if is_taken => "taken",
            (_, Ok(())) => "same",
        });
        log(partner, &outcome, failures);
        if let Some(due) = due {
            let mut decision = occasion
                .cause()
                .decision(if result.is_ok() { "federation_fetched" } else { "federation_fetch_failed" }, partner);
            decision.reason = Some(match &result {
                Ok(()) => due.told("unchanged"),
                Err(problem) => due.told(&format!("{}: {}", problem.code, problem.detail)),
            });
            if let Err(error) = self.decisions.record(vec![decision]).await {
                tracing::warn!(%error, "what became of a fetch could not be recorded");
            }
        }
    }
}

/// Reads a document; a long one beside the loop.
pub(super) async fn read(partner: &TrustDomain, document: bytes::Bytes) -> Result<ParsedBundle, ParseBundleError> {
    if document.len() <= LONG_DOCUMENT {
        return ParsedBundle::parse(partner, &document);
    }
    let (name, octets) = (partner.clone(), document.len());
    let read = tokio::task::spawn_blocking(move || ParsedBundle::parse(&name, &document));
    // A parser that panicked has read nothing.
    read.await.unwrap_or(Err(ParseBundleError::TooLarge {
        limit: LONG_DOCUMENT,
        actual: octets,
    }))
}

fn log(partner: &TrustDomain, outcome: &Result<Success, FetchFailed>, failures: u32) {
    match outcome {
        Ok(Success { taken: Taken::Taken(_), .. }) => tracing::info!(trust_domain = %partner, "a new bundle of a partner was taken"),
        Ok(Success { taken: Taken::Same, .. }) => tracing::debug!(trust_domain = %partner, "the bundle of a partner was fetched and has not changed"),
        Err(error) if failures <= LOGGED_FAILURES => tracing::warn!(
            trust_domain = %partner, code = %error.code(), error = with_causes(error),
            "the bundle of a partner was not fetched; the last good one stays in use"
        ),
        Err(error) => tracing::debug!(trust_domain = %partner, code = %error.code(), error = with_causes(error), "the bundle of a partner was not fetched"),
    }
}
