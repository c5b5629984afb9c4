//! An upstream authority in files: its certificates, looked at whenever they may have changed, and its key, read only to sign.

use std::path::PathBuf;

use platform::files::{read_limited, read_secret};
use trust_domains::Timestamp;
use trust_domains::x509::UpstreamChain;

use super::error::UpstreamError;
use super::key::UpstreamKey;

/// The longest of the files: as for the bundle endpoint's.
const LONGEST_FILE: usize = 256 * 1024;

/// Where an upstream authority is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFiles {
    /// Its certificates in PEM: the one that signs first, then those above it, its root last if it is there.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// An upstream authority that is about to sign.
#[derive(Debug)]
pub struct Upstream {
    pub(crate) chain: UpstreamChain,
    pub(crate) key: UpstreamKey,
}

impl UpstreamFiles {
    /// Reads the certificates, and checks that chains may be built over them.
    ///
    /// # Errors
    /// The file cannot be read, or verifiers would not follow such a path.
    pub fn chain(&self, now: Timestamp) -> Result<UpstreamChain, UpstreamError> {
        let text = read_limited(&self.certificate, LONGEST_FILE)?;
        UpstreamChain::from_pem(&text, now).map_err(|source| UpstreamError::OfFile {
            path: self.certificate.clone(),
            source,
        })
    }

    /// Reads the key of these certificates. Its text is wiped before this returns, and the key itself when what is returned is dropped.
    ///
    /// # Errors
    /// The file cannot be read, or its key is not the one of the certificate.
    pub fn with_key(&self, chain: UpstreamChain) -> Result<Upstream, UpstreamError> {
        let text = read_secret(&self.key, LONGEST_FILE)?;
        let key = UpstreamKey::read(&text, &chain, self)?;
        Ok(Upstream { chain, key })
    }

    /// Reads both.
    ///
    /// # Errors
    /// As [`chain`](Self::chain) and [`with_key`](Self::with_key).
    pub fn read(&self, now: Timestamp) -> Result<Upstream, UpstreamError> {
        self.with_key(self.chain(now)?)
    }
}

impl Upstream {
    /// Returns the name of the authority.
    #[must_use]
    pub fn subject(&self) -> String {
        self.chain.subject()
    }

    /// Checks that its root may stand in our bundle.
    ///
    /// # Errors
    /// Its root is not in the file, or is none.
    pub fn check_dedicated(&self) -> Result<(), UpstreamError> {
        super::record::dedicated_root(&self.chain).map(drop)
    }
}
