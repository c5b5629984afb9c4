//! Why a probe did not see what was delivered.

use trust_domains::Serial;
use trust_domains::problem::{Code, Coded};
use trust_domains::x509::ParseCertificateError;

use super::settings::ProbeAddress;

/// The service does not present what was delivered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// What was delivered is no certificate.
    #[error("what was delivered cannot be compared with anything")]
    Delivered(#[source] ParseCertificateError),
    /// It presents another certificate.
    #[error("the service at {address} presents the certificate {presented}, and {expected} was delivered")]
    NotReloaded {
        /// Which service.
        address: ProbeAddress,
        /// The delivered serial.
        expected: Serial,
        /// The presented one.
        presented: Serial,
    },
    /// What it presents was not seen.
    #[error("the service at {address} could not be looked at")]
    Unreached {
        /// Which service.
        address: ProbeAddress,
        /// Why.
        #[source]
        why: Unreached,
    },
}

/// Why a look showed nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// Nobody answers, or the connection broke.
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    /// The handshake failed before a certificate was proved.
    #[error("no TLS handshake")]
    Handshake(#[source] std::io::Error),
    /// The service says that it speaks no TLS.
    #[error("the service says that it has no TLS")]
    NoTls,
    /// It took too long.
    #[error("the service did not answer in time")]
    Silent,
}

impl Coded for ProbeError {
    fn code(&self) -> Code {
        match self {
            Self::Delivered(_) => Code::Internal,
            Self::NotReloaded { .. } => Code::NotReloaded,
            Self::Unreached { .. } => Code::CannotReach,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Unreached { address, .. } => format!("check that the service runs and speaks TLS at {address}; the probe of the hook names its address"),
            Self::Delivered(_) | Self::NotReloaded { .. } => self.code().facts().hint.to_owned(),
        }
    }
}
