//! Messages as an agent sends them, and an agent that sends what a test tells it to.

use std::path::Path;
use std::pin::Pin;

use agent::workload_api::messages::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse, WitBundlesRequest,
    WitBundlesResponse, WitsvidRequest, WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svid, X509svidRequest, X509svidResponse,
};
use agent::workload_api::server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

/// A certificate of `spiffe://example.org/web` under a root of its own, as an agent sends it.
pub(crate) fn message() -> X509svid {
    let (root_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let uri = |text: &str| rcgen::SanType::URI(text.try_into().unwrap());
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    root.subject_alt_names = vec![uri("spiffe://example.org")];
    let bundle = root.self_signed(&root_key).unwrap().der().to_vec();
    let mut leaf = rcgen::CertificateParams::default();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "web");
    leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
    leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    leaf.subject_alt_names = vec![uri("spiffe://example.org/web")];
    let chain = leaf.signed_by(&key, &rcgen::Issuer::new(root, root_key)).unwrap().der().to_vec();
    X509svid {
        spiffe_id: "spiffe://example.org/web".to_owned(),
        x509_svid: chain.into(),
        x509_svid_key: key.serialize_der().into(),
        bundle: bundle.into(),
        hint: "main".to_owned(),
    }
}

/// A trust domain with a root and an issuing CA. All of them give their CAs the same names.
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) root: Vec<u8>,
    root_ca: rcgen::Issuer<'static, rcgen::KeyPair>,
    issuing: Vec<u8>,
    issuing_ca: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        let (params, key) = (ca_params(name, "root"), rcgen::KeyPair::generate().unwrap());
        let root = params.self_signed(&key).unwrap().der().to_vec();
        let root_ca = rcgen::Issuer::new(params, key);
        let (issuing, issuing_ca) = issuing_of(name, &root_ca);
        Self {
            name: name.to_owned(),
            root,
            root_ca,
            issuing,
            issuing_ca,
        }
    }

    /// Has another issuing CA from now on.
    pub(crate) fn replace_issuing(&mut self) {
        (self.issuing, self.issuing_ca) = issuing_of(&self.name, &self.root_ca);
    }

    /// An identity of it, as an agent sends it.
    pub(crate) fn svid(&self) -> X509svid {
        let (id, key) = (format!("spiffe://{}/web", self.name), rcgen::KeyPair::generate().unwrap());
        let mut leaf = rcgen::CertificateParams::default();
        leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
        leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        leaf.subject_alt_names = vec![rcgen::SanType::URI(id.as_str().try_into().unwrap())];
        let leaf = leaf.signed_by(&key, &self.issuing_ca).unwrap().der().to_vec();
        X509svid {
            spiffe_id: id,
            x509_svid: [leaf, self.issuing.clone()].concat().into(),
            x509_svid_key: key.serialize_der().into(),
            bundle: self.root.clone().into(),
            hint: String::new(),
        }
    }

    pub(crate) fn root_list(&self) -> Vec<u8> {
        list_of(&self.root_ca)
    }

    pub(crate) fn issuing_list(&self) -> Vec<u8> {
        list_of(&self.issuing_ca)
    }
}

fn issuing_of(name: &str, root: &rcgen::Issuer<'static, rcgen::KeyPair>) -> (Vec<u8>, rcgen::Issuer<'static, rcgen::KeyPair>) {
    let (mut params, key) = (ca_params(name, "issuing"), rcgen::KeyPair::generate().unwrap());
    params.use_authority_key_identifier_extension = true;
    let der = params.signed_by(&key, root).unwrap().der().to_vec();
    (der, rcgen::Issuer::new(params, key))
}

fn ca_params(trust_domain: &str, name: &str) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![rcgen::SanType::URI(format!("spiffe://{trust_domain}").try_into().unwrap())];
    params
}

/// Its entries are in no order, as those of a partner's may be.
fn list_of(ca: &rcgen::Issuer<'static, rcgen::KeyPair>) -> Vec<u8> {
    let revoked = |number: u8| rcgen::RevokedCertParams {
        serial_number: vec![number].into(),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2046, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked(2), revoked(1)],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    params.signed_by(ca).unwrap().der().to_vec()
}

/// A message with these identities and nothing else.
pub(crate) fn response(svids: Vec<X509svid>) -> X509svidResponse {
    X509svidResponse {
        svids,
        ..X509svidResponse::default()
    }
}

/// What an agent says on a stream.
pub(crate) type Said = Result<X509svidResponse, Status>;

/// An agent on a socket. Each stream of X509-SVIDs that a client opens comes out of `streams`; what is sent into it goes to that client.
pub(crate) struct FakeAgent {
    pub(crate) streams: mpsc::Receiver<mpsc::Sender<Said>>,
    _server: AbortOnDropHandle<()>,
}

impl FakeAgent {
    /// Takes the socket, in the place of one that was there.
    pub(crate) fn listen(socket: &Path) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListenerStream::new(tokio::net::UnixListener::bind(socket).unwrap());
        let (opened, streams) = mpsc::channel(8);
        let server = tonic::transport::Server::builder().add_service(SpiffeWorkloadApiServer::new(Service { opened }));
        let server = tokio::spawn(async move { server.serve_with_incoming(listener).await.unwrap() });
        Self {
            streams,
            _server: AbortOnDropHandle::new(server),
        }
    }
}

struct Service {
    opened: mpsc::Sender<mpsc::Sender<Said>>,
}

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SpiffeWorkloadApi for Service {
    type FetchX509SVIDStream = ReceiverStream<Said>;
    type FetchX509BundlesStream = Stream<X509BundlesResponse>;
    type FetchJWTBundlesStream = Stream<JwtBundlesResponse>;
    type FetchWITSVIDStream = Stream<WitsvidResponse>;
    type FetchWITBundlesStream = Stream<WitBundlesResponse>;

    async fn fetch_x509svid(&self, _: Request<X509svidRequest>) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let (sender, receiver) = mpsc::channel(8);
        self.opened.send(sender).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn fetch_x509_bundles(&self, _: Request<X509BundlesRequest>) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }

    async fn fetch_jwtsvid(&self, _: Request<JwtsvidRequest>) -> Result<Response<JwtsvidResponse>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }

    async fn fetch_jwt_bundles(&self, _: Request<JwtBundlesRequest>) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }

    async fn validate_jwtsvid(&self, _: Request<ValidateJwtsvidRequest>) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }

    async fn fetch_witsvid(&self, _: Request<WitsvidRequest>) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }

    async fn fetch_wit_bundles(&self, _: Request<WitBundlesRequest>) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        Err(Status::unimplemented("no part of the test"))
    }
}
