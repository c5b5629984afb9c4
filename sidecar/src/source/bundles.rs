//! The bundles that came with an identity.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use platform::tls::PeerBundles;
use trust_domains::{TrustBundle, TrustDomain};

use super::error::InvalidMessage;

/// The X.509 bundles of one message, one a trust domain, never pooled (FED-06).
///
/// A partner's name is never that of an identity's own trust domain: of such an entry the own bundle counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleSet {
    own: BTreeMap<TrustDomain, Arc<TrustBundle>>,
    federated: BTreeMap<TrustDomain, Arc<TrustBundle>>,
}

impl BundleSet {
    pub(super) fn new(own: impl IntoIterator<Item = Arc<TrustBundle>>, federated: impl IntoIterator<Item = TrustBundle>) -> Self {
        let own: BTreeMap<_, _> = own.into_iter().map(|bundle| (bundle.trust_domain().clone(), bundle)).collect();
        let partners = federated.into_iter().filter(|bundle| !own.contains_key(bundle.trust_domain()));
        let federated = partners.map(|bundle| (bundle.trust_domain().clone(), Arc::new(bundle))).collect();
        Self { own, federated }
    }

    /// Returns the bundle of a trust domain, an own or a partner's.
    #[must_use]
    pub fn of(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.own.get(trust_domain).or_else(|| self.federated.get(trust_domain))
    }

    /// Returns the bundles of the trust domains that the identities are of: as a rule one.
    pub fn own(&self) -> impl Iterator<Item = &Arc<TrustBundle>> {
        self.own.values()
    }

    /// Returns the bundles of partners, in the order of their trust domains.
    pub fn federated(&self) -> impl Iterator<Item = &Arc<TrustBundle>> {
        self.federated.values()
    }
}

impl PeerBundles for BundleSet {
    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        self.of(trust_domain).cloned()
    }
}

/// The keys of JWT-SVIDs of each trust domain, as one message of the Workload API has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JwtKeys(HashMap<TrustDomain, TrustBundle>);

impl JwtKeys {
    pub(super) fn read(message: HashMap<String, Bytes>) -> Result<Self, InvalidMessage> {
        jwt_bundles_of(message).map(Self)
    }

    /// Keys with these identifiers, for tests.
    #[cfg(test)]
    pub(crate) fn of(domains: &[(&str, &[&str])]) -> Self {
        let keys = |kids: &[&str]| {
            let key = |kid: &&str| {
                format!(
                    r#"{{"kid":"{kid}","kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}"#
                )
            };
            format!(r#"{{"keys":[{}]}}"#, kids.iter().map(key).collect::<Vec<_>>().join(","))
        };
        Self::read(domains.iter().map(|(name, kids)| (format!("spiffe://{name}"), keys(kids).into())).collect()).unwrap()
    }

    /// Returns an X.509 bundle with the keys of its trust domain, if any are here.
    #[must_use]
    pub fn beside(&self, roots: &TrustBundle) -> TrustBundle {
        let keys = self.0.get(roots.trust_domain()).map_or(&[][..], TrustBundle::jwt_authorities);
        keys.iter().cloned().fold(roots.clone(), TrustBundle::with_jwt_authority)
    }
}

/// Reads an X.509 bundle as the Workload API sends it.
pub(super) fn bundle_of(trust_domain: &TrustDomain, der: &[u8]) -> Result<TrustBundle, InvalidMessage> {
    Ok(TrustBundle::from_der_concat(trust_domain.clone(), der)?)
}

/// Reads the X.509 bundles of a message, in the order of their trust domains.
pub(super) fn bundles_of(message: HashMap<String, Bytes>) -> Result<Vec<TrustBundle>, InvalidMessage> {
    let mut bundles = Vec::with_capacity(message.len());
    for (id, der) in message {
        bundles.push(bundle_of(&named(&id)?, &der)?);
    }
    bundles.sort_by(|one, other| one.trust_domain().cmp(other.trust_domain()));
    Ok(bundles)
}

/// Reads the JWT bundles of a message.
pub(super) fn jwt_bundles_of(message: HashMap<String, Bytes>) -> Result<HashMap<TrustDomain, TrustBundle>, InvalidMessage> {
    let read = |(id, keys): (String, Bytes)| {
        let trust_domain = named(&id)?;
        let bundle = TrustBundle::new(trust_domain.clone()).with_jwks(&keys)?;
        Ok((trust_domain, bundle))
    };
    message.into_iter().map(read).collect()
}

/// Returns the trust domain of a bundle's name, `spiffe://TD`.
pub(super) fn named(id: &str) -> Result<TrustDomain, InvalidMessage> {
    Ok(id.strip_prefix("spiffe://").unwrap_or(id).parse()?)
}
