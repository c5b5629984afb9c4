//! Where a server listens for nodes.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A host and a port: always a name, an IPv4 or an IPv6 address, and a port other than 0.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    host: Box<str>,
    port: u16,
}

impl ServerAddress {
    /// The longest host in bytes: that of a DNS name as text (RFC 1035 section 2.3.4).
    pub const MAX_HOST_LEN: usize = 253;

    /// Returns the address of a host, an IPv6 one with or without brackets.
    ///
    /// # Errors
    /// The host is no name and no address, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, ParseServerAddressError> {
        if port == 0 {
            return Err(ParseServerAddressError::Port);
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare.unwrap_or(host).parse::<Ipv6Addr>() {
            Ok(address) => address.to_string(),
            Err(_) if is_name(host) => host.to_owned(),
            Err(_) => return Err(ParseServerAddressError::Host { limit: Self::MAX_HOST_LEN }),
        };
        Ok(Self { host: host.into(), port })
    }

    /// Returns the host, without brackets: what a resolver takes.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the form in a link: no brackets, which a shell would take for a pattern; the last colon starts the port.
    pub(crate) fn in_link(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Whether a host is a name or an IPv4 address. Names that DNS would not have, like `my_host`, resolve on many networks.
fn is_name(host: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    (1..=ServerAddress::MAX_HOST_LEN).contains(&host.len()) && host.bytes().all(allowed)
}

impl FromStr for ServerAddress {
    type Err = ParseServerAddressError;

    /// Reads `host:8443`, `[::1]:8443` and, as in a link, `::1:8443`: the last colon starts the port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseServerAddressError::Port)?;
        // `parse` alone would take a sign.
        if !port.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(ParseServerAddressError::Port);
        }
        Self::new(host, port.parse().map_err(|_| ParseServerAddressError::Port)?)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

serde_as_text!(ServerAddress, "an address, HOST:PORT");

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseServerAddressError {
    /// The host is no name and no address.
    #[error("the host is not a name of at most {limit} bytes, nor an IP address")]
    Host {
        /// The most bytes.
        limit: usize,
    },
    /// There is no port from 1 to 65535 behind the last colon.
    #[error("the port is missing, or not a number from 1 to 65535")]
    Port,
}

impl Coded for ParseServerAddressError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "write it as HOST:PORT, like ca.example.org:8443 or [::1]:8443".to_owned()
    }
}
