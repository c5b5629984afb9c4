//! The Broker API as it is configured: where it is served, and to whom.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr;

use platform::config::Mistakes;
use platform::sockets::{BindError, SocketPath};
use trust_domains::TrustDomain;
use trust_domains::spiffe_id::ParseSpiffeIdError;

use super::feature::{Feature, Features};
use super::raw::{RawAgentConfig, RawBroker};
use crate::endpoints::{AllowList, ParseReferenceTypeError, ReferenceType};
use trust_domains::ConfiguredId;

/// The Broker API, switched on: it has one address at least.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Its Unix socket.
    pub socket: Option<SocketPath>,
    /// Its TCP address.
    pub listen: Option<SocketAddr>,
    /// Who may use it.
    pub grants: Vec<BrokerGrant>,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerGrant {
    /// The identity: exactly that one.
    pub id: ConfiguredId,
    /// The types of references that it may use: one at least.
    pub reference_types: BTreeSet<ReferenceType>,
}

/// A broker is not described.
#[derive(Debug, thiserror::Error)]
pub enum ParseGrantError {
    /// The identity.
    #[error("the identity is neither a SPIFFE ID nor a path: {0}")]
    Id(#[from] ParseSpiffeIdError),
    /// It may do nothing.
    #[error("a broker is permitted one type of references at least: ID=pid, or reference_types = [\"pid\"]")]
    NoType,
    /// A type.
    #[error(transparent)]
    Type(#[from] ParseReferenceTypeError),
}

impl BrokerGrant {
    fn new<'a>(id: &str, reference_types: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseGrantError> {
        let id = id.parse()?;
        let reference_types = reference_types.into_iter().map(str::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if reference_types.is_empty() {
            return Err(ParseGrantError::NoType);
        }
        Ok(Self { id, reference_types })
    }

    fn of_table(table: &RawBroker) -> Result<Self, ParseGrantError> {
        Self::new(&table.spiffe_id, table.reference_types.iter().map(String::as_str))
    }
}

impl FromStr for BrokerGrant {
    type Err = ParseGrantError;

    /// Reads `ID=TYPE,..`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, reference_types) = text.split_once('=').ok_or(ParseGrantError::NoType)?;
        Self::new(id, reference_types.split(',').filter(|word| !word.is_empty()))
    }
}

impl BrokerConfig {
    /// Returns who may use it, in the trust domain that the agent joined.
    ///
    /// # Errors
    /// An ID becomes too long.
    pub fn allow_list(&self, trust_domain: &TrustDomain) -> Result<AllowList, ParseSpiffeIdError> {
        let granted = |grant: &BrokerGrant| Ok((grant.id.expand_any(trust_domain)?, grant.reference_types.clone()));
        self.grants.iter().map(granted).collect()
    }

    /// Makes a valid configuration; none where it is switched off. `other_sockets` are those that the agent has for others: workloads, its operator.
    pub(super) fn check(raw: &RawAgentConfig, features: &Features, other_sockets: &[&SocketPath], mistakes: &mut Mistakes) -> Option<Self> {
        let named = [
            ("broker_socket", raw.broker_socket.is_some()),
            ("broker_listen", raw.broker_listen.is_some()),
            ("broker_allow", !raw.broker_allow.is_empty()),
            ("broker", !raw.broker.is_empty()),
        ];
        if !features.has(Feature::Broker) {
            for (key, _) in named.into_iter().filter(|(_, is_named)| *is_named) {
                mistakes.add(key, "the Broker API is off; switch it on with --enable broker, or leave this out");
            }
            return None;
        }
        if raw.broker_socket.is_none() && raw.broker_listen.is_none() {
            mistakes.add(
                "enable",
                "broker is switched on and has no address: name --broker-socket PATH or --broker-listen ADDR",
            );
        }
        let socket = raw
            .broker_socket
            .as_deref()
            .and_then(|text| mistakes.check("broker_socket", text.parse::<SocketPath>()));
        if let Some(socket) = &socket {
            stands_apart(socket, other_sockets, mistakes);
        }
        let listen = raw
            .broker_listen
            .as_deref()
            .and_then(|text| mistakes.check("broker_listen", text.parse::<SocketAddr>()));
        let of_flags = raw.broker_allow.iter().map(|text| ("broker_allow".to_owned(), text.parse()));
        let of_tables = raw.broker.iter().enumerate();
        let of_tables = of_tables.map(|(index, table)| (format!("broker[{index}]"), BrokerGrant::of_table(table)));
        let grants = of_flags.chain(of_tables).filter_map(|(key, grant)| mistakes.check(&key, grant)).collect();
        Some(Self { socket, listen, grants })
    }
}

/// Refuses a socket in the directory of another, as their paths tell it. What links hide is seen when the sockets are bound.
fn stands_apart(socket: &SocketPath, others: &[&SocketPath], mistakes: &mut Mistakes) {
    let Some(directory) = mistakes.check("broker_socket", socket.absolute_directory()) else {
        return;
    };
    let beside = others
        .iter()
        .find(|other| other.absolute_directory().is_ok_and(|of_other| of_other == directory));
    if let Some(beside) = beside {
        let shared = BindError::SharedDirectory {
            at: socket.to_string(),
            beside: beside.to_string(),
        };
        mistakes.add("broker_socket", shared);
    }
}
