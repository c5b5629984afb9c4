//! The bundle endpoint: HTTPS for those outside, with the server's own SVID, with a certificate of the web, or with each for a host name of its own.
//!
//! Which of the two somebody is shown is decided by the host that is asked for (SNI): the certificate files to those who name a host of theirs, and to everybody
//! else what the profile says. Neither ever stands in for the other.

mod follow;
mod own;
mod svid;

use std::net::SocketAddr;
use std::sync::Arc;

use platform::sockets::{BindError, listen_tcp};
use platform::trace::edge;
use platform::web::{ChosenByName, FileIdentity, WebLimits, WebServer};
use rustls::server::ResolvesServerCert;
use tokio::net::TcpListener;
use tokio::sync::watch;
use trust_domains::TrustDomain;
use trust_domains::federation::ProfileName;

use self::follow::Following;
use self::svid::OwnSvid;
use super::{Context, Rooms, RunError};
use crate::api::admin::Advertised;
use crate::api::public::{self, PublicApi};
use crate::config::{BundleEndpoint, ServerConfig};
use crate::issuance::ServerCredential;

pub use own::{EndpointDoubt, OwnEndpoint};

/// The bundle endpoint, bound.
pub(super) struct Bundle {
    listener: TcpListener,
    address: SocketAddr,
    endpoint: BundleEndpoint,
    files: Option<Arc<FileIdentity>>,
}

impl Bundle {
    pub(super) fn bind(endpoint: &BundleEndpoint) -> Result<Self, BindError> {
        let listener = listen_tcp(endpoint.listen)?;
        Ok(Self {
            address: listener.local_addr().unwrap_or(endpoint.listen),
            listener,
            endpoint: endpoint.clone(),
            files: endpoint.certificate.clone().map(FileIdentity::new),
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says what partners need to know of it; nothing when the host that they would call makes no URL.
    pub(super) fn described(&self, links: &Advertised, trust_domain: &TrustDomain) -> Option<Arc<OwnEndpoint>> {
        let described = OwnEndpoint::new(&self.endpoint, self.address, links, trust_domain, self.files.clone());
        let told = |error| tracing::warn!(%error, "the bundle endpoint has no URL that partners could be told; give one with --bundle-url");
        described.map_err(told).ok().map(Arc::new)
    }

    /// Serves it, and follows its certificate files.
    pub(super) fn serve(
        self,
        rooms: &Rooms,
        context: &Context,
        config: &ServerConfig,
        svid: watch::Receiver<Arc<ServerCredential>>,
        own: Option<Arc<OwnEndpoint>>,
    ) -> Result<(), RunError> {
        let api = PublicApi {
            bundle: rooms.authorities.bundle(),
            registry: self.endpoint.serves_map.then(|| Arc::clone(&rooms.registry)),
            lists: Some(Arc::clone(&rooms.registry)),
            issuer: config.jwt_issuer.clone(),
            url: self.endpoint.url.clone(),
            refresh_hint: config.bundle_refresh_hint,
        };
        let shown = shown(self.endpoint.profile, self.files.clone(), svid);
        let server = WebServer::new(shown, edge(public::router(api)), WebLimits::default())?;
        rooms.tasks.spawn(server.serve(self.listener, context.shutdown.clone()));
        let Some(files) = self.files else {
            follow::tell_served(self.address, own.as_deref());
            return Ok(());
        };
        let following = Following::start(files, self.address, own, context.health.clone());
        let until = context.shutdown.clone();
        rooms.tasks.spawn(async move { until.run_until_cancelled(following.run()).await });
        Ok(())
    }
}

/// Says who is shown what.
fn shown(profile: ProfileName, files: Option<Arc<FileIdentity>>, svid: watch::Receiver<Arc<ServerCredential>>) -> Arc<dyn ResolvesServerCert> {
    let svid = Arc::new(OwnSvid::new(svid));
    match (profile, files) {
        (_, None) => svid,
        (ProfileName::HttpsSpiffe, Some(files)) => ChosenByName::new(files, svid),
        (ProfileName::HttpsWeb, Some(files)) => files,
    }
}
