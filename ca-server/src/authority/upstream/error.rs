//! Why there is no cross-certificate.

use std::path::PathBuf;

use platform::files::FileError;
use thiserror::Error;
use trust_domains::bundle::AuthorityRefused;
use trust_domains::plan::upstream::CrossId;
use trust_domains::problem::{Code, Coded};
use trust_domains::x509::UpstreamRefused;

use super::files::UpstreamFiles;
use crate::authority::steps::StepError;
use crate::issuance::error::{PrepareError, SignError};
use crate::journal::JournalError;
use crate::seal::SealError;

/// Why there is no cross-certificate, or why one is not changed.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The authority is to be dedicated and its root cannot stand in the bundle.
    #[error("the root of the upstream authority cannot stand in the bundle")]
    Dedicated(#[source] AuthorityRefused),
    /// The authority is to be dedicated and its root is not there.
    #[error("a dedicated upstream authority needs its root, a self-signed certificate, as the last one given")]
    DedicatedRootMissing,
    /// The name of the upstream authority cannot be written as it stands in its certificate.
    #[error("the name of the upstream authority cannot be written as its certificate has it")]
    Encode,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The configuration names the files of this upstream authority: it would certify the root again.
    #[error("cross-certificate {id} is of the upstream authority whose files the configuration names")]
    InUse {
        /// Which.
        id: CrossId,
    },
    /// The journal did not take the record.
    #[error("the cross-certificate cannot be recorded")]
    Journal(#[source] JournalError),
    /// The key in the file is not the one of the certificate.
    #[error("the key in {} does not fit the certificate in {}", .files.key.display(), .files.certificate.display())]
    KeyDoesNotFit {
        /// The files.
        files: UpstreamFiles,
        /// What rustls found.
        #[source]
        source: rustls::Error,
    },
    /// There is no private key in the file.
    #[error("there is no usable private key in PEM in {}", .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// No root signs now.
    #[error("no root is active")]
    NoRoot,
    /// There is no such cross-certificate.
    #[error("there is no cross-certificate {id}")]
    NotFound {
        /// What was named.
        id: String,
    },
    /// The authority in a file is not one that can certify our root.
    #[error("the upstream authority in {} is refused", .path.display())]
    OfFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UpstreamRefused,
    },
    /// The certificate was not prepared.
    #[error("the cross-certificate cannot be prepared")]
    Prepare(#[from] PrepareError),
    /// The upstream authority, or what it returned, is refused.
    #[error("the cross-certificate is refused")]
    Refused(#[from] UpstreamRefused),
    /// The record cannot be sealed.
    #[error("the cross-certificate cannot be sealed")]
    Seal(#[from] SealError),
    /// The key did not sign.
    #[error("the cross-certificate, or the request for one, cannot be signed")]
    Sign(#[from] SignError),
    /// The change was not recorded, committed or read back.
    #[error("the cross-certificate cannot be stored")]
    Step(#[from] StepError),
    /// There is no such root, or it is on its way out.
    #[error("there is no root {id} that is prepared, active or old")]
    UnknownRoot {
        /// What was named.
        id: String,
    },
}

impl Coded for UpstreamError {
    fn code(&self) -> Code {
        match self {
            Self::Dedicated(_) | Self::DedicatedRootMissing | Self::Encode | Self::OfFile { .. } | Self::Refused(_) => Code::UpstreamRefused,
            Self::File(error) => error.code(),
            Self::InUse { .. } => Code::UpstreamInUse,
            Self::Journal(error) => error.code(),
            Self::KeyDoesNotFit { .. } | Self::NoKey { .. } => Code::FileUnavailable,
            Self::NoRoot => Code::IssuerUnavailable,
            Self::NotFound { .. } => Code::UpstreamNotFound,
            Self::Prepare(_) | Self::Sign(_) => Code::Internal,
            Self::Seal(error) => error.code(),
            Self::Step(error) => error.code(),
            Self::UnknownRoot { .. } => Code::AuthorityNotFound,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::DedicatedRootMissing => {
                "put its root last in the file, or go without: its root is then known to those who trusted it before, and not to our workloads".to_owned()
            }
            Self::Encode => "use the way by request, where the upstream authority writes its name itself: troth authority csr --kind x509-root".to_owned(),
            Self::File(error) => error.hint(),
            Self::KeyDoesNotFit { .. } | Self::NoKey { .. } => {
                "put the certificate and its key there together; a key under a passphrase cannot be read".to_owned()
            }
            Self::OfFile { source, .. } | Self::Refused(source) => source.hint(),
            Self::UnknownRoot { .. } => "list what there is: troth authority list".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
