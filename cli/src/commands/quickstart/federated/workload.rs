//! One workload of the demonstration: what the Workload API gave it, in the form that TLS needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use platform::clock::SystemClock;
use platform::tls::{PeerBundles, PeerVerifier, TlsIdentity};
use trust_domains::problem::Code;
use trust_domains::{SpiffeId, TrustBundle, TrustDomain};

use crate::commands::svid::received::Received;
use crate::commands::svid::workload::WorkloadClient;
use crate::failure::Failure;

/// A workload with its X509-SVID and the bundles by which it believes others, as they were when it asked.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) id: SpiffeId,
    pub(super) identity: TlsIdentity,
    bundles: Arc<Bundles>,
}

impl Workload {
    /// Asks an agent for the X509-SVID with this ID, and for all bundles that come with it.
    pub(super) async fn fetch(socket: &Path, id: SpiffeId) -> Result<Self, Failure> {
        let received = WorkloadClient::connect(socket).await?.watch_x509().await?.next().await?;
        let svid = received.svids.iter().find(|svid| svid.spiffe_id == id);
        let svid = svid.ok_or_else(|| Failure::new(Code::NoEntries, format!("the agent delivered no {id}")))?;
        svid.verify(crate::environment::now())?;
        let identity = TlsIdentity::new(svid.svid.chain(), &svid.key).map_err(|error| Failure::of(&error))?;
        Ok(Self {
            id,
            identity,
            bundles: Arc::new(Bundles::of(&received)),
        })
    }

    /// Returns what verifies those whom this workload meets.
    pub(super) fn verifier(&self) -> PeerVerifier {
        PeerVerifier::new(Arc::<Bundles>::clone(&self.bundles), Arc::new(SystemClock))
    }
}

/// The bundles of a workload, one a trust domain, never pooled (FED-06).
#[derive(Debug)]
struct Bundles(BTreeMap<TrustDomain, Arc<TrustBundle>>);

impl Bundles {
    fn of(received: &Received) -> Self {
        let own = received.svids.iter().map(|svid| &svid.bundle);
        let all = own.chain(&received.federated).cloned();
        Self(all.map(|bundle| (bundle.trust_domain().clone(), Arc::new(bundle))).collect())
    }
}

impl PeerBundles for Bundles {
    fn bundle_of(&self, trust_domain: &TrustDomain) -> Option<Arc<TrustBundle>> {
        self.0.get(trust_domain).cloned()
    }
}
