//! Who asks, and where the issuance looks up what they may have.

use std::sync::Arc;

use trust_domains::node::NodeRecord;
use trust_domains::public_key::KeyHash;
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId};

/// A node whose X509-SVID and key were proved in the handshake of the connection that carries the request.
///
/// Step 1 of the order makes the only values that implement it (`attestation`); issuance trusts the two facts and checks everything else itself.
pub trait AuthenticatedCaller: Send + Sync {
    /// Returns the node's SPIFFE ID.
    fn spiffe_id(&self) -> &SpiffeId;

    /// Returns the hash of the public key that the node proved.
    fn key_hash(&self) -> KeyHash;
}

/// The registry as issuance sees it.
pub trait EntryLookup: Send + Sync {
    /// Returns the entry, with the commit that last changed it, if it is under this node; nothing tells a foreign entry from none.
    fn entry(&self, node: &SpiffeId, id: &EntryId) -> Option<(Arc<RegistrationEntry>, Revision)>;

    /// Returns the record of a node.
    fn node(&self, node: &SpiffeId) -> Option<Arc<NodeRecord>>;
}
