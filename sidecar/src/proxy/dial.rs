//! Reaching the target.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::address::TargetAddress;
use super::socket::Socket;

/// Connects to the first address of the target that answers, all of it within the deadline.
pub(super) async fn dial(target: &TargetAddress, deadline: Duration) -> io::Result<Socket> {
    let dialled = tokio::time::timeout(deadline, async {
        match target {
            TargetAddress::Unix(path) => UnixStream::connect(path.path()).await.map(Socket::Unix),
            TargetAddress::Tcp(address) => Socket::tcp(dial_tcp(address.host(), address.port(), deadline).await?),
        }
    });
    dialled.await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

async fn dial_tcp(host: &str, port: u16, deadline: Duration) -> io::Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match host {
        // This machine, whatever a resolver says (RFC 6761 section 6.3).
        "localhost" => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        host => lookup_host((host, port)).await?.collect::<Vec<SocketAddr>>(),
    };
    // One address that swallows packets must not use up the time of the others.
    let share = deadline / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
