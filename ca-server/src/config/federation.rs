//! How partners' endpoints are reached.

use std::path::PathBuf;

use platform::config::Mistakes;
use trust_domains::clock::SharedClock;

use super::raw::RawServerConfig;
use crate::federation::fetch::{FetchSettings, ProxyUrl};

/// How this server fetches from partners, whoever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationConfig {
    /// Whether addresses of this machine and its link are connected to.
    pub allow_loopback: bool,
    /// The CAs of the web; those of the machine without a file.
    pub web_roots: Option<PathBuf>,
    /// The proxy that connects in this server's place.
    pub proxy: Option<ProxyUrl>,
    /// Whether redirects are followed, where a relationship allows it.
    pub redirects: bool,
}

impl FederationConfig {
    /// Returns what a fetcher needs of it.
    #[must_use]
    pub fn fetching(&self, clock: SharedClock) -> FetchSettings {
        FetchSettings {
            web_roots: self.web_roots.clone(),
            allow_loopback: self.allow_loopback,
            proxy: self.proxy.clone(),
            ..FetchSettings::new(clock)
        }
    }
}

/// Reads the options.
pub(super) fn read(raw: &RawServerConfig, mistakes: &mut Mistakes) -> Option<FederationConfig> {
    let proxy = raw.federation_proxy.as_deref().map(|text| mistakes.check("federation_proxy", text.parse()));
    Some(FederationConfig {
        allow_loopback: raw.federation_allow_loopback.unwrap_or(false),
        web_roots: raw.federation_web_roots.as_ref().map(PathBuf::from),
        proxy: proxy.map_or(Some(None), |proxy| proxy.map(Some))?,
        redirects: raw.redirects.unwrap_or(true),
    })
}
