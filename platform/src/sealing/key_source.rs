//! Where the key that wraps the data key comes from.

use std::path::PathBuf;

use trust_domains::problem::{Code, Coded};

use super::data_key::DataKey;
use crate::files::FileError;
use crate::random::RandomError;

/// A holder of the key that wraps data keys: a file, later a passphrase, a systemd credential, a PKCS#11 token.
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// Wraps a data key for a context, which says whose it is (the trust domain).
    ///
    /// # Errors
    /// [`KeySourceError`].
    fn wrap(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, KeySourceError>;

    /// Unwraps what [`KeySource::wrap`] returned for the same context.
    ///
    /// # Errors
    /// [`KeySourceError::DoesNotFit`] when it was wrapped by another key or for another context.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<DataKey, KeySourceError>;

    /// Says where the key is, for a person.
    fn describe(&self) -> String;
}

/// A key source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The wrapped key was not wrapped by this source, or is damaged.
    #[error("the key of {source_name} does not open the sealed data key")]
    DoesNotFit {
        /// What the source says of itself.
        source_name: String,
    },
    /// The key file cannot be read or made.
    #[error("the key file cannot be used")]
    File(#[from] FileError),
    /// The key file belongs to someone else.
    #[error("the key file {} belongs to uid {owner}, not to this process (uid {own}) or root", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this process.
        own: u32,
    },
    /// The key file is not what this program writes.
    #[error("{} is not a key file of this program", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// There is no key file.
    #[error("there is no key file {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Others may read or write the key file.
    #[error("the key file {} has mode {mode:04o}; only its owner may read it (0600)", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cipher refused to seal.
    #[error("the data key cannot be wrapped")]
    Wrap,
}

impl Coded for KeySourceError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) if error.code() == Code::DiskFull => Code::DiskFull,
            Self::Random(_) | Self::Wrap => Code::Internal,
            Self::DoesNotFit { .. } | Self::File(_) | Self::ForeignOwner { .. } | Self::Malformed { .. } | Self::Missing { .. } | Self::OpenToOthers { .. } => {
                Code::KeySourceUnavailable
            }
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::OpenToOthers { path, .. } => format!("make it private: chmod 600 {}", path.display()),
            Self::ForeignOwner { path, .. } => format!("give it to the user that runs this process: chown USER {}", path.display()),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
