//! Envoy as a gateway: it verifies tokens with the keys of the bundle endpoint, and tells the service whose they are.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use tests::admin::runtime;
use tests::domain::{Domain, path_text};
use tests::envoy::{Envoy, documented, echo_caller, replaced};
use tests::https::{exchange, roots};
use tests::ports::free_port;
use tests::wait::until;
use tests::web::Web;

const GATEWAY_UID: u32 = 4_904;
const AUDIENCE: &str = "https://api.example.org";

/// The trust domain of the page with its gateway and the service behind that.
struct Gateway {
    domain: Domain,
    _envoy: Envoy,
    entrance: SocketAddr,
    roots: Arc<RootCertStore>,
}

impl Gateway {
    fn start() -> Self {
        let mut domain = Domain::init("prod.example.org");
        let web = Web::issue(domain.folder(), "gateway");
        let keys = web.endpoint(&mut domain);
        let issuer = [
            "--jwt-issuer",
            "https://id.example.org",
            "--bundle-refresh-hint",
            "1s",
            "--jwt-algorithm",
            "es256",
        ];
        domain.options.extend(issuer.map(str::to_owned));
        domain.start_server();
        let (admin, entrance, service) = (free_port(), free_port(), echo_caller().port());
        let (_, keys_port) = keys.split_once(':').expect("a port");
        let config = replaced(
            &documented("gateway.yaml"),
            &[
                ("/etc/envoy/api.pem", path_text(&web.certificate)),
                ("/etc/envoy/api.key", path_text(&web.key)),
                ("port_value: 9903", &format!("port_value: {admin}")),
                ("0.0.0.0, port_value: 8445", &format!("127.0.0.1, port_value: {entrance}")),
                ("port_value: 8080", &format!("port_value: {service}")),
                (
                    "address: id.example.org, port_value: 8444",
                    &format!("address: 127.0.0.1, port_value: {keys_port}"),
                ),
                ("/etc/ssl/certs/ca-certificates.crt", path_text(&web.ca)),
                ("cache_duration: 300s", "cache_duration: 1s"),
            ],
        );
        let envoy = Envoy::start(domain.folder(), "gateway", GATEWAY_UID, &config, admin);
        Self {
            domain,
            _envoy: envoy,
            entrance: SocketAddr::from(([127, 0, 0, 1], entrance)),
            roots: roots(&web.ca).expect("the web CA"),
        }
    }

    fn mint(&self, audience: &str) -> String {
        let minted = self
            .domain
            .told(&["svid", "mint", "jwt", "--spiffe-id", "/batch", "--audience", audience, "--ttl", "2m"]);
        minted["token"].as_str().expect("a token").to_owned()
    }

    /// Asks as somebody with this token who also claims to be an administrator; returns the status and what the service was told.
    fn ask(&self, token: Option<&str>) -> Option<(u16, String)> {
        let mut request = http::Request::get("https://api.example.org/");
        request = request.header("x-principal", "spiffe://prod.example.org/admin");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Vec::new()).expect("a request");
        let answer = runtime().block_on(exchange(Arc::clone(&self.roots), self.entrance, request)).ok()?;
        Some((answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned()))
    }
}

#[test]
fn a_gateway_verifies_tokens_and_tells_the_service_whose_they_are() {
    let mut gateway = Gateway::start();
    let token = gateway.mint(AUDIENCE);
    let (status, told) = until("a request through the gateway", || gateway.ask(Some(&token)));
    assert_eq!((status, told.as_str()), (200, "x-principal: spiffe://prod.example.org/batch"));

    // No token, one for somebody else, one that was changed: none of them comes to the service, whoever they claim to be.
    let other = gateway.mint("https://other.example.org");
    let mut forged = gateway.mint(AUDIENCE).into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("text");
    for (bad, expected) in [(None, 401), (Some(other.as_str()), 403), (Some(forged.as_str()), 401)] {
        let (status, told) = gateway.ask(bad).expect("an answer");
        assert_eq!(status, expected, "{told}");
        assert!(!told.contains("x-principal"), "{told}");
    }

    // Another key signs, of another algorithm too: each token is accepted at once, those of before as well.
    let _ = gateway.domain.server().terminate();
    let algorithm = gateway.domain.options.last_mut().expect("the algorithm");
    "rs256".clone_into(algorithm);
    gateway.domain.start_server();
    until("a token of the new key", || {
        let fresh = gateway.mint(AUDIENCE);
        let answer = gateway.ask(Some(&fresh)).expect("an answer");
        assert_eq!(answer.0, 200, "{}", answer.1);
        // RSA's signatures are four times as long.
        (fresh.len() > token.len() + 200).then_some(())
    });
    assert_eq!(gateway.ask(Some(&token)).expect("an answer").0, 200);
}
