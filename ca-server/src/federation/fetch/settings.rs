//! How this server fetches, whoever the partner is.

use std::path::PathBuf;

use trust_domains::clock::SharedClock;

use super::address::Local;
use super::limits::FetchLimits;
use super::proxy::ProxyUrl;

/// How this server fetches, whoever the partner is.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// The CAs of the web that are believed for `https_web`, in PEM (`--federation-web-roots`); those of the machine without one.
    pub web_roots: Option<PathBuf>,
    /// Whether addresses of this machine and of its link are connected to (`--federation-allow-loopback`).
    pub allow_loopback: bool,
    /// The proxy through which all fetches go (`--federation-proxy`). It connects in this server's place, so the check of addresses that names lead to is
    /// the proxy's then; addresses that stand in a URL are checked here all the same.
    pub proxy: Option<ProxyUrl>,
    /// The times of a fetch.
    pub limits: FetchLimits,
    /// By which certificates are judged.
    pub clock: SharedClock,
}

impl FetchSettings {
    /// Returns settings by which partners are reached directly, believed by the machine's own CAs, and never on this machine.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            web_roots: None,
            allow_loopback: false,
            proxy: None,
            limits: FetchLimits::default(),
            clock,
        }
    }

    pub(super) fn local(&self) -> Local {
        match self.allow_loopback {
            true => Local::Allowed,
            false => Local::Refused,
        }
    }
}
