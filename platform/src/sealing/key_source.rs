//! Where the key that wraps the data key comes from.

use std::path::PathBuf;

use trust_domains::problem::{Code, Coded};

use super::data_key::DataKey;
use super::kind::{KeySourceKind, WrappedKey};
use crate::files::FileError;
use crate::pkcs11::Pkcs11Error;
use crate::random::RandomError;

/// A holder of the key that wraps data keys: a file, a passphrase, a systemd credential, a PKCS#11 token.
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

    /// Returns which kind of source this is.
    fn kind(&self) -> KeySourceKind;

    /// Says where the key is, for a person.
    fn describe(&self) -> String;
}

impl dyn KeySource + '_ {
    /// Wraps a data key, and says by which kind of source.
    ///
    /// # Errors
    /// [`KeySourceError`].
    pub fn wrap_key(&self, context: &str, key: &DataKey) -> Result<WrappedKey, KeySourceError> {
        Ok(WrappedKey {
            kind: self.kind(),
            octets: self.wrap(context, key)?,
        })
    }

    /// Unwraps a data key that this kind of source wrapped.
    ///
    /// # Errors
    /// [`KeySourceError::OtherKind`] when another kind did, before this one is asked; else as [`KeySource::unwrap`].
    pub fn unwrap_key(&self, context: &str, wrapped: &WrappedKey) -> Result<DataKey, KeySourceError> {
        match wrapped.kind == self.kind() {
            true => self.unwrap(context, &wrapped.octets),
            false => Err(KeySourceError::OtherKind {
                wrapped_by: wrapped.kind,
                given: self.kind(),
            }),
        }
    }
}

/// A key source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// A credential holds too little.
    #[error("the credential {} holds {actual} octets; a key needs at least {least} of randomness", path.display())]
    CredentialShort {
        /// Where it is.
        path: PathBuf,
        /// The least that is taken.
        least: usize,
        /// What it holds.
        actual: usize,
    },
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
    /// systemd handed no credentials to this process.
    #[error("there is no credential {name}: CREDENTIALS_DIRECTORY is not set")]
    NoCredentials {
        /// Which is wanted.
        name: String,
    },
    /// A passphrase is to be typed, and there is no terminal.
    #[error("there is no terminal to ask for the passphrase at")]
    NoTerminal,
    /// Others may read or write the key file.
    #[error("the key file {} has mode {mode:04o}; only its owner may read it (0600)", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The data key was wrapped by another kind of source.
    #[error("the data key is wrapped by a {wrapped_by} key source, and a {given} key source was given")]
    OtherKind {
        /// What wrapped it.
        wrapped_by: KeySourceKind,
        /// What was given.
        given: KeySourceKind,
    },
    /// A passphrase is empty, too long, of several lines, or no text.
    #[error("a passphrase is one line of text, of 1 to 1,024 octets")]
    PassphraseForm,
    /// A new passphrase is too short.
    #[error("a new passphrase has at least {least} characters")]
    PassphraseShort {
        /// The least.
        least: usize,
    },
    /// A new passphrase was typed in two ways.
    #[error("the passphrase was typed in two ways")]
    PassphrasesDiffer,
    /// The token does not do its part.
    #[error("the key in the PKCS#11 token cannot be used")]
    Pkcs11(#[from] Pkcs11Error),
    /// Whoever was asked for the passphrase gave none.
    #[error("no passphrase was given")]
    PromptCancelled,
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The terminal failed.
    #[error("the terminal cannot be read")]
    Terminal(#[from] std::io::Error),
    /// The cipher refused to seal.
    #[error("the data key cannot be wrapped")]
    Wrap,
}

impl Coded for KeySourceError {
    fn code(&self) -> Code {
        match self {
            Self::File(error) if error.code() == Code::DiskFull => Code::DiskFull,
            Self::Random(_) | Self::Wrap => Code::Internal,
            Self::PassphraseForm | Self::PassphraseShort { .. } | Self::PassphrasesDiffer => Code::Usage,
            Self::Pkcs11(error) => error.code(),
            Self::CredentialShort { .. }
            | Self::DoesNotFit { .. }
            | Self::File(_)
            | Self::ForeignOwner { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::NoCredentials { .. }
            | Self::NoTerminal
            | Self::OpenToOthers { .. }
            | Self::OtherKind { .. }
            | Self::PromptCancelled
            | Self::Terminal(_) => Code::KeySourceUnavailable,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::OpenToOthers { path, .. } => format!("make it private: chmod 600 {}", path.display()),
            Self::ForeignOwner { path, .. } => format!("give it to the user that runs this process: chown USER {}", path.display()),
            Self::CredentialShort { .. } => "make one of random octets: head -c 32 /dev/urandom | systemd-creds encrypt --name=NAME - FILE".to_owned(),
            Self::NoCredentials { name } => format!("start it as a systemd service with LoadCredentialEncrypted={name}:FILE"),
            Self::NoTerminal => "name a file or a descriptor that holds it: --key-source passphrase:FILE, or passphrase:- for standard input".to_owned(),
            Self::OtherKind { wrapped_by, .. } => format!("name the source that wrapped it: {}", wrapped_by.usage()),
            Self::PassphraseForm | Self::PassphraseShort { .. } | Self::PassphrasesDiffer => {
                "choose a longer one, as six random words, and give it again".to_owned()
            }
            Self::Pkcs11(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
