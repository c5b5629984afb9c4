//! Finding what an operator names: an entry by id or identity, a node by name or SPIFFE ID.

use trust_domains::entry::{EntryRefused, EntrySpec};
use trust_domains::jwt_svid::ClaimRefused;
use trust_domains::node::{NodeAttestor, NodeName};
use trust_domains::{SpiffeId, TrustDomain};

use super::{EditError, Editor};
use crate::registry::{HeldEntry, HeldNode, Registry, State};

/// A parent, with what the operator should know about the choice.
pub(super) struct Parent {
    pub(super) spiffe_id: SpiffeId,
    pub(super) note: Option<String>,
}

impl Registry {
    /// Finds an entry by its id, or by the identity it gives (a SPIFFE ID, or `/path`) where that is one entry's.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find_entry(&self, trust_domain: &TrustDomain, text: &str) -> Result<HeldEntry, EditError> {
        let missing = || EditError::NotFound { text: text.to_owned() };
        if !is_spiffe_id(text) {
            let id = text.parse().map_err(|_| missing())?;
            return self.view(|state| state.entries.find(&id).cloned()).ok_or_else(missing);
        }
        let identity = SpiffeId::expand(trust_domain, text)?;
        let mut found: Vec<_> = self.view(|state| state.entries.giving(&identity).cloned().collect());
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(missing()),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                found.push(last);
                let ids = found.iter().map(|held| held.entry.id().clone()).collect();
                Err(EditError::Ambiguous { text: text.to_owned(), ids })
            }
        }
    }

    /// Finds a node by its name or its SPIFFE ID.
    ///
    /// # Errors
    /// There is none.
    pub fn find_node(&self, trust_domain: &TrustDomain, text: &str) -> Result<HeldNode, EditError> {
        let missing = || EditError::NodeNotFound { text: text.to_owned() };
        if is_spiffe_id(text) {
            let id = SpiffeId::expand(trust_domain, text)?;
            return self.view(|state| state.nodes.find(&id).cloned()).ok_or_else(missing);
        }
        let name: NodeName = text.parse().map_err(|_| missing())?;
        self.view(|state| state.nodes.named(&name).cloned()).ok_or_else(missing)
    }
}

impl Editor {
    pub(super) fn find(&self, text: &str) -> Result<HeldEntry, EditError> {
        self.registry.find_entry(&self.trust_domain, text)
    }

    /// Returns the entry of the same identity, parent and selectors.
    pub(super) fn twin_of(&self, spec: &EntrySpec) -> Option<HeldEntry> {
        self.registry.view(|state| twin(state, spec).cloned())
    }

    /// Refuses a class and names that no certificate of this server could have, and claims that no token of it says.
    pub(super) fn refuse_what_is_not_allowed(&self, spec: &EntrySpec) -> Result<(), EditError> {
        let (class, max_class) = (spec.class(), self.allowed.max_class);
        // An alias gives no credentials.
        if !spec.is_node_alias() && class.longest_life() > max_class.longest_life() {
            return Err(EditError::ClassNotGranted { class, max_class });
        }
        if let Some(name) = spec.names().first_outside(&self.allowed.dns).filter(|_| !self.allowed.dns.is_empty()) {
            return Err(EditError::DnsNotAllowed { name, option: "allow_dns" });
        }
        if let Some(name) = self.allowed.permitted.first_outside(spec.names()) {
            return Err(EditError::DnsNotAllowed { name, option: "permit_dns" });
        }
        match spec.claims().not_in(&self.allowed.claims) {
            Some(name) => Err(EntryRefused::Claims(ClaimRefused::NotAllowed { name: name.to_owned() }).into()),
            None => Ok(()),
        }
    }

    /// Returns the parent that is named: a node's SPIFFE ID, known or not (its entries wait for it), or the name of a node that joined or is announced by a
    /// join token. Another name is a slip of the pen.
    pub(super) fn parent_named(&self, text: &str) -> Result<Parent, EditError> {
        let spiffe_id = if is_spiffe_id(text) {
            SpiffeId::expand(&self.trust_domain, text)?
        } else {
            let name: NodeName = text.parse().map_err(|source| EditError::ParentName { text: text.to_owned(), source })?;
            match self.registry.view(|state| state.nodes.named(&name).map(|held| held.record.spiffe_id().clone())) {
                Some(known) => known,
                None if self.tokens.announces(&name) => SpiffeId::agent(&self.trust_domain, NodeAttestor::JoinToken, &name),
                None => return Err(EditError::NodeNotFound { text: text.to_owned() }),
            }
        };
        if spiffe_id.is_server() {
            return Ok(Parent { spiffe_id, note: None });
        }
        if spiffe_id.as_agent().is_none() && !spiffe_id.is_reserved() {
            return self.alias_named(spiffe_id);
        }
        let known = self.registry.view(|state| state.nodes.find(&spiffe_id).is_some());
        let note = (!known).then(|| format!("{spiffe_id} has not joined yet; its entries wait for it"));
        Ok(Parent { spiffe_id, note })
    }

    fn alias_named(&self, spiffe_id: SpiffeId) -> Result<Parent, EditError> {
        let nodes = self
            .registry
            .view(|state| state.aliases.is_alias(&spiffe_id).then(|| state.aliases.nodes_under(&spiffe_id).count()));
        match nodes {
            Some(0) => Ok(Parent {
                note: Some(format!("no node has the alias {spiffe_id} yet; its entries wait for one")),
                spiffe_id,
            }),
            Some(_) => Ok(Parent { spiffe_id, note: None }),
            None => Err(EntryRefused::ParentNotANode { parent_id: spiffe_id }.into()),
        }
    }

    /// Refuses an alias with the ID of a workload, and a workload with the ID of an alias: one is the nodes', the other their processes'.
    pub(super) fn refuse_shared(&self, spec: &EntrySpec) -> Result<(), EditError> {
        match self.registry.view(|state| sharing(state, spec).map(|held| held.entry.id().clone())) {
            Some(id) => Err(EditError::AliasShared {
                id,
                spiffe_id: spec.spiffe_id().clone(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the only node, when there is one.
    pub(super) fn parent_by_default(&self) -> Result<Parent, EditError> {
        self.registry.view(|state| {
            let mut nodes = state.nodes.listed(None).take(super::error::NAMED + 1);
            match (state.nodes.len(), nodes.next()) {
                (1, Some(only)) => {
                    let spiffe_id = only.record.spiffe_id().clone();
                    let note = Some(format!("parent: {}, the only node", only.record.name()));
                    Ok(Parent { spiffe_id, note })
                }
                (count, first) => {
                    let names = first.into_iter().chain(nodes).map(|held| held.record.name().clone()).collect();
                    Err(EditError::ParentAmbiguous { count, names })
                }
            }
        })
    }
}

pub(super) fn twin<'a>(state: &'a State, spec: &'a EntrySpec) -> Option<&'a HeldEntry> {
    state.entries.giving(spec.spiffe_id()).find(|held| held.entry.same_identity(spec))
}

fn sharing<'a>(state: &'a State, spec: &'a EntrySpec) -> Option<&'a HeldEntry> {
    state
        .entries
        .giving(spec.spiffe_id())
        .find(|held| held.entry.is_node_alias() != spec.is_node_alias())
}

fn is_spiffe_id(text: &str) -> bool {
    text.starts_with('/') || text.contains("://")
}
