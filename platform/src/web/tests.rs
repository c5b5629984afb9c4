//! A listener for strangers, and the certificate files behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use trust_domains::problem::{Code, Coded as _};

use super::{CertificateFiles, ChosenByName, FileIdentity, Look, WebLimits, WebServer};
use crate::tls::provider;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Writes a certificate of this name and returns its DER.
pub(super) fn write(directory: &Path, name: &str) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("c.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("k.pem"), key.serialize_pem()).unwrap();
    certificate.der().to_vec()
}

fn identity(directory: &Path) -> Arc<FileIdentity> {
    FileIdentity::new(CertificateFiles {
        certificate: directory.join("c.pem"),
        key: directory.join("k.pem"),
    })
}

/// Believes every certificate: which one is shown is what the tests look at.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

pub(super) struct World {
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
    pub(super) directory: tempfile::TempDir,
    pub(super) identity: Arc<FileIdentity>,
}

impl World {
    pub(super) async fn with(limits: WebLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = identity(directory.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(|| async { "hello" }));
        let server = WebServer::new(identity.clone(), router, limits).unwrap();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            address,
            shutdown,
            directory,
            identity,
        }
    }

    pub(super) async fn connect(&self, version: &'static SupportedProtocolVersion) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_to("id.example.org", version).await
    }

    /// Asks for a host; for an address there is nothing to ask for.
    async fn connect_to(&self, host: &'static str, version: &'static SupportedProtocolVersion) -> std::io::Result<TlsStream<TcpStream>> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(host).unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        tokio::time::timeout(DEADLINE, connecting).await.unwrap()
    }

    async fn shown(&self, version: &'static SupportedProtocolVersion) -> Option<Vec<u8>> {
        let stream = self.connect(version).await.ok()?;
        stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_no_certificate_is_asked_for() {
    let world = World::with(WebLimits::default()).await;
    let der = write(world.directory.path(), "id.example.org");
    assert_eq!(world.identity.look().unwrap(), Look::Changed);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = world.connect(version).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec(), der);
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: id.example.org\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn new_files_are_shown_and_bad_ones_keep_what_was_there() {
    let world = World::with(WebLimits::default()).await;
    let directory = world.directory.path();
    assert_eq!(world.identity.look().unwrap_err().code(), Code::FileUnavailable, "there are none yet");
    assert_eq!(world.shown(&rustls::version::TLS13).await, None, "and nothing is shown");
    assert!(!world.identity.shows_one());

    let first = write(directory, "one.example.org");
    assert_eq!(world.identity.look().unwrap(), Look::Changed);
    assert_eq!(world.identity.look().unwrap(), Look::Same);
    let mut open = world.connect(&rustls::version::TLS13).await.unwrap();

    let good_key = std::fs::read(directory.join("k.pem")).unwrap();
    let second = write(directory, "two.example.org");
    let new_key = std::fs::read(directory.join("k.pem")).unwrap();
    for bad in [&good_key[..], b"junk", b""] {
        std::fs::write(directory.join("k.pem"), bad).unwrap();
        assert!(world.identity.look().is_err() && world.identity.shows_one());
        assert_eq!(world.shown(&rustls::version::TLS13).await.as_ref(), Some(&first));
    }
    std::fs::write(directory.join("k.pem"), &new_key).unwrap();
    assert_eq!(world.identity.look().unwrap(), Look::Changed);
    assert_eq!(world.shown(&rustls::version::TLS12).await, Some(second));

    // The connection from before is still answered.
    open.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, open.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("hello"));
}

#[tokio::test]
async fn files_that_change_under_load_break_no_connection() {
    let world = World::with(WebLimits {
        per_source: 256,
        ..WebLimits::default()
    })
    .await;
    let mut known = vec![write(world.directory.path(), "0.example.org")];
    world.identity.look().unwrap();
    for round in 1..20 {
        known.push(write(world.directory.path(), &format!("{round}.example.org")));
        for shown in handshakes(&world).await {
            assert!(
                known.ends_with(&[shown.clone().expect("a handshake")]) || known[..round].ends_with(&[shown.unwrap()]),
                "round {round}"
            );
        }
    }
}

/// Four handshakes at once, and a reload in their middle.
async fn handshakes(world: &World) -> Vec<Option<Vec<u8>>> {
    let one = || world.shown(&rustls::version::TLS13);
    let (a, b, c, d, looked) = tokio::join!(one(), one(), one(), one(), async { world.identity.look() });
    assert_eq!(looked.unwrap(), Look::Changed);
    vec![a, b, c, d]
}

#[tokio::test]
async fn one_source_has_its_share_of_connections() {
    let world = World::with(WebLimits {
        per_source: 2,
        ..WebLimits::default()
    })
    .await;
    write(world.directory.path(), "id.example.org");
    world.identity.look().unwrap();
    let held = [
        world.connect(&rustls::version::TLS13).await.unwrap(),
        world.connect(&rustls::version::TLS13).await.unwrap(),
    ];
    assert!(world.connect(&rustls::version::TLS13).await.is_err());
    drop(held);
    let freed = async {
        while world.connect(&rustls::version::TLS13).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_its_life() {
    let world = World::with(WebLimits {
        life: Duration::from_millis(200),
        ..WebLimits::default()
    })
    .await;
    write(world.directory.path(), "id.example.org");
    world.identity.look().unwrap();
    let mut stream = world.connect(&rustls::version::TLS13).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it ended by itself");
}

#[tokio::test]
async fn the_host_that_is_asked_for_chooses_between_two_certificates() {
    let mut world = World::with(WebLimits::default()).await;
    let own_folder = tempfile::tempdir().unwrap();
    let own = identity(own_folder.path());
    let other = write(own_folder.path(), "unnamed");
    own.look().unwrap();
    let named = write(world.directory.path(), "*.example.org");
    world.identity.look().unwrap();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let chosen = ChosenByName::new(world.identity.clone(), own);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.address = listener.local_addr().unwrap();
    tokio::spawn(
        WebServer::new(chosen, router, WebLimits::default())
            .unwrap()
            .serve(listener, world.shutdown.clone()),
    );
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (host, expected) in [
            ("id.example.org", &named),
            ("elsewhere.test", &other),
            ("example.org", &other),
            ("127.0.0.1", &other),
        ] {
            let stream = world.connect_to(host, version).await.unwrap();
            assert_eq!(&stream.get_ref().1.peer_certificates().unwrap()[0].to_vec(), expected, "{host}");
        }
    }
}
