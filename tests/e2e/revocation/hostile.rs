//! A partner that publishes lists which are not its own, old or endless, and a map that says nonsense: nothing of it is believed, and nothing waits for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tests::admin::runtime;
use tests::domain::{Domain, path_text};
use tests::web::Web;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use trust_domains::TrustBundle;

const PARTNER: &str = "hostile.test";

/// What a path answers.
#[derive(Clone)]
enum Answer {
    Document(Vec<u8>),
    Redirect(&'static str),
}

/// A web server that answers whatever the test wants.
struct Site {
    address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    fn start(web: &Web) -> Self {
        let chain = vec![CertificateDer::from_pem_file(&web.certificate).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&web.key).expect("its key");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a server configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("its address");
        let answers: Arc<Mutex<BTreeMap<&'static str, Answer>>> = Arc::default();
        let given = Arc::clone(&answers);
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, given) = (acceptor.clone(), Arc::clone(&given));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let mut asked = Vec::new();
                    let mut octets = [0; 1_024];
                    while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                        match stream.read(&mut octets).await {
                            Ok(read @ 1..) => asked.extend_from_slice(&octets[..read]),
                            _ => return,
                        }
                    }
                    let path = String::from_utf8_lossy(&asked).split(' ').nth(1).unwrap_or_default().to_owned();
                    let answer = given.lock().expect("nobody panicked").get(path.as_str()).cloned();
                    // The client may have had enough: that is for the test to see.
                    let _ = stream.write_all(&told(answer)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            address,
            answers,
            _runtime: runtime,
        }
    }

    fn says(&self, path: &'static str, answer: Answer) {
        self.answers.lock().expect("nobody panicked").insert(path, answer);
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

fn told(answer: Option<Answer>) -> Vec<u8> {
    match answer {
        Some(Answer::Document(document)) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len());
            [head.into_bytes(), document].concat()
        }
        Some(Answer::Redirect(to)) => format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes(),
        None => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
    }
}

/// A root that signs lists; two of one name differ in their keys only.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Issuing CA");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{PARTNER}").try_into().expect("a URI"))];
        let der = params.self_signed(&key).expect("a root").der().to_vec();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    fn bundle(&self) -> String {
        let empty = TrustBundle::new(PARTNER.parse().expect("a trust domain"));
        empty.with_x509_authority(&self.der).expect("a root").to_spiffe_json()
    }

    fn list(&self, number: u64) -> Answer {
        let revoked = RevokedCertParams {
            serial_number: vec![7].into(),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2036, 1, 1),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Answer::Document(params.signed_by(&self.issuer).expect("a list").der().to_vec())
    }
}

#[test]
fn lists_that_are_not_the_partners_newest_change_nothing_and_its_nonsense_holds_nothing_up() {
    let (partner, other) = (Root::new(), Root::new());
    let folder = tests::domain::open_directory();
    let web = Web::issue(folder.path(), "partner");
    let site = Site::start(&web);
    site.says("/", Answer::Document(partner.bundle().into_bytes()));
    site.says("/crls", partner.list(5));
    let home = Domain::start_with(
        "home.test",
        &[
            "--federation-allow-loopback",
            "--federation-web-roots",
            path_text(&web.ca),
            "--emergency-ack-deadline",
            "1s",
        ],
    );
    let _ = home.told(&[
        "federation",
        "create",
        "--trust-domain",
        PARTNER,
        "--url",
        &site.url("/"),
        "--profile",
        "https_web",
        "--crl-url",
        &site.url("/crls"),
    ]);
    let refreshed = || home.told(&["federation", "refresh", PARTNER]);
    let shown = refreshed();
    assert_eq!(
        (&shown["crls"]["lists"], &shown["crls"]["revoked"]),
        (&Value::from(1), &Value::from(1)),
        "{shown}"
    );
    assert!(
        shown["crls"]["delivered"] == true && shown["crls"]["last_error"].is_null() && shown["holds_ours"].is_null(),
        "{shown}"
    );

    for (name, answer, code) in [
        ("another CA of the same name", other.list(6), "crl_refused"),
        ("an older number", partner.list(4), "crl_outdated"),
        ("no list", Answer::Document(b"{}".to_vec()), "crl_refused"),
        ("endless", Answer::Document(vec![b'0'; 4 * 1024 * 1024]), "endpoint_document_too_large"),
        (
            "a way to where no endpoint can be",
            Answer::Redirect("http://127.0.0.1/crls"),
            "endpoint_redirect_refused",
        ),
        (
            "a way to a name inside",
            Answer::Redirect("https://root@127.0.0.1/crls"),
            "endpoint_redirect_refused",
        ),
    ] {
        site.says("/crls", answer);
        let shown = refreshed();
        assert_eq!(shown["crls"]["last_error"]["code"], code, "{name}: {shown}");
        assert_eq!(
            (&shown["crls"]["revoked"], &shown["crls"]["delivered"]),
            (&Value::from(1), &Value::from(true)),
            "{name}: {shown}"
        );
        assert_eq!(shown["status"], "current", "{name}: the bundle is another matter");
    }
    site.says("/crls", partner.list(6));
    assert!(refreshed()["crls"]["last_error"].is_null());

    // It says that it holds another root of ours than there ever was.
    let map = format!("{{\"trust_domains\":{{\"home.test\":{}}}}}", partner.bundle());
    site.says("/bundle-map", Answer::Document(map.into_bytes()));
    let home_relationship = home.told(&["federation", "update", PARTNER, "--crl-url", &site.url("/crls"), "--all-entries"]);
    assert_eq!(home_relationship["trust_domain"], PARTNER);
    assert_eq!(refreshed()["holds_ours"], false);
    let listed = home.told(&["authority", "list"]);
    let roots = listed["items"].as_array().expect("authorities").iter().filter(|one| one["kind"] == "x509-root");
    for root in roots {
        assert_eq!(root["partners_behind"], serde_json::json!([PARTNER]), "{root}");
    }
    // An emergency waits no longer for it than for anybody else, and the new root is shown to be lacking there too.
    let replaced = home.told(&["authority", "replace", "--kind", "x509-root", "--compromised", "--because", "drill", "--yes"]);
    assert!(replaced["finished_at"].is_string() && replaced["outcome"].is_null(), "{replaced}");
    let listed = home.told(&["authority", "list"]);
    let mut roots = listed["items"].as_array().expect("authorities").iter().filter(|one| one["kind"] == "x509-root");
    assert!(
        roots.any(|root| root["state"] == "active" && root["partners_behind"] == serde_json::json!([PARTNER])),
        "{listed}"
    );
    assert_eq!(refreshed()["status"], "current");
}
