//! Who may open a connection now: bounds in total and per address, so that one client cannot take the place of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of a TLS listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptLimits {
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
    /// Handshakes under way, of all clients: each holds about 30 KB.
    pub handshakes: usize,
    /// Handshakes under way from one address.
    pub handshakes_per_address: usize,
    /// Open connections.
    pub connections: usize,
    /// How long a connection without a client certificate may last: long enough to attest.
    pub anonymous_life: Duration,
}

impl Default for AcceptLimits {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(10),
            handshakes: 2_048,
            // An office or a cluster behind one address, all of it coming back after an outage.
            handshakes_per_address: 1_024,
            connections: 20_000,
            anonymous_life: Duration::from_secs(60),
        }
    }
}

impl AcceptLimits {
    /// Returns the limits for a process that may have `files` open: a quarter stays for everything else.
    #[must_use]
    pub fn for_open_files(files: u64) -> Self {
        let limits = Self::default();
        let room = usize::try_from(files / 4 * 3).unwrap_or(usize::MAX).max(1);
        Self {
            connections: limits.connections.min(room),
            handshakes: limits.handshakes.min(room),
            ..limits
        }
    }
}

/// Counts what is open.
#[derive(Debug)]
pub(super) struct Admission {
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    per_address: usize,
}

impl Admission {
    pub(super) fn new(limits: &AcceptLimits) -> Arc<Self> {
        Arc::new(Self {
            handshakes: Arc::new(Semaphore::new(limits.handshakes.min(Semaphore::MAX_PERMITS))),
            connections: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            addresses: Mutex::default(),
            per_address: limits.handshakes_per_address,
        })
    }

    /// Admits a connection from an address to the handshake, or says that there is no room.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<(Handshaking, OwnedSemaphorePermit)> {
        let connection = self.connections.clone().try_acquire_owned().ok()?;
        let permit = self.handshakes.clone().try_acquire_owned().ok()?;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        drop(addresses);
        Some((
            Handshaking {
                admission: self.clone(),
                address,
                _permit: permit,
            },
            connection,
        ))
    }
}

/// A handshake that is under way; dropped at its end.
#[derive(Debug)]
pub(super) struct Handshaking {
    admission: Arc<Admission>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        let mut addresses = self.admission.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn admission(handshakes: usize, handshakes_per_address: usize, connections: usize) -> Arc<Admission> {
        Admission::new(&AcceptLimits {
            handshakes,
            handshakes_per_address,
            connections,
            ..AcceptLimits::default()
        })
    }

    #[test]
    fn one_address_cannot_take_every_handshake() {
        let admission = admission(3, 2, 10);
        let held = [admission.admit(ONE).unwrap(), admission.admit(ONE).unwrap()];
        assert!(admission.admit(ONE).is_none());
        let other = admission.admit(TWO).unwrap();
        assert!(admission.admit(TWO).is_none(), "three are under way");
        drop(held);
        drop(other);
        assert!(admission.admit(ONE).is_some());
        assert!(admission.addresses.lock().unwrap().is_empty(), "addresses are forgotten");
    }

    #[test]
    fn a_refused_one_takes_no_place() {
        let admission = admission(10, 1, 2);
        let (handshake, _connection) = admission.admit(ONE).unwrap();
        for _ in 0..10 {
            assert!(admission.admit(ONE).is_none());
        }
        drop(handshake);
        let (_handshake, _second) = admission.admit(ONE).unwrap();
        assert!(admission.admit(TWO).is_none(), "two connections are open");
    }

    #[test]
    fn limits_leave_room_for_other_files() {
        assert_eq!(AcceptLimits::for_open_files(1_024).connections, 768);
        assert_eq!(AcceptLimits::for_open_files(u64::MAX), AcceptLimits::default());
    }
}
