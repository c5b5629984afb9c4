//! A proxy that connects in this server's place (RFC 9110 section 9.3.6): only one that is configured, never one of the environment.

use std::fmt;
use std::io;
use std::str::FromStr;

use bytes::Bytes;
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use trust_domains::federation::EndpointUrl;

use super::limits::{MAX_HEADER_OCTETS, MAX_HEADERS};

/// The port of a proxy whose URL names none: that of `http`.
const DEFAULT_PORT: u16 = 80;

/// Where a proxy is: `http://HOST:PORT`. Always valid; without credentials, which would stand in configuration files and process lists.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    host: String,
    port: u16,
}

impl ProxyUrl {
    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets the proxy connect to the endpoint of a URL.
    pub(super) async fn tunnel(&self, url: &EndpointUrl) -> Result<TokioIo<Upgraded>, TunnelError> {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((address, self.port))
            .await
            .map_err(|source| TunnelError::Unreachable { source })?;
        stream.set_nodelay(true).map_err(|source| TunnelError::Unreachable { source })?;
        let broken = |source| TunnelError::Broken { source };
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEADER_OCTETS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the tunnel, whose octets it hands over.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(connect_request(url)?).await.map_err(broken)?;
        match response.status() {
            status if status.is_success() => Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(broken)?)),
            status => Err(TunnelError::Refused { status }),
        }
    }
}

fn connect_request(url: &EndpointUrl) -> Result<Request<Empty<Bytes>>, TunnelError> {
    let authority = format!("{}:{}", url.host(), url.port());
    let target: Authority = authority.parse().map_err(|_| TunnelError::NotATarget)?;
    Request::builder()
        .method(Method::CONNECT)
        .uri(Uri::from(target))
        .header(http::header::HOST, authority)
        .body(Empty::new())
        .map_err(|_| TunnelError::NotATarget)
}

/// The proxy makes no connection.
#[derive(Debug, Error)]
pub(super) enum TunnelError {
    /// The connection to it broke, or it is not a proxy.
    #[error("the connection to the proxy broke")]
    Broken {
        #[source]
        source: hyper::Error,
    },
    /// The host cannot be written in a request to a proxy.
    #[error("the proxy cannot be asked for that host")]
    NotATarget,
    /// It does not want to.
    #[error("the proxy answered with HTTP status {}", status.as_u16())]
    Refused { status: StatusCode },
    /// It is not there.
    #[error("the proxy cannot be reached")]
    Unreachable {
        #[source]
        source: io::Error,
    },
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl FromStr for ProxyUrl {
    type Err = ParseProxyUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| ParseProxyUrlError::NotAUrl)?;
        if uri.scheme_str() != Some("http") {
            return Err(ParseProxyUrlError::NotHttp);
        }
        let authority = uri.authority().ok_or(ParseProxyUrlError::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(ParseProxyUrlError::Credentials);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.host().is_empty() {
            return Err(ParseProxyUrlError::NotAUrl);
        }
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(DEFAULT_PORT),
        })
    }
}

/// The text is not the URL of a proxy. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseProxyUrlError {
    /// It has a user's name or password.
    #[error("a proxy that asks for a name and a password is not supported")]
    Credentials,
    /// It is no URL, or has a path.
    #[error("a proxy is written as http://HOST:PORT")]
    NotAUrl,
    /// It has another scheme.
    #[error("a proxy is asked over http, and the TLS goes through it: write http://HOST:PORT")]
    NotHttp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_without_credentials() {
        let parse = |text: &str| text.parse::<ProxyUrl>();
        for (text, shown) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example/", "http://proxy.example:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        assert_eq!(parse("https://proxy.example:3128"), Err(ParseProxyUrlError::NotHttp));
        assert_eq!(parse("proxy.example:3128"), Err(ParseProxyUrlError::NotHttp));
        assert_eq!(parse("http://user:secret@proxy.example"), Err(ParseProxyUrlError::Credentials));
        for text in ["", "http://proxy.example/path", "http://proxy.example/?a=b", "http://:3128", "http://a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
