//! Join links: all that a machine needs to join a trust domain, in one line to paste.
//!
//! `troth://HOST:PORT/join/TRUST_DOMAIN/TOKEN/ROOTHASH[.ROOTHASH]`: letters, digits and `. - _ : /` only, so a shell needs no quotes.

use std::fmt;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::trust_domain::{ParseTrustDomainError, TrustDomain};

mod address;
mod root_hash;
mod token;

pub use address::{ParseServerAddressError, ServerAddress};
pub use root_hash::{ParseRootHashError, RootHash};
pub use token::{JoinToken, ParseJoinTokenError};

const SCHEME: &str = "troth://";

/// A join link: always with an address, a trust domain, a token and one to eight root hashes. It is a secret while its token lives.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// Where the server listens.
    pub server: ServerAddress,
    /// The trust domain to join.
    pub trust_domain: TrustDomain,
    /// What proves that an operator wants this node.
    pub token: JoinToken,
    roots: Vec<RootHash>,
}

impl JoinLink {
    /// The most root hashes: one is active and one prepared, and a replacement may overlap with the next.
    pub const MAX_ROOTS: usize = 8;

    /// The longest link in bytes: the parts at their longest.
    pub const MAX_LEN: usize = 1_200;

    /// Returns a link.
    ///
    /// # Errors
    /// There is no root hash, or there are more than [`Self::MAX_ROOTS`].
    pub fn new(server: ServerAddress, trust_domain: TrustDomain, token: JoinToken, roots: Vec<RootHash>) -> Result<Self, ParseJoinLinkError> {
        if roots.is_empty() || roots.len() > Self::MAX_ROOTS {
            return Err(ParseJoinLinkError::RootCount {
                limit: Self::MAX_ROOTS,
                actual: roots.len(),
            });
        }
        Ok(Self {
            server,
            trust_domain,
            token,
            roots,
        })
    }

    /// Returns the SHA-256 of each root's DER that the server may prove itself by.
    #[must_use]
    pub fn roots(&self) -> &[RootHash] {
        &self.roots
    }

    /// Returns the text: a secret.
    #[must_use]
    pub fn to_link(&self) -> String {
        let roots: Vec<_> = self.roots.iter().map(ToString::to_string).collect();
        format!(
            "{SCHEME}{}/join/{}/{}/{}",
            self.server.in_link(),
            self.trust_domain,
            self.token.expose(),
            roots.join(".")
        )
    }
}

impl FromStr for JoinLink {
    type Err = ParseJoinLinkError;

    /// Reads a link as it was copied: white space around it is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(ParseJoinLinkError::TooLong {
                limit: Self::MAX_LEN,
                actual: text.len(),
            });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParseJoinLinkError::WrongScheme)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [server, "join", trust_domain, token, roots] = parts.as_slice() else {
            return Err(ParseJoinLinkError::WrongParts);
        };
        let roots = roots.split('.').map(str::parse).collect::<Result<Vec<RootHash>, _>>()?;
        Self::new(server.parse()?, trust_domain.parse()?, token.parse()?, roots)
    }
}

impl fmt::Debug for JoinLink {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinLink")
            .field("server", &self.server)
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

impl serde::Serialize for JoinLink {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_link())
    }
}

impl<'de> serde::Deserialize<'de> for JoinLink {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer, "a join link")
    }
}

/// The text is not a join link. No variant holds a part of the text: it may be the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseJoinLinkError {
    /// A root hash.
    #[error("the root hash in the link is not complete")]
    Root(#[from] ParseRootHashError),
    /// None, or too many root hashes.
    #[error("the link has {actual} root hashes, not 1 to {limit}")]
    RootCount {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// The server's address.
    #[error("the address in the link is not HOST:PORT")]
    Server(#[from] ParseServerAddressError),
    /// The token.
    #[error("the token in the link is not complete")]
    Token(#[from] ParseJoinTokenError),
    /// More bytes than any link has.
    #[error("the link has {actual} bytes, more than {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// The bytes there are.
        actual: usize,
    },
    /// The trust domain's name.
    #[error("the trust domain in the link is not a name")]
    TrustDomain(#[from] ParseTrustDomainError),
    /// Parts are missing, or there are too many.
    #[error("a join link has the form troth://HOST:PORT/join/TRUST_DOMAIN/TOKEN/ROOTHASH")]
    WrongParts,
    /// Another scheme, or none.
    #[error("a join link starts with troth://")]
    WrongScheme,
}

impl Coded for ParseJoinLinkError {
    fn code(&self) -> Code {
        Code::JoinLinkInvalid
    }
}

#[cfg(test)]
mod tests;
