//! An X509-SVID: a leaf that keeps the rules, with the certificates that lead to its root.

use rustls_pki_types::CertificateDer;

use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::x509::certificate::{Certificate, MAX_CERTIFICATE_BYTES, ParseCertificateError};
use crate::x509::rules::{LeafViolation, check_leaf};

/// The most certificates in one chain. Ours has two, three with its root; webpki follows at most six signing certificates.
pub const MAX_CHAIN_LEN: usize = 8;

/// The label of a certificate in PEM (RFC 7468 section 5).
pub(crate) const PEM_LABEL: &str = "CERTIFICATE";

/// The tag of a DER SEQUENCE, with which a certificate begins.
const DER_SEQUENCE: u8 = 0x30;

/// A chain whose leaf keeps the rules of X509-SVID. Nobody has verified its signatures: that is [`crate::x509::verify_svid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Svid {
    spiffe_id: SpiffeId,
    leaf: Certificate,
    chain: Vec<CertificateDer<'static>>,
}

/// What was given is not an X509-SVID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidError {
    /// A certificate of the chain cannot be read.
    #[error("certificate {position} of the chain cannot be read")]
    Certificate {
        /// Its place, the leaf being 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: ParseCertificateError,
    },
    /// There is no certificate.
    #[error("there is no certificate")]
    Empty,
    /// The leaf breaks a rule of the standard.
    #[error("the leaf breaks {}", .violation.rule())]
    Leaf {
        /// The first rule that it breaks.
        #[source]
        violation: LeafViolation,
    },
    /// The octets are not certificates one after the other.
    #[error("byte {offset} does not begin a DER certificate")]
    NotDer {
        /// Where the next certificate should begin.
        offset: usize,
    },
    /// The text is not PEM.
    #[error("the text is not PEM")]
    NotPem,
    /// The chain is longer than [`MAX_CHAIN_LEN`].
    #[error("chain of {actual} certificates, at most {limit} are read")]
    TooLong {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
}

impl Coded for SvidError {
    fn code(&self) -> Code {
        Code::SvidInvalid
    }
}

impl X509Svid {
    /// Reads a chain of DER certificates, leaf first.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be read, the chain is empty or too long, or the leaf breaks a rule (X509-01 to X509-18).
    pub fn parse_chain(chain: Vec<CertificateDer<'static>>) -> Result<Self, SvidError> {
        let (spiffe_id, leaf) = parse_leaf(&chain)?;
        for (position, certificate) in chain.iter().enumerate().skip(1) {
            Certificate::parse(certificate).map_err(|source| SvidError::Certificate { position, source })?;
        }
        Ok(Self { spiffe_id, leaf, chain })
    }

    /// Reads the certificates of a PEM text; blocks of other kinds, as a private key, are passed over.
    ///
    /// # Errors
    ///
    /// As [`X509Svid::parse_chain`], and when the text is not PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, SvidError> {
        Self::parse_chain(certificates_of_pem(text)?)
    }

    /// Reads certificates in DER one after the other, as the Workload API sends them.
    ///
    /// # Errors
    ///
    /// As [`X509Svid::parse_chain`], and when the octets do not divide into certificates.
    pub fn from_concatenated_der(der: &[u8]) -> Result<Self, SvidError> {
        Self::parse_chain(split_der(der)?)
    }

    /// Returns the identity that it states.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the leaf.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Returns the chain in DER, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Returns the chain as PEM, leaf first.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.chain.iter().map(|certificate| to_pem(certificate)).collect()
    }

    /// Returns the chain in DER, one certificate after the other.
    #[must_use]
    pub fn to_concatenated_der(&self) -> Vec<u8> {
        self.chain.iter().flat_map(|certificate| certificate.iter().copied()).collect()
    }
}

/// Reads the leaf of a chain of acceptable length, and checks the leaf rules.
pub(crate) fn parse_leaf(chain: &[CertificateDer<'_>]) -> Result<(SpiffeId, Certificate), SvidError> {
    if chain.len() > MAX_CHAIN_LEN {
        return Err(SvidError::TooLong {
            limit: MAX_CHAIN_LEN,
            actual: chain.len(),
        });
    }
    let der = chain.first().ok_or(SvidError::Empty)?;
    let leaf = Certificate::parse(der).map_err(|source| SvidError::Certificate { position: 0, source })?;
    let spiffe_id = check_leaf(&leaf).map_err(|violation| SvidError::Leaf { violation })?;
    Ok((spiffe_id, leaf))
}

/// Returns the certificates of a PEM text, in their order.
pub(crate) fn certificates_of_pem(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    let blocks = pem::parse_many(text).map_err(|_| SvidError::NotPem)?;
    let chain: Vec<_> = blocks
        .into_iter()
        .filter(|block| block.tag() == PEM_LABEL)
        .map(|block| CertificateDer::from(block.into_contents()))
        .collect();
    if chain.is_empty() { Err(SvidError::Empty) } else { Ok(chain) }
}

/// Returns one certificate as PEM with LF line ends.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(PEM_LABEL, der), config)
}

/// Divides DER certificates that follow one another, at most [`MAX_CHAIN_LEN`] of them, by their outermost lengths.
///
/// # Errors
///
/// When the octets do not divide into DER sequences, or into too many.
pub fn split_der(der: &[u8]) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    split_der_up_to(der, MAX_CHAIN_LEN)
}

/// Divides DER certificates, at most `limit` of them.
pub(crate) fn split_der_up_to(mut der: &[u8], limit: usize) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    let whole = der.len();
    let mut certificates = Vec::new();
    while !der.is_empty() {
        let not_der = SvidError::NotDer { offset: whole - der.len() };
        if certificates.len() == limit {
            return Err(SvidError::TooLong { limit, actual: limit + 1 });
        }
        let length = sequence_length(der).ok_or_else(|| not_der.clone())?;
        let (certificate, rest) = der.split_at_checked(length).ok_or(not_der)?;
        certificates.push(CertificateDer::from(certificate.to_vec()));
        der = rest;
    }
    Ok(certificates)
}

/// Returns the length of the DER SEQUENCE at the beginning, its header included; lengths of up to [`MAX_CERTIFICATE_BYTES`] need at most two octets.
fn sequence_length(der: &[u8]) -> Option<usize> {
    let (header, content) = match *der {
        [DER_SEQUENCE, length @ 0..=0x7f, ..] => (2, usize::from(length)),
        [DER_SEQUENCE, 0x81, length, ..] => (3, usize::from(length)),
        [DER_SEQUENCE, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    (content <= MAX_CERTIFICATE_BYTES).then_some(header + content)
}

#[cfg(test)]
mod tests;
