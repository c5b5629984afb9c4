//! Why an upstream authority, or a cross-certificate, is not taken.

use std::time::Duration;

use crate::duration::format_duration;
use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;
use crate::x509::certificate::ParseCertificateError;
use crate::x509::rules::SigningViolation;

/// Why an upstream authority, or a cross-certificate, is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamRefused {
    /// A certificate cannot be read.
    #[error("certificate {position} cannot be read")]
    Certificate {
        /// Its place in what was given, from 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: ParseCertificateError,
    },
    /// A cross-certificate came without the certificates of who signed it.
    #[error("the cross-certificate came alone: the certificates of the authority that signed it belong behind it")]
    ChainMissing,
    /// There is no certificate.
    #[error("there is no certificate")]
    Empty,
    /// It ends too soon, or has ended.
    #[error("{subject} ends at {not_after}, and must last {} from now", format_duration(*.least))]
    EndsSoon {
        /// Whose certificate it is.
        subject: String,
        /// When it ends.
        not_after: Timestamp,
        /// What must be left.
        least: Duration,
    },
    /// It may not sign certificates.
    #[error("{subject} may not sign certificates, by {}", .violation.rule())]
    MayNotSign {
        /// Whose certificate it is.
        subject: String,
        /// The rule that it breaks.
        #[source]
        violation: SigningViolation,
    },
    /// Name constraints would keep our chains out.
    #[error("{subject} has name constraints on {names}: verifiers would refuse every SPIFFE ID, or our CAs, below it")]
    NameConstraints {
        /// Whose certificate it is.
        subject: String,
        /// The kind of names.
        names: &'static str,
    },
    /// The authority's certificate has no subject key identifier.
    #[error("{subject} has no subject key identifier, which RFC 5280 section 4.2.1.2 demands of a CA")]
    NoKeyId {
        /// Whose certificate it is.
        subject: String,
    },
    /// The text is not PEM, or has no certificate in it.
    #[error("there is no certificate in PEM")]
    NotPem,
    /// The next certificate's key did not sign it.
    #[error("{subject} is not signed by {upper}, whose certificate follows")]
    NotSignedBy {
        /// Whose certificate it is.
        subject: String,
        /// Who should have signed it.
        upper: String,
    },
    /// It is not valid yet.
    #[error("{subject} starts at {not_before}, it is {now}")]
    NotYetValid {
        /// Whose certificate it is.
        subject: String,
        /// When it starts.
        not_before: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// Extended key usage names one direction of TLS only.
    #[error("the extended key usage of {subject} does not name both serverAuth and clientAuth (X509-15): SVIDs are for both")]
    OneDirection {
        /// Whose certificate it is.
        subject: String,
    },
    /// The cross-certificate is of another key than our root.
    #[error("the first certificate is not of the root's key")]
    OtherKey,
    /// The cross-certificate names the root's key otherwise than issuing CAs do.
    #[error("the subject key identifier of the cross-certificate is not the root's: paths over it would not be found")]
    OtherKeyId,
    /// The cross-certificate has another subject than our root.
    #[error("the cross-certificate is for {presented:?} instead of {expected:?}: issuing CAs would not be found to be under it")]
    OtherName {
        /// The root's name.
        expected: String,
        /// The name in the certificate.
        presented: String,
    },
    /// The cross-certificate names another trust domain.
    #[error("the cross-certificate is for {uri:?}, which is not this trust domain")]
    OtherTrustDomain {
        /// The URI in it.
        uri: String,
    },
    /// The upstream authority is our own root.
    #[error("the upstream authority has the key of the root itself")]
    OwnKey,
    /// The path length does not reach down to leaves.
    #[error("{subject} allows {path_len} signing certificates below it (path length), and our chains need {least}")]
    PathLength {
        /// Whose certificate it is.
        subject: String,
        /// What it allows.
        path_len: u32,
        /// What is needed.
        least: u32,
    },
    /// There are too many certificates.
    #[error("{actual} certificates, at most {limit} are taken")]
    TooLong {
        /// The limit.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// A critical extension is one that verifiers do not know.
    #[error("{subject} has a critical extension that verifiers refuse: {oid}")]
    UnknownCritical {
        /// Whose certificate it is.
        subject: String,
        /// The extension.
        oid: String,
    },
}

impl Coded for UpstreamRefused {
    fn code(&self) -> Code {
        Code::UpstreamRefused
    }

    fn hint(&self) -> String {
        match self {
            Self::ChainMissing => {
                "put the upstream authority's certificates behind it, the one that signed it first: cat cross.pem upstream.pem > chain.pem".to_owned()
            }
            Self::OtherKeyId => {
                "have the authority take the subject key identifier from the request (OpenSSL: copy_extensions = copy), or leave it out of the certificate"
                    .to_owned()
            }
            Self::OtherKey => "make a new request and have that one signed: troth authority csr --kind x509-root".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}
