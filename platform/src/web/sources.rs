//! What each source has open, and how often it came.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::WebLimits;
use super::rate::Allowance;

/// From how many sources on those that need not be remembered are looked for. Each has about 100 bytes.
const SWEEP_FROM: usize = 1_024;

/// Counts by source: an IPv4 address, or the /64 of an IPv6 address, which is one client's as a rule.
///
/// A source is remembered while it has a connection, and until what it took is given back. Both are bounded in total, and so is what is remembered.
#[derive(Debug)]
pub(super) struct Sources {
    table: Mutex<Table>,
    limits: WebLimits,
}

#[derive(Debug)]
struct Table {
    sources: HashMap<IpAddr, Source>,
    connects: Allowance,
    sweep_at: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Source {
    open: usize,
    connects: Allowance,
    requests: Allowance,
}

impl Source {
    fn is_forgettable(&self, now: Instant) -> bool {
        self.open == 0 && self.connects.is_whole(now) && self.requests.is_whole(now)
    }
}

impl Sources {
    pub(super) fn new(limits: WebLimits) -> Arc<Self> {
        let table = Table {
            sources: HashMap::new(),
            connects: Allowance::default(),
            sweep_at: SWEEP_FROM,
        };
        Arc::new(Self {
            table: Mutex::new(table),
            limits,
        })
    }

    /// Counts a connection for as long as what is returned lives; nothing when its source, or all together, have had enough.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<FromSource> {
        let (now, source) = (Instant::now(), source_of(address));
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = table.sources.get(&source).copied().unwrap_or_default();
        if state.open >= self.limits.per_source {
            return None;
        }
        // The source's own share first: one that has had enough takes nothing from the others.
        state.connects = state.connects.after_one(self.limits.source_connects, now).ok()?;
        table.connects = table.connects.after_one(self.limits.connects, now).ok()?;
        state.open += 1;
        table.sources.insert(source, state);
        table.sweep(now);
        Some(FromSource {
            sources: Arc::clone(self),
            source,
        })
    }
}

impl Table {
    /// Forgets sources, seldom enough to cost each connection the same.
    fn sweep(&mut self, now: Instant) {
        if self.sources.len() >= self.sweep_at {
            self.sources.retain(|_, source| !source.is_forgettable(now));
            self.sweep_at = SWEEP_FROM.max(2 * self.sources.len());
        }
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

impl FromSource {
    /// Counts a request.
    ///
    /// # Errors
    /// The source has made as many as it may; how long until the next one.
    pub(super) fn request(&self) -> Result<(), Duration> {
        let rate = self.sources.limits.source_requests;
        self.change(|source, now| source.requests.after_one(rate, now).map(|left| source.requests = left))
            .unwrap_or(Ok(()))
    }

    /// Counts what a long answer costs beside the request.
    pub(super) fn answered(&self, octets: u64) {
        let more = u32::try_from(octets / self.sources.limits.octets_per_request.max(1)).unwrap_or(u32::MAX);
        let rate = self.sources.limits.source_requests;
        if more > 0 {
            self.change(|source, now| source.requests = source.requests.after(more, rate, now));
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Source, Instant) -> R) -> Option<R> {
        let mut table = self.sources.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.sources.get_mut(&self.source).map(|source| change(source, Instant::now()))
    }
}

impl Drop for FromSource {
    fn drop(&mut self) {
        self.change(|source, _| source.open = source.open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::Rate;
    use super::*;

    const MANY: Rate = Rate {
        burst: 1_000_000,
        per_second: 1_000,
    };

    fn limits() -> WebLimits {
        WebLimits {
            per_source: 2,
            source_connects: MANY,
            connects: MANY,
            ..WebLimits::default()
        }
    }

    fn at(sources: &Arc<Sources>, text: &str) -> Option<FromSource> {
        sources.admit(text.parse().unwrap())
    }

    fn remembered(sources: &Sources) -> usize {
        sources.table.lock().unwrap().sources.len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_its_share() {
        let sources = Sources::new(limits());
        let held = [at(&sources, "192.0.2.1").unwrap(), at(&sources, "::ffff:192.0.2.1").unwrap()];
        assert!(at(&sources, "192.0.2.1").is_none());
        let other = at(&sources, "192.0.2.2").unwrap();
        let same_net = [at(&sources, "2001:db8::1").unwrap(), at(&sources, "2001:db8::2").unwrap()];
        assert!(at(&sources, "2001:db8::ffff:3").is_none(), "one /64 is one source");
        assert!(at(&sources, "2001:db8:0:1::1").is_some());
        drop((held, other, same_net));
        assert!(at(&sources, "192.0.2.1").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_a_source_and_of_all_come_at_a_rate() {
        let rate = |burst| Rate { burst, per_second: 1 };
        let sources = Sources::new(WebLimits {
            source_connects: rate(2),
            connects: rate(3),
            ..limits()
        });
        let tries = |address| (0..50).filter(|_| at(&sources, address).is_some()).count();
        assert_eq!(tries("192.0.2.1"), 2, "they ended at once, and count all the same");
        assert_eq!(tries("192.0.2.2"), 1, "what the first was refused took nothing from the others");
        assert_eq!(tries("192.0.2.3"), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(tries("192.0.2.1") + tries("192.0.2.3"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_a_source_are_counted_over_its_connections_and_a_long_answer_counts_as_many() {
        let sources = Sources::new(WebLimits {
            source_requests: Rate { burst: 3, per_second: 1 },
            octets_per_request: 1_000,
            ..limits()
        });
        let (one, two) = (at(&sources, "192.0.2.1").unwrap(), at(&sources, "192.0.2.1").unwrap());
        assert_eq!([one.request(), two.request(), one.request()], [Ok(()); 3]);
        assert_eq!(two.request(), Err(Duration::from_secs(1)));
        assert_eq!(at(&sources, "192.0.2.2").unwrap().request(), Ok(()), "another source has its own");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(one.request(), Ok(()));
        one.answered(999);
        assert_eq!(one.request(), Ok(()));
        one.answered(5_999);
        assert_eq!(two.request(), Err(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn sources_are_forgotten_when_they_have_nothing_open_and_owe_nothing() {
        let sources = Sources::new(limits());
        let held = at(&sources, "2001:db8::1").unwrap();
        for net in 0..u32::try_from(3 * SWEEP_FROM).unwrap() {
            drop(at(&sources, &format!("2001:db8:{:x}:{:x}::1", 1 + (net >> 16), net & 0xffff)));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(remembered(&sources) <= SWEEP_FROM, "{}", remembered(&sources));
        assert_eq!(held.request(), Ok(()));
    }
}
