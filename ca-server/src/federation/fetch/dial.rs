//! The connection to an endpoint: names looked up once, every address checked, and only checked ones connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use trust_domains::federation::{EndpointUrl, Host};

use super::address::Admitted;
use super::error::{FetchError, at};
use super::settings::FetchSettings;

/// A connection, straight or through a proxy.
pub(super) trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Octets for S {}

/// Connects to the endpoint of a URL within the deadline for that.
pub(super) async fn dial(url: &EndpointUrl, settings: &FetchSettings) -> Result<Box<dyn Octets>, FetchError> {
    let deadline = settings.limits.connect_deadline;
    let dialed = tokio::time::timeout(deadline, async {
        match &settings.proxy {
            Some(proxy) => {
                // A literal is checked here too; a name is looked up by the proxy, where it leads is the proxy's affair.
                admitted(url, settings, literal(url))?;
                let tunnel = proxy.tunnel(url).await.map_err(|error| FetchError::unreachable(url, &error))?;
                Ok(Box::new(tunnel) as Box<dyn Octets>)
            }
            None => {
                let found = look_up(url).await.map_err(|error| FetchError::unreachable(url, &error))?;
                let addresses = admitted(url, settings, found)?;
                let stream = connect(&addresses, settings).await;
                Ok(Box::new(stream.map_err(|error| FetchError::unreachable(url, &error))?) as Box<dyn Octets>)
            }
        }
    });
    dialed.await.unwrap_or_else(|_| Err(FetchError::TimedOut { at: at(url), deadline }))
}

/// Looks a name up, once: what a later answer of the same DNS says cannot matter.
async fn look_up(url: &EndpointUrl) -> io::Result<Vec<SocketAddr>> {
    match url.host() {
        Host::Domain(name) => Ok(lookup_host((name, url.port())).await?.collect()),
        Host::Ipv4(_) | Host::Ipv6(_) => Ok(literal(url)),
    }
}

/// Returns the address that stands in the URL, if one does.
fn literal(url: &EndpointUrl) -> Vec<SocketAddr> {
    let address: IpAddr = match url.host() {
        Host::Domain(_) => return Vec::new(),
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
    };
    vec![(address, url.port()).into()]
}

fn admitted(url: &EndpointUrl, settings: &FetchSettings, found: Vec<SocketAddr>) -> Result<Admitted, FetchError> {
    Admitted::all(found, settings.local()).map_err(|(address, kind)| FetchError::AddressRefused { at: at(url), address, kind })
}

/// Opens a connection to the first address that answers.
async fn connect(addresses: &Admitted, settings: &FetchSettings) -> io::Result<TcpStream> {
    let addresses = addresses.addresses();
    // One address that swallows packets must not use up the time of the others.
    let share = settings.limits.connect_deadline / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(last)
}
