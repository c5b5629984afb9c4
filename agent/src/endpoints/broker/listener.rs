//! The accept loops of the endpoint: the handshake, and how long a connection lasts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use platform::clock::sleep_until_wall;
use platform::sockets::peer_credentials;
use platform::tls::{PeerVerifier, TlsConfigError, mutual_server_config};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::clock::SharedClock;
use trust_domains::problem::with_causes;
use trust_domains::{SpiffeId, TrustDomain};

use super::allow_list::AllowList;
use super::certificate::NodeCertificate;
use super::peer::Broker;
use super::places::{Handshakes, Places};
use super::source::Source;
use super::trust::BrokerBundles;
use crate::endpoints::connection::{self, CallLimits, Connection};
use crate::endpoints::surface::Surface;
use crate::metrics::BrokerCounts;
use crate::node::CurrentIdentity;
use crate::svids::SvidCache;

/// How long a handshake may take: two round trips, on one machine as a rule.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// How long a TCP connection is silent before the kernel asks for its client, how long between two times, and how often.
const SILENCE: Duration = Duration::from_secs(20);
const PROBES: u32 = 3;

/// How many refused connections are logged as warnings.
const COMPLAINTS: usize = 3;

/// How long accepting pauses after it failed: out of file descriptors, it would fail again at once.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Where brokers connect: either of them, or both.
#[derive(Debug)]
pub struct BrokerListeners {
    /// The Unix socket.
    pub unix: Option<UnixListener>,
    /// The TCP address.
    pub tcp: Option<TcpListener>,
}

/// Who may act for workloads here, and who the agent is to them.
#[derive(Debug, Clone)]
pub struct Brokers {
    /// Those who may.
    pub allowed: AllowList,
    /// The trust domain of this node.
    pub trust_domain: TrustDomain,
    /// The node's identity, as it changes.
    pub identity: watch::Receiver<Option<CurrentIdentity>>,
    /// What is counted.
    pub counts: BrokerCounts,
}

/// What stands between a connection and the service.
#[derive(Clone)]
pub(in crate::endpoints) struct Gate {
    config: Arc<ServerConfig>,
    verifier: PeerVerifier,
    allowed: Arc<AllowList>,
    clock: SharedClock,
    trust: watch::Receiver<()>,
    surface: Surface,
    calls: CallLimits<SpiffeId>,
    places: Places,
    complaints: Arc<AtomicUsize>,
}

impl Gate {
    /// Returns a gate that lets brokers of the allow-list in, and shows them the present SVID of the node.
    pub(in crate::endpoints) fn new(
        brokers: Brokers,
        cache: &SvidCache,
        clock: SharedClock,
        surface: Surface,
        calls: CallLimits<SpiffeId>,
    ) -> Result<Self, TlsConfigError> {
        let allowed = Arc::new(brokers.allowed);
        let bundles = BrokerBundles::new(cache.clone(), brokers.trust_domain, Arc::clone(&allowed));
        let verifier = PeerVerifier::new(Arc::new(bundles), clock.clone());
        Ok(Self {
            config: mutual_server_config(Arc::new(NodeCertificate::new(brokers.identity)), verifier.clone())?,
            verifier,
            allowed,
            clock,
            trust: cache.trust(),
            surface,
            calls,
            places: Places::new(),
            complaints: Arc::default(),
        })
    }

    /// Serves every connection until `stopping` is cancelled, then returns when all are closed.
    pub(in crate::endpoints) async fn serve(self, listeners: BrokerListeners, stopping: CancellationToken) {
        let tasks = TaskTracker::new();
        let (unix, tcp) = (Handshakes::new(), Handshakes::new());
        tokio::join!(
            accept(
                listeners.unix,
                &stopping,
                async |listener: &UnixListener| listener.accept().await.map(|(stream, _unnamed)| stream),
                |stream| {
                    self.welcome(stream, source_of_unix, &unix, &tasks, &stopping);
                }
            ),
            accept(
                listeners.tcp,
                &stopping,
                async |listener: &TcpListener| listener.accept().await.map(|(stream, _peer)| stream),
                |stream| {
                    self.welcome(stream, source_of_tcp, &tcp, &tasks, &stopping);
                }
            ),
        );
        tasks.close();
        tasks.wait().await;
    }

    /// Takes a connection in where there is room for its handshake.
    fn welcome<S>(&self, stream: S, source_of: fn(&S) -> io::Result<Source>, handshakes: &Handshakes, tasks: &TaskTracker, stopping: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let source = match source_of(&stream) {
            Ok(source) => source,
            Err(error) => return tracing::debug!(error = %error, "a broker's connection was closed: where it comes from cannot be told"),
        };
        let Some(handshaking) = handshakes.begin(source) else {
            return tracing::debug!(source = %source, "no room for a broker's handshake");
        };
        let (gate, close) = (self.clone(), stopping.child_token());
        tasks.spawn(async move {
            let shaken = tokio::select! {
                shaken = gate.handshake(stream) => shaken,
                () = close.cancelled() => return,
            };
            drop(handshaking);
            match shaken {
                Ok(stream) => gate.enter(stream, source, close).await,
                Err(error) if gate.complains() => tracing::warn!(source = %source, error = %error, "a broker's handshake failed"),
                Err(error) => tracing::debug!(source = %source, error = %error, "a broker's handshake failed again"),
            }
        });
    }

    /// Returns whether a refusal is told where operators see it: the first few are, so that a mistake is found, and a flood of them is none in the log.
    fn complains(&self) -> bool {
        self.complaints.fetch_add(1, Ordering::Relaxed) < COMPLAINTS
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
            Ok(shaken) => shaken,
            Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
        }
    }

    /// Serves a connection whose handshake succeeded.
    async fn enter<S: AsyncRead + AsyncWrite + Unpin>(self, stream: TlsStream<S>, source: Source, close: CancellationToken) {
        let chain: Vec<CertificateDer<'static>> = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let broker = match Broker::verify(chain, source, self.verifier.clone(), Arc::clone(&self.allowed)) {
            Ok(broker) => broker,
            Err(error) => return tracing::debug!(source = %source, error = %with_causes(&error), "a broker was refused"),
        };
        let Some(_place) = self.places.enter(&broker) else {
            return tracing::debug!(broker = %broker, "no room for a broker's connection");
        };
        if broker.is_listed() {
            tracing::debug!(broker = %broker, "a broker connected");
        } else if self.complains() {
            tracing::warn!(peer = %broker, "who connected is no broker of this agent: every call is refused");
        } else {
            tracing::debug!(peer = %broker, "again somebody connected who is no broker of this agent");
        }
        let connection = Connection::new(broker, close);
        tokio::select! {
            () = connection::serve(stream, Arc::clone(&connection), self.surface, self.calls) => {}
            () = end_in_time(&connection, self.clock, self.trust) => {}
        }
    }
}

/// Ends the connection with the certificate that opened it, and once no bundle vouches for that. Never returns: the connection itself sees to its last words.
async fn end_in_time(connection: &Connection<Broker>, clock: SharedClock, mut trust: watch::Receiver<()>) {
    let broker = connection.peer();
    let ended = sleep_until_wall(clock.as_ref(), broker.not_after() + Duration::from_secs(1));
    let mistrusted = async {
        while broker.check_trust().is_ok() {
            if trust.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = ended => tracing::debug!(broker = %broker, "a broker's connection ends with its certificate"),
        () = mistrusted => tracing::info!(broker = %broker, "a broker's connection ends: its certificate is no longer trusted"),
    }
    connection.close();
    std::future::pending::<()>().await;
}

/// Accepts connections until `stopping` is cancelled; without a listener there are none.
async fn accept<L, S>(listener: Option<L>, stopping: &CancellationToken, next: impl AsyncFn(&L) -> io::Result<S>, mut welcome: impl FnMut(S)) {
    let Some(listener) = listener else { return };
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = next(&listener) => accepted,
        };
        match accepted {
            Ok(stream) => welcome(stream),
            Err(error) => {
                tracing::warn!(error = %error, "a broker's connection could not be accepted");
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

fn source_of_unix(stream: &UnixStream) -> io::Result<Source> {
    Ok(Source::Local {
        uid: peer_credentials(stream)?.uid,
    })
}

/// A client that vanished without a word is noticed by the kernel: its streams would hold their shares until its certificate ends.
fn source_of_tcp(stream: &TcpStream) -> io::Result<Source> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, SILENCE)?;
    set_tcp_keepintvl(stream, SILENCE)?;
    set_tcp_keepcnt(stream, PROBES)?;
    Ok(Source::of_tcp(stream.peer_addr()?, stream.local_addr()?))
}
