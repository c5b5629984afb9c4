//! A thousand partners: how their fetches are spread, and what they cost the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use platform::tls::{TlsIdentity, provider};
use platform::unix_http::UnixHttpClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use trust_domains::TrustBundle;
use trust_domains::federation::PartnerState;
use trust_domains::wire::admin::Page;
use trust_domains::wire::federation::{RelationshipSaved, RelationshipView};

use super::meter::{cpu_of, micros, resident_mb};
use super::node::admin;
use super::report::{Figure, Value};
use super::subject::Effort;
use crate::admin::runtime;
use crate::domain::{Domain, path_text};
use crate::wait::until;
use crate::web::Web;

/// Partners.
const PARTNERS: usize = 1_000;

/// How often each wants to be fetched: the most often that a server fetches.
const HINT: Duration = Duration::from_secs(30);

/// Two rounds of fetches at least.
const LEAST: Duration = Duration::from_secs(60);

/// When bundles were asked for.
type Asked = Arc<Mutex<Vec<Instant>>>;

/// All partners on one address, each at a path of its own.
pub(super) fn fetches(effort: Effort) -> Figure {
    let (folder, runtime) = (crate::domain::open_directory(), runtime());
    let web = Web::issue(folder.path(), "partners");
    let (port, asked) = runtime.block_on(serve(&web));
    let mut domain = Domain::start_with("load.test", &["--federation-allow-loopback", "--federation-web-roots", path_text(&web.ca)]);
    let before = resident_mb(domain.server());
    let admin = admin(&domain);
    let begun = Instant::now();
    runtime.block_on(create_all(&admin, port));
    until("every partner's bundle", || runtime.block_on(all_current(&admin)).then_some(()));
    let ready = begun.elapsed();

    let (cpu, length) = (cpu_of(domain.server()), Duration::from_secs(effort.seconds).max(LEAST));
    let start = Instant::now();
    runtime.block_on(tokio::time::sleep(length));
    let cpu = cpu_of(domain.server()) - cpu;
    let after = resident_mb(domain.server());
    let times: Vec<Instant> = asked.lock().expect("no panic").iter().copied().filter(|at| *at >= start).collect();
    let most = most_in_a_second(&times, start);
    assert!(!times.is_empty(), "nothing was fetched");
    Figure {
        id: "partners",
        what: "1,000 partners, fetched every 30 s",
        how: format!(
            "{PARTNERS} relationships by https_web with endpoints on this machine, set up one after the other; then fetches for {} s, each a new connection and an answer that nothing has changed; the journal and idle work of the server are in its CPU",
            length.as_secs()
        ),
        values: vec![
            Value::plain("set up and fetched", ready.as_secs_f64(), "s"),
            Value::plain("fetches a second", times.len() as f64 / length.as_secs_f64(), ""),
            Value::plain("most in one second", most as f64, ""),
            Value::plain("server CPU a fetch", micros(cpu) / times.len() as f64, "us"),
            Value::plain("server CPU of one core", 100.0 * cpu.as_secs_f64() / length.as_secs_f64(), "%"),
            Value::plain("server memory before", before.all, "MB"),
            Value::plain("server memory after", after.all, "MB"),
        ],
    }
}

fn most_in_a_second(times: &[Instant], start: Instant) -> usize {
    let mut counts = std::collections::HashMap::<u64, usize>::new();
    for at in times {
        *counts.entry(at.duration_since(start).as_secs()).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default()
}

async fn create_all(admin: &UnixHttpClient, port: u16) {
    for number in 0..PARTNERS {
        let request = serde_json::json!({
            "trust_domain": format!("p{number}.test"), "url": format!("https://127.0.0.1:{port}/p{number}.test"), "profile": "https_web"
        });
        let _: RelationshipSaved = admin.post("/v1/admin/federation", &request).await.expect("a relationship");
    }
}

async fn all_current(admin: &UnixHttpClient) -> bool {
    let page: Page<RelationshipView> = admin.get("/v1/admin/federation").await.expect("a list");
    page.items.len() == PARTNERS && page.items.iter().all(|partner| partner.fetching.status == PartnerState::Current)
}

/// Serves every partner's bundle; returns the port, and when each was asked for.
async fn serve(web: &Web) -> (u16, Asked) {
    let certificate = CertificateDer::from_pem_file(&web.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&web.key).expect("a key");
    let identity = TlsIdentity::new(&[certificate], key.secret_der()).expect("an identity");
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (asked, root) = (Asked::default(), root());
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, asked, root) = (acceptor.clone(), Arc::clone(&noted), root.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(octet) = stream.read_u8().await else { return };
                    head.push(octet);
                }
                asked.lock().expect("no panic").push(Instant::now());
                let answer = answer(&String::from_utf8_lossy(&head), &root);
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, asked)
}

/// The bundle of the partner whose name is the path, unless the request has it.
fn answer(head: &str, root: &[u8]) -> String {
    if head.to_ascii_lowercase().contains("if-none-match") {
        return "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_owned();
    }
    let name = head.split([' ', '/']).nth(2).unwrap_or_default();
    let bundle = TrustBundle::new(name.parse().expect("a trust domain"));
    let bundle = bundle.with_x509_authority(root).expect("a root").with_sequence(1).with_refresh_hint(HINT);
    let body = bundle.to_spiffe_json();
    format!(
        "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn root() -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.self_signed(&KeyPair::generate().expect("a key")).expect("a root").der().to_vec()
}
