//! Trust domain names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::text::serde_as_text;

/// The name of a trust domain: always 1 to 255 bytes of `a-z 0-9 . - _` (SPIFFE-ID section 2.1).
///
/// It is a name and nothing else: one that looks like a DNS name or an IP address gets no special treatment. Upper case is refused rather than folded,
/// so two equal names are equal octet by octet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The longest name in bytes: that of a host in RFC 3986 section 3.2.2, as SPIFFE-ID section 2.3 takes it over.
    pub const MAX_LEN: usize = 255;

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the SPIFFE ID of the trust domain itself, `spiffe://NAME`: the ID of its signing authorities.
    #[must_use]
    pub fn id(&self) -> SpiffeId {
        SpiffeId::of_trust_domain(self)
    }

    /// Wraps a name that [`check`] has accepted.
    pub(crate) fn from_checked(name: &str) -> Self {
        Self(name.into())
    }
}

/// Checks that the octets are a trust domain name.
pub(crate) fn check(name: &[u8]) -> Result<(), ParseTrustDomainError> {
    if name.is_empty() {
        return Err(ParseTrustDomainError::Empty);
    }
    if name.len() > TrustDomain::MAX_LEN {
        return Err(ParseTrustDomainError::TooLong {
            limit: TrustDomain::MAX_LEN,
            actual: name.len(),
        });
    }
    match name.iter().position(|octet| !is_allowed(*octet)) {
        None => Ok(()),
        Some(at) => match name.get(at).copied().unwrap_or_default() {
            octet @ b'A'..=b'Z' => Err(ParseTrustDomainError::UpperCase { found: char::from(octet), at }),
            octet => Err(ParseTrustDomainError::BadCharacter { found: octet, at }),
        },
    }
}

const fn is_allowed(octet: u8) -> bool {
    matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')
}

impl FromStr for TrustDomain {
    type Err = ParseTrustDomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text.as_bytes())?;
        Ok(Self::from_checked(text))
    }
}

impl TryFrom<&str> for TrustDomain {
    type Error = ParseTrustDomainError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = ParseTrustDomainError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl AsRef<str> for TrustDomain {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({self})")
    }
}

serde_as_text!(TrustDomain, "a trust domain name");

/// The text is not a trust domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTrustDomainError {
    /// An octet that is not allowed, percent signs and non-ASCII text among them.
    #[error("a trust domain name has only a-z, 0-9, '.', '-' and '_', not {} at byte {at}", shown(*found))]
    BadCharacter {
        /// The octet.
        found: u8,
        /// Its position in the name.
        at: usize,
    },
    /// There is no name.
    #[error("the trust domain name is empty")]
    Empty,
    /// More bytes than a host may have.
    #[error("the trust domain name has {actual} bytes, more than {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// The bytes there are.
        actual: usize,
    },
    /// An upper-case letter: names are lower case and are not folded.
    #[error("a trust domain name is lower case, not {found:?} at byte {at}")]
    UpperCase {
        /// The letter.
        found: char,
        /// Its position in the name.
        at: usize,
    },
}

impl Coded for ParseTrustDomainError {
    fn code(&self) -> Code {
        Code::InvalidTrustDomain
    }
}

/// Shows an octet so that a terminal cannot be played with: printable ASCII as itself, others in hex.
pub(crate) fn shown(octet: u8) -> String {
    if octet.is_ascii_graphic() {
        format!("'{}'", char::from(octet))
    } else {
        format!("0x{octet:02x}")
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use proptest::prelude::*;

    use super::*;

    #[covers("ID-04")]
    #[test]
    fn id_04_names_of_allowed_characters_are_accepted() {
        for name in ["example.org", "a", "0", "prod_eu-1.example", "my_domain", "10.0.0.1"] {
            assert_eq!(name.parse::<TrustDomain>().unwrap().as_str(), name);
        }
    }

    #[covers("ID-04")]
    #[test]
    fn id_04_other_characters_are_refused() {
        let table = [
            ("", ParseTrustDomainError::Empty),
            ("Example.org", ParseTrustDomainError::UpperCase { found: 'E', at: 0 }),
            ("exaMple", ParseTrustDomainError::UpperCase { found: 'M', at: 3 }),
            ("a b", ParseTrustDomainError::BadCharacter { found: b' ', at: 1 }),
            ("a%2eb", ParseTrustDomainError::BadCharacter { found: b'%', at: 1 }),
            ("[::1]", ParseTrustDomainError::BadCharacter { found: b'[', at: 0 }),
            ("a:443", ParseTrustDomainError::BadCharacter { found: b':', at: 1 }),
            ("u@a", ParseTrustDomainError::BadCharacter { found: b'@', at: 1 }),
            ("a/b", ParseTrustDomainError::BadCharacter { found: b'/', at: 1 }),
            ("bücher.example", ParseTrustDomainError::BadCharacter { found: 0xc3, at: 1 }),
            ("a\0", ParseTrustDomainError::BadCharacter { found: 0, at: 1 }),
        ];
        for (name, expected) in table {
            assert_eq!(name.parse::<TrustDomain>(), Err(expected), "{name:?}");
        }
    }

    #[covers("ID-05")]
    #[test]
    fn id_05_names_that_look_like_dns_names_or_addresses_are_taken_as_they_are() {
        for name in ["example.org.", ".", "..", "-", "xn--bcher-kva.example", "127.0.0.1", "999.1", "a..b", "-a-"] {
            assert_eq!(name.parse::<TrustDomain>().unwrap().to_string(), name);
        }
        assert_ne!("example.org.".parse::<TrustDomain>(), "example.org".parse::<TrustDomain>());
    }

    #[covers("ID-10")]
    #[test]
    fn id_10_a_name_has_at_most_255_bytes() {
        assert!("a".repeat(255).parse::<TrustDomain>().is_ok());
        assert_eq!(
            "a".repeat(256).parse::<TrustDomain>(),
            Err(ParseTrustDomainError::TooLong { limit: 255, actual: 256 })
        );
    }

    #[test]
    fn messages_show_no_raw_control_characters() {
        assert_eq!(
            "a\u{1b}[2J".parse::<TrustDomain>().unwrap_err().to_string(),
            "a trust domain name has only a-z, 0-9, '.', '-' and '_', not 0x1b at byte 1"
        );
    }

    proptest! {
        #[covers("ID-04")]
        #[test]
        fn id_04_a_text_is_accepted_exactly_when_each_character_is_allowed(text in "[a-z0-9._-]{0,10}[\\PC]{0,2}[a-z0-9._-]{0,250}") {
            let allowed = !text.is_empty() && text.len() <= 255 && text.chars().all(|c| "abcdefghijklmnopqrstuvwxyz0123456789.-_".contains(c));
            let parsed = text.parse::<TrustDomain>();
            prop_assert_eq!(parsed.is_ok(), allowed);
            if let Ok(name) = parsed {
                prop_assert_eq!(name.to_string(), text);
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<TrustDomain>(&json).unwrap(), name.clone());
                let id = name.id();
                prop_assert_eq!(id.path(), "");
                prop_assert_eq!(id.trust_domain(), name);
            }
        }
    }
}
