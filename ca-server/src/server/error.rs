//! Why a server does not start.

use std::path::PathBuf;

use platform::lock::LockError;
use platform::sockets::{BindError, ParseSocketPathError};
use platform::tls::TlsConfigError;
use thiserror::Error;
use trust_domains::join_link::ParseServerAddressError;
use trust_domains::problem::{Code, Coded};

use crate::attestation::RestoredError;
use crate::authority::{KeyError, LoadAuthoritiesError, SigningKeysError};
use crate::issuance::ServerIdentityError;
use crate::journal::JournalOpenError;
use crate::registry::RegistryError;
use crate::seal::OpenStoreError;
use crate::store::StoreError;

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address for join links cannot be written.
    #[error("no address for join links can be made of this host's name")]
    Advertise(#[from] ParseServerAddressError),
    /// The authorities cannot be loaded.
    #[error("the authorities cannot be loaded")]
    Authorities(#[from] LoadAuthoritiesError),
    /// A listener cannot be bound.
    #[error("a listener cannot be opened")]
    Bind(#[from] BindError),
    /// The server has no identity to show.
    #[error("the server has no identity to show")]
    Identity(#[from] ServerIdentityError),
    /// `server init` or `server restore` was interrupted.
    #[error("the making of the trust domain in {} was interrupted", data_dir.display())]
    InitUnfinished {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The process is ending.
    #[error("the start was interrupted")]
    Interrupted,
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    Journal(#[from] JournalOpenError),
    /// A signing key cannot be used.
    #[error("the signing keys cannot be used")]
    Key(#[from] KeyError),
    /// The data directory is in use, or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no trust domain.
    #[error("there is no trust domain in {}", data_dir.display())]
    NotInitialised {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// Entries and nodes cannot be read.
    #[error("entries and nodes cannot be read")]
    Registry(#[from] RegistryError),
    /// It cannot be read whether the store was restored.
    #[error("it cannot be read whether the store was restored")]
    Restored(#[from] RestoredError),
    /// The sealed data key cannot be opened.
    #[error("the sealed secrets cannot be opened")]
    Sealed(#[from] OpenStoreError),
    /// The token with the signing keys cannot be used.
    #[error(transparent)]
    SigningKeys(#[from] SigningKeysError),
    /// The admin socket's path is not usable.
    #[error("the admin socket cannot be made")]
    SocketPath(#[from] ParseSocketPathError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// TLS cannot be configured.
    #[error("the node listener cannot be configured")]
    Tls(#[from] TlsConfigError),
}

impl Coded for RunError {
    fn code(&self) -> Code {
        match self {
            Self::Advertise(error) => error.code(),
            Self::Authorities(error) => error.code(),
            Self::Bind(error) => error.code(),
            Self::Identity(error) => error.code(),
            Self::InitUnfinished { .. } | Self::NotInitialised { .. } => Code::DataDirNotInitialised,
            Self::Interrupted => Code::Internal,
            Self::Journal(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Lock(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::Restored(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::SigningKeys(error) => error.code(),
            Self::SocketPath(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Tls(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Advertise(_) => "name the address that nodes connect to: --advertise HOST:PORT".to_owned(),
            Self::Authorities(error) => error.hint(),
            Self::Bind(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::InitUnfinished { data_dir } => format!(
                "nothing was issued from it: remove {} and run again what was interrupted, troth server init or troth server restore",
                data_dir.display()
            ),
            Self::Interrupted | Self::NotInitialised { .. } => self.code().facts().hint.to_owned(),
            Self::Journal(error) => error.hint(),
            Self::Key(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Restored(error) => error.hint(),
            Self::Sealed(error) => error.hint(),
            Self::SigningKeys(error) => error.hint(),
            Self::SocketPath(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tls(error) => error.hint(),
        }
    }
}
