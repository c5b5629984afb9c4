//! Federation links: all that a partner needs to fetch this trust domain's bundle, in one line to paste.
//!
//! `troth://HOST:PORT/federation/TRUST_DOMAIN/PROFILE/ROOTHASH[.ROOTHASH]/ENDPOINT[/URL-PATH...]`: letters, digits and `. - _ : /` only, so a shell needs no
//! quotes. ENDPOINT is the endpoint's SPIFFE ID without its scheme and with `:` for `/`, and `-` for `https_web`. A link is no secret: whoever changes it can only
//! make the partner trust somebody else, so it travels over a way that both sides trust.

use std::fmt;
use std::str::FromStr;

use super::profile::{EndpointProfile, ParseProfileError, ProfileError, ProfileName};
use super::url::{EndpointUrl, EndpointUrlError};
use crate::join_link::{ParseRootHashError, ParseServerAddressError, RootHash, ServerAddress};
use crate::problem::{Code, Coded};
use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::text::serde_as_text;
use crate::trust_domain::{ParseTrustDomainError, TrustDomain};

const SCHEME: &str = "troth://";

const SPIFFE_SCHEME: &str = "spiffe://";

/// What stands for the endpoint's ID where it proves none.
const NO_ENDPOINT_ID: &str = "-";

/// A federation link: always with a URL that a link can carry, and one to sixteen root hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationLink {
    trust_domain: TrustDomain,
    url: EndpointUrl,
    profile: EndpointProfile,
    roots: Vec<RootHash>,
}

impl FederationLink {
    /// The most root hashes: a domain has one or two roots of its own, and may declare a few of upstream authorities.
    pub const MAX_ROOTS: usize = 16;

    /// The longest link in bytes: the parts at their longest.
    pub const MAX_LEN: usize = 6_144;

    /// Returns a link.
    ///
    /// # Errors
    ///
    /// There is no root hash, there are too many, or a link cannot carry the URL or the endpoint's ID.
    pub fn new(trust_domain: TrustDomain, url: EndpointUrl, profile: EndpointProfile, roots: Vec<RootHash>) -> Result<Self, ParseFederationLinkError> {
        if roots.is_empty() || roots.len() > Self::MAX_ROOTS {
            return Err(ParseFederationLinkError::RootCount {
                limit: Self::MAX_ROOTS,
                actual: roots.len(),
            });
        }
        address_of(&url)?;
        if url.query().is_some() || !url.path().bytes().all(is_plain) {
            return Err(ParseFederationLinkError::UrlNotPlain);
        }
        let profile = EndpointProfile::of(profile.name(), profile.endpoint_id().cloned())?;
        Ok(Self {
            trust_domain,
            url,
            profile,
            roots,
        })
    }

    /// Returns the trust domain that invites.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns where its bundle is.
    #[must_use]
    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Returns how the endpoint proves itself.
    #[must_use]
    pub fn profile(&self) -> &EndpointProfile {
        &self.profile
    }

    /// Returns the SHA-256 of each root's DER, one of which the bundle must hold.
    #[must_use]
    pub fn roots(&self) -> &[RootHash] {
        &self.roots
    }

    fn parse(rest: &str) -> Result<Self, ParseFederationLinkError> {
        let mut parts = rest.splitn(7, '/');
        let mut next = |part: LinkPart| parts.next().filter(|text| !text.is_empty()).ok_or(ParseFederationLinkError::Missing { part });
        let address = next(LinkPart::Address)?;
        if next(LinkPart::Word)? != "federation" {
            return Err(ParseFederationLinkError::OtherKind);
        }
        let trust_domain = next(LinkPart::TrustDomain)?.parse()?;
        let profile = next(LinkPart::Profile)?.parse()?;
        let roots = next(LinkPart::Roots)?;
        let profile = EndpointProfile::of(profile, endpoint_id(profile, next(LinkPart::Endpoint)?)?)?;
        let path = parts.next().unwrap_or_default();
        let roots = roots.split('.').map(str::parse).collect::<Result<Vec<RootHash>, _>>()?;
        // Read first, so that an IPv6 address gets its brackets.
        let address: ServerAddress = address.parse()?;
        Self::new(trust_domain, format!("https://{address}/{path}").parse()?, profile, roots)
    }
}

fn endpoint_id(profile: ProfileName, text: &str) -> Result<Option<SpiffeId>, ParseFederationLinkError> {
    match profile {
        ProfileName::HttpsSpiffe => Ok(Some(SpiffeId::parse(format!("{SPIFFE_SCHEME}{}", text.replace(':', "/")).as_bytes())?)),
        ProfileName::HttpsWeb if text == NO_ENDPOINT_ID => Ok(None),
        ProfileName::HttpsWeb => Err(ParseFederationLinkError::EndpointForWeb),
    }
}

fn address_of(url: &EndpointUrl) -> Result<ServerAddress, ParseServerAddressError> {
    let host = url.host().to_string();
    ServerAddress::new(&host, url.port())
}

/// Whether a shell, a mail program and a chat leave the octet as it is.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b':' | b'/')
}

impl FromStr for FederationLink {
    type Err = ParseFederationLinkError;

    /// Reads a link as it was copied: white space around it is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(ParseFederationLinkError::TooLong {
                limit: Self::MAX_LEN,
                actual: text.len(),
            });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParseFederationLinkError::WrongScheme)?;
        if !rest.bytes().all(is_plain) {
            return Err(ParseFederationLinkError::BadCharacter);
        }
        Self::parse(rest)
    }
}

impl fmt::Display for FederationLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Always one: `new` refuses a URL that has none.
        let address = address_of(&self.url).map_err(|_| fmt::Error)?;
        write!(f, "{SCHEME}{}/federation/{}/{}/", address.in_link(), self.trust_domain, self.profile.name())?;
        for (position, root) in self.roots.iter().enumerate() {
            write!(f, "{}{root}", if position == 0 { "" } else { "." })?;
        }
        match self.profile.endpoint_id() {
            Some(id) => write!(f, "/{}{}", id.trust_domain_name(), id.path().replace('/', ":"))?,
            None => write!(f, "/{NO_ENDPOINT_ID}")?,
        }
        match self.url.path() {
            "/" => Ok(()),
            path => f.write_str(path),
        }
    }
}

serde_as_text!(FederationLink, "a federation link");

/// A part of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPart {
    /// `HOST:PORT`.
    Address,
    /// The endpoint's ID, or `-`.
    Endpoint,
    /// `https_web` or `https_spiffe`.
    Profile,
    /// The root hashes.
    Roots,
    /// The trust domain's name.
    TrustDomain,
    /// The word `federation`.
    Word,
}

impl fmt::Display for LinkPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address",
            Self::Endpoint => "the endpoint's ID",
            Self::Profile => "the profile",
            Self::Roots => "the root hashes",
            Self::TrustDomain => "the trust domain",
            Self::Word => "the word federation",
        })
    }
}

/// The text is not a federation link, or no link can say what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFederationLinkError {
    /// The host and the port.
    #[error("the address in the link is not HOST:PORT")]
    Address(#[from] ParseServerAddressError),
    /// A character that links do not have.
    #[error("a link has only letters, digits and . - _ : /")]
    BadCharacter,
    /// The endpoint's ID.
    #[error("the endpoint's ID in the link is not a SPIFFE ID")]
    Endpoint(#[from] ParseSpiffeIdError),
    /// `https_web` with an endpoint's ID.
    #[error("a link with https_web has - for the endpoint's ID")]
    EndpointForWeb,
    /// A part is not there.
    #[error("{part} is missing: a federation link has the form troth://HOST:PORT/federation/TRUST_DOMAIN/PROFILE/ROOTHASH/ENDPOINT")]
    Missing {
        /// Which.
        part: LinkPart,
    },
    /// It is a link for something else.
    #[error("it is a link for something else: a federation link has the word federation behind its address")]
    OtherKind,
    /// The profile's name.
    #[error(transparent)]
    Profile(#[from] ParseProfileError),
    /// The profile and the endpoint's ID do not go together.
    #[error(transparent)]
    ProfileParts(#[from] ProfileError),
    /// A root hash.
    #[error("a root hash in the link is not complete")]
    Root(#[from] ParseRootHashError),
    /// None, or too many root hashes.
    #[error("the link has {actual} root hashes, not 1 to {limit}")]
    RootCount {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
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
    /// The URL that the parts make is none of an endpoint.
    #[error("the link's parts make no endpoint URL")]
    Url(#[from] EndpointUrlError),
    /// The URL has a query, or a path that would have to be quoted.
    #[error("the endpoint's URL has a query, or characters in its path that a link cannot carry")]
    UrlNotPlain,
    /// Another scheme, or none.
    #[error("a federation link starts with troth://")]
    WrongScheme,
}

impl Coded for ParseFederationLinkError {
    fn code(&self) -> Code {
        Code::FederationLinkInvalid
    }

    fn hint(&self) -> String {
        match self {
            Self::OtherKind => "compare it with what was sent: troth agent run takes join links, troth federation accept takes federation links".to_owned(),
            Self::UrlNotPlain => "give the partner the parts one by one: troth federation create --trust-domain TD --url URL --profile P".to_owned(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
