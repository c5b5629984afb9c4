//! How long credentials live: SPIRE's two lifetimes, as a class and the lives within it.

use std::time::Duration;

use super::document::SpireEntry;
use crate::class::CredentialClass;

/// The lives of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lives {
    pub(super) class: CredentialClass,
    pub(super) x509_s: Option<u64>,
    pub(super) jwt_s: Option<u64>,
    /// Whether one was longer than any class allows.
    pub(super) cut: bool,
}

impl Lives {
    /// The longest life that there is.
    const LONGEST: Duration = CredentialClass::Slow.longest_life();

    /// Returns the shortest class that allows what the entry asks for. What it leaves to SPIRE's default it leaves to the default here, which is `medium`.
    pub(super) fn of(entry: &SpireEntry) -> Self {
        let asked = [entry.x509_svid_ttl, entry.jwt_svid_ttl].map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let [x509, jwt] = asked.map(|life| (!life.is_zero()).then_some(life.min(Self::LONGEST)));
        let class_of = |life: Option<Duration>| life.and_then(CredentialClass::smallest_for);
        let class = class_of(x509).unwrap_or_default().max(class_of(jwt).unwrap_or(CredentialClass::Fast));
        Self {
            class,
            x509_s: x509.map(|life| life.as_secs()),
            jwt_s: jwt.map(|life| life.as_secs()),
            cut: asked.iter().any(|life| *life > Self::LONGEST),
        }
    }
}
