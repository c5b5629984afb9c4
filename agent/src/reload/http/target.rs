//! Where the request of an HTTP hook goes: this machine, and nowhere else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;

/// The longest path of a Unix socket: `sun_path` of unix(7) less the zero octet.
const LONGEST_SOCKET_PATH: usize = 107;

/// What a request to a Unix socket names as its host.
const UNIX_HOST: &str = "localhost";

/// The port of http:// where none is named.
const HTTP_PORT: u16 = 80;

/// The address of a service on this machine: `http://127.0.0.1:9000/reload`, `http://[::1]:9000/reload`, `http://localhost:9000/reload`, or `unix:/run/x.sock:/reload`.
///
/// Always a loopback address or an absolute socket path, with an absolute request path, and without user name or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpTarget {
    /// A port on loopback.
    Tcp {
        /// Where, in the order in which it is tried. `localhost` is both loopback addresses and is not looked up: a resolver may say anything.
        addresses: Vec<SocketAddr>,
        /// Host and port as they were written: the `Host` header.
        authority: String,
        /// Path and query.
        path: String,
    },
    /// A Unix socket.
    Unix {
        /// The socket.
        socket: PathBuf,
        /// Path and query.
        path: String,
    },
}

/// The text names no service on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHttpTargetError {
    /// Another machine, or a name.
    #[error("{host} is not on loopback: an HTTP hook asks 127.0.0.1, [::1] or localhost, or a Unix socket")]
    NotLoopback {
        /// The host.
        host: String,
    },
    /// Not a URL of either kind.
    #[error("{text:?} is not the URL of a service on this machine: http://127.0.0.1:PORT/PATH, or unix:/SOCKET:/PATH")]
    NotUrl {
        /// What was given.
        text: String,
    },
    /// The scheme.
    #[error("an HTTP hook speaks http:// or to a Unix socket; on loopback there is nothing for https:// to protect")]
    Scheme,
    /// The socket's path.
    #[error("a Unix socket is named by an absolute path of at most {LONGEST_SOCKET_PATH} octets")]
    Socket,
    /// User name and password.
    #[error("the URL of an HTTP hook holds no user name: it is shown in logs")]
    UserInfo,
}

impl HttpTarget {
    /// Returns the `Host` of the request.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } => authority,
            Self::Unix { .. } => UNIX_HOST,
        }
    }

    /// Returns path and query.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Tcp { path, .. } | Self::Unix { path, .. } => path,
        }
    }
}

/// Without the query: a program's own secret may be in it.
impl fmt::Display for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().split('?').next().unwrap_or_default();
        match self {
            Self::Tcp { authority, .. } => write!(f, "http://{authority}{path}"),
            Self::Unix { socket, .. } => write!(f, "unix:{}:{path}", socket.display()),
        }
    }
}

impl FromStr for HttpTarget {
    type Err = ParseHttpTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(rest) => unix(rest, text),
            None => tcp(text),
        }
    }
}

fn not_url(text: &str) -> ParseHttpTargetError {
    ParseHttpTargetError::NotUrl { text: text.to_owned() }
}

/// The first `:/` ends the socket's path: a path with a colon before a slash in it is not to be written here.
fn unix(rest: &str, text: &str) -> Result<HttpTarget, ParseHttpTargetError> {
    let (socket, path) = rest.split_once(":/").ok_or_else(|| not_url(text))?;
    if !Path::new(socket).is_absolute() || socket.len() > LONGEST_SOCKET_PATH || socket.contains('\0') {
        return Err(ParseHttpTargetError::Socket);
    }
    let path = request_path(&format!("/{path}"), text)?;
    Ok(HttpTarget::Unix { socket: socket.into(), path })
}

fn tcp(text: &str) -> Result<HttpTarget, ParseHttpTargetError> {
    let uri: Uri = text.parse().map_err(|_| not_url(text))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(_) => return Err(ParseHttpTargetError::Scheme),
        None => return Err(not_url(text)),
    }
    let authority = uri.authority().ok_or_else(|| not_url(text))?;
    if authority.as_str().contains('@') {
        return Err(ParseHttpTargetError::UserInfo);
    }
    if text.contains('#') {
        return Err(not_url(text));
    }
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => HTTP_PORT,
        None => return Err(not_url(text)),
    };
    let addresses = loopback(authority.host())?.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Ok(HttpTarget::Tcp {
        addresses,
        authority: authority.as_str().to_owned(),
        path: request_path(path, text)?,
    })
}

fn loopback(host: &str) -> Result<Vec<IpAddr>, ParseHttpTargetError> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match literal.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(vec![address]),
        _ => Err(ParseHttpTargetError::NotLoopback { host: host.to_owned() }),
    }
}

fn request_path(path: &str, text: &str) -> Result<String, ParseHttpTargetError> {
    let parsed: http::uri::PathAndQuery = path.parse().map_err(|_| not_url(text))?;
    match parsed.as_str() == path && path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err(not_url(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_on_this_machine_are_taken() {
        let tcp = |addresses: &[&str], authority: &str, path: &str| HttpTarget::Tcp {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        let cases = [
            ("http://127.0.0.1:9000/reload", tcp(&["127.0.0.1:9000"], "127.0.0.1:9000", "/reload")),
            ("http://127.0.0.1:9000", tcp(&["127.0.0.1:9000"], "127.0.0.1:9000", "/")),
            ("http://127.8.9.1/-/reload?force=1", tcp(&["127.8.9.1:80"], "127.8.9.1", "/-/reload?force=1")),
            ("http://[::1]:9000/reload", tcp(&["[::1]:9000"], "[::1]:9000", "/reload")),
            ("http://localhost:80/", tcp(&["127.0.0.1:80", "[::1]:80"], "localhost:80", "/")),
        ];
        for (text, target) in cases {
            assert_eq!(text.parse::<HttpTarget>().unwrap(), target, "{text}");
        }
        let unix: HttpTarget = "unix:/run/x.sock:/v1/reload?now".parse().unwrap();
        assert_eq!((unix.path(), unix.to_string().as_str()), ("/v1/reload?now", "unix:/run/x.sock:/v1/reload"));
    }

    #[test]
    fn everything_that_leaves_this_machine_or_is_no_url_is_refused() {
        use ParseHttpTargetError as Error;
        let not_loopback = |host: &str| Error::NotLoopback { host: host.to_owned() };
        let cases = [
            ("https://127.0.0.1/", Error::Scheme),
            ("ftp://127.0.0.1/", Error::Scheme),
            ("http://192.0.2.1/reload", not_loopback("192.0.2.1")),
            ("http://localhost.example/reload", not_loopback("localhost.example")),
            ("http://127.0.0.1.example/reload", not_loopback("127.0.0.1.example")),
            ("http://[::ffff:192.0.2.1]/reload", not_loopback("[::ffff:192.0.2.1]")),
            ("http://0.0.0.0/reload", not_loopback("0.0.0.0")),
            ("http://user:secret@127.0.0.1/reload", Error::UserInfo),
            ("unix:run/x.sock:/reload", Error::Socket),
        ];
        for (text, refused) in cases {
            assert_eq!(text.parse::<HttpTarget>().unwrap_err(), refused, "{text}");
        }
        for text in [
            "",
            "127.0.0.1:9000",
            "/reload",
            "http://",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:/",
            "http://127.0.0.1/a#b",
            "http://127.0.0.1/a b",
            "unix:/run/x.sock",
            "unix:/run/x.sock:reload",
            "unix:/run/x.sock:/a b",
            "http://127.0.0.1/\r\nX: y",
        ] {
            assert!(text.parse::<HttpTarget>().is_err(), "{text:?}");
        }
        let long = format!("unix:/{}:/reload", "s".repeat(107));
        assert_eq!(long.parse::<HttpTarget>().unwrap_err(), Error::Socket);
    }
}
