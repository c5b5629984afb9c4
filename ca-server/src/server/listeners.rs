//! The listeners: the node API over TLS, the admin API on its socket, and the bundle endpoint for those outside.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use platform::process;
use platform::sockets::{SocketPath, UnixSocketGuard, bind_unix, listen_tcp};
use platform::tls::{AcceptLimits, TlsServer};
use platform::trace::edge;
use platform::unix_http::{UnixLimits, serve_unix};
use tokio::net::{TcpListener, UnixListener};
use trust_domains::join_link::{ParseServerAddressError, ServerAddress};

use super::bundle_endpoint::Bundle;
use super::tls::NodeTls;
use super::{Context, Rooms, RunError};
use crate::api::admin::{self, AdminApi, Advertised};
use crate::api::node::{self, NodeApi};
use crate::api::openapi;
use crate::config::ServerConfig;
use crate::federation::Federation;
use crate::limits::{ADMIN_CONNECTIONS, NODE_CONNECTIONS};

/// The mode of the admin socket.
const OWNER_ONLY: u32 = 0o600;

/// The listeners, bound and not yet served.
pub(super) struct Listeners {
    node: TcpListener,
    node_address: SocketAddr,
    admin: UnixListener,
    guard: UnixSocketGuard,
    bundle: Option<Bundle>,
    advertised: Advertised,
}

impl Listeners {
    pub(super) fn bind(config: &ServerConfig) -> Result<Self, RunError> {
        let node = listen_tcp(config.listen)?;
        let node_address = node.local_addr().unwrap_or(config.listen);
        let (admin, guard) = bind_unix(&SocketPath::new(&config.data_dir.admin_socket())?, OWNER_ONLY)?;
        let advertised = advertised(config.advertise.as_ref(), node_address, process::host_name())?;
        Ok(Self {
            node,
            node_address,
            admin,
            guard,
            bundle: config.bundle.as_ref().map(Bundle::bind).transpose()?,
            advertised,
        })
    }

    pub(super) const fn node_address(&self) -> SocketAddr {
        self.node_address
    }

    pub(super) fn bundle_address(&self) -> Option<SocketAddr> {
        self.bundle.as_ref().map(Bundle::address)
    }

    /// Serves all until shutdown.
    pub(super) fn serve(mut self, rooms: &Rooms, federation: Arc<Federation>, context: &Context, tls: &NodeTls, config: &ServerConfig) -> Result<(), RunError> {
        let own_endpoint = self.bundle.as_ref().and_then(|bundle| bundle.described(&self.advertised, &rooms.trust_domain));
        if let Some(bundle) = self.bundle.take() {
            bundle.serve(rooms, context, config, tls.credential(), own_endpoint.clone())?;
        }
        let Context {
            health,
            metrics,
            clock,
            shutdown,
        } = context;
        let bundle = rooms.authorities.bundle();
        let node_api = NodeApi {
            registry: Arc::clone(&rooms.registry),
            attestation: Arc::clone(&rooms.attestation),
            issuance: Arc::clone(&rooms.issuance),
            editor: Arc::clone(&rooms.editor),
            revocations: rooms.revocations.clone(),
            decisions: rooms.decisions.clone(),
            first_bundle: Arc::clone(&bundle.borrow()),
            bundle: bundle.clone(),
            tainted: rooms.authorities.tainted(),
            clock: Arc::clone(clock),
            metrics: metrics.clone(),
        };
        let limits = AcceptLimits::for_open_files(process::open_file_limit());
        let server = TlsServer {
            config: tls.config(),
            verifier: Arc::clone(&tls.verifier),
            router: edge(node::router(node_api).merge(openapi::router())),
            limits: AcceptLimits {
                connections: limits.connections.min(NODE_CONNECTIONS),
                ..limits
            },
            clock: Arc::clone(clock),
        };
        rooms.tasks.spawn(server.serve(self.node, shutdown.clone()));

        let admin_api = AdminApi {
            trust_domain: rooms.trust_domain.clone(),
            store: Arc::clone(&rooms.store),
            registry: Arc::clone(&rooms.registry),
            editor: Arc::clone(&rooms.editor),
            federation,
            tokens: Arc::clone(&rooms.tokens),
            authorities: Arc::clone(&rooms.authorities),
            revocations: rooms.revocations.clone(),
            issuance: Arc::clone(&rooms.issuance),
            metrics: metrics.clone(),
            journal: rooms.journal.clone(),
            rekeying: Arc::clone(&rooms.rekeying),
            decisions: rooms.decisions.clone(),
            bundle,
            health: health.clone(),
            advertised: self.advertised,
            own_endpoint,
            clock: Arc::clone(clock),
            shutdown: shutdown.clone(),
        };
        let (listener, guard, shutdown) = (self.admin, self.guard, shutdown.clone());
        let router = edge(admin::router(admin_api));
        rooms.tasks.spawn(async move {
            serve_unix(
                listener,
                router,
                UnixLimits {
                    connections: ADMIN_CONNECTIONS,
                },
                shutdown,
            )
            .await;
            drop(guard);
        });
        Ok(())
    }
}

/// Says which address join links name: what is configured, else a concrete address that is listened on, else the host's name.
fn advertised(configured: Option<&ServerAddress>, listening: SocketAddr, host_name: Option<String>) -> Result<Advertised, ParseServerAddressError> {
    if let Some(address) = configured {
        return Ok(Advertised {
            address: address.clone(),
            from: "advertise",
        });
    }
    let everywhere = match listening.ip() {
        IpAddr::V4(address) => address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified(),
    };
    if !everywhere {
        return Ok(Advertised {
            address: ServerAddress::new(&listening.ip().to_string(), listening.port())?,
            from: "listen",
        });
    }
    let name = host_name.unwrap_or_else(|| "localhost".to_owned());
    Ok(Advertised {
        address: ServerAddress::new(&name, listening.port())?,
        from: "hostname",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_links_name_what_is_configured_else_the_listener_else_the_host() {
        let configured: ServerAddress = "ca.example.org:443".parse().unwrap();
        let cases = [
            (Some(&configured), "192.0.2.1:8443", Some("host"), "ca.example.org:443", "advertise"),
            (None, "192.0.2.1:8443", Some("host"), "192.0.2.1:8443", "listen"),
            (None, "[::1]:8443", Some("host"), "[::1]:8443", "listen"),
            (None, "0.0.0.0:8443", Some("host"), "host:8443", "hostname"),
            (None, "[::]:8443", None, "localhost:8443", "hostname"),
        ];
        for (configured, listening, host, expected, from) in cases {
            let advertised = advertised(configured, listening.parse().unwrap(), host.map(str::to_owned)).unwrap();
            assert_eq!((advertised.address.to_string().as_str(), advertised.from), (expected, from));
        }
    }
}
