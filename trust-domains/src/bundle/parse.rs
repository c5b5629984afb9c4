//! Reading a SPIFFE bundle document: strict on the document, forgiving on its entries (BUN-06, X509-21), and bounded.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::bundle::TrustBundle;
use crate::bundle::authority::{AuthorityRefused, X509Authority};
use crate::bundle::json::{PublicJwk, USE_JWT, USE_WIT, USE_X509};
use crate::bundle::raw::{RawDocument, RawKey};
use crate::problem::{Code, Coded};
use crate::trust_domain::TrustDomain;

/// The largest bundle document that is read: 512 roots of 1.5 KB fit; parsing it costs a few milliseconds.
pub const MAX_BUNDLE_BYTES: usize = 1024 * 1024;

/// The most entries of one document. Domains have two or three of each kind; some nest dozens of upstream roots.
pub const MAX_BUNDLE_KEYS: usize = 512;

/// What a PEM text begins with (RFC 7468 section 2).
const PEM_BEGIN: &str = "-----BEGIN ";

/// A bundle document as read, with what was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedBundle {
    /// What was understood.
    pub bundle: TrustBundle,
    /// The entries that were not.
    pub skipped: Vec<SkippedKey>,
}

/// An entry of `keys` that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`, from 0.
    pub position: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why an entry of a bundle document is passed over; the document stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// `x5c` holds PEM, or base64 of PEM.
    #[error("x5c holds PEM: it must be the base64 of the DER, without the lines around it")]
    CertificateIsPem,
    /// `x5c` is missing or empty (X509-21).
    #[error("x5c is missing or empty")]
    CertificateMissing,
    /// `x5c` is not standard base64.
    #[error("x5c is not standard base64")]
    CertificateNotBase64,
    /// The certificate cannot be a root.
    #[error("the certificate is not taken as a root")]
    CertificateRefused {
        /// Why not.
        #[source]
        source: AuthorityRefused,
    },
    /// The same root, or a key with the same ID, came before.
    #[error("it is there twice")]
    Duplicate,
    /// A member that is read is there twice: two readers could choose differently (RFC 7517 section 4).
    #[error("{name} is there twice")]
    DuplicateMember {
        /// Which.
        name: &'static str,
    },
    /// A token key has no key ID.
    #[error("kid is missing")]
    KeyIdMissing,
    /// The members of the key are missing or are not base64url.
    #[error("the members of the key are not complete")]
    KeyMembers,
    /// `kty` is missing, unknown, or not for this use.
    #[error("kty is missing, or not known for this use")]
    KeyTypeUnknown,
    /// A block of PEM is no certificate.
    #[error("the block is not a certificate")]
    NotACertificate,
    /// The entry is not an object.
    #[error("the entry is not an object")]
    NotAnObject,
    /// `use` is missing.
    #[error("use is missing")]
    UseMissing,
    /// `use` is one that this version does not know.
    #[error("use is not known")]
    UseUnknown,
}

/// Why a document as a whole is not a SPIFFE bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBundleError {
    /// A member that is read is there twice: two readers could choose differently.
    #[error("bundle document with {name} twice")]
    DuplicateMember {
        /// Which.
        name: &'static str,
    },
    /// `keys` is missing (BUN-05): an empty array is what means "nothing".
    #[error("bundle document without keys")]
    KeysMissing,
    /// It is not JSON of the right shape.
    #[error("not a bundle document, at line {line} column {column}")]
    Malformed {
        /// The line, from 1; 0 when unknown.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A text in PEM holds no root.
    #[error("no certificate of the PEM text is taken as a root")]
    NoRootInPem {
        /// Why the first block is none, if there is one.
        #[source]
        first: Option<SkipReason>,
    },
    /// It is not PEM.
    #[error("not PEM")]
    NotPem,
    /// `spiffe_sequence` is not a whole number of at most 64 bits (BUN-03).
    #[error("spiffe_sequence is not a whole number")]
    Sequence,
    /// The document is larger than [`MAX_BUNDLE_BYTES`].
    #[error("bundle document of {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// It has more than [`MAX_BUNDLE_KEYS`] entries.
    #[error("bundle document with {actual} keys, at most {limit} are read")]
    TooManyKeys {
        /// The limit.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
}

impl Coded for ParseBundleError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

impl ParsedBundle {
    /// Reads a document, and tells which entries were passed over.
    ///
    /// # Errors
    ///
    /// When the document as a whole is no bundle.
    pub fn parse(trust_domain: &TrustDomain, document: &[u8]) -> Result<Self, ParseBundleError> {
        if document.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLarge {
                limit: MAX_BUNDLE_BYTES,
                actual: document.len(),
            });
        }
        Self::of_document(trust_domain, RawDocument::read(document)?)
    }

    pub(crate) fn of_document(trust_domain: &TrustDomain, mut document: RawDocument) -> Result<Self, ParseBundleError> {
        let keys = document.take_keys()?;
        let mut bundle = TrustBundle::new(trust_domain.clone());
        bundle.sequence = document
            .spiffe_sequence
            .filter(|value| !value.is_null())
            .map(|value| value.as_u64().ok_or(ParseBundleError::Sequence))
            .transpose()?;
        // Only a hint (BUN-04): one that is no whole number must not cost the partner its bundle.
        bundle.refresh_hint = document.spiffe_refresh_hint.and_then(|value| value.as_u64()).map(Duration::from_secs);
        let mut skipped = Vec::new();
        for (position, key) in keys.into_iter().enumerate() {
            if let Err(reason) = bundle.take(key) {
                skipped.push(SkippedKey { position, reason });
            }
        }
        Ok(Self { bundle, skipped })
    }
}

impl TrustBundle {
    /// Takes one entry of `keys`.
    fn take(&mut self, RawKey(key): RawKey) -> Result<(), SkipReason> {
        let jwk = &key?;
        let purpose = jwk.get("use").ok_or(SkipReason::UseMissing)?;
        if !jwk.get("kty").and_then(Value::as_str).is_some_and(PublicJwk::knows) {
            return Err(SkipReason::KeyTypeUnknown);
        }
        match purpose.as_str() {
            Some(USE_X509) => self.take_root(jwk),
            Some(USE_JWT) => self.take_token_key(TokenUse::Jwt, jwk),
            Some(USE_WIT) => self.take_token_key(TokenUse::Wit, jwk),
            _ => Err(SkipReason::UseUnknown),
        }
    }

    fn take_root(&mut self, jwk: &Map<String, Value>) -> Result<(), SkipReason> {
        let values = jwk.get("x5c").and_then(Value::as_array).ok_or(SkipReason::CertificateMissing)?;
        let first = values.first().ok_or(SkipReason::CertificateMissing)?;
        let text = first.as_str().ok_or(SkipReason::CertificateNotBase64)?;
        if text.starts_with(PEM_BEGIN) {
            return Err(SkipReason::CertificateIsPem);
        }
        let der = STANDARD.decode(text).map_err(|_| SkipReason::CertificateNotBase64)?;
        if der.starts_with(PEM_BEGIN.as_bytes()) {
            return Err(SkipReason::CertificateIsPem);
        }
        let root = X509Authority::parse(&der).map_err(|source| SkipReason::CertificateRefused { source })?;
        if self.x509_authorities.contains(&root) {
            return Err(SkipReason::Duplicate);
        }
        self.x509_authorities.push(root);
        Ok(())
    }

    /// Takes a key of tokens. Its ID is the only one in the whole bundle, whatever the tokens (WIT-22): of two with one ID the first stands.
    pub(super) fn take_token_key(&mut self, purpose: TokenUse, jwk: &Map<String, Value>) -> Result<(), SkipReason> {
        let key = PublicJwk::of_object(jwk).ok_or(SkipReason::KeyMembers)?;
        if key.key_type() == "OKP" {
            // No signature algorithm of JWT-SVID or WIT-SVID uses such a key.
            return Err(SkipReason::KeyTypeUnknown);
        }
        if key.key_id().is_none() {
            return Err(SkipReason::KeyIdMissing);
        }
        if self.has_token_key(&key) {
            return Err(SkipReason::Duplicate);
        }
        match purpose {
            TokenUse::Jwt => self.jwt_authorities.push(key),
            TokenUse::Wit => self.wit_authorities.push(key),
        }
        Ok(())
    }
}

/// Which tokens a key signs.
#[derive(Clone, Copy)]
pub(super) enum TokenUse {
    Jwt,
    Wit,
}
