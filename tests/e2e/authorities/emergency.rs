//! An issuing CA in other hands: what the thief signs is believed before the replacement and by nobody after it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use spiffe_rustls::LocalOnly;
use tests::admin::runtime;
use tests::domain::{Agent, Domain, path_text};
use tests::envoy::{Envoy, documented, echo_caller, replaced};
use tests::ports::free_port;
use tests::wait::until;
use trust_domains::x509::verify_svid;

use super::thief::{Forged, steal_and_forge};
use super::{bundle, id_of, node_with_identity, replace};
use crate::mtls_service::{Caller, serve_under, source};

/// The trust domain of the page with Envoy's configurations.
const TRUST_DOMAIN: &str = "prod.example.org";

/// Whom every service here admits, and whom the thief plays.
const CLIENT: &str = "spiffe://prod.example.org/client";

/// The user of Envoy.
const WEB_UID: u32 = 4_911;

/// What is asked of the services of Go and Rust.
const HELLO: &str = "hello\n";

/// A request that Envoy passes on.
const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";

/// A service in Go, by go-spiffe. It ends with its standard input.
struct GoService {
    child: Child,
    address: SocketAddr,
}

impl GoService {
    fn start(agent: &Agent) -> Self {
        let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let client = std::env::var_os("TROTH_GO_CLIENT").map_or_else(|| checkout.join("build/go-client"), PathBuf::from);
        let mut command = Command::new(&client);
        command.args(["serve", path_text(&agent.socket), CLIENT]).env_remove("SPIFFE_ENDPOINT_SOCKET");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}; build it: tests/run e2e", client.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let address = said["address"].as_str().expect("an address").parse().expect("an address");
        Self { child, address }
    }
}

impl Drop for GoService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an Envoy in front of an echo, with the configuration of the page, and returns where it speaks mTLS.
fn envoy(domain: &Domain, agent: &Agent) -> (Envoy, SocketAddr) {
    domain.fast_entry("n1", "/web", WEB_UID, "180s");
    let (admin, service, mtls) = (free_port(), echo_caller().port(), free_port());
    let places = [
        ("/run/troth/workload.sds.sock", path_text(&agent.sds_socket)),
        ("port_value: 9901", &format!("port_value: {admin}")),
        ("0.0.0.0, port_value: 8443", &format!("127.0.0.1, port_value: {mtls}")),
        ("port_value: 8080", &format!("port_value: {service}")),
    ];
    let config = replaced(&documented("web.yaml"), &places);
    let envoy = Envoy::start(domain.folder(), "web", WEB_UID, &config, admin);
    (envoy, SocketAddr::from(([127, 0, 0, 1], mtls)))
}

#[test]
fn what_is_signed_with_a_stolen_issuing_ca_is_believed_before_its_replacement_and_by_nobody_after() {
    let mut domain = Domain::init(TRUST_DOMAIN);
    let forged: Forged = steal_and_forge(&domain, CLIENT);
    domain.start_server();
    let root = id_of(&domain, "x509-root", "active");
    let service = node_with_identity(&domain, "n1", "/service");
    let caller = node_with_identity(&domain, "n2", "/client");
    let (mut web, mtls) = envoy(&domain, &service);
    let _ = web.until_rotated("spiffe://prod.example.org/web", None);
    let go = GoService::start(&service);
    let runtime = runtime();
    let (rust, honest) = runtime.block_on(async {
        let policy = LocalOnly(TRUST_DOMAIN.try_into().expect("a trust domain"));
        let rust = serve_under(source(&service).await, policy, CLIENT).await;
        (rust, Caller::new(source(&caller).await, rust, "spiffe://prod.example.org/service"))
    });
    let services = [("go-spiffe", go.address, HELLO), ("spiffe-rustls", rust, HELLO), ("Envoy", mtls, GET)];
    let believed = |forged: &Forged, service, request| runtime.block_on(forged.is_answered(service, request));
    for (who, service, request) in services {
        until(&format!("{who} to be fooled"), || believed(&forged, service, request).then_some(()));
    }

    let done = domain.operator(&replace("x509-issuing", &["--compromised"])).exits(0);
    assert!(done.stderr.contains("root"), "it says beforehand that the root goes: {}", done.stderr);
    let document = done.json();
    assert_eq!(document["compromised"], true);
    assert!(document["finished_at"].is_string() && document["outcome"].is_null(), "{document}");
    assert_ne!(id_of(&domain, "x509-root", "active"), root);
    let now = bundle(&domain);
    assert_eq!(now.x509_authorities().len(), 1, "the old root is out of the bundle");

    for (who, service, request) in services {
        assert!(!believed(&forged, service, request), "{who} believes the thief still");
    }
    let at = trust_domains::x509::Certificate::parse(&forged.chain[0]).expect("a certificate").not_before();
    assert!(verify_svid(&forged.chain, &now, at).is_err());
    // Who is honest has another certificate by now, and is served as before.
    runtime.block_on(honest.request_until_converted()).expect("the honest caller is served");
    assert_eq!(
        tests::workload::fetch_as(WEB_UID, &service.socket).exits(0).json()["svids"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
