//! When renewal is due, and how long to wait after a failure.

use std::time::Duration;

/// Renewal comes early by at most this part of the TTL: agents that started together drift apart within two rotations.
const JITTER_DIVISOR: u32 = 10;

/// The first wait after a failure; a twentieth of the TTL where that is shorter.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait after failures; a tenth of the TTL where that is shorter, so that five tries at least fall into the second half of a life.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// A part from 0 to 1, drawn at random by the caller: once for each credential, once for each failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No jitter.
    pub const NONE: Self = Self(0.0);

    /// Returns the part; what lies outside 0 to 1 becomes the nearer end.
    #[must_use]
    pub fn new(part: f64) -> Self {
        Self(if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 })
    }

    /// Returns the part that these random octets stand for.
    #[must_use]
    pub fn from_random(octets: [u8; 4]) -> Self {
        Self(f64::from(u32::from_le_bytes(octets)) / f64::from(u32::MAX))
    }

    pub(in crate::plan) fn of(self, whole: Duration) -> Duration {
        whole.mul_f64(self.0)
    }
}

/// Returns the time since boot at which renewal is due: issue + TTL/2, less a jitter of at most TTL/10.
#[must_use]
pub fn renewal_due(issued_since_boot: Duration, ttl: Duration, jitter: Jitter) -> Duration {
    issued_since_boot
        .saturating_add(ttl / 2)
        .saturating_sub(jitter.of(ttl / JITTER_DIVISOR))
        .max(issued_since_boot)
}

/// Returns how long to wait after this many failures in a row: doubling, half of it jitter, bounded by the TTL.
#[must_use]
pub fn retry_delay(failures: u32, ttl: Duration, jitter: Jitter) -> Duration {
    let first = FIRST_RETRY.min(ttl / 20);
    let longest = LONGEST_RETRY.min(ttl / 10);
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(longest);
    doubled / 2 + jitter.of(doubled / 2)
}
