//! The bundle endpoint of a running server.

use std::path::Path;
use std::sync::Arc;

use conformance::covers;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use trust_domains::SpiffeBundle;
use trust_domains::wire::admin::{Health, HealthState};

use super::world::{DEADLINE, World, until};
use crate::config::RawServerConfig;

/// Writes a certificate for loopback and its key, and returns its DER.
fn write(directory: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("web.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("web.key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

async fn world(directory: &Path) -> World {
    World::with(RawServerConfig {
        bundle_listen: Some("127.0.0.1:0".to_owned()),
        bundle_cert: Some(directory.join("web.pem").display().to_string()),
        bundle_key: Some(directory.join("web.key").display().to_string()),
        jwt_issuer: Some("https://id.example.org".to_owned()),
        enable: Some(vec!["wit".to_owned()]),
        ..RawServerConfig::default()
    })
    .await
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
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    Some(answer)
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
