//! A certificate and its key in files, read again when they change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use super::names::{is_for, names_any_host};
use crate::files::{FileError, read_limited};
use crate::tls::provider;

/// The longest of the files: a chain of a hundred certificates.
const LONGEST_FILE: usize = 256 * 1024;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// The certificate that a listener shows: that of the files when they were last good.
pub struct FileIdentity {
    files: CertificateFiles,
    shown: ArcSwapOption<CertifiedKey>,
    seen: Mutex<Option<Seen>>,
}

/// The SHA-256 of both files' octets, of those that were looked at last.
type Seen = [u8; 64];

/// What a look at the files came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// They are new and shown from now on.
    Changed,
    /// They are those that are shown.
    Same,
}

/// The files do not make a TLS identity.
#[derive(Debug, Error)]
pub enum FileIdentityError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key is unusable, or is not that of the certificate.
    #[error("the key in {} does not fit the certificate in {}", .files.key.display(), .files.certificate.display())]
    KeyDoesNotFit {
        /// The files.
        files: CertificateFiles,
        /// What rustls found.
        #[source]
        source: rustls::Error,
    },
    /// There is no certificate in the file.
    #[error("there is no certificate in PEM in {}", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no private key in the file.
    #[error("there is no private key in PEM in {}", .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

impl Coded for FileIdentityError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code(),
            Self::KeyDoesNotFit { .. } | Self::NoCertificate { .. } | Self::NoKey { .. } => Code::FileUnavailable,
        }
    }
}

impl FileIdentity {
    /// Returns an identity that shows nothing until the first good look.
    #[must_use]
    pub fn new(files: CertificateFiles) -> Arc<Self> {
        Arc::new(Self {
            files,
            shown: ArcSwapOption::empty(),
            seen: Mutex::default(),
        })
    }

    /// Looks at the files. New ones that are good are shown to every handshake from now on; connections that are open stay as they are.
    ///
    /// # Errors
    /// The files are not good: what was shown before stays.
    pub fn look(&self) -> Result<Look, FileIdentityError> {
        let certificate = read_limited(&self.files.certificate, LONGEST_FILE)?;
        let key = Zeroizing::new(read_limited(&self.files.key, LONGEST_FILE)?);
        let seen = seen(&certificate, &key);
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == Some(seen) {
            return Ok(Look::Same);
        }
        let identity = self.parse(&certificate, &key)?;
        self.shown.store(Some(Arc::new(identity)));
        *last = Some(seen);
        Ok(Look::Changed)
    }

    /// Returns whether there is a certificate to show: whether a look was good.
    #[must_use]
    pub fn shows_one(&self) -> bool {
        self.shown.load().is_some()
    }

    /// Returns whether the certificate that is shown is for this host, a DNS name or an address.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        self.leaf_is(|leaf| is_for(leaf, host))
    }

    /// Returns whether the certificate that is shown names a host by a DNS name, so that somebody can ask for it by name.
    #[must_use]
    pub fn names_any_host(&self) -> bool {
        self.leaf_is(names_any_host)
    }

    fn leaf_is(&self, is: impl FnOnce(&CertificateDer<'static>) -> bool) -> bool {
        self.shown.load().as_ref().and_then(|shown| shown.cert.first()).is_some_and(is)
    }

    fn parse(&self, certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, FileIdentityError> {
        let no_certificate = || FileIdentityError::NoCertificate {
            path: self.files.certificate.clone(),
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| FileIdentityError::NoKey { path: self.files.key.clone() })?;
        let does_not_fit = |source| FileIdentityError::KeyDoesNotFit {
            files: self.files.clone(),
            source,
        };
        let key = provider().key_provider.load_private_key(key).map_err(does_not_fit)?;
        let identity = CertifiedKey::new(chain, key);
        identity.keys_match().map_err(does_not_fit)?;
        Ok(identity)
    }
}

fn seen(certificate: &[u8], key: &[u8]) -> Seen {
    let mut both = [0; 64];
    let hashes = [certificate, key].map(|octets| digest(&SHA256, octets));
    both.iter_mut()
        .zip(hashes.iter().flat_map(AsRef::as_ref))
        .for_each(|(place, octet)| *place = *octet);
    both
}

impl ResolvesServerCert for FileIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load_full()
    }
}

impl std::fmt::Debug for FileIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileIdentity").field("files", &self.files).finish_non_exhaustive()
    }
}
