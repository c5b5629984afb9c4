//! Puts tokens, their keys and what was verified into the messages of the Workload API.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use trust_domains::TrustBundle;
use trust_domains::jwt_svid::VerifiedJwtSvid;
use trust_domains::wire::node::NodeEntry;

use super::claims::to_struct;
use super::partner_room::with_room;
use super::workload_api::messages::{JwtBundlesResponse, Jwtsvid, JwtsvidResponse, ValidateJwtsvidResponse};
use crate::jwt_svids::JwtSvid;
use crate::svids::IdentityView;

/// Returns the tokens in the order of their entries. A hint that an earlier one has already is left out (WAPI-10), as with X509-SVIDs.
pub(super) fn jwt_svids(tokens: &[(Arc<NodeEntry>, Arc<JwtSvid>)]) -> JwtsvidResponse {
    let mut hints = HashSet::new();
    let svids = tokens.iter().map(|(entry, svid)| Jwtsvid {
        spiffe_id: svid.spiffe_id.to_string(),
        svid: svid.token.as_str().to_owned(),
        hint: entry.hint.as_deref().filter(|hint| hints.insert(*hint)).unwrap_or_default().to_owned(),
    });
    JwtsvidResponse { svids: svids.collect() }
}

/// Returns the keys that a workload verifies tokens with: a standard JWK Set for its own trust domain (WAPI-14, WAPI-17) and
/// for each partner, as far as they have room.
pub(super) fn jwt_bundles(view: &IdentityView) -> JwtBundlesResponse {
    let keys = |bundle: &Arc<TrustBundle>| (bundle.trust_domain().id().to_string(), Bytes::from(bundle.to_workload_jwks()));
    JwtBundlesResponse {
        bundles: with_room(view.federated.values().map(keys).collect())
            .into_iter()
            .chain([keys(&view.bundle)])
            .collect(),
    }
}

/// Returns who a token proved to be, and all that it says (WAPI-18).
pub(super) fn validated(token: &VerifiedJwtSvid) -> ValidateJwtsvidResponse {
    ValidateJwtsvidResponse {
        spiffe_id: token.spiffe_id().to_string(),
        claims: Some(to_struct(token.claims().all())),
    }
}
