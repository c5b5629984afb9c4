//! What a probe looks at, and for how long.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustls::pki_types::{DnsName, ServerName};
use trust_domains::duration::format_duration;

/// How long a service has, unless said: nginx has new workers in milliseconds, a Java service may take seconds.
pub const DEFAULT_WITHIN: Duration = Duration::from_secs(10);

/// The longest that a probe may take: a rotation of the shortest lives comes every five seconds, and each waits for the probe before it.
pub const LONGEST_WITHIN: Duration = Duration::from_secs(300);

/// The longest path of a Unix socket: `sun_path` of unix(7) less the zero octet.
const LONGEST_SOCKET_PATH: usize = 107;

/// A probe of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    address: ProbeAddress,
    server_name: ServerName<'static>,
    starttls: Option<StartTls>,
    within: Duration,
}

/// Where the service listens. Names other than `localhost` are not looked up: the service is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAddress {
    /// Addresses that are tried in this order.
    Tcp(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The DNS name that a service is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeServerName(DnsName<'static>);

/// What a service wants to hear before TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// PostgreSQL's `SSLRequest`.
    Postgres,
}

/// The settings are no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProbeError {
    /// The address.
    #[error("{found:?} is not where a service listens on this machine: 127.0.0.1:443, [::1]:443, localhost:443 or unix:/PATH")]
    Address {
        /// What was given.
        found: String,
    },
    /// The server name.
    #[error("{found:?} is not a DNS name")]
    ServerName {
        /// What was given.
        found: String,
    },
    /// What is said before TLS.
    #[error("starttls is \"postgres\", or is left out for a service that speaks TLS at once; not {found:?}")]
    StartTls {
        /// What was given.
        found: String,
    },
    /// The time.
    #[error("a probe takes longer than nothing, and at most {}", format_duration(LONGEST_WITHIN))]
    Within,
}

impl Probe {
    /// Makes a probe: of an address, with the DNS name that is sent as SNI, none unless said; what is said before TLS; and the time until the service must
    /// present the new leaf, [`DEFAULT_WITHIN`] unless said.
    ///
    /// # Errors
    /// The time is none, or longer than [`LONGEST_WITHIN`].
    pub fn new(
        address: ProbeAddress,
        server_name: Option<ProbeServerName>,
        starttls: Option<StartTls>,
        within: Option<Duration>,
    ) -> Result<Self, ParseProbeError> {
        let within = within.unwrap_or(DEFAULT_WITHIN);
        if within.is_zero() || within > LONGEST_WITHIN {
            return Err(ParseProbeError::Within);
        }
        Ok(Self {
            address,
            server_name: server_name.map_or_else(no_name, |ProbeServerName(name)| ServerName::DnsName(name)),
            starttls,
            within,
        })
    }

    pub(super) fn address(&self) -> &ProbeAddress {
        &self.address
    }

    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    pub(super) fn starttls(&self) -> Option<StartTls> {
        self.starttls
    }

    /// Returns how long the service has.
    #[must_use]
    pub fn within(&self) -> Duration {
        self.within
    }
}

/// Returns what is connected to without a name: an address is not sent as SNI (RFC 6066 section 3), and the witness asks for no name.
fn no_name() -> ServerName<'static> {
    ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST))
}

impl FromStr for ProbeServerName {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |_| ParseProbeError::ServerName { found: text.to_owned() };
        DnsName::try_from(text).map(|name| Self(name.to_owned())).map_err(refused)
    }
}

impl FromStr for StartTls {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "postgres" => Ok(Self::Postgres),
            _ => Err(ParseProbeError::StartTls { found: text.to_owned() }),
        }
    }
}

impl FromStr for ProbeAddress {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseProbeError::Address { found: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let usable = Path::new(path).is_absolute() && path.len() <= LONGEST_SOCKET_PATH && !path.contains('\0');
            return usable.then(|| Self::Unix(path.into())).ok_or_else(refused);
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| refused())?;
            let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Self::Tcp(both.map(|address| SocketAddr::new(address, port)).to_vec()));
        }
        let address: SocketAddr = text.parse().map_err(|_| refused())?;
        match address.ip().is_unspecified() || address.port() == 0 {
            true => Err(refused()),
            false => Ok(Self::Tcp(vec![address])),
        }
    }
}

impl fmt::Display for ProbeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addresses) => addresses.first().map_or(Ok(()), |address| address.fmt(f)),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_this_machine_are_taken() {
        for (text, shown) in [
            ("127.0.0.1:443", "127.0.0.1:443"),
            ("192.0.2.7:8443", "192.0.2.7:8443"),
            ("[::1]:443", "[::1]:443"),
            ("localhost:5432", "127.0.0.1:5432"),
            ("unix:/run/postgresql/.s.PGSQL.5432", "unix:/run/postgresql/.s.PGSQL.5432"),
        ] {
            let probe = Probe::new(text.parse().unwrap(), Some("web.example".parse().unwrap()), Some(StartTls::Postgres), None).unwrap();
            assert_eq!((probe.address.to_string().as_str(), probe.within), (shown, DEFAULT_WITHIN));
        }
    }

    #[test]
    fn what_is_no_probe_is_refused_with_the_part_that_is_wrong() {
        for address in [
            "",
            "web.example:443",
            "127.0.0.1",
            "127.0.0.1:0",
            "0.0.0.0:443",
            "[::]:443",
            "localhost",
            "localhost:x",
            "unix:run/x",
            "unix:",
            "http://127.0.0.1:443",
        ] {
            let found = address.to_owned();
            assert_eq!(address.parse::<ProbeAddress>(), Err(ParseProbeError::Address { found }));
        }
        for name in ["", "two words", "127.0.0.1", "a..b", "*.example"] {
            let found = name.to_owned();
            assert_eq!(name.parse::<ProbeServerName>(), Err(ParseProbeError::ServerName { found }));
        }
        let found = "smtp".to_owned();
        assert_eq!("smtp".parse::<StartTls>(), Err(ParseProbeError::StartTls { found }));
        for within in [Duration::ZERO, LONGEST_WITHIN + Duration::from_secs(1)] {
            let address = "127.0.0.1:1".parse().unwrap();
            assert_eq!(Probe::new(address, None, None, Some(within)).unwrap_err(), ParseProbeError::Within);
        }
    }
}
