//! One call over mutual TLS, both ends in this process and over a real connection: what each end believes it has from the Workload API of its own agent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::tls::{PeerVerifier, mutual_server_config, provider};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trust_domains::SpiffeId;
use trust_domains::problem::Code;
use trust_domains::x509::VerifyError;

use super::workload::Workload;
use crate::failure::Failure;

/// The longest that a call may take: two handshakes' worth of signatures on a busy machine.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// What became of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Each end proved its identity to the other, and the service answered.
    Answered,
    /// One end did not believe the other.
    Refused {
        /// Who did not.
        by: SpiffeId,
        /// Why.
        because: VerifyError,
    },
}

/// Lets one workload call the other: the service answers with the SPIFFE ID that the caller proved.
///
/// # Errors
/// Anything but an answer or a refusal: that is no demonstration.
pub(super) async fn call(caller: &Workload, service: &Workload) -> Result<Outcome, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let both = async { tokio::join!(ask(caller, service, address), serve(service, caller, listener)) };
    let (asked, served) = tokio::time::timeout(CALL_WITHIN, both).await.map_err(|_| failed("it took too long"))?;
    let refused = |end: &Result<(), io::Error>, by: &Workload| {
        let because = disbelief(end.as_ref().err()?)?;
        Some(Outcome::Refused { by: by.id.clone(), because })
    };
    if let Some(refused) = refused(&asked, caller).or_else(|| refused(&served, service)) {
        return Ok(refused);
    }
    asked.and(served).map_err(|error| failed(&error.to_string()))?;
    Ok(Outcome::Answered)
}

fn failed(what: &str) -> Failure {
    Failure::new(Code::Internal, format!("the call over mutual TLS failed: {what}"))
}

async fn serve(service: &Workload, expected: &Workload, listener: TcpListener) -> io::Result<()> {
    let verifier = service.verifier();
    let shown = Arc::new(SingleCertAndKey::from(service.identity.certified_key()));
    let config = mutual_server_config(shown, verifier.clone()).map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    // TLS says that the caller is whom it says; whether that one may call is the service's own decision.
    let caller = verifier.verify(chain).map_err(io::Error::other)?.spiffe_id().clone();
    if caller != expected.id {
        return Err(io::Error::other(format!("{caller} called, not {}", expected.id)));
    }
    let mut stream = BufReader::new(stream);
    let _ = stream.read_line(&mut String::new()).await?;
    stream.write_all(format!("{caller}\n").as_bytes()).await?;
    stream.shutdown().await
}

async fn ask(caller: &Workload, service: &Workload, address: SocketAddr) -> io::Result<()> {
    let tcp = TcpStream::connect(address).await?;
    let config = client_config(caller, service.id.clone()).map_err(io::Error::other)?;
    // The name takes no part: who answers is proved by the SPIFFE ID.
    let name = ServerName::IpAddress(IpAddr::from(address.ip()));
    let mut stream = BufReader::new(TlsConnector::from(config).connect(name, tcp).await?);
    stream.write_all(b"who am I?\n").await?;
    stream.flush().await?;
    let mut answer = String::new();
    let _ = stream.read_line(&mut answer).await?;
    if answer.trim_end() == caller.id.as_str() {
        Ok(())
    } else {
        Err(io::Error::other("the service answered with something else"))
    }
}

fn client_config(caller: &Workload, expected: SpiffeId) -> Result<Arc<ClientConfig>, Error> {
    let verifier = ServiceVerifier {
        peers: caller.verifier(),
        expected,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // rustls's word for a verifier of one's own: SPIFFE names are not host names.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(caller.identity.certified_key())));
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The caller's side: the service is exactly the one that was meant, proved by the bundle of its own trust domain.
#[derive(Debug)]
struct ServiceVerifier {
    peers: PeerVerifier,
    expected: SpiffeId,
}

impl ServerCertVerifier for ServiceVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        let peer = self
            .peers
            .verify(&chain)
            .map_err(|error| Error::from(CertificateError::Other(OtherError(Arc::new(error)))))?;
        if *peer.spiffe_id() == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        self.peers.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(&self, message: &[u8], leaf: &CertificateDer<'_>, signed: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        self.peers.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.peers.supported_verify_schemes()
    }
}

/// Returns why this end did not believe the other, if that is what the error is.
fn disbelief(error: &io::Error) -> Option<VerifyError> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref::<VerifyError>().cloned(),
        _ => None,
    }
}
