//! Probes of real TLS servers.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use trust_domains::problem::{Code, Coded};

use super::*;

/// Longer than any probe takes that succeeds at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate with its key.
fn certified(number: u64) -> Arc<CertifiedKey> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["web.example".to_owned()]).unwrap();
    params.serial_number = Some(number.into());
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
}

fn leaf(certified: &CertifiedKey) -> &CertificateDer<'static> {
    certified.cert.first().unwrap()
}

/// What a service presents, as it changes, and how often it was asked by which name.
#[derive(Debug)]
struct Shown {
    now: Mutex<Arc<CertifiedKey>>,
    /// From this look on it is the second.
    next: Option<(usize, Arc<CertifiedKey>)>,
    looks: AtomicUsize,
    names: Mutex<Vec<Option<String>>>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.lock().unwrap().push(hello.server_name().map(str::to_owned));
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        match &self.next {
            Some((from, next)) if look >= *from => Some(next.clone()),
            _ => Some(self.now.lock().unwrap().clone()),
        }
    }
}

fn showing(now: &Arc<CertifiedKey>, next: Option<(usize, &Arc<CertifiedKey>)>) -> Arc<Shown> {
    Arc::new(Shown {
        now: Mutex::new(now.clone()),
        next: next.map(|(from, next)| (from, next.clone())),
        looks: AtomicUsize::new(0),
        names: Mutex::default(),
    })
}

/// How a test's service differs from a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Postgres,
    PostgresWithoutTls,
    WantsClients,
}

/// Serves TLS of one version; returns where, and what came after the handshakes.
async fn service(shown: Arc<Shown>, version: &'static rustls::SupportedProtocolVersion, kind: Kind) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let builder = match kind {
        Kind::WantsClients => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(leaf(&certified(9)).clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap())
        }
        _ => builder.with_no_client_auth(),
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_cert_resolver(shown)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let kept = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if matches!(kind, Kind::Postgres | Kind::PostgresWithoutTls) {
                let mut request = [0; 8];
                stream.read_exact(&mut request).await.unwrap();
                assert_eq!(request, SSL_REQUEST);
                stream.write_all(if kind == Kind::Postgres { b"S" } else { b"N" }).await.unwrap();
            }
            let Ok(mut tls) = acceptor.accept(stream).await else { continue };
            let mut rest = Vec::new();
            let _ = tls.read_to_end(&mut rest).await;
            kept.lock().unwrap().extend(rest);
        }
    });
    (address, received)
}

fn probe(address: SocketAddr, starttls: Option<StartTls>, within: Duration) -> Probe {
    let name = "web.example".parse().unwrap();
    Probe::new(address.to_string().parse().unwrap(), Some(name), starttls, Some(within)).unwrap()
}

#[tokio::test]
async fn a_service_that_presents_the_delivered_leaf_is_confirmed_by_both_versions_and_hears_nothing_but_the_name() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (delivered, shown) = (certified(1), showing(&certified(1), None));
        *shown.now.lock().unwrap() = delivered.clone();
        let (address, received) = service(shown.clone(), version, Kind::Plain).await;
        probe(address, None, PATIENCE).confirm(leaf(&delivered)).await.unwrap();
        assert_eq!(*shown.names.lock().unwrap(), [Some("web.example".to_owned())]);
        let unnamed = Probe::new(address.to_string().parse().unwrap(), None, None, None).unwrap();
        unnamed.confirm(leaf(&delivered)).await.unwrap();
        assert_eq!(shown.names.lock().unwrap().last().unwrap(), &None);
        assert!(received.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_service_that_takes_a_while_is_looked_at_again() {
    let (before, delivered) = (certified(1), certified(2));
    let shown = showing(&before, Some((3, &delivered)));
    let (address, _) = service(shown.clone(), &rustls::version::TLS13, Kind::Plain).await;
    probe(address, None, PATIENCE).confirm(leaf(&delivered)).await.unwrap();
    assert_eq!(shown.looks.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_service_that_did_not_reload_is_told_with_both_serials() {
    let (before, delivered) = (certified(0x0a01), certified(0x0b02));
    for kind in [Kind::Plain, Kind::WantsClients] {
        let (address, _) = service(showing(&before, None), &rustls::version::TLS12, kind).await;
        let refused = probe(address, None, Duration::from_millis(300)).confirm(leaf(&delivered)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotReloaded);
        let text = refused.to_string();
        let serials = [leaf(&before), leaf(&delivered)].map(|leaf| Certificate::parse(leaf).unwrap().serial().to_string());
        assert!(serials.iter().all(|serial| text.contains(serial)), "{text} {serials:?}");
    }
}

#[tokio::test]
async fn a_leaf_with_the_same_serial_and_other_contents_is_not_the_delivered_one() {
    let (address, _) = service(showing(&certified(7), None), &rustls::version::TLS13, Kind::Plain).await;
    let refused = probe(address, None, Duration::from_millis(300)).confirm(leaf(&certified(7))).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotReloaded);
}

#[tokio::test]
async fn a_service_that_has_the_leaf_and_not_its_key_is_not_confirmed() {
    let (delivered, other) = (certified(1), certified(2));
    let forged = Arc::new(CertifiedKey::new(delivered.cert.clone(), other.key.clone()));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (address, _) = service(showing(&forged, None), version, Kind::Plain).await;
        let refused = probe(address, None, Duration::from_millis(300)).confirm(leaf(&delivered)).await.unwrap_err();
        assert!(
            matches!(
                refused,
                ProbeError::Unreached {
                    why: Unreached::Handshake(_),
                    ..
                }
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_service_that_wants_a_client_certificate_is_confirmed_without_one() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let delivered = certified(1);
        let (address, _) = service(showing(&delivered, None), version, Kind::WantsClients).await;
        probe(address, None, PATIENCE).confirm(leaf(&delivered)).await.unwrap();
    }
}

#[tokio::test]
async fn postgresql_is_asked_for_tls_first() {
    let delivered = certified(1);
    let (address, _) = service(showing(&delivered, None), &rustls::version::TLS13, Kind::Postgres).await;
    probe(address, Some(StartTls::Postgres), PATIENCE).confirm(leaf(&delivered)).await.unwrap();

    let (address, _) = service(showing(&delivered, None), &rustls::version::TLS13, Kind::PostgresWithoutTls).await;
    let refused = probe(address, Some(StartTls::Postgres), Duration::from_millis(300))
        .confirm(leaf(&delivered))
        .await
        .unwrap_err();
    assert!(matches!(refused, ProbeError::Unreached { why: Unreached::NoTls, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_service_that_is_away_silent_or_no_tls_is_given_up_in_time() {
    let delivered = certified(1);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = probe(gone, None, Duration::from_millis(200)).confirm(leaf(&delivered)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ProbeError::Unreached {
                why: Unreached::Connect(_),
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(refused.code(), Code::CannotReach);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = probe(silent.local_addr().unwrap(), None, Duration::from_millis(200))
        .confirm(leaf(&delivered))
        .await
        .unwrap_err();
    assert!(matches!(refused, ProbeError::Unreached { why: Unreached::Silent, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_unix_socket_is_probed_as_a_port_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tls.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let delivered = certified(1);
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_cert_resolver(showing(&delivered, None))));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let probe = Probe::new(format!("unix:{}", path.display()).parse().unwrap(), None, None, Some(PATIENCE)).unwrap();
    probe.confirm(leaf(&delivered)).await.unwrap();
}
