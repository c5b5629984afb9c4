//! The record of a connection: who, from where to where, how much, how long, and why it ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::AlertDescription;
use trust_domains::clock::SharedClock;
use trust_domains::peering::{EndReason, PeerRefused};
use trust_domains::problem::{Coded as _, with_causes};
use trust_domains::x509::{VerifiedPeer, VerifyError};
use trust_domains::{Serial, SpiffeId};

use super::config::ListenerConfig;
use super::metrics::{Of, Outcome, ProxyMetrics};
use super::open::Ended;
use super::relay::{Broken, Traffic};

/// How many refusals a second are told at the usual level: a flood of them is not to fill the log. All are counted.
const TOLD_A_SECOND: u64 = 20;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Why {
    /// Both ends were done.
    Closed,
    /// The proxy ended and its time to finish was over.
    Drained,
    /// It was ended from outside.
    Ended(Ended),
    /// The handshake failed.
    Handshake(std::io::Error),
    /// The handshake took too long.
    HandshakeSlow,
    /// Nothing went through for too long.
    Idle,
    /// There are no credentials to show.
    NoIdentity,
    /// There is no room.
    NoRoom,
    /// The peer is not let in.
    PeerRefused(PeerRefused),
    /// An end failed, or was cut short.
    Relay(Broken),
    /// The target does not accept.
    Target(std::io::Error),
}

impl Why {
    /// Returns the stable word of records and metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Drained => "drained",
            Self::Ended(Ended::Judged(EndReason::CertificateEnded)) => "certificate_ended",
            Self::Ended(Ended::Judged(EndReason::Refused(PeerRefused::Unproved(VerifyError::Revoked { .. })))) => "revoked",
            Self::Ended(Ended::Judged(EndReason::Refused(_))) => "no_longer_trusted",
            Self::Ended(Ended::Withdrawn) => "identity_withdrawn",
            Self::Handshake(error) if refused_us(error).is_some() => "refused_by_peer",
            Self::Handshake(_) => "handshake_failed",
            Self::HandshakeSlow => "handshake_too_slow",
            Self::Idle => "idle",
            Self::NoIdentity => "no_identity",
            Self::NoRoom => "no_room",
            Self::PeerRefused(refused) => match refused {
                PeerRefused::DomainNotAllowed { .. } | PeerRefused::NotAllowed { .. } => "peer_not_allowed",
                PeerRefused::Unproved(VerifyError::Revoked { .. }) => "peer_revoked",
                PeerRefused::NoBundle { .. } | PeerRefused::Unproved(_) => "peer_unproved",
            },
            Self::Relay(Broken::Peer(error)) if refused_us(error).is_some() => "refused_by_peer",
            Self::Relay(Broken::Peer(_)) => "peer_broke_off",
            Self::Relay(Broken::Program(_)) => "program_broke_off",
            Self::Target(_) => "target_unreachable",
        }
    }

    /// Returns who a peer is that was proved and then refused.
    fn proved_peer(&self) -> Option<(SpiffeId, Serial)> {
        match self {
            Self::PeerRefused(PeerRefused::NotAllowed { spiffe_id, serial }) => Some((spiffe_id.clone(), *serial)),
            _ => None,
        }
    }

    /// Returns what else is to be said.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Closed | Self::Drained | Self::HandshakeSlow | Self::Idle | Self::NoIdentity | Self::NoRoom => None,
            Self::Ended(Ended::Judged(EndReason::CertificateEnded) | Ended::Withdrawn) => None,
            Self::Ended(Ended::Judged(EndReason::Refused(refused))) | Self::PeerRefused(refused) => {
                Some(format!("{} ({})", with_causes(refused), refused.code().word()))
            }
            Self::Handshake(error) | Self::Target(error) | Self::Relay(Broken::Peer(error) | Broken::Program(error)) => Some(error.to_string()),
        }
    }

    /// Returns whether the connection never carried anything.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Closed | Self::Drained | Self::Ended(_) | Self::Idle | Self::Relay(_) => false,
            Self::Handshake(_) | Self::HandshakeSlow | Self::NoIdentity | Self::NoRoom | Self::PeerRefused(_) | Self::Target(_) => true,
        }
    }
}

/// In TLS 1.3 a client's handshake is done before the server looks at its certificate: the refusal comes as an alert with the first read.
fn refused_us(error: &std::io::Error) -> Option<AlertDescription> {
    use AlertDescription as A;
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(
            alert @ (A::AccessDenied
            | A::BadCertificate
            | A::CertificateExpired
            | A::CertificateRequired
            | A::CertificateRevoked
            | A::CertificateUnknown
            | A::UnknownCA
            | A::UnsupportedCertificate),
        ) => Some(*alert),
        _ => None,
    }
}

/// Bounds what is told of refusals.
#[derive(Debug, Default)]
pub(super) struct Telling {
    second: AtomicU64,
    told: AtomicU64,
}

impl Telling {
    fn is_told(&self, since_boot: Duration) -> bool {
        if self.second.swap(since_boot.as_secs(), Ordering::Relaxed) != since_boot.as_secs() {
            self.told.store(0, Ordering::Relaxed);
        }
        self.told.fetch_add(1, Ordering::Relaxed) < TOLD_A_SECOND
    }
}

/// What is known of a connection so far.
#[derive(Debug)]
pub(super) struct Record {
    began: Duration,
    from: String,
    peer: Option<(SpiffeId, Serial)>,
    own: Option<Serial>,
    pub(super) traffic: Traffic,
}

impl Record {
    pub(super) fn begin(clock: &SharedClock, from: String, traffic: Traffic) -> Self {
        Self {
            began: clock.now().since_boot,
            from,
            peer: None,
            own: None,
            traffic,
        }
    }

    /// Notes which certificate this end shows.
    pub(super) fn shows(&mut self, own: Serial) {
        self.own = Some(own);
    }

    /// Notes who the peer is.
    pub(super) fn met(&mut self, peer: &VerifiedPeer) {
        self.peer = Some((peer.spiffe_id().clone(), *peer.serial()));
    }

    /// Writes and counts it.
    pub(super) fn end(self, why: &Why, listener: &ListenerConfig, metrics: &ProxyMetrics, telling: &Telling, clock: &SharedClock) {
        let outcome = Outcome {
            listener: listener.name.clone(),
            why: why.word(),
        };
        metrics.connections.get_or_create(&outcome).inc();
        let (received, sent) = (self.traffic.received.so_far(), self.traffic.sent.so_far());
        let now = clock.now().since_boot;
        let duration_ms = u64::try_from(now.saturating_sub(self.began).as_millis()).unwrap_or(u64::MAX);
        let peer = self.peer.or_else(|| why.proved_peer());
        let (peer_id, peer_serial) = peer.map(|(id, serial)| (id.to_string(), serial.to_string())).unzip();
        let own_serial = self.own.map(|serial| serial.to_string());
        let (to, from, detail) = (listener.target.to_string(), self.from, why.detail());
        macro_rules! tell {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    listener = listener.name,
                    direction = %listener.direction,
                    peer_id,
                    peer_serial,
                    own_serial,
                    from,
                    to,
                    received,
                    sent,
                    duration_ms,
                    why = why.word(),
                    detail,
                    $message
                )
            };
        }
        match (why.is_refusal(), telling) {
            (false, _) => tell!(info, "a connection ended"),
            (true, telling) if telling.is_told(now) => tell!(info, "a connection was refused"),
            (true, _) => tell!(debug, "a connection was refused, one of many"),
        }
    }
}

/// Counts a connection as open while it lives.
#[derive(Debug)]
pub(super) struct CountedOpen {
    metrics: ProxyMetrics,
    of: Of,
}

impl CountedOpen {
    pub(super) fn new(metrics: &ProxyMetrics, listener: &ListenerConfig) -> Self {
        let of = Of {
            listener: listener.name.clone(),
        };
        metrics.open.get_or_create(&of).inc();
        Self { metrics: metrics.clone(), of }
    }
}

impl Drop for CountedOpen {
    fn drop(&mut self) {
        self.metrics.open.get_or_create(&self.of).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_told_in_part_and_anew_each_second() {
        let telling = Telling::default();
        let told = |second| (0..100).filter(|_| telling.is_told(Duration::from_secs(second))).count();
        assert_eq!((told(1), told(1), told(2)), (20, 0, 20));
    }
}
