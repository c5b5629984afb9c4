//! A broker that this process is: it has an X509-SVID, expects the agent by name, and asks for other processes.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use agent::broker_api::client::{BrokerApiClient, over};
use agent::workload_api;
use agent::workload_api::messages::X509svidRequest;
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use platform::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use trust_domains::x509::split_der;
use trust_domains::{SpiffeId, TrustBundle};

use crate::domain::Agent;
use crate::expecting::Expecting;
use crate::wait::{until, until_async};

/// An X509-SVID with its key.
#[derive(Debug)]
pub struct Credential {
    /// The chain in DER, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Credential {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Credential {
    /// Fetches that of an identity of this process, with the bundle of its trust domain.
    ///
    /// # Panics
    ///
    /// When the agent does not give it in time.
    pub async fn of_workload(socket: &Path, spiffe_id: &str) -> (Self, TrustBundle) {
        until_async("the broker's own SVID", async || {
            let mut client = workload_api::client::connect(socket).await.ok()?;
            let mut updates = client.fetch_x509svid(X509svidRequest {}).await.ok()?.into_inner();
            let update = updates.message().await.ok()??;
            let svid = update.svids.into_iter().find(|svid| svid.spiffe_id == spiffe_id)?;
            let id: SpiffeId = spiffe_id.parse().expect("an ID");
            let roots = split_der(&svid.bundle).expect("roots");
            let bundle = roots.iter().fold(TrustBundle::new(id.trust_domain()), |bundle, root| {
                bundle.with_x509_authority(root).expect("a root")
            });
            let key = PrivateKeyDer::try_from(svid.x509_svid_key.to_vec()).expect("a key");
            let chain = split_der(&svid.x509_svid).expect("a chain");
            Some((Self { chain, key }, bundle))
        })
        .await
    }

    /// Makes one that an authority of nobody's signed.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn forged(spiffe_id: &str) -> Self {
        let with_id = |id: &str| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(id.try_into().expect("a URI"))];
            params
        };
        let id: SpiffeId = spiffe_id.parse().expect("an ID");
        let (root_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let mut root = with_id(&format!("spiffe://{}", id.trust_domain()));
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "root");
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let mut leaf = with_id(spiffe_id);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).expect("a leaf").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("its key");
        Self { chain: vec![leaf], key }
    }

    /// Makes one that signed itself.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn self_signed(spiffe_id: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().expect("a URI"))];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = params.self_signed(&key).expect("a leaf").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("its key");
        Self { chain: vec![leaf], key }
    }
}

/// Where a Broker API is.
#[derive(Debug, Clone)]
pub enum Address {
    /// On a TCP address.
    Tcp(SocketAddr),
    /// On a Unix socket.
    Unix(PathBuf),
}

/// Versions of TLS.
pub type Versions = &'static [&'static SupportedProtocolVersion];

/// Clients that speak one version only: each that the standard names.
pub const EACH_VERSION: [Versions; 2] = [&[&TLS13], &[&TLS12]];

/// How a broker connects.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// What it shows; nothing makes a client without a certificate.
    pub credential: Option<Credential>,
    /// By which it verifies the agent.
    pub bundle: TrustBundle,
    /// Whom it expects.
    pub expected: SpiffeId,
    /// What it speaks.
    pub versions: Versions,
}

impl Dialer {
    /// Returns a dialer that expects this agent, with an identity of this process.
    pub async fn of_workload(agent: &Agent, spiffe_id: &str) -> Self {
        let (credential, bundle) = Credential::of_workload(&agent.socket, spiffe_id).await;
        Self {
            credential: Some(credential),
            bundle,
            expected: agent_id(agent),
            versions: rustls::DEFAULT_VERSIONS,
        }
    }

    /// Returns one that shows something else, or nothing.
    #[must_use]
    pub fn showing(&self, credential: Option<Credential>) -> Self {
        Self { credential, ..self.clone() }
    }

    /// Connects, and returns a client that sends the security header.
    ///
    /// # Errors
    /// Nobody answers there, or one of both refuses the other.
    pub async fn connect(&self, address: &Address) -> Result<BrokerApiClient, tonic::transport::Error> {
        Ok(over(self.channel(address).await?))
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// As [`Dialer::connect`].
    pub async fn channel(&self, address: &Address) -> Result<Channel, tonic::transport::Error> {
        let (dialer, address) = (self.clone(), address.clone());
        let connector = tower::service_fn(move |_authority| {
            let (dialer, address) = (dialer.clone(), address.clone());
            async move { dialer.dial(&address).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await
    }

    /// Opens a connection, and finishes the handshake.
    ///
    /// # Errors
    /// As [`Dialer::connect`].
    pub async fn dial(&self, address: &Address) -> io::Result<TlsStream<Box<dyn Stream>>> {
        dial_with(Arc::new(self.config()), address).await
    }

    /// Returns its TLS, which remembers sessions for as long as it is used.
    ///
    /// # Panics
    ///
    /// When the key cannot be used.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        let verifier = Expecting {
            bundle: self.bundle.clone(),
            expected: self.expected.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(self.versions)
            .expect("versions of TLS")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.credential.clone() {
            Some(Credential { chain, key }) => {
                let key = provider().key_provider.load_private_key(key).expect("a key");
                // Whether the key is the certificate's is for the agent to find out.
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::in_memory_sessions(8);
        config
    }
}

/// Opens a connection, and finishes the handshake.
///
/// # Errors
/// Nobody answers there, or one of both refuses the other.
pub async fn dial_with(config: Arc<ClientConfig>, address: &Address) -> io::Result<TlsStream<Box<dyn Stream>>> {
    let stream: Box<dyn Stream> = match address {
        Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    };
    let name = ServerName::try_from("agent.invalid").map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// What TLS goes over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Returns the SPIFFE ID of an agent, as its operator sees it: what a broker is configured to expect.
///
/// # Panics
///
/// When it has none yet.
#[must_use]
pub fn agent_id(agent: &Agent) -> SpiffeId {
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    status["spiffe_id"].as_str().expect("an ID").parse().expect("a SPIFFE ID")
}

/// A workload that never asks for itself: a sleeping process of some user.
#[derive(Debug)]
pub struct Sleeper(Child);

impl Sleeper {
    /// Starts one, and waits until it is what it will be.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(uid: u32) -> Self {
        let id = uid.to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", "sleep", "1000"])
            .stdin(Stdio::null());
        let sleeper = Self(command.spawn().expect("setpriv starts (apt-get install util-linux)"));
        until("the sleeper", || {
            let program = std::fs::read_to_string(format!("/proc/{}/comm", sleeper.pid())).expect("a living process");
            (program.trim() == "sleep").then_some(())
        });
        sleeper
    }

    /// Returns its number.
    ///
    /// # Panics
    ///
    /// When the number is none.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id")
    }

    /// Kills it, and leaves its number to it: nobody has waited for it.
    ///
    /// # Panics
    ///
    /// When it is gone already.
    pub fn kill(&self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGKILL).expect("a living process");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
