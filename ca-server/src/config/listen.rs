//! Where a listener listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The node API's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Default for Listen {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)))
    }
}

/// Where metrics and probes are served; `None` for off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelemetryListen(pub Option<SocketAddr>);

impl Default for TelemetryListen {
    /// On the machine only: metrics name identities.
    fn default() -> Self {
        Self(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))))
    }
}

/// The text is no address to listen at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no address with a port, as 127.0.0.1:8443 or [::1]:8443")]
pub struct ParseListenError {
    /// The text.
    pub text: String,
}

impl FromStr for Listen {
    type Err = ParseListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseListenError { text: text.to_owned() })
    }
}

impl FromStr for TelemetryListen {
    type Err = ParseListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            address => address.parse::<Listen>().map(|Listen(address)| Self(Some(address))),
        }
    }
}
