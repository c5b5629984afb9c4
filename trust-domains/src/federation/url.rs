//! The URL of a bundle endpoint, of a Bundle Map or of a partner's revocation lists.

use std::fmt;
use std::str::FromStr;

use ::url::{Host, Url};

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// The port of `https` (RFC 9110 section 4.2.2).
const HTTPS_PORT: u16 = 443;

/// The one scheme of both profiles.
const SCHEME: &str = "https://";

/// The URL of an endpoint: always `https`, with a host, without user-info and fragment, in ASCII (FED-12).
///
/// It is read as the URL standard of browsers does (<https://url.spec.whatwg.org>), so `https://A.TEST` and `https://a.test:443/` are equal. What that standard
/// would mend silently (white space, backslashes, a missing `//`) is refused: two readers could mend it differently.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// The longest URL in octets: room for any SPIFFE ID in it; servers commonly take request lines of 8 KiB.
    pub const MAX_LEN: usize = 2_048;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the host: a name in lower case, or an address whatever way it was written.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        // Always there: `check` refuses a URL without one.
        self.0.host().unwrap_or(Host::Domain(""))
    }

    /// Returns the port: 443 where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(HTTPS_PORT)
    }

    /// Returns the path, which starts with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Returns the query, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.0.query()
    }

    /// Returns what a request names (RFC 9112 section 3.2.1): the path and the query.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match self.query() {
            Some(query) => format!("{}?{query}", self.path()),
            None => self.path().to_owned(),
        }
    }

    /// Returns the host and the port as a `Host` field has them (RFC 9110 section 7.2): the port only where it is not 443, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Returns where it is, without path and query: `https://HOST[:PORT]`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{SCHEME}{}", self.authority())
    }

    /// Returns the URL that a `Location` field names, seen from here (RFC 9110 section 10.2.2): an absolute one, or one relative to this.
    ///
    /// A fragment is left out: it names a part of a document, and nobody sends it.
    ///
    /// # Errors
    ///
    /// The target is no endpoint URL (FED-16): the rules are those of a configured one.
    pub fn redirected(&self, location: &str) -> Result<Self, EndpointUrlError> {
        let (location, _fragment) = location.split_once('#').unwrap_or((location, ""));
        if has_scheme(location) {
            return location.parse();
        }
        if location.starts_with("//") {
            return format!("https:{location}").parse();
        }
        check_text(location)?;
        let target = self.0.join(location).map_err(|_| EndpointUrlError::Malformed)?;
        Self::check(target)
    }

    fn check(url: Url) -> Result<Self, EndpointUrlError> {
        if url.scheme() != "https" {
            return Err(EndpointUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointUrlError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(EndpointUrlError::HostMissing);
        }
        if url.port() == Some(0) {
            return Err(EndpointUrlError::Port);
        }
        check_length(url.as_str().len())?;
        Ok(Self(url))
    }
}

/// Whether a reference starts with a scheme (RFC 3986 section 3.1), and so is none that is relative.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    let mut octets = scheme.bytes();
    octets.next().is_some_and(|first| first.is_ascii_alphabetic()) && octets.all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
}

fn check_length(actual: usize) -> Result<(), EndpointUrlError> {
    let limit = EndpointUrl::MAX_LEN;
    if actual > limit {
        return Err(EndpointUrlError::TooLong { limit, actual });
    }
    Ok(())
}

/// Refuses what readers of URLs mend, each in its own way.
fn check_text(text: &str) -> Result<(), EndpointUrlError> {
    check_length(text.len())?;
    match text.bytes().position(|octet| !octet.is_ascii_graphic() || octet == b'\\') {
        Some(at) => Err(EndpointUrlError::BadCharacter { at }),
        None => Ok(()),
    }
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_text(text)?;
        let scheme = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        let rest = scheme.and_then(|scheme| text.get(scheme.len()..)).ok_or(EndpointUrlError::NotHttps)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // An empty user name would be dropped below, and the host found behind slashes too many.
        if authority.contains('@') {
            return Err(EndpointUrlError::UserInfo);
        }
        if authority.is_empty() {
            return Err(EndpointUrlError::HostMissing);
        }
        Self::check(Url::parse(text).map_err(|_| EndpointUrlError::Malformed)?)
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

serde_as_text!(EndpointUrl, "an https URL");

/// The text is not the URL of an endpoint. No variant holds a part of it: it may be what a hostile partner sent, or have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointUrlError {
    /// A character that no URL has as it is: white space, a backslash, or one outside of ASCII.
    #[error("the URL has a character at byte {at} that must be percent-encoded, or a host name that is not in its ASCII form")]
    BadCharacter {
        /// Where, from 0.
        at: usize,
    },
    /// A fragment: it names a part of a document.
    #[error("the URL has a fragment")]
    Fragment,
    /// There is no host.
    #[error("the URL has no host")]
    HostMissing,
    /// It cannot be read: the host or the port is none.
    #[error("the URL's host is not a name or an address, or its port is not a number")]
    Malformed,
    /// Another scheme.
    #[error("the URL is not an https one")]
    NotHttps,
    /// Port 0, where nobody can be.
    #[error("the URL has the port 0")]
    Port,
    /// More octets than are read.
    #[error("the URL has {actual} octets, more than {limit}")]
    TooLong {
        /// The most.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// A user name or a password.
    #[error("the URL has a user name or a password in it")]
    UserInfo,
}

impl Coded for EndpointUrlError {
    fn code(&self) -> Code {
        Code::EndpointUrlInvalid
    }
}

#[cfg(test)]
mod tests;
