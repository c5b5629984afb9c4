//! Whose certificates are believed at all: those of the own trust domain, and of partners that have a broker here.

use std::fmt;
use std::sync::Arc;

use platform::tls::PeerBundles;
use trust_domains::{TrustBundle, TrustDomain};

use super::allow_list::AllowList;
use crate::svids::SvidCache;

/// The bundles by which brokers are verified, as they are now.
#[derive(Clone)]
pub(super) struct BrokerBundles {
    cache: SvidCache,
    own: TrustDomain,
    allowed: Arc<AllowList>,
}

impl BrokerBundles {
    pub(super) fn new(cache: SvidCache, own: TrustDomain, allowed: Arc<AllowList>) -> Self {
        Self { cache, own, allowed }
    }
}

impl PeerBundles for BrokerBundles {
    /// A partner of which nobody is on the allow-list gets no further than a stranger. One of the own trust domain does: it is told that it is no broker.
    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        if *trust_domain != self.own && !self.allowed.lists_any_of(trust_domain) {
            return None;
        }
        self.cache.bundle_of(trust_domain)
    }
}

impl fmt::Debug for BrokerBundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerBundles").field("own", &self.own).finish_non_exhaustive()
    }
}
