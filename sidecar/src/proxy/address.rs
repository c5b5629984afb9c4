//! Where a listener listens, and where it goes on to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use platform::sockets::{ParseSocketPathError, SocketPath};
use trust_domains::join_link::ServerAddress;

/// What comes before the path of a Unix socket.
const UNIX: &str = "unix:";

/// The host that is this machine in any resolver (RFC 6761 section 6.3).
const LOCALHOST: &str = "localhost";

/// Where connections are accepted: `ADDRESS:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(SocketPath),
}

/// Where connections go on to: `HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetAddress {
    /// A host, looked up for each connection.
    Tcp(ServerAddress),
    /// A Unix socket.
    Unix(SocketPath),
}

impl ListenAddress {
    /// Returns whether only processes of this machine reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl TargetAddress {
    /// Returns whether it is certainly on this machine: a Unix socket, a loopback address, or `localhost`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.host() == LOCALHOST || target_ip(address).is_some_and(|ip| ip.to_canonical().is_loopback()),
            Self::Unix(_) => true,
        }
    }
}

impl TargetAddress {
    /// Returns whether a connection to it arrives at this listener, as far as the addresses tell without a resolver.
    #[must_use]
    pub fn is_at(&self, listen: &ListenAddress) -> bool {
        match (self, listen) {
            (Self::Unix(target), ListenAddress::Unix(listen)) => target == listen,
            (Self::Tcp(target), ListenAddress::Tcp(listen)) if target.port() == listen.port() => {
                let ip = listen.ip().to_canonical();
                if ip.is_unspecified() || target.host() == LOCALHOST && ip.is_loopback() {
                    return self.is_local();
                }
                target_ip(target).is_some_and(|target| target.to_canonical() == ip)
            }
            (Self::Unix(_) | Self::Tcp(_), ListenAddress::Unix(_) | ListenAddress::Tcp(_)) => false,
        }
    }
}

fn target_ip(target: &ServerAddress) -> Option<IpAddr> {
    target.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
}

impl FromStr for ListenAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(UNIX) {
            return unix(text).map(Self::Unix);
        }
        text.parse().map(Self::Tcp).map_err(|_| ParseAddressError::Listen { text: text.to_owned() })
    }
}

impl FromStr for TargetAddress {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(UNIX) {
            return unix(text).map(Self::Unix);
        }
        text.parse().map(Self::Tcp).map_err(|_| ParseAddressError::Target { text: text.to_owned() })
    }
}

/// Reads `unix:PATH` or `unix:///PATH`. The path is absolute: where the process is started is no part of a file.
fn unix(text: &str) -> Result<SocketPath, ParseAddressError> {
    text.parse().map_err(|source| ParseAddressError::Socket { text: text.to_owned(), source })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{path}"),
        }
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{path}"),
        }
    }
}

/// A text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// It is none to listen on.
    #[error("{text:?} is neither ADDRESS:PORT nor unix:PATH")]
    Listen {
        /// The text.
        text: String,
    },
    /// Its path is none of a socket.
    #[error("{text:?} names no Unix socket: {source}")]
    Socket {
        /// The text.
        text: String,
        /// Why not.
        source: ParseSocketPathError,
    },
    /// It is none to go on to.
    #[error("{text:?} is neither HOST:PORT nor unix:PATH")]
    Target {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_shown_and_know_whether_they_are_local() {
        for (text, local) in [
            ("127.0.0.1:80", true),
            ("[::1]:80", true),
            ("0.0.0.0:80", false),
            ("192.0.2.1:80", false),
            ("unix:/run/a.sock", true),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, local));
        }
        for (text, local) in [
            ("localhost:80", true),
            ("127.0.0.9:80", true),
            ("[::1]:80", true),
            ("web.example:80", false),
            ("localhost.example:80", false),
            ("unix:/run/a.sock", true),
        ] {
            let address: TargetAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, local));
        }
        assert_eq!("unix:///a.sock".parse::<ListenAddress>().unwrap().to_string(), "unix:/a.sock");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "80", "localhost:80", "127.0.0.1", "unix:", "unix:/a/", "unix:a.sock", "tcp:127.0.0.1:80"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        for text in ["", "80", "localhost", "unix:", "http://localhost:80"] {
            assert!(text.parse::<TargetAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_that_is_its_own_listener_is_known() {
        for (target, listen, is_at) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("localhost:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::1]:80", "[::]:80", true),
            ("127.0.0.1:81", "127.0.0.1:80", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("web.example:80", "0.0.0.0:80", false),
            ("unix:/run/a.sock", "unix:///run/a.sock", true),
            ("unix:/run/a.sock", "unix:/run/b.sock", false),
            ("unix:/run/a.sock", "127.0.0.1:80", false),
        ] {
            let (found, at): (TargetAddress, ListenAddress) = (target.parse().unwrap(), listen.parse().unwrap());
            assert_eq!(found.is_at(&at), is_at, "{target} {listen}");
        }
    }
}
