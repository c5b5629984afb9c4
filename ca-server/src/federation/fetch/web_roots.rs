//! The CAs of the web that are believed: those of a file, or those of the machine, as they are today.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::files::{FileError, read_limited};
use platform::tls::provider;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;
use trust_domains::clock::SharedClock;
use trust_domains::problem::{Code, Coded};

/// The longest file: ten times the set of a Linux distribution.
const LONGEST_FILE: usize = 2 * 1024 * 1024;

/// How long the machine's CAs are taken as read: reading its hundreds of files takes some 10 ms, and they change with updates of its system.
const MACHINE_FOR: Duration = Duration::from_secs(60);

/// The CAs of the web, read again when they may have changed.
#[derive(Debug)]
pub(super) struct WebRoots {
    file: Option<PathBuf>,
    clock: SharedClock,
    read: Mutex<Option<Read>>,
}

/// What was read last.
#[derive(Debug, Clone)]
struct Read {
    certificates: Vec<CertificateDer<'static>>,
    /// The time since boot.
    at: Duration,
    verifier: Arc<WebPkiServerVerifier>,
}

impl WebRoots {
    pub(super) fn new(file: Option<PathBuf>, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            file,
            clock,
            read: Mutex::default(),
        })
    }

    /// Returns what verifies by today's CAs. A file is read for every fetch, so that a CA that was taken out is not believed once more.
    pub(super) async fn verifier(self: &Arc<Self>) -> Result<Arc<WebPkiServerVerifier>, WebRootsError> {
        let roots = Arc::clone(self);
        // Files are read where waiting for a disk holds nobody up. It is not cancelled, and it does not panic.
        tokio::task::spawn_blocking(move || roots.read()).await.unwrap_or(Err(WebRootsError::Machine))
    }

    fn read(&self) -> Result<Arc<WebPkiServerVerifier>, WebRootsError> {
        let now = self.clock.now().since_boot;
        let last = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let certificates = match (&self.file, &last) {
            (Some(file), _) => of_file(file)?,
            (None, Some(last)) if now.saturating_sub(last.at) < MACHINE_FOR => return Ok(Arc::clone(&last.verifier)),
            (None, _) => of_machine()?,
        };
        let verifier = match last {
            Some(last) if last.certificates == certificates => last.verifier,
            Some(_) | None => verifier(&certificates, self.file.as_deref())?,
        };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Read {
            certificates,
            at: now,
            verifier: Arc::clone(&verifier),
        });
        Ok(verifier)
    }
}

fn of_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, WebRootsError> {
    let octets = read_limited(file, LONGEST_FILE)?;
    CertificateDer::pem_slice_iter(&octets)
        .collect::<Result<_, _>>()
        .map_err(|_| WebRootsError::NotPem { file: file.to_owned() })
}

/// Reads where OpenSSL's tools look: `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the distribution's places.
fn of_machine() -> Result<Vec<CertificateDer<'static>>, WebRootsError> {
    let found = rustls_native_certs::load_native_certs();
    // One file that cannot be read does not take the others' CAs away.
    for error in &found.errors {
        tracing::debug!(%error, "a file of the machine's CAs is left out");
    }
    match found.certs.is_empty() {
        true => Err(WebRootsError::Machine),
        false => Ok(found.certs),
    }
}

/// Makes a verifier. A CA that webpki cannot use (of the age before X.509 v3, or with a key of another kind) is left out.
fn verifier(certificates: &[CertificateDer<'static>], file: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, WebRootsError> {
    let none = || match file {
        Some(file) => WebRootsError::Empty { file: file.to_owned() },
        None => WebRootsError::Machine,
    };
    let mut roots = RootCertStore::empty();
    let _ = roots.add_parsable_certificates(certificates.iter().cloned());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| none())
}

/// There is no CA of the web to believe.
#[derive(Debug, Error)]
pub enum WebRootsError {
    /// The file holds none.
    #[error("{} holds no CA certificate that can be used", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The machine has none.
    #[error("this machine has no CA certificates of the web")]
    Machine,
    /// The file is not PEM.
    #[error("{} is not PEM", file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
    },
}

impl Coded for WebRootsError {
    fn code(&self) -> Code {
        match self {
            Self::Empty { .. } | Self::Machine | Self::NotPem { .. } => Code::FileUnavailable,
            Self::File(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Machine => "name a file of CA certificates with --federation-web-roots, or give the machine its distribution's (ca-certificates)".to_owned(),
            Self::Empty { .. } | Self::File(_) | Self::NotPem { .. } => "put CA certificates in PEM into the file that --federation-web-roots names".to_owned(),
        }
    }
}
