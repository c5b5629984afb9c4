//! Why a sink delivers nothing new.

use std::io;
use std::path::PathBuf;

use platform::random::RandomError;
use trust_domains::delivery::ComposeError;
use trust_domains::keystore::KeyStoreError;
use trust_domains::problem::{Code, Coded};

use super::writer::WriteError;

/// Why a sink could not deliver; what was there before stays.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The files cannot be made.
    #[error("the files cannot be made: {0}")]
    Compose(#[source] ComposeError),
    /// What delivers ended in the middle.
    #[error("a delivery to {} did not end", directory.display())]
    Interrupted {
        /// The sink's directory.
        directory: PathBuf,
        /// What happened to it.
        #[source]
        source: io::Error,
    },
    /// The password in the file is none that readers of key stores take.
    #[error("the password in {} cannot be used", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyStoreError,
    },
    /// The file of the password cannot be read.
    #[error("the password file {} cannot be read", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no chance to be had.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The files cannot be put in place.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl SinkError {
    /// Returns the error with its cause.
    pub(crate) fn text(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

impl Coded for SinkError {
    fn code(&self) -> Code {
        match self {
            Self::Compose(error) => error.code(),
            Self::Interrupted { .. } => Code::Internal,
            Self::Password { source, .. } => source.code(),
            Self::PasswordFile { .. } => Code::FileUnavailable,
            Self::Random(error) => error.code(),
            Self::Write(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Write(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
