//! A fetcher that may reach loopback, and what tests ask it.

use std::time::Duration;

use trust_domains::clock::ManualClock;
use trust_domains::problem::{Code, Coded as _, with_causes};

use super::super::{Content, EndpointTrust, FetchError, FetchSettings, FetchTarget, Fetched, Fetcher, Said};
use super::issuing::{Ca, NOW};

/// The longest document that tests take.
pub(super) const LIMIT: usize = 10_000;

/// Longer than any test should need.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fetcher with the clock and the CA of the web by which it believes.
pub(super) struct World {
    pub(super) ca: Ca,
    pub(super) clock: ManualClock,
    pub(super) settings: FetchSettings,
    pub(super) directory: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let (ca, clock, directory) = (Ca::web(), ManualClock::new(NOW), tempfile::tempdir().unwrap());
        let roots = directory.path().join("roots.pem");
        std::fs::write(&roots, &ca.root_pem).unwrap();
        let settings = FetchSettings {
            web_roots: Some(roots),
            allow_loopback: true,
            ..FetchSettings::new(clock.shared())
        };
        Self {
            ca,
            clock,
            settings,
            directory,
        }
    }

    pub(super) fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.settings.clone())
    }

    pub(super) async fn fetch(&self, target: &FetchTarget) -> Result<Fetched, FetchError> {
        tokio::time::timeout(PATIENCE, self.fetcher().fetch(target)).await.expect("a fetch that ends")
    }

    /// Fetches a document that comes.
    pub(super) async fn document(&self, target: &FetchTarget) -> String {
        match self.fetch(target).await.unwrap().content {
            Content::Document(octets) => String::from_utf8(octets.to_vec()).unwrap(),
            Content::NotModified => panic!("a document"),
        }
    }

    /// Fetches what does not come, and returns the code and the whole text of the error.
    pub(super) async fn refused(&self, target: &FetchTarget) -> (Code, String) {
        let error = self.fetch(target).await.unwrap_err();
        let text = with_causes(&error);
        // Our own words, a SPIFFE ID of ours, and at most this much of what was sent.
        assert!(text.len() <= 200 + Said::LONGEST + Said::PLACE, "{text}");
        assert!(text.chars().all(|char| !char.is_control()), "{text:?}");
        assert!(!error.hint().is_empty());
        (error.code(), text)
    }
}

pub(super) fn target(url: &str, trust: EndpointTrust) -> FetchTarget {
    FetchTarget {
        url: url.parse().unwrap(),
        trust,
        redirects: true,
        etag: None,
        limit: LIMIT,
    }
}

/// A target on loopback by the rules of the web.
pub(super) fn web(port: u16) -> FetchTarget {
    target(&format!("https://localhost:{port}/bundle.json"), EndpointTrust::Web)
}
