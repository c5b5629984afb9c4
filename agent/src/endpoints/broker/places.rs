//! How much may be open on the endpoint, so that nobody who is no broker takes the place of one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trust_domains::SpiffeId;

use super::peer::Broker;
use super::source::Source;
use crate::workload::{Share, Shares};

/// How many handshakes are under way on one listener at once: each holds about 30 KB and costs three signatures.
const HANDSHAKES: usize = 128;

/// How many handshakes are under way from one source.
const HANDSHAKES_EACH: usize = 32;

/// How many connections of brokers are open at once: a machine has few.
const CONNECTIONS: usize = 512;

/// How many connections are open of those who proved an identity that is not on the list: they are told so, and that is all.
const STRANGERS: usize = 32;

/// How many connections one identity may have open: a broker needs one.
const CONNECTIONS_EACH: usize = 32;

/// The handshakes of one listener: whoever keeps one busy leaves the other alone.
#[derive(Clone)]
pub(super) struct Handshakes {
    all: Arc<Semaphore>,
    each: Shares<Source>,
}

impl Handshakes {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(HANDSHAKES)),
            each: Shares::new(HANDSHAKES_EACH),
        }
    }

    /// Makes room for a handshake until what is returned is dropped; nothing where there is none.
    pub(super) fn begin(&self, source: Source) -> Option<(OwnedSemaphorePermit, Share<Source>)> {
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some((one, self.each.try_take(source.counted_as())?))
    }
}

/// The connections of both listeners.
#[derive(Clone)]
pub(super) struct Places {
    brokers: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    each: Shares<SpiffeId>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            brokers: Arc::new(Semaphore::new(CONNECTIONS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            each: Shares::new(CONNECTIONS_EACH),
        }
    }

    /// Makes room for a connection until what is returned is dropped; nothing where there is none.
    pub(super) fn enter(&self, broker: &Broker) -> Option<(OwnedSemaphorePermit, Share<SpiffeId>)> {
        let room = if broker.is_listed() { &self.brokers } else { &self.strangers };
        let one = Arc::clone(room).try_acquire_owned().ok()?;
        Some((one, self.each.try_take(broker.spiffe_id().clone())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_cannot_take_every_handshake_however_many_addresses_it_has() {
        let handshakes = Handshakes::new();
        let from = |address: &str| Source::of_tcp(address.parse().unwrap(), "192.0.2.7:9466".parse().unwrap());
        let loopback: Vec<_> = (1..=100).filter_map(|host| handshakes.begin(from(&format!("127.0.0.{host}:40000")))).collect();
        assert_eq!(loopback.len(), HANDSHAKES_EACH);
        let net: Vec<_> = (1..=100)
            .filter_map(|host| handshakes.begin(from(&format!("[2001:db8::{host}]:40000"))))
            .collect();
        assert_eq!(net.len(), HANDSHAKES_EACH, "one /64 is one source");
        assert!(handshakes.begin(from("192.0.2.8:40000")).is_some());
        drop((loopback, net));
        assert!(handshakes.begin(from("127.0.0.1:40000")).is_some());
    }
}
