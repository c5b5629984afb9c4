//! What is fetched beside a partner's bundle, after it and on its schedule: the partner's revocation lists, and what it holds of our bundle.
//!
//! Neither can hold up the bundle: both are tried once, and what came of them shows with the relationship.
//!
//! - Lists of the endpoint's own host are fetched as the bundle is. Those of another host are on the web: its certificate is checked by Web PKI, and the lists
//!   themselves prove whose they are.
//! - A partner that is one of ours shows what it holds as a Bundle Map. One that answers with an error has none, and is not asked again for a day.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::crl::{FetchedCrls, MAX_PARTNER_CRLS, PartnerCrlsRefused};
use trust_domains::federation::{BundleMap, EndpointUrl, FetchProblem, MAX_BUNDLE_MAP_BYTES, ParseBundleMapError, ParsedBundleMap, Relationship};
use trust_domains::plan::authority::OursSeen;
use trust_domains::problem::{Code, Coded, Problem, with_causes};
use trust_domains::wire::federation::PartnerCrlsView;
use trust_domains::{Timestamp, TrustDomain};

use super::Federation;
use super::error::FetchFailed;
use super::fetch::{Content, EndpointTrust, FetchError, FetchTarget};
use super::partner::Partner;
use super::room::Partners;
use crate::decisions::Cause;
use crate::registry::edit::{TakeCrlsRefused, Taken};
use crate::registry::{HeldRelationship, State};

/// Where a partner that is one of ours shows what it holds.
const BUNDLE_MAP_PATH: &str = "/bundle-map";

/// How long a partner that has no Bundle Map is not asked for it again: most are not ours and never have one.
const ASK_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// The HTTP status of an address where there is nothing.
const NOT_FOUND: u16 = 404;

/// What this process knows of what is fetched beside a partner's bundle.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The entity tag of the lists, with the commits of the bundle and of the lists that were held then.
    crls_etag: Option<(String, Held)>,
    crls_fetched_at: Option<Timestamp>,
    crls_error: Option<Problem>,
    /// The entity tag of the Bundle Map, with what it says known.
    map_etag: Option<String>,
    /// Until when it is not asked for a Bundle Map, since boot.
    silent_until: Option<Duration>,
}

/// The commits of what is held of a partner.
type Held = (Option<u64>, Option<u64>);

/// Why no lists came of a fetch. Those that are held stay.
#[derive(Debug, thiserror::Error)]
enum CrlsFailed {
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
    /// Nothing is there, and none are held: most partners have no lists before they revoke something.
    #[error("the partner publishes no revocation lists at this address")]
    NotPublished,
    /// What came is no set of lists.
    #[error("what is at the address of the revocation lists cannot be used")]
    Read(#[from] PartnerCrlsRefused),
    /// They may not be taken, or cannot be kept.
    #[error(transparent)]
    Take(#[from] TakeCrlsRefused),
}

impl Coded for CrlsFailed {
    fn code(&self) -> Code {
        match self {
            Self::Fetch(error) => error.code(),
            Self::NotPublished => Code::CrlsNotPublished,
            Self::Read(error) => error.code(),
            Self::Take(error) => error.code(),
        }
    }
}

/// Why a Bundle Map says nothing.
#[derive(Debug, thiserror::Error)]
enum MapFailed {
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
    /// What came is none.
    #[error("what the endpoint sent is no bundle map")]
    Read(#[from] ParseBundleMapError),
    /// The endpoint has no such path.
    #[error("the endpoint has no bundle map")]
    None,
}

impl Federation {
    /// Fetches what there is beside the bundle of a partner, once each.
    pub(super) async fn fetch_beside(&self, held: &HeldRelationship, has_answered: bool, cause: &Cause) {
        match held.relationship.crl_url() {
            Some(url) => self.follow_crls(held, url, cause).await,
            None => {
                if let Err(error) = self.editor.drop_crls(held.relationship.trust_domain(), cause).await {
                    tracing::warn!(%error, "the revocation lists of a partner that are fetched no longer were not withdrawn; it is tried again");
                }
            }
        }
        if has_answered {
            self.follow_map(&held.relationship).await;
        }
    }

    async fn follow_crls(&self, held: &HeldRelationship, url: &EndpointUrl, cause: &Cause) {
        let partner = held.relationship.trust_domain();
        let outcome = self.fetch_crls(held, url, cause).await;
        let now = self.clock.now().wall;
        self.metrics.partner_crls_fetched(match &outcome {
            Ok((Taken::Taken(_), _)) => "taken",
            Ok((Taken::Same, _)) => "same",
            Err(error) => error.code().word(),
        });
        let failed = outcome.as_ref().err().map(Problem::of);
        let is_taken = matches!(&outcome, Ok((Taken::Taken(_), _)));
        let known_failure = self.with_partners(|partners| {
            let Partners { known, changes, .. } = partners;
            let known = known.get_mut(partner).filter(|known| known.modified == held.modified)?;
            let before = std::mem::replace(&mut known.beside.crls_error, failed.clone());
            // That the same came again is told with the next news of the partner, not by itself.
            if is_taken || before != failed {
                known.changed = changes.next();
            }
            if let Ok((_, etag)) = &outcome {
                known.beside.crls_fetched_at = Some(now);
                known.beside.crls_etag = etag.clone();
            } else {
                known.beside.crls_etag = None;
            }
            before.map(|before| before.code)
        });
        if let Err(error) = &outcome
            && known_failure != failed.map(|failed| failed.code)
        {
            tracing::warn!(trust_domain = %partner, code = %error.code(), error = with_causes(error), "the revocation lists of a partner were not taken; those that are held stay");
        }
    }

    async fn fetch_crls(&self, held: &HeldRelationship, url: &EndpointUrl, cause: &Cause) -> Result<(Taken, Option<(String, Held)>), CrlsFailed> {
        let relationship = &held.relationship;
        let partner = relationship.trust_domain();
        let known = self.lock().known.get(partner).and_then(|known| known.beside.crls_etag.clone());
        let target = FetchTarget {
            url: url.clone(),
            trust: self.trust_at(relationship, url)?,
            redirects: self.redirects && relationship.redirects(),
            etag: known.filter(|(_, held)| *held == self.held_of(relationship)).map(|(etag, _)| etag),
            limit: MAX_PARTNER_CRLS,
        };
        let fetched = match self.fetcher.fetch(&target).await {
            Err(FetchError::Status { status: NOT_FOUND, .. }) if self.held_of(relationship).1.is_none() => return Err(CrlsFailed::NotPublished),
            fetched => fetched.map_err(FetchFailed::from)?,
        };
        let taken = match fetched.content {
            Content::NotModified if target.etag.is_none() => return Err(FetchFailed::NoDocument.into()),
            Content::NotModified => Taken::Same,
            Content::Document(document) => {
                let fetched = FetchedCrls::parse(&document)?;
                self.editor.take_crls(held, &fetched, cause).await?
            }
        };
        Ok((taken, fetched.etag.map(|etag| (etag, self.held_of(relationship)))))
    }

    /// Returns by what whoever is at a URL of a partner is believed.
    fn trust_at(&self, relationship: &Relationship, url: &EndpointUrl) -> Result<EndpointTrust, FetchFailed> {
        match url.origin() == relationship.url().origin() {
            true => self.trust(relationship),
            false => Ok(EndpointTrust::Web),
        }
    }

    fn held_of(&self, relationship: &Relationship) -> Held {
        let partner = relationship.trust_domain();
        self.registry.view(|state| {
            let crls = state.partners.crls().find(partner).map(|held| held.modified);
            (state.partners.find(partner).map(|held| held.modified), crls)
        })
    }

    /// Looks what a partner holds of ours, if it tells.
    async fn follow_map(&self, relationship: &Relationship) {
        let partner = relationship.trust_domain();
        let now = self.clock.now();
        let is_silent = |known: &Partner| known.beside.silent_until.is_some_and(|until| now.since_boot < until);
        if self.lock().known.get(partner).is_none_or(is_silent) {
            return;
        }
        match self.fetch_map(relationship).await {
            Ok((map, etag)) => {
                let is_news = map.is_some();
                match map {
                    Some(map) => self.seen.note(partner, OursSeen::new(map.get(&self.trust_domain), now.wall)),
                    None => self.seen.note_again(partner, now.wall),
                }
                self.note_map(partner, is_news, |beside| beside.map_etag = etag);
            }
            // What it showed before counts on, until it shows something else: a moment of silence is no answer.
            Err(MapFailed::Fetch(error)) => {
                tracing::debug!(trust_domain = %partner, error = with_causes(&error), "what a partner holds of our bundle was not fetched");
            }
            Err(error @ (MapFailed::None | MapFailed::Read(_))) => {
                tracing::debug!(trust_domain = %partner, error = with_causes(&error), "a partner does not show what it holds of our bundle");
                let is_news = self.seen.tells(partner);
                self.seen.forget(partner);
                self.note_map(partner, is_news, |beside| beside.silent_until = Some(now.since_boot + ASK_AGAIN));
            }
        }
    }

    /// Notes what came of looking at a partner's Bundle Map, and tells it to those who watch where it is news.
    fn note_map(&self, partner: &TrustDomain, is_news: bool, note: impl FnOnce(&mut Beside)) {
        self.with_partners(|partners| {
            let Partners { known, changes, .. } = partners;
            if let Some(known) = known.get_mut(partner) {
                note(&mut known.beside);
                if is_news {
                    known.changed = changes.next();
                }
            }
        });
    }

    /// Fetches what a partner holds; nothing where it is as before.
    async fn fetch_map(&self, relationship: &Relationship) -> Result<(Option<BundleMap>, Option<String>), MapFailed> {
        let Ok(url) = relationship.url().redirected(BUNDLE_MAP_PATH) else {
            return Err(MapFailed::None);
        };
        let partner = relationship.trust_domain();
        let known = self.lock().known.get(partner).and_then(|known| known.beside.map_etag.clone());
        let target = FetchTarget {
            trust: self.trust_at(relationship, &url)?,
            url,
            // It is of this very endpoint, or of nobody.
            redirects: false,
            etag: known.filter(|_| self.seen.tells(partner)),
            limit: MAX_BUNDLE_MAP_BYTES,
        };
        let fetched = match self.fetcher.fetch(&target).await {
            Err(FetchError::Status { .. } | FetchError::RedirectsOff { .. }) => return Err(MapFailed::None),
            fetched => fetched.map_err(FetchFailed::from)?,
        };
        let document = match fetched.content {
            Content::NotModified if target.etag.is_none() => return Err(FetchFailed::NoDocument.into()),
            Content::NotModified => return Ok((None, fetched.etag)),
            Content::Document(document) => document,
        };
        // Up to 4 MiB: beside the loop.
        let read = tokio::task::spawn_blocking(move || ParsedBundleMap::parse(&document).map(|parsed| parsed.map));
        // A parser that panicked has read nothing.
        let map = read.await.unwrap_or(Err(ParseBundleMapError::TrustDomainsMissing))?;
        Ok((Some(map), fetched.etag))
    }
}

/// Returns how it stands with the lists of a partner; nothing where none are fetched or held.
pub(super) fn crls_view(state: &State, relationship: &HeldRelationship, known: Option<&Partner>, now: Timestamp) -> Option<PartnerCrlsView> {
    let relationship = &relationship.relationship;
    let held = state.partners.crls().find(relationship.trust_domain());
    if relationship.crl_url().is_none() && held.is_none() {
        return None;
    }
    let set = held.map_or_else(Arc::default, |held| Arc::clone(&held.set));
    let given = state.partners.crls().given_of(relationship.trust_domain());
    let ends_at = given.as_ref().and_then(|given| given.set.ends_at());
    Some(PartnerCrlsView {
        lists: set.len(),
        revoked: set.lists().map(|(_, crl)| crl.len()).sum(),
        delivered: given.is_some() && ends_at.is_none_or(|at| at > now),
        ends_at,
        last_success: known.and_then(|known| known.beside.crls_fetched_at),
        last_error: known.and_then(|known| known.beside.crls_error.as_ref()).map(FetchProblem::from),
    })
}
