//! An mTLS service and its caller, built on the public clients of the Rust world: `spiffe` and `spiffe-rustls`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use spiffe::X509Source;
use spiffe_rustls::{LocalOnly, TrustDomainPolicy, authorizer, mtls_client, mtls_server};
use tests::admin::runtime;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trust_domains::x509::Certificate;

use crate::converting::was_converting;

/// A new connection with a request starts that often.
const REQUEST_EVERY: Duration = Duration::from_millis(20);

/// So many generations of each side's certificate are used.
const GENERATIONS: usize = 5;

/// Generations of 10 s are replaced at half of it: five take 25 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Joins a node that has one identity, for whoever runs these tests.
fn node_with_identity(domain: &Domain, node: &str, path: &str, life: &str) -> Agent {
    let agent = domain.agent(node);
    domain.fast_entry(node, path, nix::unistd::getuid().as_raw(), life);
    agent
}

pub(super) async fn source(agent: &Agent) -> X509Source {
    let built = X509Source::builder()
        .endpoint(format!("unix://{}", path_text(&agent.socket)))
        .initial_sync_timeout(PATIENCE)
        .build();
    built.await.expect("a source of SVIDs")
}

fn serial(certificates: Option<&[rustls::pki_types::CertificateDer<'_>]>) -> String {
    let leaf = certificates.and_then(<[_]>::first).expect("a peer certificate");
    Certificate::parse(leaf).expect("a certificate").serial().to_string()
}

/// Starts a service that answers each line with the serial of its caller's certificate, and admits one SPIFFE ID.
async fn serve(source: X509Source, trust_domain: &str, admitted: &str) -> SocketAddr {
    serve_under(source, LocalOnly(trust_domain.try_into().expect("a trust domain")), admitted).await
}

/// Starts such a service that believes the trust domains of a policy.
pub(super) async fn serve_under(source: X509Source, policy: TrustDomainPolicy, admitted: &str) -> SocketAddr {
    serve_admitting(source, policy, &[admitted.to_owned()]).await
}

/// Starts such a service that admits several SPIFFE IDs.
pub(super) async fn serve_admitting(source: X509Source, policy: TrustDomainPolicy, admitted: &[String]) -> SocketAddr {
    let config = mtls_server(source)
        .authorize(authorizer::exact(admitted.iter().map(String::as_str)).expect("IDs"))
        .trust_domain_policy(policy)
        .build()
        .expect("a server configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // A caller that is refused sees it; the service goes on.
            tokio::spawn(async move { answer(acceptor.accept(stream).await?).await });
        }
    });
    address
}

async fn answer(stream: tokio_rustls::server::TlsStream<TcpStream>) -> io::Result<()> {
    let caller = serial(stream.get_ref().1.peer_certificates());
    let mut stream = BufStream::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        stream.write_all(format!("{} {caller}\n", line.trim_end()).as_bytes()).await?;
        stream.flush().await?;
        line.clear();
    }
    stream.shutdown().await
}

/// A caller of the service.
pub(super) struct Caller {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Caller {
    pub(super) fn new(source: X509Source, address: SocketAddr, service: &str) -> Self {
        let config = mtls_client(source)
            .authorize(authorizer::exact([service]).expect("an ID"))
            .build()
            .expect("a client configuration");
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            address,
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("service.invalid").expect("a name");
        let stream = self.connector.connect(name, tcp).await?;
        let service = serial(stream.get_ref().1.peer_certificates());
        Ok(Connection {
            stream: BufStream::new(stream),
            service,
            asked: 0,
        })
    }

    /// One request on a connection of its own. Returns the serials of service and caller.
    pub(super) async fn request(&self) -> io::Result<(String, String)> {
        let mut connection = self.connect().await?;
        let caller = connection.ask().await?;
        connection.stream.shutdown().await?;
        Ok((connection.service, caller))
    }
}

/// What was answered, and how often it had to be asked again for it.
pub(super) struct Answered {
    pub(super) serials: (String, String),
    pub(super) asked_again: u64,
}

impl Caller {
    /// One request, asked again as long as it ends because a library of either side is converting an update.
    pub(super) async fn request_until_converted(&self) -> io::Result<Answered> {
        let mut asked_again = 0;
        loop {
            match self.request().await {
                Ok(serials) => return Ok(Answered { serials, asked_again }),
                Err(error) if was_converting(&error) => {
                    asked_again += 1;
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// An open connection to the service.
struct Connection {
    stream: BufStream<TlsStream<TcpStream>>,
    service: String,
    asked: u64,
}

impl Connection {
    /// Sends a request and returns the serial that the service saw.
    async fn ask(&mut self) -> io::Result<String> {
        self.asked += 1;
        self.stream.write_all(format!("{}\n", self.asked).as_bytes()).await?;
        self.stream.flush().await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let answer = line.trim_end().strip_prefix(&format!("{} ", self.asked)).map(str::to_owned);
        answer.ok_or_else(|| io::Error::other(format!("request {} was answered with {line:?}", self.asked)))
    }
}

#[test]
fn two_workloads_authenticate_each_other_and_all_others_are_refused() {
    let domain = Domain::start("mtls.test");
    let foreign = Domain::start("foreign.test");
    let service = node_with_identity(&domain, "n1", "/service", "180s");
    let caller = node_with_identity(&domain, "n2", "/caller", "180s");
    let intruder = node_with_identity(&domain, "n3", "/intruder", "180s");
    let stranger = node_with_identity(&foreign, "n1", "/caller", "180s");
    let attempts = async {
        let address = serve(source(&service).await, "mtls.test", "spiffe://mtls.test/caller").await;
        let call = async |agent: &Agent, expected: &str| Caller::new(source(agent).await, address, expected).request().await;
        let right = Caller::new(source(&caller).await, address, "spiffe://mtls.test/service");
        right.request_until_converted().await.expect("the right caller is served");
        call(&caller, "spiffe://mtls.test/other")
            .await
            .expect_err("the caller accepted a service that it did not ask for");
        call(&intruder, "spiffe://mtls.test/service")
            .await
            .expect_err("the service admitted a caller that it does not know");
        call(&stranger, "spiffe://mtls.test/service")
            .await
            .expect_err("certificates of another trust domain were believed");
    };
    runtime().block_on(async { tokio::time::timeout(LIMIT, attempts).await.expect("an answer in time") });
}

#[test]
fn an_open_service_drops_no_request_through_five_generations() {
    let domain = Domain::start("five.test");
    let service = node_with_identity(&domain, "n1", "/service", "10s");
    let caller = node_with_identity(&domain, "n2", "/caller", "10s");
    let calls = async {
        let address = serve(source(&service).await, "five.test", "spiffe://five.test/caller").await;
        let caller = Caller::new(source(&caller).await, address, "spiffe://five.test/service");
        let mut long = caller.connect().await.expect("the long connection");
        let (mut services, mut callers) = (BTreeSet::new(), BTreeSet::new());
        let mut ticks = tokio::time::interval(REQUEST_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut requests = 0_u32;
        while services.len() < GENERATIONS || callers.len() < GENERATIONS {
            ticks.tick().await;
            requests += 1;
            let answered = caller.request_until_converted().await;
            let (service, caller) = answered.unwrap_or_else(|error| panic!("request {requests} was dropped: {error}")).serials;
            services.insert(service);
            callers.insert(caller);
            long.ask()
                .await
                .unwrap_or_else(|error| panic!("the long connection was dropped at request {requests}: {error}"));
        }
        assert!(requests > 100, "{requests} requests are no traffic");
    };
    runtime().block_on(async { tokio::time::timeout(LIMIT, calls).await.expect("five generations in time") });
}
