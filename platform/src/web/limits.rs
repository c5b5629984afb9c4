//! The bounds of a listener for strangers.

use std::time::Duration;

use super::rate::Rate;

/// The bounds of a listener for strangers: of each source, which is an IPv4 address or an IPv6 /64, and of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one source.
    pub per_source: usize,
    /// New connections of all: each costs a signature. More are dropped before their handshake.
    pub connects: Rate,
    /// New connections from one source. More are dropped before their handshake.
    pub source_connects: Rate,
    /// Requests from one source. More are answered with 429.
    pub source_requests: Rate,
    /// How many octets of answers count as one more request.
    pub octets_per_request: u64,
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
    /// How long the head of a request may take, and how long a connection may be silent before its first one.
    pub head_deadline: Duration,
    /// How long a connection may last: long enough for a slow fetch, and for a fetcher to use it again.
    pub life: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            // About 30 KB each: 60 MB at the worst.
            connections: 2_048,
            // A cloud fetches from few addresses, and each fetch is over in a moment.
            per_source: 64,
            // With a refresh hint of five minutes 60,000 who fetch. An RSA key of 2048 bits signs so often in a fifth of one core's time, and the rest is for
            // issuing; the burst is what comes back after an outage.
            connects: Rate { burst: 2_000, per_second: 200 },
            // More than requests: a client that connects for each of them is told so by 429 before it is dropped.
            source_connects: Rate { burst: 600, per_second: 60 },
            // With a refresh hint of five minutes 15,000 relying parties behind one address; who has more puts a cache before them.
            source_requests: Rate { burst: 500, per_second: 50 },
            // A bundle has a few KB. A Bundle Map of 8 MiB counts as 128 requests, so that a source has 3 MB of them a second, not 400.
            octets_per_request: 64 * 1024,
            handshake_deadline: Duration::from_secs(10),
            head_deadline: Duration::from_secs(10),
            life: Duration::from_secs(60),
        }
    }
}
