//! Room for connections: bounds in total, for handshakes, and for each source.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a connection comes from, as far as bounds go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An address of IPv4, or the /64 network of one of IPv6: a machine has as many addresses of it as it likes.
    Address(IpAddr),
    /// A user of this machine.
    User(u32),
}

impl Source {
    pub(super) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            four @ IpAddr::V4(_) => four,
        })
    }
}

/// The bounds of a listener, and what is taken of them.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_source: usize,
    handshakes_of_source: usize,
    taken: Mutex<Taken>,
}

/// What a source has.
#[derive(Debug, Clone, Copy, Default)]
struct OfSource {
    all: usize,
    handshakes: usize,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    handshakes: usize,
    of_source: HashMap<Source, OfSource>,
}

impl Places {
    /// So many connections in all, so many from one source, and so many of those that have not finished their handshake.
    pub(super) fn new(most: usize, most_of_source: usize, handshakes_of_source: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_source,
            handshakes_of_source,
            taken: Mutex::default(),
        })
    }

    /// Takes a place for a connection that begins with a handshake, if there is one. Handshakes take at most half of all places, so that who never
    /// finishes one does not take the place of those who do; and a source has its own part of these, so that one alone does not keep the others out.
    pub(super) fn enter(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut taken = self.lock();
        let of_source = taken.of_source.get(&source).copied().unwrap_or_default();
        let is_full = taken.total >= self.most || taken.handshakes >= self.most.div_ceil(2);
        if is_full || of_source.all >= self.most_of_source || of_source.handshakes >= self.handshakes_of_source {
            return None;
        }
        taken.total += 1;
        taken.handshakes += 1;
        let with_it = OfSource {
            all: of_source.all + 1,
            handshakes: of_source.handshakes + 1,
        };
        taken.of_source.insert(source, with_it);
        Some(Place {
            places: Arc::clone(self),
            source,
            handshaking: true,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: Source,
    handshaking: bool,
}

impl Place {
    /// Says that the handshake is done.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.handshaking) {
            let mut taken = self.places.lock();
            taken.handshakes -= 1;
            if let Some(of_source) = taken.of_source.get_mut(&self.source) {
                of_source.handshakes -= 1;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.settle();
        let mut taken = self.places.lock();
        taken.total -= 1;
        if let Some(of_source) = taken.of_source.get_mut(&self.source) {
            of_source.all -= 1;
            if of_source.all == 0 {
                taken.of_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_sources_and_the_whole_are_bounded_and_places_come_back() {
        let places = Places::new(4, 3, 2);
        let (one, two) = (Source::User(1), Source::User(2));
        let mut held = vec![places.enter(one).unwrap(), places.enter(one).unwrap()];
        assert!(places.enter(two).is_none(), "two handshakes are half of four places");
        held.iter_mut().for_each(Place::settle);
        held.push(places.enter(one).unwrap());
        assert!(places.enter(one).is_none(), "one source has three");
        held.push(places.enter(two).unwrap());
        held.iter_mut().for_each(Place::settle);
        assert!(places.enter(two).is_none(), "four are taken");
        held.clear();
        assert!(places.lock().of_source.is_empty());
        assert!(places.enter(one).is_some());
    }

    #[test]
    fn one_source_of_unfinished_handshakes_keeps_no_other_out() {
        let places = Places::new(64, 32, 8);
        let (silent, other) = (Source::User(1), Source::User(2));
        let mut held: Vec<_> = std::iter::from_fn(|| places.enter(silent)).collect();
        assert_eq!(held.len(), 8);
        assert!(places.enter(other).is_some());
        held.iter_mut().for_each(Place::settle);
        assert!(places.enter(silent).is_some(), "those that finished take none of the places of handshakes");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| Source::of_address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
