//! The bundle endpoint of a running server.

use std::path::Path;
use std::sync::Arc;

use conformance::covers;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use trust_domains::clock::Clock as _;
use trust_domains::wire::admin::{Health, HealthState};
use trust_domains::wire::bundles::{BundleDeleted, BundleFormat, BundleSet, SetBundle};
use trust_domains::x509::verify_svid;
use trust_domains::{SpiffeBundle, TrustBundle};

use super::world::{DEADLINE, World, until};
use crate::config::RawServerConfig;

/// Writes a certificate for loopback and a host, with its key, and returns its DER.
fn write(directory: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "web.test"].map(str::to_owned);
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("web.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("web.key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn options(directory: &Path) -> RawServerConfig {
    RawServerConfig {
        bundle_listen: Some("127.0.0.1:0".to_owned()),
        bundle_cert: Some(directory.join("web.pem").display().to_string()),
        bundle_key: Some(directory.join("web.key").display().to_string()),
        jwt_issuer: Some("https://id.example.org".to_owned()),
        enable: Some(vec!["wit".to_owned()]),
        ..RawServerConfig::default()
    }
}

async fn world(directory: &Path) -> World {
    World::with(options(directory)).await
}

/// Asks for a path over TLS; nothing while the certificate is not the one that is believed.
async fn asked(world: &World, believed: &CertificateDer<'static>, path: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(platform::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(world.bundle_address().unwrap()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    Some(said(stream, path).await)
}

/// Asks over a connection, and reads to its end.
async fn said(mut stream: TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Connects by a host name, or by none where it is an address, and believes whatever is shown.
async fn shown(world: &World, host: &'static str, version: &'static SupportedProtocolVersion) -> (Vec<CertificateDer<'static>>, TlsStream<TcpStream>) {
    let config = ClientConfig::builder_with_provider(platform::tls::provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    let stream = TcpStream::connect(world.bundle_address().unwrap()).await.unwrap();
    let name = ServerName::try_from(host).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    (stream.get_ref().1.peer_certificates().unwrap().to_vec(), stream)
}

/// Believes every certificate, and asks for the proof of its key: which one is shown is what the tests look at.
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, &platform::tls::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &platform::tls::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        platform::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn own_bundle(world: &World) -> TrustBundle {
    world.admin.get::<SpiffeBundle>("/v1/admin/bundle").await.unwrap().into_bundle()
}

async fn problems(world: &World) -> Vec<String> {
    world.admin.get::<Health>("/v1/admin/health").await.unwrap().problems
}

/// Asks until there is an answer.
async fn answered(world: &World, believed: &CertificateDer<'static>, path: &str) -> String {
    until(async || asked(world, believed, path).await).await
}

fn body(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1
}

#[covers("WIT-13", "WIT-22", "WAPI-17")]
#[tokio::test]
async fn strangers_read_the_bundle_and_the_keys_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = write(directory.path());
    let world = world(directory.path()).await;
    let bundle: SpiffeBundle = world.admin.get("/v1/admin/bundle").await.unwrap();
    let served = answered(&world, &certificate, "/").await;
    assert_eq!(body(&served), bundle.bundle().to_spiffe_json());
    let served = answered(&world, &certificate, "/keys").await;
    let keys: Value = serde_json::from_str(body(&served)).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let [wit] = bundle.bundle().wit_authorities() else { panic!("{bundle:?}") };
    assert_ne!(
        keys["keys"][0]["kid"].as_str(),
        wit.key_id(),
        "a relying party of OpenID Connect never sees a key of WIT-SVIDs"
    );
    for path in ["/v1/admin/entries", "/v1/node/sync", "/openapi.json", "/metrics"] {
        assert!(answered(&world, &certificate, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn a_server_starts_without_its_web_certificate_and_says_so_until_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let world = world(directory.path()).await;
    let state = async |expected: HealthState| {
        until(async || {
            let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
            (health.state == expected).then_some(())
        })
        .await;
    };
    let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
    assert_eq!(health.state, HealthState::Degraded, "from the first moment");
    let [problem] = health.problems.as_slice() else { panic!("{health:?}") };
    assert!(problem.contains("web.pem") && problem.contains("no certificate of the web until"), "{problem}");
    assert!(!problem.contains("the one before stays"), "there was none before: {problem}");
    let certificate = write(directory.path());
    answered(&world, &certificate, "/").await;
    state(HealthState::Ready).await;
    std::fs::remove_file(directory.path().join("web.pem")).unwrap();
    state(HealthState::Degraded).await;
    let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
    assert!(health.problems[0].contains("the one before stays"), "{health:?}");
    answered(&world, &certificate, "/").await;
}

#[tokio::test]
async fn a_good_web_certificate_is_shown_to_the_first_who_asks() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = write(directory.path());
    let world = world(directory.path()).await;
    assert!(asked(&world, &certificate, "/").await.is_some(), "without a second try");
    let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
    assert_eq!(health.state, HealthState::Ready);
}

#[covers("FED-07", "FED-08", "FED-14", "FED-22")]
#[tokio::test]
async fn both_profiles_are_on_one_listener_by_the_host_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let web = write(directory.path());
    let both = World::with(RawServerConfig {
        bundle_profile: Some("https_spiffe".to_owned()),
        bundle_url: Some("https://bundle.test:8444/".to_owned()),
        ..options(directory.path())
    })
    .await;
    let bundle = own_bundle(&both).await;
    for version in [&TLS12, &TLS13] {
        for host in ["bundle.test", "localhost", "127.0.0.1"] {
            let (chain, stream) = shown(&both, host, version).await;
            let peer = verify_svid(&chain, &bundle, both.clock.now().wall).unwrap();
            assert_eq!(peer.spiffe_id().as_str(), "spiffe://example.org/troth/server", "{host}");
            assert_eq!((chain.len(), bundle.x509_ders().next()), (3, chain.last()), "the root is appended");
            assert_eq!(body(&said(stream, "/").await), bundle.to_spiffe_json());
        }
        let (chain, stream) = shown(&both, "web.test", version).await;
        assert_eq!(chain, std::slice::from_ref(&web));
        assert_eq!(body(&said(stream, "/").await), bundle.to_spiffe_json());
    }
    assert_eq!(problems(&both).await, Vec::<String>::new());

    let web_only = both.restarted_with(options(directory.path())).await;
    for host in ["bundle.test", "127.0.0.1", "web.test"] {
        assert_eq!(
            shown(&web_only, host, &TLS13).await.0,
            std::slice::from_ref(&web),
            "{host}: one profile never stands in for the other"
        );
    }
    let svid_only = web_only
        .restarted_with(RawServerConfig {
            bundle_listen: Some("127.0.0.1:0".to_owned()),
            ..RawServerConfig::default()
        })
        .await;
    for host in ["bundle.test", "127.0.0.1", "web.test"] {
        let (chain, _) = shown(&svid_only, host, &TLS12).await;
        verify_svid(&chain, &own_bundle(&svid_only).await, svid_only.clock.now().wall).unwrap();
    }
}

#[covers("FED-22")]
#[tokio::test]
async fn a_renewed_svid_is_shown_to_the_next_who_asks() {
    let world = World::with(RawServerConfig {
        bundle_listen: Some("127.0.0.1:0".to_owned()),
        ..RawServerConfig::default()
    })
    .await;
    let (first, _) = shown(&world, "127.0.0.1", &TLS13).await;
    // The SVID lives for a day, and is renewed before half of that is over.
    world.clock.advance(std::time::Duration::from_secs(13 * 60 * 60));
    let second = until(async || {
        let (chain, _) = shown(&world, "127.0.0.1", &TLS13).await;
        (chain[0] != first[0]).then_some(chain)
    })
    .await;
    verify_svid(&second, &own_bundle(&world).await, world.clock.now().wall).unwrap();
}

#[covers("FED-13")]
#[tokio::test]
async fn a_url_whose_host_is_shown_the_wrong_certificate_is_a_problem_until_the_files_change() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path());
    let world = World::with(RawServerConfig {
        bundle_profile: Some("https_spiffe".to_owned()),
        bundle_url: Some("https://web.test:8444/".to_owned()),
        ..options(directory.path())
    })
    .await;
    let told = problems(&world).await;
    assert!(
        matches!(told.as_slice(), [problem] if problem.contains("both profiles need two host names")),
        "{told:?}"
    );
    let key = KeyPair::generate().unwrap();
    let other = CertificateParams::new(vec!["other.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.path().join("web.pem"), other.pem()).unwrap();
    std::fs::write(directory.path().join("web.key"), key.serialize_pem()).unwrap();
    until(async || problems(&world).await.is_empty().then_some(())).await;
}

async fn map(world: &World) -> Option<(String, Value)> {
    let answer = said(shown(world, "127.0.0.1", &TLS13).await.1, "/bundle-map").await;
    let (head, document) = answer.split_once("\r\n\r\n").unwrap();
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: "))?;
    Some((tag.to_owned(), serde_json::from_str(document).unwrap()))
}

#[covers("BUN-12", "BUN-14")]
#[tokio::test]
async fn the_bundle_map_follows_the_own_bundle_and_those_of_partners() {
    let world = World::with(RawServerConfig {
        bundle_listen: Some("127.0.0.1:0".to_owned()),
        ..RawServerConfig::default()
    })
    .await;
    let names = |map: &Value| map["trust_domains"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (first, alone) = map(&world).await.unwrap();
    assert_eq!(names(&alone), ["example.org"]);
    let document = r#"{"keys":[],"spiffe_sequence":4,"spiffe_refresh_hint":9}"#.to_owned();
    let set = SetBundle {
        format: BundleFormat::Spiffe,
        document,
    };
    let _: BundleSet = world.admin.call(http::Method::PUT, "/v1/admin/bundles/partner.test", Some(&set)).await.unwrap();
    let (second, with) = map(&world).await.unwrap();
    assert_eq!(
        names(&with),
        ["example.org", "partner.test"],
        "the answer to an operator's call says that it shows"
    );
    assert_eq!(with["trust_domains"]["partner.test"]["spiffe_sequence"], 4);
    assert!(!with.to_string().contains("refresh_hint"), "{with}");
    let mut own: Value = serde_json::from_str(&own_bundle(&world).await.to_spiffe_json()).unwrap();
    own.as_object_mut().unwrap().remove("spiffe_refresh_hint");
    assert_eq!(with["trust_domains"]["example.org"], own);
    assert_ne!(first, second);
    assert_eq!(map(&world).await.unwrap(), (second.clone(), with), "nothing changed");

    let prepare = serde_json::json!({"kind": "jwt"});
    let _: Value = world.admin.post("/v1/admin/authorities/prepare", &prepare).await.unwrap();
    let published = until(async || {
        let (third, published) = map(&world).await.unwrap();
        (third != second).then_some(published)
    })
    .await;
    let keys = |map: &Value| map["trust_domains"]["example.org"]["keys"].as_array().unwrap().len();
    assert_eq!(keys(&published), keys(&alone) + 1);

    let _: BundleDeleted = world.admin.delete("/v1/admin/bundles/partner.test?entries=refuse").await.unwrap();
    assert_eq!(names(&map(&world).await.unwrap().1), ["example.org"]);
    let silent = world
        .restarted_with(RawServerConfig {
            bundle_listen: Some("127.0.0.1:0".to_owned()),
            no_bundle_map: Some(true),
            ..RawServerConfig::default()
        })
        .await;
    assert_eq!(map(&silent).await, None);
}
