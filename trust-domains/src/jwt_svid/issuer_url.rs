//! The issuer that tokens name for OpenID Connect relying parties (OpenID Connect Discovery 1.0 sections 3 and 4).

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The longest issuer URL: each token repeats it.
const MAX_LEN: usize = 512;

/// An issuer: always `https://HOST[:PORT][/PATH]` without user, query and fragment. Relying parties compare it octet by octet, so it is kept as it was
/// written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IssuerUrl(Box<str>);

impl IssuerUrl {
    /// Returns the URL as it was written: what `iss` and the discovery document say.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its path without a terminating `/`; empty without one. `/.well-known/openid-configuration` is under it (Discovery section 4).
    #[must_use]
    pub fn path(&self) -> &str {
        let after_host = |text: &str| text.find('/').unwrap_or(text.len());
        let rest = self.0.strip_prefix(SCHEME).unwrap_or_default();
        rest.get(after_host(rest)..).unwrap_or_default().trim_end_matches('/')
    }

    /// Returns the URL of something under the issuer; `path` begins with `/`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }
}

const SCHEME: &str = "https://";

impl FromStr for IssuerUrl {
    type Err = ParseIssuerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_LEN {
            return Err(ParseIssuerUrlError::TooLong {
                limit: MAX_LEN,
                actual: text.len(),
            });
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParseIssuerUrlError::NotHttps)?;
        let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
        if !is_authority(authority) {
            return Err(ParseIssuerUrlError::Host);
        }
        let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%:@!$&'()*+,;=".contains(&byte));
        // A relying party's HTTP client would take such segments out, and ask for something else.
        let has_dots = path.split('/').any(|segment| segment == "." || segment == "..");
        if !is_path || has_dots || path.contains("//") {
            return Err(ParseIssuerUrlError::Path);
        }
        Ok(Self(text.into()))
    }
}

/// `HOST` or `HOST:PORT`; a host is a DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port.strip_prefix(':').or((!port.is_empty()).then_some("bad"))),
            _ => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    is_host && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerUrl({self})")
    }
}

serde_as_text!(IssuerUrl, "an issuer URL");

/// The text is not the URL of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIssuerUrlError {
    /// The host is missing or malformed, or there is a user or a bad port.
    #[error("an issuer is https://HOST[:PORT][/PATH], without a user")]
    Host,
    /// Another scheme.
    #[error("an issuer begins with https://")]
    NotHttps,
    /// The path has a query, a fragment, empty or dot segments, or characters that no URL has.
    #[error("the path of an issuer has no query, no fragment, and no empty or dot segments")]
    Path,
    /// Longer than an issuer may be.
    #[error("an issuer of {actual} bytes, the limit is {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_https_url_without_query_and_fragment() {
        for (good, path, keys) in [
            ("https://example.org", "", "https://example.org/keys"),
            ("https://example.org/", "", "https://example.org/keys"),
            ("https://127.0.0.1:8444", "", "https://127.0.0.1:8444/keys"),
            ("https://[::1]:8444/a", "/a", "https://[::1]:8444/a/keys"),
            ("https://id.example.org/td/prod/", "/td/prod", "https://id.example.org/td/prod/keys"),
        ] {
            let issuer: IssuerUrl = good.parse().unwrap();
            assert_eq!((issuer.to_string().as_str(), issuer.path(), issuer.join("/keys").as_str()), (good, path, keys));
        }
        for bad in [
            "",
            "http://example.org",
            "HTTPS://example.org",
            "https://",
            "https:///path",
            "https://user@example.org",
            "https://example.org:0",
            "https://example.org:x",
            "https://example.org:99999",
            "https://[::1",
            "https://[::1]x",
            "https://exa mple.org",
            "https://example.org/a?b",
            "https://example.org/a#b",
            "https://example.org?b",
            "https://example.org/a//b",
            "https://example.org/../b",
            "https://example.org/ä",
            &format!("https://example.org/{}", "a".repeat(600)),
        ] {
            assert!(bad.parse::<IssuerUrl>().is_err(), "{bad}");
        }
    }
}
