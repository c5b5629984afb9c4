//! The algorithms that our own keys sign tokens with, and their signatures: two of the nine that are read.

use std::fmt;
use std::str::FromStr;

use super::{Es256Signature, JwsAlgorithm};
use crate::text::serde_as_text;

/// What a key of this trust domain signs tokens with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256 with SHA-256: short tokens, and quickly signed.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 by a key of 2,048 bits, for relying parties that verify nothing else: OpenID Connect Core section 15.1 asks each
    /// of them for this one alone.
    Rs256,
}

impl TokenAlgorithm {
    /// Returns its name, as the `alg` of a header.
    #[must_use]
    pub fn name(self) -> &'static str {
        JwsAlgorithm::from(self).name()
    }

    /// Returns the octets of a signature by a key of the size that is made here.
    pub(super) fn signature_len(self) -> usize {
        match self {
            Self::Es256 => 64,
            Self::Rs256 => 256,
        }
    }
}

impl From<TokenAlgorithm> for JwsAlgorithm {
    fn from(algorithm: TokenAlgorithm) -> Self {
        match algorithm {
            TokenAlgorithm::Es256 => Self::Es256,
            TokenAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl fmt::Display for TokenAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TokenAlgorithm {
    type Err = ParseTokenAlgorithmError;

    /// Reads a name, in capitals as the standard writes it or in small letters as command lines do.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ES256" | "es256" => Ok(Self::Es256),
            "RS256" | "rs256" => Ok(Self::Rs256),
            _ => Err(ParseTokenAlgorithmError {
                text: text.chars().take(32).collect(),
            }),
        }
    }
}

serde_as_text!(TokenAlgorithm, "ES256 or RS256");

/// The text names no algorithm that tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no algorithm that tokens are signed with: ES256 or RS256")]
pub struct ParseTokenAlgorithmError {
    /// What was given, at most 32 characters of it.
    pub text: String,
}

/// A signature as a token carries it.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSignature {
    /// `r` and `s`, side by side.
    Es256(Es256Signature),
    /// As long as the modulus.
    Rs256(Box<[u8]>),
}

impl TokenSignature {
    /// Returns the octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Es256(signature) => signature.as_bytes(),
            Self::Rs256(octets) => octets,
        }
    }
}

impl From<&Es256Signature> for TokenSignature {
    fn from(signature: &Es256Signature) -> Self {
        Self::Es256(*signature)
    }
}

impl fmt::Debug for TokenSignature {
    /// A signature makes a bearer token of its signing input: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSignature(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_capitals_and_small_letters_and_written_in_capitals() {
        for (text, algorithm) in [
            ("es256", TokenAlgorithm::Es256),
            ("RS256", TokenAlgorithm::Rs256),
            ("rs256", TokenAlgorithm::Rs256),
        ] {
            assert_eq!(text.parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), text.to_uppercase());
        }
        for text in ["", "none", "HS256", "Es256", "RS512", "ES256 "] {
            assert!(text.parse::<TokenAlgorithm>().unwrap_err().to_string().contains("ES256 or RS256"), "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_signature() {
        assert_eq!(format!("{:?}", TokenSignature::Rs256(vec![0xaa; 256].into())), "TokenSignature(..)");
    }
}
