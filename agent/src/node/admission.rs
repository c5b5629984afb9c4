//! What a machine joins by: a link that an operator made for it, or a certificate that it has already.

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use platform::files::{FileError, read_limited, read_secret};
use platform::tls::{ClientKey, ClientKeyError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use trust_domains::TrustDomain;
use trust_domains::bundle::{ParsedBundle, X509Authority};
use trust_domains::join_link::{JoinLink, RootHash, ServerAddress};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::Evidence;
use trust_domains::x509::MAX_CHAIN_LEN;

/// The largest file of certificates that is read: a bundle of a few roots, or a chain.
const LONGEST_FILE: usize = 256 * 1024;

/// What a machine joins by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// A certificate of an authority that the server's operator named.
    Certificate(CertificateAdmission),
    /// A join link: good for one key, once.
    Link(JoinLink),
}

/// A certificate with its key in files, the server, and how that is known. The files are read at each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateAdmission {
    /// Where the server listens.
    pub server: ServerAddress,
    /// Whose it is.
    pub trust_domain: TrustDomain,
    /// By what it proves itself.
    pub trust: RootsSource,
    /// The certificate chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// Where the roots are known from by which the server proves itself the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootsSource {
    /// A file with the roots: a SPIFFE bundle, or PEM.
    Bundle(PathBuf),
    /// The SHA-256 of each root.
    Hashes(Vec<RootHash>),
}

/// What is in the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// A file.
    #[error("a file that this node joins by cannot be read")]
    File(#[from] FileError),
    /// The key.
    #[error("the key of the certificate in {} cannot be used", .path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ClientKeyError,
    },
    /// There is no certificate.
    #[error("{} holds no chain of 1 to {MAX_CHAIN_LEN} certificates in PEM", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no root.
    #[error("{} holds no root: it is neither a SPIFFE bundle nor PEM", .path.display())]
    NoRoot {
        /// The file.
        path: PathBuf,
    },
}

impl Coded for AdmissionError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) => error.code(),
            Self::Key { .. } | Self::NoCertificate { .. } | Self::NoRoot { .. } => Code::FileUnavailable,
        }
    }
}

/// What is shown to the server, read from the files.
pub(super) enum Credentials {
    Certificate { chain: Vec<CertificateDer<'static>>, key: ClientKey },
    Token(trust_domains::join_link::JoinToken),
}

impl Admission {
    /// Returns where the server listens.
    #[must_use]
    pub fn server(&self) -> &ServerAddress {
        match self {
            Self::Certificate(admission) => &admission.server,
            Self::Link(link) => &link.server,
        }
    }

    /// Returns whose node this will be.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        match self {
            Self::Certificate(admission) => &admission.trust_domain,
            Self::Link(link) => &link.trust_domain,
        }
    }

    /// Returns whether it may be used again after it was: a certificate is no secret that is used up.
    #[must_use]
    pub const fn is_repeatable(&self) -> bool {
        matches!(self, Self::Certificate(_))
    }

    /// Returns the roots that the server may prove itself by.
    pub(super) fn roots(&self) -> Result<Vec<RootHash>, AdmissionError> {
        match self {
            Self::Link(link) => Ok(link.roots().to_vec()),
            Self::Certificate(admission) => admission.roots(),
        }
    }

    pub(super) fn credentials(&self) -> Result<Credentials, AdmissionError> {
        match self {
            Self::Link(link) => Ok(Credentials::Token(link.token.clone())),
            Self::Certificate(admission) => admission.credentials(),
        }
    }
}

impl CertificateAdmission {
    fn roots(&self) -> Result<Vec<RootHash>, AdmissionError> {
        let path = match &self.trust {
            RootsSource::Hashes(hashes) => return Ok(hashes.clone()),
            RootsSource::Bundle(path) => path,
        };
        let text = read_limited(path, LONGEST_FILE)?;
        let parsed = ParsedBundle::parse_pem(&self.trust_domain, &text).or_else(|_| ParsedBundle::parse(&self.trust_domain, &text));
        let bundle = parsed.map_err(|_| AdmissionError::NoRoot { path: path.clone() })?.bundle;
        let hashes: Vec<_> = bundle.x509_authorities().iter().map(X509Authority::hash).collect();
        if hashes.is_empty() {
            return Err(AdmissionError::NoRoot { path: path.clone() });
        }
        Ok(hashes)
    }

    fn credentials(&self) -> Result<Credentials, AdmissionError> {
        let empty = || AdmissionError::NoCertificate {
            path: self.certificate.clone(),
        };
        let text = read_limited(&self.certificate, LONGEST_FILE)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|_| empty())?;
        if !(1..=MAX_CHAIN_LEN).contains(&chain.len()) {
            return Err(empty());
        }
        let pem = read_secret(&self.key, LONGEST_FILE)?;
        let key = ClientKey::from_pem(&pem).map_err(|source| AdmissionError::Key {
            path: self.key.clone(),
            source,
        })?;
        Ok(Credentials::Certificate { chain, key })
    }
}

impl Credentials {
    /// Returns what the proofs of possession name.
    pub(super) fn evidence(&self) -> &[u8] {
        match self {
            Self::Certificate { chain, .. } => chain.first().map(AsRef::as_ref).unwrap_or_default(),
            Self::Token(token) => token.expose().as_bytes(),
        }
    }

    /// Returns what tells attempts with these credentials from others: nothing that could be used to join.
    pub(super) fn tag(&self) -> Vec<u8> {
        match self {
            Self::Certificate { .. } => digest(&SHA256, self.evidence()).as_ref().to_vec(),
            Self::Token(token) => token.hash().to_vec(),
        }
    }

    /// Returns what the server is shown, with the proof of the certificate's key over the message.
    pub(super) fn prove(&self, message: &[u8]) -> Result<Evidence, ClientKeyError> {
        match self {
            Self::Token(token) => Ok(Evidence::JoinToken { token: token.clone() }),
            Self::Certificate { chain, key } => {
                let (algorithm, signature) = key.sign(message)?;
                Ok(Evidence::X509Pop {
                    chain: chain.iter().map(|certificate| Base64(certificate.to_vec())).collect(),
                    algorithm,
                    signature: Base64(signature),
                })
            }
        }
    }
}
