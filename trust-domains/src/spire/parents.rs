//! Parents: which node, or node alias, an entry is under here.
//!
//! In order:
//! 1. What the operator says (`--map-parent`) counts.
//! 2. `spiffe://TD/spire/server` is the server's own ID here: the entry is a node alias.
//! 3. An ID that an agent was given (`spire-server token generate -spiffeID`: an entry with the one selector `spiffe_id:AGENT`) is that agent.
//! 4. An agent that was given an ID is the node with the last part of that ID's path as its name; any other that joined by a token is the node with the last
//!    part of its own. It may join later: `troth token create --node-id NAME`.
//! 5. Another agent's name follows from nothing: it is refused.
//! 6. Any other ID is that of a node alias, here as there.

use std::collections::{HashMap, HashSet};

use super::document::{SpireEntries, SpireEntry};
use super::refused::NoCounterpart;
use crate::node::NodeName;
use crate::spiffe_id::SpiffeId;

/// The path of a SPIRE server's own ID.
const SERVER: &str = "/spire/server";

/// Under it are the IDs of SPIRE's agents.
const AGENTS: &str = "/spire/agent/";

/// Agents that joined by a token.
const JOIN_TOKEN: &str = "/spire/agent/join_token/";

/// What the parent of an entry is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    /// The ID of a node alias.
    Alias(SpiffeId),
    /// As the operator says.
    Named(String),
    /// A node that joins, or joined, by a token.
    Node(NodeName),
    /// The server: the entry is a node alias.
    Server,
}

/// What the document and the operator say of parents.
pub(super) struct Parents {
    named: HashMap<SpiffeId, String>,
    /// The agent behind each ID that one was given.
    agents: HashMap<SpiffeId, SpiffeId>,
    /// The first ID that each agent was given.
    given: HashMap<SpiffeId, SpiffeId>,
    /// The agent behind each name, so that no two are one node.
    nodes: HashMap<String, SpiffeId>,
    /// The node aliases of the document.
    aliases: HashSet<SpiffeId>,
}

impl Parents {
    pub(super) fn of(entries: &SpireEntries, named: HashMap<SpiffeId, String>) -> Self {
        let mut parents = Self {
            named,
            agents: HashMap::new(),
            given: HashMap::new(),
            nodes: HashMap::new(),
            aliases: HashSet::new(),
        };
        for (_, entry) in entries.numbered() {
            if let Some(agent) = given_to(entry) {
                parents.given.entry(agent.clone()).or_insert_with(|| entry.spiffe_id.clone());
                parents.agents.insert(entry.spiffe_id.clone(), agent);
            } else if is_server(&entry.parent_id) {
                parents.aliases.insert(entry.spiffe_id.clone());
            }
        }
        parents
    }

    /// Returns what an entry's parent is here.
    pub(super) fn find(&mut self, parent_id: &SpiffeId) -> Result<Parent, NoCounterpart> {
        if let Some(name) = self.named(parent_id) {
            return Ok(Parent::Named(name.clone()));
        }
        if is_server(parent_id) {
            return Ok(Parent::Server);
        }
        match self.agent_behind(parent_id) {
            Some(agent) => self.node(parent_id, agent),
            None => Ok(Parent::Alias(parent_id.clone())),
        }
    }

    /// Returns whether an entry is not needed: it gives an ID to an agent, or is a node alias in whose place the operator named a node.
    pub(super) fn stands_for(&self, entry: &SpireEntry) -> bool {
        given_to(entry).is_some() || (is_server(&entry.parent_id) && self.named.contains_key(&entry.spiffe_id))
    }

    /// Returns whether the document has a node alias of this ID.
    pub(super) fn has_alias(&self, id: &SpiffeId) -> bool {
        self.aliases.contains(id)
    }

    fn named(&self, parent_id: &SpiffeId) -> Option<&String> {
        let agent = self.agents.get(parent_id);
        self.named.get(parent_id).or_else(|| self.named.get(agent?))
    }

    fn agent_behind(&self, parent_id: &SpiffeId) -> Option<SpiffeId> {
        let is_agent = parent_id.path().starts_with(AGENTS);
        is_agent.then(|| parent_id.clone()).or_else(|| self.agents.get(parent_id).cloned())
    }

    fn node(&mut self, parent_id: &SpiffeId, agent: SpiffeId) -> Result<Parent, NoCounterpart> {
        let named_by = self.given.get(&agent).unwrap_or(&agent);
        if named_by.path().starts_with(AGENTS) && !named_by.path().starts_with(JOIN_TOKEN) {
            return Err(NoCounterpart::Agent { parent_id: agent });
        }
        let last = named_by.path().rsplit('/').next().unwrap_or_default();
        let name: NodeName = last.parse().map_err(|_| NoCounterpart::NodeName { parent_id: parent_id.clone() })?;
        let first = self.nodes.entry(name.to_string()).or_insert_with(|| agent.clone());
        if *first != agent {
            return Err(NoCounterpart::NodeShared {
                parent_id: parent_id.clone(),
                name: name.to_string(),
                other: first.clone(),
            });
        }
        Ok(Parent::Node(name))
    }
}

fn is_server(id: &SpiffeId) -> bool {
    id.path() == SERVER
}

/// Returns the agent to which an entry gives an ID of its own: its one selector is that agent's ID, and its parent that agent or the server.
fn given_to(entry: &SpireEntry) -> Option<SpiffeId> {
    let [selector] = entry.selectors.as_slice() else { return None };
    let text = selector.text();
    let agent: SpiffeId = text.strip_prefix("spiffe_id:")?.parse().ok()?;
    let proves_it = entry.parent_id == agent || is_server(&entry.parent_id);
    (proves_it && agent.path().starts_with(AGENTS)).then_some(agent)
}
