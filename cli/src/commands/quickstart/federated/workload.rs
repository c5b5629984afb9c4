//! One workload of the demonstration: what the Workload API gave it, in the form that TLS needs.

use std::path::Path;
use std::sync::Arc;

use platform::clock::SystemClock;
use platform::tls::{PeerVerifier, TlsIdentity};
use sidecar::source::BundleSet;
use trust_domains::SpiffeId;
use trust_domains::problem::Code;

use crate::commands::svid::first_x509;
use crate::failure::Failure;

/// A workload with its X509-SVID and the bundles by which it believes others, as they were when it asked.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) id: SpiffeId,
    pub(super) identity: TlsIdentity,
    bundles: Arc<BundleSet>,
}

impl Workload {
    /// Asks an agent for the X509-SVID with this ID, and for all bundles that come with it.
    pub(super) async fn fetch(socket: &Path, id: SpiffeId) -> Result<Self, Failure> {
        let received = first_x509(socket).await?;
        let svid = received.svids().iter().find(|svid| *svid.spiffe_id() == id);
        let svid = svid.ok_or_else(|| Failure::new(Code::NoEntries, format!("the agent delivered no {id}")))?;
        let identity = TlsIdentity::new(svid.chain(), svid.key()).map_err(|error| Failure::of(&error))?;
        Ok(Self {
            id,
            identity,
            bundles: Arc::new(received.bundles().clone()),
        })
    }

    /// Returns what verifies those whom this workload meets.
    pub(super) fn verifier(&self) -> PeerVerifier {
        PeerVerifier::new(Arc::<BundleSet>::clone(&self.bundles), Arc::new(SystemClock))
    }
}
