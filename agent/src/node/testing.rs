//! A server in miniature, for tests: real TLS, a real CA, possession really checked; no registry and no store.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::StatusCode;
use platform::tls::{AcceptLimits, ConnectionInfo, NodeClientVerifier, TlsIdentity, TlsServer, server_config};
use platform::trace::problem_response;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::ManualClock;
use trust_domains::join_link::{JoinLink, JoinToken, RootHash};
use trust_domains::problem::{Code, Problem};
use trust_domains::public_key::{KeyHash, PublicKey};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{
    Ack, AttestRequest, Evidence, IssueRequest, IssueResponse, IssueResult, IssuedLeaf, NodeCredential, NodeEntry, RenewExpiredRequest, RenewRequest,
    SyncMessage, possession_message,
};
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, IssueWitRequest, IssuedToken, TokenResult, wit_possession_message};
use trust_domains::x509::Certificate;
use trust_domains::{Revision, SpiffeId, Timestamp, TrustBundle};

use crate::jwt_svids::testing::{KEY_ID, TOKEN_LIFE, token, with_keys};
use crate::wit_svids::testing::{Lie, WIT_KEY_ID, WIT_LIFE, WitToken, with_wit_keys};

/// The trust domain of the server.
pub(crate) const TD: &str = "td.example";

/// When everything begins.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

/// The life of node SVIDs.
pub(crate) const NODE_TTL: Duration = Duration::from_secs(3_600);

/// A root and an issuing CA.
pub(crate) struct Ca {
    root_der: Vec<u8>,
    issuing_der: Vec<u8>,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let (root_params, root_key) = (ca_params(BasicConstraints::Unconstrained), rcgen::KeyPair::generate().unwrap());
        let root_der = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let root = Issuer::new(root_params, root_key);
        let (params, key) = (ca_params(BasicConstraints::Constrained(0)), rcgen::KeyPair::generate().unwrap());
        let issuing_der = params.signed_by(&key, &root).unwrap().der().to_vec();
        Self {
            root_der,
            issuing_der,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        let roots = TrustBundle::new(TD.parse().unwrap()).with_x509_authority(&self.root_der).unwrap();
        with_wit_keys(&with_keys(&roots, &[KEY_ID]), &[WIT_KEY_ID])
    }

    pub(crate) fn root_hash(&self) -> RootHash {
        RootHash::of_der(&self.root_der)
    }

    /// Signs an SVID for the key that lives from `now` for `life`.
    pub(crate) fn sign(&self, spiffe_id: &str, spki: &[u8], now: Timestamp, life: Duration) -> Vec<u8> {
        let mut params = params(now, life);
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params
            .signed_by(&SubjectPublicKeyInfo::from_der(spki).unwrap(), &self.issuer)
            .unwrap()
            .der()
            .to_vec()
    }

    fn tls_identity(&self, spiffe_id: &str) -> TlsIdentity {
        let key = crate::node::KeyPair::generate().unwrap();
        let leaf = self.sign(spiffe_id, key.public().spki(), NOW, Duration::from_secs(30 * 86_400));
        TlsIdentity::new(&[leaf, self.issuing_der.clone(), self.root_der.clone()], key.pkcs8()).unwrap()
    }
}

fn ca_params(constraints: BasicConstraints) -> CertificateParams {
    let mut params = params(NOW, Duration::from_secs(365 * 86_400));
    params.distinguished_name.push(DnType::CommonName, format!("{constraints:?}"));
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{TD}").try_into().unwrap())];
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = (now - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (now + life).to_offset_date_time();
    params
}

/// What the server knows and saw.
pub(crate) struct Seen {
    ca: Mutex<Arc<Ca>>,
    clock: ManualClock,
    token: JoinToken,
    /// The paths called.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Refusals by path.
    pub(crate) refuse: Mutex<HashMap<String, Code>>,
    /// Keys that attested, in order.
    pub(crate) attested: Mutex<Vec<KeyHash>>,
    /// Keys that opened a sync stream, in order.
    pub(crate) synced: Mutex<Vec<KeyHash>>,
    /// The query of each sync stream.
    pub(crate) resumed: Mutex<Vec<String>>,
    /// What was acknowledged.
    pub(crate) acks: watch::Sender<Option<Revision>>,
    /// The entries: the snapshot of every new stream.
    pub(crate) entries: Mutex<Vec<NodeEntry>>,
    /// The commit that the snapshot shows.
    pub(crate) revision: Mutex<u64>,
    /// Says something on the open stream.
    pub(crate) stream: Mutex<Option<mpsc::Sender<Bytes>>>,
    /// Serials of what was issued to workloads.
    pub(crate) issued: Mutex<Vec<trust_domains::Serial>>,
    /// The audiences that tokens were issued for.
    pub(crate) tokens: Mutex<Vec<Vec<String>>>,
    /// The token that is given to everybody, in place of the right one.
    pub(crate) lie: Mutex<Option<String>>,
    /// The keys that WIT-SVIDs were issued for, in order.
    pub(crate) wit_keys: Mutex<Vec<KeyHash>>,
    /// What is made of every WIT-SVID before it is signed.
    pub(crate) wit_lie: Mutex<Option<Lie>>,
    /// The whole answer to attest is lost this often.
    pub(crate) lose_answers: Mutex<u32>,
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) seen: Arc<Seen>,
    pub(crate) clock: ManualClock,
    address: String,
    tls: watch::Sender<Arc<rustls::ServerConfig>>,
    verifier: Arc<NodeClientVerifier>,
    bundle: Arc<ArcSwap<TrustBundle>>,
    shutdown: CancellationToken,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl TestServer {
    /// Starts the server of the trust domain.
    pub(crate) async fn start() -> Self {
        Self::start_as(&format!("spiffe://{TD}/troth/server")).await
    }

    /// Starts a process with another identity in the server's place.
    pub(crate) async fn start_as(spiffe_id: &str) -> Self {
        let (ca, clock) = (Ca::new(), ManualClock::new(NOW));
        let bundle = Arc::new(ArcSwap::from_pointee(ca.bundle()));
        let verifier = Arc::new(NodeClientVerifier::new(bundle.clone(), clock.shared()));
        let (tls, config) = watch::channel(server_config(&ca.tls_identity(spiffe_id), verifier.clone()).unwrap());
        let seen = Arc::new(Seen {
            ca: Mutex::new(Arc::new(ca)),
            clock: clock.clone(),
            token: JoinToken::from_random([7; 32]),
            calls: Mutex::default(),
            refuse: Mutex::default(),
            attested: Mutex::default(),
            synced: Mutex::default(),
            resumed: Mutex::default(),
            acks: watch::Sender::new(None),
            entries: Mutex::default(),
            revision: Mutex::new(1),
            stream: Mutex::default(),
            issued: Mutex::default(),
            tokens: Mutex::default(),
            lie: Mutex::default(),
            wit_keys: Mutex::default(),
            wit_lie: Mutex::default(),
            lose_answers: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shutdown = CancellationToken::new();
        let server = TlsServer {
            config,
            verifier: verifier.clone(),
            router: router(seen.clone()),
            limits: AcceptLimits::default(),
            clock: clock.shared(),
        };
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            seen,
            clock,
            address,
            tls,
            verifier,
            bundle,
            shutdown,
        }
    }

    /// Takes another root and another issuing CA into use, as an emergency does: nothing of before counts any more.
    pub(crate) fn replace_root(&self) {
        let ca = Ca::new();
        self.bundle.store(Arc::new(ca.bundle()));
        let identity = ca.tls_identity(&format!("spiffe://{TD}/troth/server"));
        *self.seen.ca.lock().unwrap() = Arc::new(ca);
        self.tls.send_replace(server_config(&identity, self.verifier.clone()).unwrap());
    }

    pub(crate) fn link(&self) -> JoinLink {
        self.link_with(TD, vec![self.seen.ca().root_hash()])
    }

    pub(crate) fn link_with(&self, trust_domain: &str, roots: Vec<RootHash>) -> JoinLink {
        JoinLink::new(self.address.parse().unwrap(), trust_domain.parse().unwrap(), self.seen.token.clone(), roots).unwrap()
    }

    /// Returns what was called so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.seen.calls.lock().unwrap().clone()
    }

    pub(crate) fn refuse(&self, path: &str, code: Code) {
        self.seen.refuse.lock().unwrap().insert(path.to_owned(), code);
    }

    pub(crate) fn refuse_everything_with(&self, code: Code) {
        for path in ["renew", "renew-expired", "sync", "issue", "ack"] {
            self.refuse(&format!("/v1/node/{path}"), code);
        }
    }

    pub(crate) fn allow_everything(&self) {
        self.seen.refuse.lock().unwrap().clear();
    }

    /// Says something on the open sync stream.
    pub(crate) async fn say(&self, message: &SyncMessage) {
        let stream = self.seen.stream.lock().unwrap().clone().expect("no stream is open");
        stream.send(line(message)).await.unwrap();
    }

    /// Closes the open sync stream.
    pub(crate) fn hang_up(&self) {
        self.seen.stream.lock().unwrap().take();
    }
}

fn line(message: &SyncMessage) -> Bytes {
    let mut line = serde_json::to_vec(message).unwrap();
    line.push(b'\n');
    line.into()
}

fn router(seen: Arc<Seen>) -> Router {
    Router::new()
        .route("/v1/node/attest", post(attest))
        .route("/v1/node/renew", post(renew))
        .route("/v1/node/renew-expired", post(renew_expired))
        .route("/v1/node/sync", get(sync))
        .route("/v1/node/issue", post(issue))
        .route("/v1/node/issue-jwt", post(issue_jwt))
        .route("/v1/node/issue-wit", post(issue_wit))
        .route("/v1/node/ack", post(ack))
        .route("/v1/node/leave", post(|| async { StatusCode::NO_CONTENT }))
        .layer(from_fn_with_state(seen.clone(), note))
        .with_state(seen)
}

async fn note(State(seen): State<Arc<Seen>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    seen.calls.lock().unwrap().push(path.clone());
    let refused = seen.refuse.lock().unwrap().get(&path).copied();
    match refused {
        Some(code) => problem_response(Problem::new(code, "refused by the test")),
        None => next.run(request).await,
    }
}

impl Seen {
    fn ca(&self) -> Arc<Ca> {
        self.ca.lock().unwrap().clone()
    }

    fn credential(&self, spki: &[u8]) -> NodeCredential {
        let now = trust_domains::Clock::now(&self.clock).wall;
        let spiffe_id: SpiffeId = format!("spiffe://{TD}/troth/agent/join_token/web-1").parse().unwrap();
        let leaf = self.ca().sign(spiffe_id.as_str(), spki, now, NODE_TTL);
        NodeCredential {
            spiffe_id,
            chain: vec![Base64(leaf), Base64(self.ca().issuing_der.clone())],
            issued_at: now,
            expires_at: now + NODE_TTL,
            expires_in_s: NODE_TTL.as_secs(),
            bundle: self.ca().bundle().into(),
        }
    }
}

async fn attest(State(seen): State<Arc<Seen>>, Extension(connection): Extension<Arc<ConnectionInfo>>, Json(request): Json<AttestRequest>) -> Response {
    let Evidence::JoinToken { token } = &request.evidence else {
        panic!("these nodes join by a link")
    };
    let key = PublicKey::from_spki(&request.public_key.0).unwrap();
    let message = possession_message(&connection.exporter, key.spki(), token.expose().as_bytes());
    if *token != seen.token || key.verify(&message, &request.proof.0).is_err() {
        return problem_response(Problem::new(Code::AttestationRefused, "the proof is wrong"));
    }
    seen.attested.lock().unwrap().push(key.hash());
    // Whoever joins is known from then on.
    seen.refuse.lock().unwrap().retain(|_, code| *code != Code::NodeUnknown);
    let lost = {
        let mut lose = seen.lose_answers.lock().unwrap();
        let before = *lose;
        *lose = before.saturating_sub(1);
        before > 0
    };
    if lost {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(seen.credential(key.spki())).into_response()
}

async fn renew(State(seen): State<Arc<Seen>>, Extension(connection): Extension<Arc<ConnectionInfo>>, Json(request): Json<RenewRequest>) -> Response {
    let Some(leaf) = &connection.leaf_der else {
        return problem_response(Problem::new(Code::NodeRequired, "no certificate"));
    };
    let key = PublicKey::from_spki(&request.public_key.0).unwrap();
    if key
        .verify(&possession_message(&connection.exporter, key.spki(), leaf), &request.proof.0)
        .is_err()
    {
        return problem_response(Problem::new(Code::AttestationRefused, "the proof is wrong"));
    }
    Json(seen.credential(key.spki())).into_response()
}

async fn renew_expired(
    State(seen): State<Arc<Seen>>,
    Extension(connection): Extension<Arc<ConnectionInfo>>,
    Json(request): Json<RenewExpiredRequest>,
) -> Response {
    let leaf = &request.chain[0].0;
    let (old, new) = (
        PublicKey::from_spki(Certificate::parse(leaf).unwrap().spki()).unwrap(),
        PublicKey::from_spki(&request.public_key.0).unwrap(),
    );
    let message = possession_message(&connection.exporter, new.spki(), leaf);
    let proved = connection.peer.is_none() && old.verify(&message, &request.current_proof.0).is_ok() && new.verify(&message, &request.proof.0).is_ok();
    if proved {
        Json(seen.credential(new.spki())).into_response()
    } else {
        problem_response(Problem::new(Code::AttestationRefused, "the proof is wrong"))
    }
}

async fn sync(State(seen): State<Arc<Seen>>, Extension(connection): Extension<Arc<ConnectionInfo>>, request: Request) -> Response {
    let Some(peer) = &connection.peer else {
        return problem_response(Problem::new(Code::NodeRequired, "no certificate"));
    };
    seen.synced.lock().unwrap().push(*peer.key_hash());
    seen.resumed.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
    let (stream, lines) = mpsc::channel(16);
    let revision = Revision {
        epoch: 1,
        counter: *seen.revision.lock().unwrap(),
    };
    let entries = seen.entries.lock().unwrap().clone();
    stream
        .send(line(&SyncMessage::Snapshot {
            revision,
            entries,
            bundle: Some(seen.ca().bundle().into()),
            federated: Vec::new(),
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: Vec::new(),
            crls: None,
            last: true,
        }))
        .await
        .unwrap();
    *seen.stream.lock().unwrap() = Some(stream);
    Body::from_stream(ReceiverStream::new(lines).map(Ok::<_, Infallible>)).into_response()
}

async fn ack(State(seen): State<Arc<Seen>>, Json(ack): Json<Ack>) -> StatusCode {
    seen.acks.send_replace(Some(ack.revision));
    StatusCode::NO_CONTENT
}

async fn issue(State(seen): State<Arc<Seen>>, Json(request): Json<IssueRequest>) -> Json<IssueResponse> {
    let now = trust_domains::Clock::now(&seen.clock).wall;
    let entries = seen.entries.lock().unwrap().clone();
    let results = request.requests.into_iter().map(|key| {
        let Some(entry) = entries.iter().find(|entry| entry.id == key.entry_id) else {
            return IssueResult::Refused {
                entry_id: key.entry_id,
                problem: Problem::new(Code::EntryNotFound, "no such entry"),
            };
        };
        let life = Duration::from_secs(entry.x509_ttl_s);
        let leaf = seen.ca().sign(entry.spiffe_id.as_str(), &key.public_key.0, now, life);
        let serial = *Certificate::parse(&leaf).unwrap().serial();
        seen.issued.lock().unwrap().push(serial);
        IssueResult::Issued(IssuedLeaf {
            entry_id: key.entry_id,
            entry_revision: entry.revision,
            leaf: Base64(leaf),
            issuer: 0,
            serial,
            issued_at: now,
            expires_at: now + life,
            expires_in_s: entry.x509_ttl_s,
        })
    });
    let results = results.collect();
    Json(IssueResponse {
        issuers: vec![Base64(seen.ca().issuing_der.clone())],
        above: Vec::new(),
        results,
    })
}

async fn issue_jwt(State(seen): State<Arc<Seen>>, Json(request): Json<IssueJwtRequest>) -> Json<IssueTokensResponse> {
    let now = trust_domains::Clock::now(&seen.clock).wall;
    let entries = seen.entries.lock().unwrap().clone();
    let lie = seen.lie.lock().unwrap().clone();
    let results = request.requests.into_iter().map(|wanted| {
        let Some(entry) = entries.iter().find(|entry| entry.id == wanted.entry_id) else {
            return TokenResult::Refused {
                entry_id: wanted.entry_id,
                problem: Problem::new(Code::EntryNotFound, "no such entry"),
            };
        };
        seen.tokens.lock().unwrap().push(wanted.audience.clone());
        let text = lie.clone().unwrap_or_else(|| token(entry.spiffe_id.as_str(), &wanted.audience, now));
        TokenResult::Issued(IssuedToken {
            entry_id: wanted.entry_id,
            entry_revision: entry.revision,
            token: text.into(),
            issued_at: now,
            expires_at: now + TOKEN_LIFE,
            expires_in_s: TOKEN_LIFE.as_secs(),
        })
    });
    Json(IssueTokensResponse { results: results.collect() })
}

async fn issue_wit(
    State(seen): State<Arc<Seen>>,
    Extension(connection): Extension<Arc<ConnectionInfo>>,
    Json(request): Json<IssueWitRequest>,
) -> Json<IssueTokensResponse> {
    let now = trust_domains::Clock::now(&seen.clock).wall;
    let entries = seen.entries.lock().unwrap().clone();
    let lie = *seen.wit_lie.lock().unwrap();
    let results = request.requests.into_iter().map(|wanted| {
        let refused = |code, detail: &str| TokenResult::Refused {
            entry_id: wanted.entry_id.clone(),
            problem: Problem::new(code, detail),
        };
        let Some(entry) = entries.iter().find(|entry| entry.id == wanted.entry_id) else {
            return refused(Code::EntryNotFound, "no such entry");
        };
        let key = PublicKey::from_spki(&wanted.public_key.0).unwrap();
        let message = wit_possession_message(&connection.exporter, key.spki(), &wanted.entry_id);
        if key.verify(&message, &wanted.proof.0).is_err() {
            return refused(Code::AttestationRefused, "the proof is wrong");
        }
        seen.wit_keys.lock().unwrap().push(key.hash());
        let mut token = WitToken::new(entry.spiffe_id.as_str(), &key, now);
        if let Some(lie) = lie {
            lie(&mut token);
        }
        TokenResult::Issued(IssuedToken {
            entry_id: wanted.entry_id,
            entry_revision: entry.revision,
            token: token.sign().into(),
            issued_at: now,
            expires_at: now + WIT_LIFE,
            expires_in_s: WIT_LIFE.as_secs(),
        })
    });
    Json(IssueTokensResponse { results: results.collect() })
}
