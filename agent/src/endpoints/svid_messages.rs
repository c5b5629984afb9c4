//! Puts what a workload is entitled to into the messages of the Workload API.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::TrustBundle;

use super::partner_lists::crls;
use super::partner_room::with_room;
use super::workload_api::messages::{X509BundlesResponse, X509svid, X509svidResponse};
use crate::svids::{IdentityView, IssuedSvid};

/// Returns the full state: every SVID in its order, each with the bundle of its trust domain, and the revocation lists of that trust domain and of partners.
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
    let federated = federated(view);
    X509svidResponse {
        svids: svids.collect(),
        crl: crls(view, octets(&federated)),
        federated_bundles: federated.into_iter().collect(),
    }
}

/// Returns the bundles that the workload verifies its peers with, one entry for each trust domain, never pooled (FED-06, FED-10, WAPI-14); and their
/// revocation lists.
pub(super) fn x509_bundles(view: &IdentityView) -> X509BundlesResponse {
    let federated = federated(view);
    X509BundlesResponse {
        crl: crls(view, octets(&federated)),
        bundles: federated.into_iter().chain([x509_bundle(&view.bundle)]).collect(),
    }
}

/// Returns the partners' roots, as far as they have room. One without roots is left out: nothing of it is trusted either way, and some clients refuse a message
/// over an empty bundle.
fn federated(view: &IdentityView) -> Vec<(String, Bytes)> {
    let partners = view.federated.values().filter(|bundle| !bundle.x509_authorities().is_empty());
    with_room(partners.map(|bundle| x509_bundle(bundle)).collect())
}

fn octets(bundles: &[(String, Bytes)]) -> usize {
    bundles.iter().map(|(_, bundle)| bundle.len()).sum()
}

/// Returns the roots of one trust domain under its ID.
fn x509_bundle(bundle: &TrustBundle) -> (String, Bytes) {
    (bundle.trust_domain().id().to_string(), Bytes::from(bundle.x509_der_concat()))
}

/// The key in the place where it is wiped when the last stream is done with it: no copy of it is made.
struct KeyOf(Arc<IssuedSvid>);

impl AsRef<[u8]> for KeyOf {
    fn as_ref(&self) -> &[u8] {
        &self.0.key_pkcs8
    }
}
