//! SPIFFE IDs, and the well-known ones of a Troth trust domain.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::node::{NodeAttestor, NodeName};
use crate::problem::{Code, Coded};
use crate::text::serde_as_text;
use crate::trust_domain::{self, ParseTrustDomainError, TrustDomain, shown};

const SCHEME: &str = "spiffe://";

/// A SPIFFE ID: always `spiffe://TRUST-DOMAIN[/PATH]` as SPIFFE-ID section 2 has it, at most 2,048 bytes.
///
/// There is one text for one ID (no case folding, no percent-encoding, no trailing slash), so comparing the octets compares the IDs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId(Arc<str>);

impl SpiffeId {
    /// The longest ID in bytes, over the whole URI: every implementation accepts that many, none should mint more (SPIFFE-ID section 2.3).
    pub const MAX_LEN: usize = 2048;

    /// The part of the path space that belongs to the trust domain's own servers and agents.
    pub const RESERVED_PATH: &'static str = "/troth";

    /// Scans an ID from the octets of a URI, as they stand in a certificate.
    ///
    /// # Errors
    /// Names the first rule of SPIFFE-ID section 2 that the octets break.
    pub fn parse(uri: &[u8]) -> Result<Self, ParseSpiffeIdError> {
        if uri.len() > Self::MAX_LEN {
            return Err(ParseSpiffeIdError::TooLong {
                limit: Self::MAX_LEN,
                actual: uri.len(),
            });
        }
        let rest = uri.strip_prefix(SCHEME.as_bytes()).ok_or(ParseSpiffeIdError::WrongScheme)?;
        let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        check_authority(authority)?;
        check_path(path)?;
        // All octets are ASCII by now.
        std::str::from_utf8(uri)
            .map(|text| Self(text.into()))
            .map_err(|_| ParseSpiffeIdError::WrongScheme)
    }

    /// Returns the ID of a path of a trust domain; the path is `""` or starts with a slash.
    ///
    /// # Errors
    /// Names the rule that the path breaks.
    pub fn from_path(trust_domain: &TrustDomain, path: &str) -> Result<Self, ParseSpiffeIdError> {
        let length = SCHEME.len() + trust_domain.as_str().len() + path.len();
        if length > Self::MAX_LEN {
            return Err(ParseSpiffeIdError::TooLong {
                limit: Self::MAX_LEN,
                actual: length,
            });
        }
        check_path(path.as_bytes())?;
        Ok(Self::join(trust_domain, &[path]))
    }

    /// Reads what an operator writes: `/web` for short, or a full ID; both are of this trust domain.
    ///
    /// # Errors
    /// The text is no ID, or one of another trust domain.
    pub fn expand(trust_domain: &TrustDomain, text: &str) -> Result<Self, ParseSpiffeIdError> {
        if text.starts_with('/') {
            return Self::from_path(trust_domain, text);
        }
        let id: Self = text.parse()?;
        if id.is_member_of(trust_domain) {
            Ok(id)
        } else {
            Err(ParseSpiffeIdError::ForeignTrustDomain {
                expected: trust_domain.clone(),
                presented: id.trust_domain(),
            })
        }
    }

    /// Returns the ID of a trust domain itself.
    #[must_use]
    pub(crate) fn of_trust_domain(trust_domain: &TrustDomain) -> Self {
        Self::join(trust_domain, &[])
    }

    /// Returns the ID of the server of a trust domain, `spiffe://TD/troth/server`.
    #[must_use]
    pub fn server(trust_domain: &TrustDomain) -> Self {
        Self::join(trust_domain, &[Self::RESERVED_PATH, "/server"])
    }

    /// Returns the ID of a node's agent, `spiffe://TD/troth/agent/ATTESTOR/NAME`.
    #[must_use]
    pub fn agent(trust_domain: &TrustDomain, attestor: NodeAttestor, name: &NodeName) -> Self {
        Self::join(trust_domain, &[Self::RESERVED_PATH, "/agent/", attestor.as_str(), "/", name.as_str()])
    }

    fn join(trust_domain: &TrustDomain, path: &[&str]) -> Self {
        let mut text = String::with_capacity(SCHEME.len() + trust_domain.as_str().len() + path.iter().map(|part| part.len()).sum::<usize>());
        text.push_str(SCHEME);
        text.push_str(trust_domain.as_str());
        text.extend(path.iter().copied());
        Self(text.into())
    }

    /// Returns the whole ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain::from_checked(self.trust_domain_name())
    }

    /// Returns the trust domain's name.
    #[must_use]
    pub fn trust_domain_name(&self) -> &str {
        self.split().0
    }

    /// Returns the path: `""` for the ID of the trust domain itself, else `/` and what follows.
    #[must_use]
    pub fn path(&self) -> &str {
        self.split().1
    }

    /// Splits behind the trust domain. It is looked for each time (255 bytes at most) rather than kept: a server holds millions of IDs.
    fn split(&self) -> (&str, &str) {
        let rest = self.0.get(SCHEME.len()..).unwrap_or_default();
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
    }

    /// Returns whether the ID is of this trust domain.
    #[must_use]
    pub fn is_member_of(&self, trust_domain: &TrustDomain) -> bool {
        self.trust_domain_name() == trust_domain.as_str()
    }

    /// Returns whether the path is `/troth` or under it: never a workload's.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.path()
            .strip_prefix(Self::RESERVED_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns whether the ID is that of the trust domain's server: the parent of node aliases.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.path().strip_prefix(Self::RESERVED_PATH) == Some("/server")
    }

    /// Returns how the node proved itself and its name, when the ID is that of a node's agent.
    #[must_use]
    pub fn as_agent(&self) -> Option<(NodeAttestor, NodeName)> {
        let rest = self.path().strip_prefix(Self::RESERVED_PATH)?.strip_prefix("/agent/")?;
        let (attestor, name) = rest.split_once('/')?;
        Some((NodeAttestor::from_word(attestor)?, name.parse().ok()?))
    }
}

/// Says which rule of section 2.1 an authority breaks: it is the trust domain's name and nothing more.
fn check_authority(authority: &[u8]) -> Result<(), ParseSpiffeIdError> {
    if authority.contains(&b'@') {
        return Err(ParseSpiffeIdError::UserInfo);
    }
    if authority.contains(&b':') {
        return Err(ParseSpiffeIdError::Port);
    }
    trust_domain::check(authority).map_err(ParseSpiffeIdError::TrustDomain)
}

/// Says which rule of section 2.2 a path breaks, from its first slash on.
fn check_path(path: &[u8]) -> Result<(), ParseSpiffeIdError> {
    if let Some(octet) = path.iter().find(|octet| matches!(octet, b'?' | b'#' | b'%')) {
        return Err(match octet {
            b'?' => ParseSpiffeIdError::Query,
            b'#' => ParseSpiffeIdError::Fragment,
            _ => ParseSpiffeIdError::PercentEncoded,
        });
    }
    let Some(segments) = path.strip_prefix(b"/") else {
        return if path.is_empty() { Ok(()) } else { Err(ParseSpiffeIdError::PathWithoutSlash) };
    };
    if path.ends_with(b"/") {
        return Err(ParseSpiffeIdError::TrailingSlash);
    }
    segments.split(|octet| *octet == b'/').try_for_each(check_segment)
}

fn check_segment(segment: &[u8]) -> Result<(), ParseSpiffeIdError> {
    match segment {
        b"" => Err(ParseSpiffeIdError::EmptySegment),
        b"." | b".." => Err(ParseSpiffeIdError::DotSegment),
        _ => match segment.iter().find(|octet| !is_segment_octet(**octet)) {
            Some(octet) => Err(ParseSpiffeIdError::BadPathCharacter { found: *octet }),
            None => Ok(()),
        },
    }
}

/// Whether an octet may stand in a path segment (section 2.2).
pub(crate) const fn is_segment_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_')
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

impl TryFrom<&str> for SpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({self})")
    }
}

serde_as_text!(SpiffeId, "a SPIFFE ID");

/// The text is not a SPIFFE ID, or not one that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpiffeIdError {
    /// An octet that no path segment may have.
    #[error("a path has only a-z, A-Z, 0-9, '.', '-' and '_' between slashes, not {}", shown(*found))]
    BadPathCharacter {
        /// The octet.
        found: u8,
    },
    /// A segment `.` or `..`.
    #[error("a path has no segment \".\" or \"..\"")]
    DotSegment,
    /// Two slashes in a row.
    #[error("a path has no empty segment (\"//\")")]
    EmptySegment,
    /// The ID is of another trust domain than the one that is talked to.
    #[error("the SPIFFE ID is of trust domain {presented}, not {expected}")]
    ForeignTrustDomain {
        /// The trust domain that is talked to.
        expected: TrustDomain,
        /// That of the ID.
        presented: TrustDomain,
    },
    /// A fragment, even an empty one.
    #[error("a SPIFFE ID has no fragment (\"#\")")]
    Fragment,
    /// A path that does not start with a slash.
    #[error("a path starts with a slash")]
    PathWithoutSlash,
    /// A percent sign in the path.
    #[error("a SPIFFE ID has no percent-encoding")]
    PercentEncoded,
    /// A port, even an empty one.
    #[error("a SPIFFE ID has no port (\":\" in the trust domain)")]
    Port,
    /// A query, even an empty one.
    #[error("a SPIFFE ID has no query (\"?\")")]
    Query,
    /// More bytes than an ID may have.
    #[error("the SPIFFE ID has {actual} bytes, more than {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// The bytes there are.
        actual: usize,
    },
    /// A slash at the end, `spiffe://td/` too.
    #[error("a SPIFFE ID has no slash at its end")]
    TrailingSlash,
    /// The trust domain's name.
    #[error(transparent)]
    TrustDomain(#[from] ParseTrustDomainError),
    /// User information before the trust domain, even empty.
    #[error("a SPIFFE ID has no user (\"@\" in the trust domain)")]
    UserInfo,
    /// Another scheme, or none.
    #[error("a SPIFFE ID starts with \"spiffe://\"")]
    WrongScheme,
}

impl Coded for ParseSpiffeIdError {
    fn code(&self) -> Code {
        Code::InvalidSpiffeId
    }
}

#[cfg(test)]
mod tests;
