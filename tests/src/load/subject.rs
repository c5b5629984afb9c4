//! What can be measured.

use clap::ValueEnum;

use super::report::Figure;
use super::{bulk, cached, delivery, helpers, issuing, memory, partners, proxy, reload, revoke, revoke_fleet, sds, taint, tokens, workload_api};

/// A figure of the design, by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// Every figure.
    All,
    /// Server CPU for an X509-SVID in batches of 50.
    P1,
    /// Server CPU for an X509-SVID, one a request.
    P2,
    /// From a new entry to its SVID on an open stream.
    P3,
    /// From the start of an agent to the first SVID.
    P4,
    /// The Workload API, a new connection each time.
    P5,
    /// JWT-SVIDs: a new audience each, and from the cache.
    P6,
    /// Resident memory.
    P7,
    /// A hundred thousand entries.
    P8,
    /// An agent that begins again, with its server and without.
    Cached,
    /// From a new SVID to the end of the reload of a program on its files.
    Delivery,
    /// Sinks that belong to other users.
    Helpers,
    /// A thousand partners: how their fetches are spread, and what they cost.
    Partners,
    /// `troth proxy` beside HAProxy.
    Proxy,
    /// From a revocation to the list on a node's stream.
    Revoke,
    /// From a revocation to the list on a workload's stream of every agent.
    RevokeFleet,
    /// Secret discovery: a rotation on 200 streams.
    Sds,
    /// An emergency: what a tainted issuing CA signed is replaced on a thousand agents.
    Taint,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Seconds of each measurement of issuing and delivery.
    pub seconds: u64,
    /// Agents of the emergency, and of the revocations to a fleet.
    pub agents: usize,
}

impl Subject {
    /// Every single figure.
    const EACH: [Self; 17] = [
        Self::P1,
        Self::P2,
        Self::P3,
        Self::P4,
        Self::P5,
        Self::P6,
        Self::P7,
        Self::P8,
        Self::Cached,
        Self::Delivery,
        Self::Helpers,
        Self::Partners,
        Self::Proxy,
        Self::Revoke,
        Self::RevokeFleet,
        Self::Sds,
        Self::Taint,
    ];

    /// Returns the figures that this one stands for.
    #[must_use]
    pub fn expand(self) -> Vec<Self> {
        if self == Self::All { Self::EACH.to_vec() } else { vec![self] }
    }

    /// Measures it.
    #[must_use]
    pub fn measure(self, effort: Effort) -> Vec<Figure> {
        match self {
            Self::All => Self::EACH.into_iter().flat_map(|each| each.measure(effort)).collect(),
            Self::P1 => vec![issuing::batches(effort)],
            Self::P2 => vec![issuing::single(effort)],
            Self::P3 => vec![delivery::new_entries()],
            Self::P4 => vec![delivery::agent_starts()],
            Self::P5 => vec![workload_api::connections()],
            Self::P6 => vec![tokens::new_audiences(), tokens::one_audience()],
            Self::P7 => vec![memory::resident()],
            Self::P8 => vec![bulk::entries()],
            Self::Cached => vec![cached::restarts()],
            Self::Helpers => vec![helpers::helpers()],
            Self::Delivery => vec![reload::reloads(effort)],
            Self::Partners => vec![partners::fetches(effort)],
            Self::Proxy => vec![proxy::beside_haproxy(effort)],
            Self::Revoke => revoke::revocations(),
            Self::RevokeFleet => vec![revoke_fleet::revocations(effort)],
            Self::Sds => vec![sds::rotations()],
            Self::Taint => vec![taint::replacement(effort)],
        }
    }
}
