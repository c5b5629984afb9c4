//! One connection, from its first octet to its record.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::sleep_until_wall;
use rustls::{CommonState, ProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::SharedClock;
use trust_domains::peering::{EndReason, OpenPeer, endings};
use trust_domains::proxy_protocol::{ProxiedAddresses, ProxiedPeer, header};
use trust_domains::x509::VerifiedPeer;

use super::config::ListenerConfig;
use super::dial::dial;
use super::direction::Direction;
use super::identity::{Presence, Standing};
use super::metrics::ProxyMetrics;
use super::open::{Ended, OpenConnections};
use super::peer::PeerCheck;
use super::places::Place;
use super::record::{CountedOpen, Record, Telling, Why};
use super::relay::{Broken, relay, until_idle};
use super::socket::Socket;
use super::tls;

/// What the connections of a listener share.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) config: Arc<ListenerConfig>,
    pub(super) presence: watch::Receiver<Presence>,
    pub(super) open: OpenConnections,
    pub(super) clock: SharedClock,
    pub(super) metrics: ProxyMetrics,
    pub(super) telling: Telling,
    /// Cancelled when what is still open has to end.
    pub(super) over: CancellationToken,
}

/// Both ends of a connection whose peer is let in.
struct Joined {
    program: Socket,
    peer: TlsStream<Socket>,
    standing: Arc<Standing>,
    verified: VerifiedPeer,
}

impl Room {
    /// Carries a connection that was accepted.
    pub(super) async fn carry(self: Arc<Self>, socket: Socket, from: String, place: Place) {
        let mut record = self.record(from);
        let why = tokio::select! {
            // It sees the end too, and makes resets of what is cut off; only what has nothing to cut off is dropped here.
            biased;
            why = self.through(socket, &mut record, place) => why,
            () = self.over.cancelled() => Why::Drained,
        };
        record.end(&why, &self.config, &self.metrics, &self.telling, &self.clock);
    }

    /// Closes a connection for which there is no room, and says so.
    pub(super) fn refuse(&self, socket: &Socket, from: String) {
        socket.abort_on_drop();
        self.record(from).end(&Why::NoRoom, &self.config, &self.metrics, &self.telling, &self.clock);
    }

    fn record(&self, from: String) -> Record {
        Record::begin(&self.clock, from, self.metrics.traffic_of(&self.config.name))
    }

    async fn through(&self, socket: Socket, record: &mut Record, mut place: Place) -> Why {
        let Some(standing) = self.presence.borrow().at(self.clock.now().wall) else {
            // A reset tells at once what a handshake that never comes would tell late.
            socket.abort_on_drop();
            return Why::NoIdentity;
        };
        record.shows(standing.serial);
        let joined = match self.config.direction {
            Direction::Inbound => self.join_inbound(socket, standing, record).await,
            Direction::Outbound => self.join_outbound(socket, standing, record).await,
        };
        place.settle();
        let mut joined = match joined {
            Ok(joined) => joined,
            Err(why) => return why,
        };
        let _counted = CountedOpen::new(&self.metrics, &self.config);
        let why = self.live(&mut joined, record).await;
        if !matches!(why, Why::Closed) {
            // TLS says nothing more either: to neither end may this look like the end of what was sent.
            joined.program.abort_on_drop();
            joined.peer.get_ref().0.abort_on_drop();
        }
        why
    }

    /// The peer proves who it is before the program hears of it.
    async fn join_inbound(&self, socket: Socket, standing: Arc<Standing>, record: &mut Record) -> Result<Joined, Why> {
        let addresses = socket.addresses();
        let (peer, verified) = self.handshake(socket, &standing, record).await?;
        let mut program = match dial(&self.config.target, self.config.connect_deadline).await {
            Ok(program) => program,
            Err(error) => {
                peer.get_ref().0.abort_on_drop();
                return Err(Why::Target(error));
            }
        };
        if self.config.proxy_protocol {
            let header = introduction(addresses, peer.get_ref().1, &verified);
            program.write_all(&header).await.map_err(|error| Why::Relay(Broken::Program(error)))?;
        }
        Ok(Joined {
            program,
            peer,
            standing,
            verified,
        })
    }

    /// The target proves who it is before anything of the program goes there.
    async fn join_outbound(&self, program: Socket, standing: Arc<Standing>, record: &mut Record) -> Result<Joined, Why> {
        // Whatever happens before both ends are joined, the program must not take it for an answer.
        let refused = |why| {
            program.abort_on_drop();
            why
        };
        let reaching = async {
            let socket = dial(&self.config.target, self.config.connect_deadline).await.map_err(Why::Target)?;
            self.handshake(socket, &standing, record).await
        };
        let reached = tokio::select! {
            reached = reaching => reached,
            () = self.over.cancelled() => Err(Why::Drained),
        };
        let (peer, verified) = reached.map_err(refused)?;
        Ok(Joined {
            program,
            peer,
            standing,
            verified,
        })
    }

    async fn handshake(&self, socket: Socket, standing: &Arc<Standing>, record: &mut Record) -> Result<(TlsStream<Socket>, VerifiedPeer), Why> {
        let check = PeerCheck::new(Arc::clone(standing), Arc::clone(&self.config.allowed), Arc::clone(&self.clock));
        let shaking = async {
            match self.config.direction {
                Direction::Inbound => tls::accept(socket, &self.config, standing, Arc::clone(&check)).await,
                Direction::Outbound => tls::connect(socket, &self.config, standing, Arc::clone(&check)).await,
            }
        };
        let shaken = tokio::time::timeout(self.config.handshake_deadline, shaking).await;
        match (shaken, check.found()) {
            (Ok(Ok(stream)), Some(Ok(verified))) => {
                record.met(verified);
                Ok((stream, verified.clone()))
            }
            (_, Some(Err(refused))) => Err(Why::PeerRefused(refused.clone())),
            (Ok(Ok(_)), None) => Err(Why::Handshake(std::io::Error::other("the peer showed no certificate"))),
            (Ok(Err(error)), _) => Err(Why::Handshake(error)),
            (Err(_elapsed), _) => Err(Why::HandshakeSlow),
        }
    }

    /// Passes octets on until both ends are done, or something ends it: the earlier end of both certificates, a change of what is believed, silence.
    async fn live(&self, joined: &mut Joined, record: &Record) -> Why {
        let chain = joined.peer.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let ends_at = joined.verified.not_after().min(joined.standing.not_after);
        let peer = Arc::new(OpenPeer::new(joined.verified.spiffe_id().clone(), chain, ends_at));
        let mut listed = self.open.add(Arc::clone(&peer));
        if let Some(ended) = self.changed_since(&joined.standing, &peer) {
            return Why::Ended(ended);
        }
        tokio::select! {
            relayed = relay(&mut joined.program, &mut joined.peer, &record.traffic) => match relayed {
                Ok(()) => Why::Closed,
                Err(broken) => Why::Relay(broken),
            },
            Ok(ended) = &mut listed.ended => Why::Ended(ended),
            () = sleep_until_wall(self.clock.as_ref(), ends_at + Duration::from_secs(1)) => Why::Ended(Ended::Judged(EndReason::CertificateEnded)),
            () = until_idle(&record.traffic, self.config.idle) => Why::Idle,
            () = self.over.cancelled() => Why::Drained,
        }
    }

    /// Judges a connection by what is believed now, if that is not what it was opened under: what changed during its handshake found it on no list.
    fn changed_since(&self, opened: &Arc<Standing>, peer: &OpenPeer) -> Option<Ended> {
        match &*self.presence.borrow() {
            Presence::Held(standing) if Arc::ptr_eq(standing, opened) => None,
            Presence::Held(standing) => {
                let judged = endings([((), peer)], None, &standing.trust, &self.config.allowed, self.clock.now().wall);
                judged.into_iter().next().map(|((), reason)| Ended::Judged(reason))
            }
            Presence::Awaited | Presence::Withdrawn => Some(Ended::Withdrawn),
        }
    }
}

fn introduction(addresses: Option<(std::net::SocketAddr, std::net::SocketAddr)>, session: &CommonState, peer: &VerifiedPeer) -> Vec<u8> {
    let addresses = addresses.map_or(ProxiedAddresses::Unix, |(source, destination)| ProxiedAddresses::Tcp { source, destination });
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    let peer = ProxiedPeer {
        spiffe_id: peer.spiffe_id(),
        serial: peer.serial(),
        common_name: peer.leaf().common_names().first().map(String::as_str),
        tls_version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        // rustls writes TLS13_AES_128_GCM_SHA256 for what IANA calls TLS_AES_128_GCM_SHA256.
        cipher: &cipher.replacen("TLS13_", "TLS_", 1),
    };
    header(addresses, &peer)
}
