//! Step 2: whether this node may have this certificate or token, now.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use trust_domains::class::CredentialClass;
use trust_domains::jwt_svid::{Audience, ClaimNames, ClaimRefused};
use trust_domains::node::{NodeRecord, NodeState};
use trust_domains::plan::validity::has_ended;
use trust_domains::public_key::{KeyHash, PublicKey, SignatureInvalid};
use trust_domains::wire::node::{EXPORTER_LEN, KeyRequest};
use trust_domains::wire::tokens::{JwtRequest, WitRequest, wit_possession_message};
use trust_domains::{EntryId, RegistrationEntry, Revision, SpiffeId, Timestamp, TrustDomain};

use super::caller::{AuthenticatedCaller, EntryLookup};
use super::error::{IssueError, KeyRefused, RequestRefused};
use super::service::Issuance;
use crate::authority::Authorities;

/// The entry that a request may have something for, as it is now.
#[derive(Debug)]
pub(super) struct EntryGrant {
    pub(super) entry: Arc<RegistrationEntry>,
    pub(super) revision: Revision,
}

/// Returns the record of the node that asks, if it may ask now.
///
/// The connection was judged when it was opened; here the record is read again, so that a ban, an eviction or a renewal counts from its commit on.
pub(super) fn node(entries: &dyn EntryLookup, caller: &dyn AuthenticatedCaller, now: Timestamp) -> Result<Arc<NodeRecord>, IssueError> {
    let id = caller.spiffe_id();
    let record = entries.node(id).ok_or_else(|| IssueError::NodeUnknown { node: id.clone() })?;
    match record.state(now) {
        NodeState::Active => {}
        NodeState::Banned => return Err(IssueError::NodeBanned { node: id.clone() }),
        NodeState::Expired => {
            return Err(IssueError::NodeExpired {
                node: id.clone(),
                expired_at: record.expires_at(),
            });
        }
    }
    if !record.accepts(&caller.key_hash()) {
        return Err(IssueError::NodeKeyReplaced { node: id.clone() });
    }
    Ok(record)
}

/// Judges the requests of one batch, each for itself and against those before it.
pub(super) struct Judge<'a> {
    entries: &'a dyn EntryLookup,
    authorities: &'a Authorities,
    max_class: CredentialClass,
    pub(super) node: &'a NodeRecord,
    pub(super) now: Timestamp,
    pub(super) trace_id: &'a str,
    keys: HashSet<KeyHash>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(issuance: &'a Issuance, node: &'a NodeRecord, now: Timestamp, trace_id: &'a str, batch: usize) -> Self {
        Self {
            entries: issuance.entries.as_ref(),
            authorities: &issuance.authorities,
            max_class: issuance.policy.max_class,
            node,
            now,
            trace_id,
            keys: HashSet::with_capacity(batch),
        }
    }

    /// Judges one request for a certificate.
    pub(super) fn judge(&mut self, request: &KeyRequest) -> Result<(EntryGrant, PublicKey), RequestRefused> {
        let grant = self.entry(&request.entry_id)?;
        class(&grant.entry, grant.entry.x509_ttl(), self.max_class)?;
        let public_key = self.key(&request.public_key.0)?;
        Ok((grant, public_key))
    }

    /// Judges one request for a JWT-SVID. The claims of the entry are judged again: the configuration may have changed since it was written.
    pub(super) fn judge_token(&self, request: &JwtRequest, claims: &ClaimNames) -> Result<(EntryGrant, Audience), RequestRefused> {
        let grant = self.entry(&request.entry_id)?;
        class(&grant.entry, grant.entry.jwt_ttl(), self.max_class)?;
        if let Some(name) = grant.entry.claims().not_in(claims) {
            return Err(ClaimRefused::NotAllowed { name: name.to_owned() }.into());
        }
        let audience = Audience::new(request.audience.clone())?;
        Ok((grant, audience))
    }

    /// Judges one request for a WIT-SVID that was asked for over the connection with this exporter.
    ///
    /// The key is proved before the entry is looked for: who cannot sign with it learns nothing of what there is.
    pub(super) fn judge_wit(&mut self, request: &WitRequest, exporter: &[u8; EXPORTER_LEN]) -> Result<(EntryGrant, PublicKey), RequestRefused> {
        let public_key = self.key(&request.public_key.0)?;
        let message = wit_possession_message(exporter, public_key.spki(), &request.entry_id);
        public_key
            .verify(&message, &request.proof.0)
            .map_err(|SignatureInvalid| RequestRefused::PossessionUnproved)?;
        let grant = self.entry(&request.entry_id)?;
        class(&grant.entry, grant.entry.x509_ttl(), self.max_class)?;
        Ok((grant, public_key))
    }

    fn entry(&self, id: &EntryId) -> Result<EntryGrant, RequestRefused> {
        let foreign = || RequestRefused::EntryNotOfNode { entry: id.clone() };
        let (entry, revision) = self.entries.entry(self.node.spiffe_id(), id).ok_or_else(foreign)?;
        // The registry answers by parent; this is the last place that can notice if it ever does not. An alias's ID is that of nodes, and never certified.
        let other_node = entry.parent_id() != self.node.spiffe_id() && entry.parent_id().as_agent().is_some();
        if other_node || entry.is_node_alias() || entry.id() != id {
            return Err(foreign());
        }
        if let Some(expired_at) = entry.expires_at().filter(|end| has_ended(*end, self.now)) {
            return Err(RequestRefused::EntryExpired {
                entry: entry.id().clone(),
                expired_at,
            });
        }
        workload_id(entry.spiffe_id(), self.authorities.trust_domain())?;
        Ok(EntryGrant { entry, revision })
    }

    fn key(&mut self, spki: &[u8]) -> Result<PublicKey, KeyRefused> {
        let key = PublicKey::from_spki(spki).map_err(|_| KeyRefused::Unreadable)?;
        let hash = key.hash();
        if self.node.accepts(&hash) {
            return Err(KeyRefused::OfNode);
        }
        if self.authorities.owns_key(&hash) {
            return Err(KeyRefused::OfAuthority);
        }
        if !self.keys.insert(hash) {
            return Err(KeyRefused::Repeated);
        }
        Ok(key)
    }
}

/// The entry was checked when it was written; whoever can write the store is stopped here once more from the IDs of servers, agents and other domains.
pub(super) fn workload_id(spiffe_id: &SpiffeId, trust_domain: &TrustDomain) -> Result<(), RequestRefused> {
    if !spiffe_id.is_member_of(trust_domain) || spiffe_id.path().is_empty() {
        return Err(RequestRefused::WrongTrustDomain { spiffe_id: spiffe_id.clone() });
    }
    if spiffe_id.is_reserved() {
        return Err(RequestRefused::ReservedPath { spiffe_id: spiffe_id.clone() });
    }
    Ok(())
}

fn class(entry: &RegistrationEntry, ttl: Duration, max_class: CredentialClass) -> Result<(), RequestRefused> {
    let class = entry.class();
    if class.longest_life() > max_class.longest_life() {
        return Err(RequestRefused::ClassNotGranted {
            entry: entry.id().clone(),
            class,
            max_class,
        });
    }
    if ttl > class.longest_life() {
        return Err(RequestRefused::TtlExceedsClass { ttl, class });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use trust_domains::problem::{Code, Coded};

    use super::*;

    #[test]
    fn only_a_path_of_this_trust_domain_that_is_not_reserved_is_a_workloads() {
        let trust_domain: TrustDomain = "example.org".parse().unwrap();
        for (id, expected) in [
            ("spiffe://example.org/web", None),
            ("spiffe://example.org/trothful", None),
            ("spiffe://example.org", Some(Code::InvalidSpiffeId)),
            ("spiffe://example.org.evil/web", Some(Code::InvalidSpiffeId)),
            ("spiffe://example.com/web", Some(Code::InvalidSpiffeId)),
            ("spiffe://example.org/troth", Some(Code::ReservedPath)),
            ("spiffe://example.org/troth/server", Some(Code::ReservedPath)),
            ("spiffe://example.org/troth/agent/join_token/a", Some(Code::ReservedPath)),
        ] {
            let refused = workload_id(&id.parse().unwrap(), &trust_domain).err().map(|refused| refused.code());
            assert_eq!(refused, expected, "{id}");
        }
    }
}
