//! A trust domain in memory and a server on loopback, for tests of this module.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SanType,
};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust_domains::Serial;
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::ManualClock;
use trust_domains::crl::{Crl, CrlIssuer, CrlSet};
use trust_domains::join_link::ServerAddress;
use trust_domains::timestamp::Timestamp;

use super::{
    AcceptLimits, Connection, ConnectionInfo, NodeClientVerifier, ServerTrust, ServerVerifier, TlsIdentity, TlsServer, client_config, connect, server_config,
};

/// 2026-11-22T09:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

pub(super) const TD: &str = "prod.example";

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A root and an issuing CA.
pub(super) struct Ca {
    pub(super) root_der: Vec<u8>,
    issuing_der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(super) fn new(trust_domain: &str) -> Self {
        let (root_params, root_key) = (ca_params(trust_domain, BasicConstraints::Unconstrained), KeyPair::generate().unwrap());
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = (ca_params(trust_domain, BasicConstraints::Constrained(0)), KeyPair::generate().unwrap());
        let issuing = params.signed_by(&key, &root_issuer).unwrap();
        Self {
            root_der: root.der().to_vec(),
            issuing_der: issuing.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An SVID for `spiffe://TD/path` that lives for `life`, with the root at the end of its chain.
    pub(super) fn identity(&self, spiffe_id: &str, life: Duration) -> TlsIdentity {
        let mut params = params(life);
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        assert!(!key.der_bytes().is_empty());
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        TlsIdentity::new(&[leaf.der().to_vec(), self.issuing_der.clone(), self.root_der.clone()], &key.serialize_der()).unwrap()
    }

    pub(super) fn server_identity(&self) -> TlsIdentity {
        self.identity(&format!("spiffe://{TD}/troth/server"), Duration::from_secs(86_400))
    }

    pub(super) fn node_identity(&self) -> TlsIdentity {
        self.identity(&format!("spiffe://{TD}/troth/agent/join_token/web-1"), Duration::from_secs(3_600))
    }

    /// The list of the issuing CA with one serial.
    pub(super) fn revoking(&self, serial: &Serial) -> CrlSet {
        let now = NOW.to_offset_date_time();
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: (NOW + Duration::from_secs(86_400)).to_offset_date_time(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: serial.as_bytes().to_vec().into(),
                revocation_time: now,
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap().der().to_vec();
        CrlSet::new([(CrlIssuer::parse(self.issuing_der.clone()).unwrap(), Crl::parse(list).unwrap())]).unwrap()
    }

    pub(super) fn bundle(&self) -> Arc<ArcSwap<TrustBundle>> {
        Arc::new(ArcSwap::from_pointee(
            TrustBundle::new(TD.parse().unwrap()).with_x509_authority(&self.root_der).unwrap(),
        ))
    }
}

fn ca_params(trust_domain: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = params(Duration::from_secs(30 * 86_400));
    params.distinguished_name.push(DnType::CommonName, format!("{constraints:?}"));
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into().unwrap())];
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + life).to_offset_date_time();
    params
}

/// A server on loopback that tells of each request's connection.
pub(super) struct World {
    pub(super) ca: Ca,
    pub(super) clock: ManualClock,
    pub(super) address: SocketAddr,
    pub(super) seen: mpsc::UnboundedReceiver<Arc<ConnectionInfo>>,
    pub(super) config: watch::Sender<Arc<ServerConfig>>,
    pub(super) verifier: Arc<NodeClientVerifier>,
    pub(super) shutdown: CancellationToken,
    pub(super) server: JoinHandle<()>,
}

impl World {
    pub(super) async fn new(limits: AcceptLimits) -> Self {
        let (ca, clock) = (Ca::new(TD), ManualClock::new(NOW));
        let verifier = Arc::new(NodeClientVerifier::new(ca.bundle(), clock.shared()));
        let (config, watched) = watch::channel(server_config(&ca.server_identity(), verifier.clone()).unwrap());
        let (tell, seen) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = TlsServer {
            config: watched,
            verifier: verifier.clone(),
            router: router(tell),
            limits,
            clock: clock.shared(),
        };
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            ca,
            clock,
            address,
            seen,
            config,
            verifier,
            shutdown,
            server,
        }
    }

    pub(super) fn server_address(&self) -> ServerAddress {
        self.address.to_string().parse().unwrap()
    }

    pub(super) fn trust(&self) -> Arc<ServerVerifier> {
        Arc::new(ServerVerifier::new(ServerTrust::Bundle(self.ca.bundle()), self.clock.shared()))
    }

    pub(super) async fn connect(&self, identity: Option<&TlsIdentity>) -> Connection {
        connect(&self.server_address(), client_config(identity, self.trust()).unwrap(), DEADLINE)
            .await
            .unwrap()
    }

    /// Asks once, and returns what the server saw of the connection.
    pub(super) async fn ask(&mut self, connection: &Connection) -> Arc<ConnectionInfo> {
        assert_eq!(get_text(connection, "/").await.unwrap(), "hello");
        self.seen.recv().await.unwrap()
    }
}

pub(super) async fn get_text(connection: &Connection, path: &str) -> Result<String, hyper::Error> {
    let response = connection.send(Request::get(path).body(Full::default()).unwrap()).await?;
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec()).unwrap())
}

fn router(tell: mpsc::UnboundedSender<Arc<ConnectionInfo>>) -> Router {
    let hello = move |Extension(info): Extension<Arc<ConnectionInfo>>| async move {
        tell.send(info).unwrap();
        "hello"
    };
    // A stream that is open until its connection is told to end, and then says a last word.
    let stream =
        |Extension(info): Extension<Arc<ConnectionInfo>>| async move { Body::new(LastWord(Box::pin(async move { info.close.cancelled().await }), false)) };
    Router::new()
        .route("/", get(hello))
        .route("/stream", get(stream))
        .route("/hang", get(std::future::pending::<()>))
}

struct LastWord(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, bool);

impl http_body::Body for LastWord {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if self.1 {
            return std::task::Poll::Ready(None);
        }
        self.0.as_mut().poll(cx).map(|()| {
            self.1 = true;
            Some(Ok(http_body::Frame::data(Bytes::from_static(b"bye"))))
        })
    }
}
