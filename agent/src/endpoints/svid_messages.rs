//! Puts what a workload is entitled to into the messages of the Workload API.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::TrustBundle;

use super::workload_api::messages::{X509BundlesResponse, X509svid, X509svidResponse};
use crate::svids::{IdentityView, IssuedSvid};

/// Returns the full state: every SVID in its order, each with the bundle of its trust domain.
///
/// A hint that an earlier SVID has already is left out (WAPI-10): the identity is still served, under no name of its own.
pub(super) fn x509_svids(view: &IdentityView) -> X509svidResponse {
    let bundle = Bytes::from(view.bundle.x509_der_concat());
    let mut hints = HashSet::new();
    let svids = view.svids.iter().map(|svid| X509svid {
        spiffe_id: svid.spiffe_id.to_string(),
        x509_svid: svid.chain.concat().into(),
        x509_svid_key: Bytes::from_owner(KeyOf(Arc::clone(svid))),
        bundle: bundle.clone(),
        hint: svid.hint.as_deref().filter(|hint| hints.insert(*hint)).unwrap_or_default().to_owned(),
    });
    X509svidResponse {
        svids: svids.collect(),
        crl: Vec::new(),
        federated_bundles: HashMap::new(),
    }
}

/// Returns the bundles that the workload verifies its peers with: one entry for each trust domain, never pooled.
pub(super) fn x509_bundles(bundle: &TrustBundle) -> X509BundlesResponse {
    let own = (bundle.trust_domain().id().to_string(), Bytes::from(bundle.x509_der_concat()));
    X509BundlesResponse {
        crl: Vec::new(),
        bundles: HashMap::from([own]),
    }
}

/// The key in the place where it is wiped when the last stream is done with it: no copy of it is made.
struct KeyOf(Arc<IssuedSvid>);

impl AsRef<[u8]> for KeyOf {
    fn as_ref(&self) -> &[u8] {
        &self.0.key_pkcs8
    }
}
