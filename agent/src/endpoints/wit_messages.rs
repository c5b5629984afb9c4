//! Puts WIT-SVIDs and their keys into the messages of the Workload API.

use std::collections::HashSet;
use std::sync::Arc;

use trust_domains::TrustBundle;
use zeroize::Zeroize as _;

use super::partner_room::with_room;
use super::workload_api::messages::{WitBundlesResponse, Witsvid, WitsvidResponse};
use crate::svids::IdentityView;
use crate::wit_svids::WitSvid;

/// One identity of a process with its token, and the label that the entry gives it.
pub(super) type Labelled = (Option<String>, Arc<WitSvid>);

/// Returns the tokens in the order of their entries, each with its private key. A hint that an earlier one has already is left out (WAPI-10), as with
/// X509-SVIDs.
pub(super) fn wit_svids(tokens: &[Labelled]) -> WitsvidResponse {
    let mut hints = HashSet::new();
    let svids = tokens.iter().map(|(hint, svid)| Witsvid {
        spiffe_id: svid.spiffe_id.to_string(),
        wit_svid: svid.token.as_str().to_owned(),
        wit_svid_key: svid.key.expose().to_owned(),
        hint: hint.as_deref().filter(|hint| hints.insert(*hint)).unwrap_or_default().to_owned(),
    });
    WitsvidResponse { svids: svids.collect() }
}

/// Returns the keys that a workload verifies WIT-SVIDs with: a JWK Set for its own trust domain (WAPI-14, WAPI-22), and for each partner, as
/// far as they have room.
pub(super) fn wit_bundles(view: &IdentityView) -> WitBundlesResponse {
    let keys = |bundle: &Arc<TrustBundle>| (bundle.trust_domain().id().to_string(), bundle.to_wit_jwks());
    WitBundlesResponse {
        bundles: with_room(view.federated.values().map(keys).collect())
            .into_iter()
            .chain([keys(&view.bundle)])
            .collect(),
    }
}

impl Drop for Witsvid {
    /// Wipes the copies of key and token that the message holds; the type of the wire is a plain text.
    fn drop(&mut self) {
        self.wit_svid_key.zeroize();
        self.wit_svid.zeroize();
    }
}
