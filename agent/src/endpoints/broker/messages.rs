//! Puts what a workload is entitled to into the messages of the Broker API: the same as on the Workload API, in messages of other names.

use crate::endpoints::broker_api::messages::{
    FetchJwtsvidResponse, Jwtsvid, SubscribeToJwtBundlesResponse, SubscribeToX509BundlesResponse, SubscribeToX509svidResponse, X509svid,
};
use crate::endpoints::tokens::Tokens;
use crate::endpoints::{jwt_messages, svid_messages, workload_api};
use crate::svids::IdentityView;

/// Returns the full state: every SVID in its order, each with the bundle of its trust domain, and the partners' bundles (BRK-14, BRK-15, BRK-19).
pub(super) fn x509_svids(view: &IdentityView) -> SubscribeToX509svidResponse {
    let state = svid_messages::x509_svids(view);
    SubscribeToX509svidResponse {
        svids: state.svids.into_iter().map(x509_svid).collect(),
        crl: state.crl,
        federated_bundles: state.federated_bundles,
    }
}

fn x509_svid(svid: workload_api::messages::X509svid) -> X509svid {
    X509svid {
        spiffe_id: svid.spiffe_id,
        x509_svid: svid.x509_svid,
        x509_svid_key: svid.x509_svid_key,
        bundle: svid.bundle,
        hint: svid.hint,
    }
}

/// Returns the bundles that the workload verifies its peers with: that of the own trust domain is one of them (BRK-22).
pub(super) fn x509_bundles(view: &IdentityView) -> SubscribeToX509BundlesResponse {
    let state = svid_messages::x509_bundles(view);
    SubscribeToX509BundlesResponse {
        crl: state.crl,
        bundles: state.bundles,
    }
}

/// Returns the tokens in the order of their entries.
pub(super) fn jwt_svids(tokens: &Tokens) -> FetchJwtsvidResponse {
    let svids = jwt_messages::jwt_svids(tokens).svids.into_iter().map(|svid| Jwtsvid {
        spiffe_id: svid.spiffe_id,
        svid: svid.svid,
        hint: svid.hint,
    });
    FetchJwtsvidResponse { svids: svids.collect() }
}

/// Returns the keys that the workload verifies tokens with, and no others (BRK-22).
pub(super) fn jwt_bundles(view: &IdentityView) -> SubscribeToJwtBundlesResponse {
    SubscribeToJwtBundlesResponse {
        bundles: jwt_messages::jwt_bundles(view).bundles,
    }
}
