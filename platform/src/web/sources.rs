//! How many connections each source has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by source: an IPv4 address, or the /64 of an IPv6 address, which is one client's as a rule.
#[derive(Debug)]
pub(super) struct Sources {
    open: Mutex<HashMap<IpAddr, usize>>,
    most: usize,
}

impl Sources {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), most })
    }

    /// Counts a connection for as long as what is returned lives; nothing when its source has enough.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<FromSource> {
        let source = source_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(FromSource {
            sources: Arc::clone(self),
            source,
        })
    }
}

fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 64)).into()),
    }
}

/// A connection that is open; dropped at its end.
#[derive(Debug)]
pub(super) struct FromSource {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Drop for FromSource {
    fn drop(&mut self) {
        let mut open = self.sources.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_share_and_is_forgotten() {
        let sources = Sources::new(2);
        let at = |text: &str| sources.admit(text.parse().unwrap());
        let held = [at("192.0.2.1").unwrap(), at("::ffff:192.0.2.1").unwrap()];
        assert!(at("192.0.2.1").is_none());
        let other = at("192.0.2.2").unwrap();
        let same_net = [at("2001:db8::1").unwrap(), at("2001:db8::2").unwrap()];
        assert!(at("2001:db8::ffff:3").is_none(), "one /64 is one source");
        assert!(at("2001:db8:0:1::1").is_some());
        drop((held, other, same_net));
        assert!(sources.open.lock().unwrap().is_empty());
    }
}
