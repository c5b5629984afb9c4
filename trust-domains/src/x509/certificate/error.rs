//! Why a certificate cannot be read.

/// The octets are not one X.509 version 3 certificate that this program can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseCertificateError {
    /// An extension appears twice (forbidden by RFC 5280 section 4.2): readers would differ on which one counts.
    #[error("extension {oid} appears twice")]
    DuplicateExtension {
        /// The extension's object identifier.
        oid: String,
    },
    /// The octets are not the DER of a certificate.
    #[error("not a DER certificate")]
    Malformed,
    /// An extension that the rules depend on cannot be read.
    #[error("extension {oid} cannot be read")]
    MalformedExtension {
        /// The extension's object identifier.
        oid: String,
    },
    /// A name in the SAN extension is not text.
    #[error("a name in the subject alternative name extension is not text")]
    MalformedName,
    /// The serial number is empty, or longer than the 20 octets of RFC 5280 section 4.1.2.2.
    #[error("serial number of {octets} octets")]
    Serial {
        /// Its length.
        octets: usize,
    },
    /// The certificate is larger than [`crate::x509::MAX_CERTIFICATE_BYTES`].
    #[error("certificate of {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// Octets follow the certificate.
    #[error("{octets} bytes follow the certificate")]
    TrailingData {
        /// How many.
        octets: usize,
    },
    /// The certificate is not of version 3, so it cannot have extensions.
    #[error("certificate of version {version}, not 3")]
    Version {
        /// Its version, counted from 1.
        version: u32,
    },
}
