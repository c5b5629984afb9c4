//! The fetch as a whole: redirects, each under the same checks, within one deadline.

use std::sync::Arc;

use http::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use trust_domains::federation::EndpointUrl;

use super::budget::{Budget, Budgeted};
use super::dial::dial;
use super::error::{FetchError, at};
use super::exchange::{Answer, Exchange};
use super::limits::{MAX_REDIRECTS, most_received};
use super::said::Said;
use super::settings::FetchSettings;
use super::target::{Content, EndpointTrust, FetchTarget, Fetched};
use super::tls::{client_config, secure};
use super::verifier::{Believed, EndpointVerifier};
use super::web_roots::WebRoots;

/// Fetches partners' documents.
#[derive(Debug, Clone)]
pub struct Fetcher {
    settings: Arc<FetchSettings>,
    web_roots: Arc<WebRoots>,
}

impl Fetcher {
    /// Returns a fetcher with these settings. Nothing is read before the first fetch.
    #[must_use]
    pub fn new(settings: FetchSettings) -> Self {
        Self {
            web_roots: WebRoots::new(settings.web_roots.clone(), settings.clock.clone()),
            settings: Arc::new(settings),
        }
    }

    /// Fetches one document, over a new connection. Dropping the future ends it at once.
    ///
    /// # Errors
    /// [`FetchError`]; there is no document then, and none in part.
    pub async fn fetch(&self, target: &FetchTarget) -> Result<Fetched, FetchError> {
        let deadline = self.settings.limits.deadline;
        let fetched = tokio::time::timeout(deadline, self.follow(target)).await;
        fetched.unwrap_or_else(|_| Err(FetchError::TimedOut { at: at(&target.url), deadline }))
    }

    /// Asks the configured URL, then those that it leads to.
    async fn follow(&self, target: &FetchTarget) -> Result<Fetched, FetchError> {
        let config = self.believing(target).await?;
        let mut url = target.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let (answer, peer_chain) = self.ask(&url, target, &config).await?;
            let (content, etag) = match answer {
                Answer::Document { octets, etag } => (Content::Document(octets), etag),
                Answer::NotModified { etag } => (Content::NotModified, etag.or_else(|| target.etag.clone())),
                Answer::Moved { location } => {
                    url = moved(&url, &location, target)?;
                    continue;
                }
            };
            return Ok(Fetched { content, etag, peer_chain });
        }
        Err(FetchError::TooManyRedirects { at: at(&url) })
    }

    /// Returns the TLS of the whole fetch: a redirect changes the URL and never by what the endpoint is believed (FED-18, FED-26).
    async fn believing(&self, target: &FetchTarget) -> Result<Arc<ClientConfig>, FetchError> {
        let believed = match &target.trust {
            EndpointTrust::Pinned { id, roots } => Believed::Pinned {
                id: id.clone(),
                roots: roots.clone(),
            },
            EndpointTrust::Spiffe { id, bundle, lists } => Believed::Spiffe {
                id: id.clone(),
                bundle: Arc::clone(bundle),
                lists: Arc::clone(lists),
            },
            EndpointTrust::Web => Believed::Web(self.web_roots.verifier().await?),
        };
        let clock = self.settings.clock.clone();
        client_config(EndpointVerifier { believed, clock }).map_err(|error| FetchError::unreachable(&target.url, &error))
    }

    async fn ask(&self, url: &EndpointUrl, target: &FetchTarget, config: &Arc<ClientConfig>) -> Result<(Answer, Arc<[CertificateDer<'static>]>), FetchError> {
        let budget = Budget::new(most_received(target.limit));
        let stream = Budgeted::new(dial(url, &self.settings).await?, budget.clone());
        let stream = secure(stream, url, Arc::clone(config)).await?;
        let peer_chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec().into();
        let exchange = Exchange {
            url,
            // A tag that is no header's value is none that an endpoint sent.
            etag: target.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()),
            limit: target.limit,
            budget,
        };
        Ok((exchange.ask(stream).await?, peer_chain))
    }
}

/// Returns the URL that a redirect leads to, if it may be followed.
fn moved(url: &EndpointUrl, location: &str, target: &FetchTarget) -> Result<EndpointUrl, FetchError> {
    if !target.redirects {
        return Err(FetchError::RedirectsOff {
            at: at(url),
            location: Said::of(location),
        });
    }
    url.redirected(location).map_err(|error| FetchError::RedirectRefused {
        at: at(url),
        reason: Said::why(&error),
    })
}
