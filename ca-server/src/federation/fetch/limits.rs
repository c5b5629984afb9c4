//! The bounds of one fetch, each with its reason.

use std::time::Duration;

/// The most redirects that are followed: those of a site that moved, behind a load balancer. The standard leaves the number to the client.
pub(super) const MAX_REDIRECTS: usize = 5;

/// The most headers of an answer: five times what a content delivery network sends.
pub(super) const MAX_HEADERS: usize = 100;

/// The most octets of an answer's headers.
pub(super) const MAX_HEADER_OCTETS: usize = 32 * 1024;

/// The longest entity tag that is kept: tags are hashes or times as a rule.
pub(super) const MAX_ETAG: usize = 1_024;

/// What a fetch may receive beside twice its document: a handshake with a long chain and a stapled answer, headers, the frames of HTTP/2.
const BESIDE_DOCUMENT: usize = 256 * 1024;

/// The times of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// All of it: the look-up of names, every redirect and the last octet of the answer.
    pub deadline: Duration,
    /// Of each connection, until it is open: all addresses of the host together.
    pub connect_deadline: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            // A document of 1 MiB over a line of 300 kbit/s; the shortest interval between two fetches is 30 s.
            deadline: Duration::from_secs(30),
            // TCP sends a first packet again after 1, 3 and 7 s.
            connect_deadline: Duration::from_secs(10),
        }
    }
}

/// Returns the most octets that one connection may receive for a document of at most `limit`: an answer in tiny chunks, endless interim answers or idle
/// frames cost the sender this much and no more.
pub(super) fn most_received(limit: usize) -> usize {
    limit.saturating_mul(2).saturating_add(BESIDE_DOCUMENT)
}
