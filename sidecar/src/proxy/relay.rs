//! Passing octets on, both ways, until both have ended.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The first buffer of a direction, and what it grows to while it is filled: most connections stay small, and a fast one fills four records of TLS at a time.
const FIRST_BUFFER: usize = 4 * 1024;
const LARGEST_BUFFER: usize = 64 * 1024;

/// How often an idle time is looked at within it.
const LOOKS: u32 = 4;

/// What went through a connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// From the peer to the program.
    pub(super) received: Octets,
    /// From the program to the peer.
    pub(super) sent: Octets,
}

impl Traffic {
    fn total(&self) -> u64 {
        self.received.so_far().wrapping_add(self.sent.so_far())
    }
}

/// What went one way, counted as it goes: a connection of days is not to show at its end alone.
#[derive(Debug, Default)]
pub(super) struct Octets {
    of_connection: AtomicU64,
    of_listener: Counter,
}

impl Octets {
    /// Counts into the counter of the listener too.
    pub(super) fn counted_in(of_listener: Counter) -> Self {
        Self {
            of_connection: AtomicU64::new(0),
            of_listener,
        }
    }

    /// Returns how many went through this connection.
    pub(super) fn so_far(&self) -> u64 {
        self.of_connection.load(Ordering::Relaxed)
    }

    /// Once a buffer: two additions beside a read, a write and a record of TLS.
    fn add(&self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.of_connection.fetch_add(octets, Ordering::Relaxed);
        self.of_listener.inc_by(octets);
    }
}

/// Which end of a relayed connection failed.
#[derive(Debug)]
pub(super) enum Broken {
    /// The peer's, over TLS.
    Peer(io::Error),
    /// The program's.
    Program(io::Error),
}

/// Passes octets on until both ends have said that they are done: the end of one direction is passed on and leaves the other open.
///
/// What one end does not read, the other end does not get to send beyond one buffer a direction and those of the kernel and TLS.
///
/// # Errors
/// An end failed, or ended without TLS's word for it (RFC 8446 section 6.1): what came may have been cut short.
pub(super) async fn relay<P, T>(program: &mut P, peer: &mut T, traffic: &Traffic) -> Result<(), Broken>
where
    P: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (program_reads, program_writes) = tokio::io::split(program);
    let (peer_reads, peer_writes) = tokio::io::split(peer);
    tokio::try_join!(
        pump(peer_reads, program_writes, &traffic.received, Broken::Peer, Broken::Program),
        pump(program_reads, peer_writes, &traffic.sent, Broken::Program, Broken::Peer),
    )
    .map(drop)
}

async fn pump<R, W>(mut from: R, mut to: W, count: &Octets, reading: fn(io::Error) -> Broken, writing: fn(io::Error) -> Broken) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; FIRST_BUFFER];
    loop {
        let read = from.read(&mut buffer).await.map_err(reading)?;
        let Some(octets) = buffer.get(..read).filter(|octets| !octets.is_empty()) else {
            return to.shutdown().await.map_err(writing);
        };
        to.write_all(octets).await.map_err(writing)?;
        // TLS keeps what the socket did not take; nobody would send it on while the next read waits.
        to.flush().await.map_err(writing)?;
        count.add(read);
        if read == buffer.len() && read < LARGEST_BUFFER {
            buffer.resize(read * 4, 0);
        }
    }
}

/// Returns when nothing went through for `idle`, late by at most a quarter of it; never without one.
pub(super) async fn until_idle(traffic: &Traffic, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    let (mut seen, mut quiet) = (traffic.total(), 0);
    while quiet < LOOKS {
        tokio::time::sleep(idle / LOOKS).await;
        let now = traffic.total();
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn an_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
        let ((mut client, mut peer), (mut program, mut server)) = (duplex(64), duplex(64));
        let relaying = tokio::spawn(async move {
            let traffic = Traffic::default();
            relay(&mut program, &mut peer, &traffic)
                .await
                .map(|()| traffic)
                .map_err(|broken| format!("{broken:?}"))
        });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        let answer = vec![7; 300_000];
        let sending = tokio::spawn(async move {
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        sending.await.unwrap();
        let traffic = relaying.await.unwrap().unwrap();
        assert_eq!(got.len(), 300_000);
        assert_eq!((traffic.received.so_far(), traffic.sent.so_far()), (8, 300_000));
    }

    #[tokio::test]
    async fn what_is_not_read_is_not_taken_in_without_bound() {
        let ((mut client, mut peer), (mut program, _server)) = (duplex(64), duplex(64));
        let relaying = tokio::spawn(async move { relay(&mut program, &mut peer, &Traffic::default()).await.is_ok() });
        let all = vec![0; 10 * LARGEST_BUFFER];
        let taken = tokio::time::timeout(Duration::from_millis(200), client.write_all(&all)).await;
        assert!(taken.is_err(), "nobody reads at the other end");
        relaying.abort();
    }

    #[tokio::test]
    async fn what_went_through_is_counted_for_the_listener_while_the_connection_is_open() {
        let of_listener = Counter::default();
        let ((mut client, mut peer), (mut program, mut server)) = (duplex(64), duplex(64));
        let traffic = Traffic {
            received: Octets::counted_in(of_listener.clone()),
            sent: Octets::counted_in(of_listener.clone()),
        };
        let talking = async {
            client.write_all(b"question").await.unwrap();
            server.read_exact(&mut [0; 8]).await.unwrap();
            server.write_all(b"no").await.unwrap();
            client.read_exact(&mut [0; 2]).await.unwrap();
            // The relay counts after it has passed on, so perhaps after the other end has read.
            while of_listener.get() < 10 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = relay(&mut program, &mut peer, &traffic) => panic!("it is open: {ended:?}"),
            talked = tokio::time::timeout(Duration::from_secs(40), talking) => talked.expect("both ways are counted"),
        }
        assert_eq!((traffic.received.so_far(), traffic.sent.so_far(), of_listener.get()), (8, 2, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_neither_way_anything_goes() {
        let traffic = Traffic::default();
        let began = tokio::time::Instant::now();
        tokio::join!(until_idle(&traffic, Some(Duration::from_secs(8))), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            traffic.sent.add(1);
        });
        assert_eq!(began.elapsed().as_secs(), 14);
        assert!(tokio::time::timeout(Duration::from_secs(3_600), until_idle(&traffic, None)).await.is_err());
    }
}
