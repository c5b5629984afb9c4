//! The Bundle Map: the own bundle, and those of partners that this server holds (SPIFFE Trust Domain and Bundle section 5.1).
//!
//! A partner finds out by it whether its newest keys have arrived here. Everybody else can read as much: with whom this trust domain federates is no secret then,
//! which is why it can be switched off.

use std::sync::Arc;

use trust_domains::TrustBundle;
use trust_domains::bundle::PartnerBundle;
use trust_domains::federation::{BundleMap, MAX_BUNDLE_MAP_BYTES, MAX_MAPPED_BUNDLES};

/// Where it is.
pub(super) const PATH: &str = "/bundle-map";

/// Returns the document: each trust domain once, the own one by the own bundle whatever else is held under its name (BUN-12), no refresh hint in it (BUN-14).
/// Nothing when it is longer than readers take: a part of it would say of what is missing that it is not held.
pub(super) fn document(own: &TrustBundle, partners: &[Arc<PartnerBundle>]) -> Option<String> {
    let bundles = partners.iter().map(|partner| partner.bundle()).chain([own]).cloned();
    let map: BundleMap = bundles.collect();
    let count = map.len();
    let document = Some(map).filter(|_| count <= MAX_MAPPED_BUNDLES).map(|map| map.to_json());
    let document = document.filter(|document| document.len() <= MAX_BUNDLE_MAP_BYTES);
    if document.is_none() {
        tracing::warn!(bundles = count, "the Bundle Map would be longer than readers take, and is not served");
    }
    document
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use conformance::covers;
    use trust_domains::Timestamp;
    use trust_domains::bundle::BundleSource;
    use trust_domains::federation::ParsedBundleMap;

    use super::*;

    fn partner(name: &str) -> Arc<PartnerBundle> {
        let bundle = TrustBundle::new(name.parse().unwrap())
            .with_sequence(3)
            .with_refresh_hint(Duration::from_secs(7));
        Arc::new(PartnerBundle::new(bundle, BundleSource::Manual, Timestamp::from_unix(1), "test".to_owned()))
    }

    fn own() -> TrustBundle {
        TrustBundle::new("example.org".parse().unwrap())
            .with_sequence(9)
            .with_refresh_hint(Duration::from_secs(300))
    }

    #[covers("BUN-12", "BUN-14")]
    #[test]
    fn each_trust_domain_is_there_once_without_a_hint_and_the_own_one_by_the_own_bundle() {
        let document = document(&own(), &[partner("b.test"), partner("a.test"), partner("example.org")]).unwrap();
        assert!(!document.contains("refresh_hint"), "{document}");
        let parsed = ParsedBundleMap::parse(document.as_bytes()).unwrap();
        assert!(parsed.skipped.is_empty());
        let held: Vec<_> = parsed.map.iter().map(|bundle| (bundle.trust_domain().as_str(), bundle.sequence())).collect();
        assert_eq!(held, [("a.test", Some(3)), ("b.test", Some(3)), ("example.org", Some(9))]);
        assert_eq!(document.matches("example.org").count(), 1);
    }

    #[test]
    fn a_map_that_readers_would_not_take_is_not_served_at_all() {
        let partners: Vec<_> = (0..MAX_MAPPED_BUNDLES).map(|number| partner(&format!("p{number}.test"))).collect();
        assert!(document(&own(), &partners[1..]).is_some());
        assert_eq!(document(&own(), &partners), None);
    }
}
