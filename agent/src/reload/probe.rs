//! Whether a service presents the certificate that was delivered: a reload that was asked for need not have happened.
//!
//! The probe begins a TLS connection to the service, looks at the leaf, has its key proved by the handshake, and hangs up: it presents no certificate and sends no
//! request. Only the very octets of the delivered leaf count. Until they are seen it tries again, for a time: a service may take a while, and workers of before
//! may still answer. One connection that shows the new leaf is enough.

mod error;
mod settings;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use platform::tls::provider;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use trust_domains::Serial;
use trust_domains::x509::Certificate;

pub use self::error::{ProbeError, Unreached};
pub use self::settings::{DEFAULT_WITHIN, LONGEST_WITHIN, ParseProbeError, Probe, ProbeAddress, ProbeServerName, StartTls};

use self::witness::{Seen, Witness};

/// The longest that one connection may take: a handshake on this machine takes milliseconds, and a service that hangs must not use up all of the time.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(5);

/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause: a service that logs connections is not to be flooded.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// PostgreSQL's `SSLRequest`: its length and the code 80877103 (PostgreSQL documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// PostgreSQL's answer that TLS may begin.
const SSL_ACCEPTED: u8 = b'S';

impl Probe {
    /// Waits until the service presents this leaf, at most as long as the probe may take.
    ///
    /// # Errors
    /// [`ProbeError`]: what was seen at the last look.
    pub async fn confirm(&self, leaf: &CertificateDer<'_>) -> Result<(), ProbeError> {
        let expected = Certificate::parse(leaf).map_err(ProbeError::Delivered)?;
        let end = Instant::now() + self.within();
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt_end = end.min(Instant::now() + LONGEST_ATTEMPT);
            let failure = match tokio::time::timeout_at(attempt_end, self.look(leaf)).await {
                Ok(Ok(Seen::Delivered)) => return Ok(()),
                Ok(Ok(Seen::Other(presented))) => self.not_reloaded(expected.serial(), presented),
                Ok(Err(unreached)) => self.unreached(unreached),
                Err(_) => self.unreached(Unreached::Silent),
            };
            if Instant::now() + pause >= end {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks once.
    async fn look(&self, leaf: &CertificateDer<'_>) -> Result<Seen, Unreached> {
        match self.address() {
            ProbeAddress::Tcp(addresses) => {
                let stream = TcpStream::connect(addresses.as_slice()).await.map_err(Unreached::Connect)?;
                self.look_over(stream, leaf).await
            }
            ProbeAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(Unreached::Connect)?;
                self.look_over(stream, leaf).await
            }
        }
    }

    async fn look_over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, leaf: &CertificateDer<'_>) -> Result<Seen, Unreached> {
        if let Some(StartTls::Postgres) = self.starttls() {
            ask_postgres_for_tls(&mut stream).await?;
        }
        let witness = Arc::new(Witness::new(leaf.clone().into_owned()));
        let connector = TlsConnector::from(Arc::new(configuration(witness.clone())?));
        let connected = connector.connect(self.server_name(), stream).await;
        let seen = witness.seen();
        match (connected, seen) {
            (Ok(mut tls), Some(seen)) => {
                // The service hears that nothing follows. Whether it listens is no matter of what it presented.
                let _ = tls.shutdown().await;
                Ok(seen)
            }
            // It goes on to want a certificate, or another name for what follows: what it presents was seen and proved.
            (Err(_), Some(seen)) => Ok(seen),
            (Err(error), None) => Err(Unreached::Handshake(error)),
            (Ok(_), None) => Err(Unreached::Handshake(std::io::Error::other("the service presented no certificate"))),
        }
    }

    fn not_reloaded(&self, expected: &Serial, presented: Serial) -> ProbeError {
        ProbeError::NotReloaded {
            address: self.address().clone(),
            expected: *expected,
            presented,
        }
    }

    fn unreached(&self, why: Unreached) -> ProbeError {
        ProbeError::Unreached {
            address: self.address().clone(),
            why,
        }
    }
}

async fn ask_postgres_for_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), Unreached> {
    stream.write_all(&SSL_REQUEST).await.map_err(Unreached::Connect)?;
    match stream.read_u8().await.map_err(Unreached::Connect)? {
        SSL_ACCEPTED => Ok(()),
        _ => Err(Unreached::NoTls),
    }
}

/// TLS 1.2 and 1.3, as old programs speak both; no resumption, which would show yesterday's leaf.
fn configuration(witness: Arc<Witness>) -> Result<ClientConfig, Unreached> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Unreached::Handshake(std::io::Error::other(error)))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(witness).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests;
