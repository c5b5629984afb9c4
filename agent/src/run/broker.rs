//! The Broker API, from its configuration to serving.

use platform::sockets::{BindError, UnixSocketGuard, bind_unix_apart, listen_tcp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trust_domains::problem::with_causes;

use super::joined::joined;
use crate::config::BrokerConfig;
use crate::endpoints::{BrokerListeners, Brokers, Endpoints};
use crate::metrics::BrokerCounts;
use crate::node::CurrentIdentity;

/// Who may open the Unix socket: the agent's own user and the group of the socket, which is that of its directory where that has the set-group-ID bit.
/// The certificate decides all else; but workloads have no business here (BEP-01).
const SOCKET_MODE: u32 = 0o660;

/// The Broker API with its addresses bound. Who connects before the node has joined waits: there is no certificate yet to show.
pub(super) struct BrokerStarter {
    config: BrokerConfig,
    listeners: BrokerListeners,
    name: Option<UnixSocketGuard>,
}

impl BrokerStarter {
    /// Binds what is configured; the Unix socket in a directory in which none of the agent's other sockets is.
    pub(super) fn bind(config: BrokerConfig, others: &[&UnixSocketGuard]) -> Result<Self, BindError> {
        let (unix, name) = match &config.socket {
            Some(path) => {
                let (listener, name) = bind_unix_apart(path, SOCKET_MODE, others)?;
                (Some(listener), Some(name))
            }
            None => (None, None),
        };
        let tcp = config.listen.map(listen_tcp).transpose()?;
        Ok(Self {
            config,
            listeners: BrokerListeners { unix, tcp },
            name,
        })
    }

    /// Returns where it is served.
    pub(super) fn addresses(&self) -> Vec<String> {
        let tcp = self.listeners.tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        let socket = self.config.socket.as_ref().map(ToString::to_string);
        socket.into_iter().chain(tcp.map(|address| address.to_string())).collect()
    }

    /// Returns what serves it until `ending`, and the socket's name, which goes when that is dropped.
    pub(super) fn run(
        self,
        endpoints: Endpoints,
        mut identity: watch::Receiver<Option<CurrentIdentity>>,
        counts: BrokerCounts,
        ending: CancellationToken,
    ) -> (impl Future<Output = ()> + Send, Option<UnixSocketGuard>) {
        let Self { config, listeners, name } = self;
        let serving = async move {
            let Some(trust_domain) = joined(&mut identity, &ending).await else { return };
            let allowed = match config.allow_list(&trust_domain) {
                Ok(allowed) => allowed,
                Err(error) => return tracing::error!(error = %error, "the Broker API is not served: a broker has no valid ID in this trust domain"),
            };
            if allowed.is_empty() {
                tracing::warn!("the Broker API is served to nobody: name brokers with --broker-allow ID=pid or [[broker]]");
            }
            let brokers = Brokers {
                allowed,
                trust_domain,
                identity,
                counts,
            };
            if let Err(error) = endpoints.serve_broker(brokers, listeners, ending).await {
                tracing::error!(error = %with_causes(&error), "the Broker API is not served");
            }
        };
        (serving, name)
    }
}
