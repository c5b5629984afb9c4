//! The bundle of another trust domain, as a server keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bundle::{SpiffeBundle, TrustBundle};
use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// The bundle of a partner trust domain with where it came from. An empty one is kept and means: trust nothing of that domain (BUN-07).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerBundle {
    bundle: SpiffeBundle,
    source: BundleSource,
    set_at: Timestamp,
    set_by: String,
}

/// How a server came to a partner's bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BundleSource {
    /// It was fetched from the partner's bundle endpoint.
    Federation,
    /// An operator set it by hand.
    Manual,
}

/// What a bundle that is offered comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// It takes the place of the stored one.
    Changed,
    /// The stored one says the same, or the same under a later number.
    Same,
}

/// The bundle offered is older than the stored one (FED-05: the sequence number orders them).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bundle of {trust_domain} has spiffe_sequence {offered}, older than {stored}, which is stored, and other keys")]
pub struct BundleOutdated {
    /// Whose it is.
    pub trust_domain: TrustDomain,
    /// The number of the stored one.
    pub stored: u64,
    /// The number of the one offered.
    pub offered: u64,
}

impl Coded for BundleOutdated {
    fn code(&self) -> Code {
        Code::BundleOutdated
    }
}

impl PartnerBundle {
    /// Returns a bundle that came so.
    #[must_use]
    pub fn new(bundle: TrustBundle, source: BundleSource, set_at: Timestamp, set_by: String) -> Self {
        Self {
            bundle: bundle.into(),
            source,
            set_at,
            set_by,
        }
    }

    /// Says what a bundle of the same trust domain comes to, when it is offered in the place of this one.
    ///
    /// - Equal keys with an older number, or without one: nothing changes, and the later number stays.
    /// - Other keys with an older number: refused. Without a number on either side the last one offered counts (FED-05).
    ///
    /// # Errors
    ///
    /// It is older, and its keys are others.
    pub fn judge(&self, offered: &TrustBundle) -> Result<Replacement, BundleOutdated> {
        let stored = self.bundle();
        if stored.has_same_keys(offered) {
            let later = offered.sequence() > stored.sequence();
            let hinted = offered.sequence() == stored.sequence() && offered.refresh_hint() != stored.refresh_hint();
            return Ok(if later || hinted { Replacement::Changed } else { Replacement::Same });
        }
        match (stored.sequence(), offered.sequence()) {
            (Some(stored), Some(offered)) if offered < stored => Err(BundleOutdated {
                trust_domain: self.trust_domain().clone(),
                stored,
                offered,
            }),
            _ => Ok(Replacement::Changed),
        }
    }

    /// Returns whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.bundle.trust_domain()
    }

    /// Returns the bundle.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        self.bundle.bundle()
    }

    /// Returns the bundle as our own API carries it.
    #[must_use]
    pub fn document(&self) -> &SpiffeBundle {
        &self.bundle
    }

    /// Returns how the server came to it.
    #[must_use]
    pub fn source(&self) -> BundleSource {
        self.source
    }

    /// Returns when it was set.
    #[must_use]
    pub fn set_at(&self) -> Timestamp {
        self.set_at
    }

    /// Returns who set it.
    #[must_use]
    pub fn set_by(&self) -> &str {
        &self.set_by
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use conformance::covers;

    use super::*;
    use crate::x509::testing::TestCa;

    fn bundle(root: &TestCa) -> TrustBundle {
        TrustBundle::new("partner.test".parse().unwrap()).with_x509_authority(&root.der).unwrap()
    }

    fn stored(bundle: TrustBundle) -> PartnerBundle {
        PartnerBundle::new(bundle, BundleSource::Manual, Timestamp::from_unix(1_000), "local:uid:0".to_owned())
    }

    #[covers("FED-05")]
    #[test]
    fn fed_05_the_sequence_number_orders_bundles() {
        let (one, two) = (TestCa::root("one", "partner.test"), TestCa::root("two", "partner.test"));
        let (old, new) = (bundle(&one), bundle(&two));
        let kept = stored(old.clone().with_sequence(7));
        for (name, offered, expected) in [
            ("a later one", new.clone().with_sequence(8), Ok(Replacement::Changed)),
            ("the same number", new.clone().with_sequence(7), Ok(Replacement::Changed)),
            ("no number", new.clone(), Ok(Replacement::Changed)),
            ("an older one", new.with_sequence(6), Err(6)),
            ("an older one with equal keys", old.clone().with_sequence(6), Ok(Replacement::Same)),
            ("equal keys without a number", old.clone(), Ok(Replacement::Same)),
            ("the very same", old.clone().with_sequence(7), Ok(Replacement::Same)),
            ("equal keys, a later number", old.clone().with_sequence(8), Ok(Replacement::Changed)),
            (
                "equal keys and number, another hint",
                old.clone().with_sequence(7).with_refresh_hint(Duration::from_secs(9)),
                Ok(Replacement::Changed),
            ),
        ] {
            assert_eq!(kept.judge(&offered).map_err(|outdated| outdated.offered), expected, "{name}");
        }
        let empty = TrustBundle::new("partner.test".parse().unwrap());
        assert_eq!(stored(old).judge(&empty), Ok(Replacement::Changed), "trust nothing is a word too");
    }

    #[test]
    fn a_stored_bundle_reads_back_as_it_was_written() {
        let kept = stored(bundle(&TestCa::root("one", "partner.test")).with_sequence(7));
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<PartnerBundle>(&written).unwrap(), kept);
        assert!(written.contains(r#""source":"manual""#), "{written}");
    }
}
