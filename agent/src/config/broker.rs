//! The Broker API as it is configured: where it is served, and to whom.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr;

use platform::config::Mistakes;
use platform::sockets::{BindError, SocketPath};
use trust_domains::configured_id::ParseConfiguredIdError;
use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::{ConfiguredId, TrustDomain};

use super::feature::{Feature, Features};
use super::raw::{RawAgentConfig, RawBroker};
use crate::endpoints::{AllowList, ParseReferenceTypeError, ReferenceType};

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
    #[error("the identity is {0}")]
    Id(#[from] ParseConfiguredIdError),
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

#[cfg(test)]
mod tests {
    use conformance::covers;
    use platform::config::ConfigMistakes;

    use super::*;
    use crate::config::AgentConfig;
    use crate::config::tests::environment;

    fn broker(enable: bool, change: impl FnOnce(&mut RawAgentConfig)) -> Result<Option<BrokerConfig>, ConfigMistakes> {
        let mut raw = RawAgentConfig {
            workload_socket: Some("/run/a/workload.sock".to_owned()),
            enable: enable.then(|| vec!["broker".to_owned()]),
            ..RawAgentConfig::default()
        };
        change(&mut raw);
        AgentConfig::new(raw, &environment()).map(|config| config.broker)
    }

    #[covers("STB-01")]
    #[test]
    fn the_broker_api_is_off_unless_switched_on_and_its_options_without_the_switch_are_mistakes() {
        assert!(broker(false, |_| ()).unwrap().is_none());
        let told = broker(false, |raw| {
            raw.broker_socket = Some("/run/b/broker.sock".to_owned());
            raw.broker_listen = Some("127.0.0.1:9466".to_owned());
            raw.broker_allow = vec!["/mesh=pid".to_owned()];
            raw.broker = vec![RawBroker::default()];
        });
        let told = told.unwrap_err();
        assert_eq!(told.mistakes.len(), 4, "{told}");
        assert!(told.mistakes.iter().all(|mistake| mistake.to_string().contains("--enable broker")), "{told}");
        let told = broker(true, |_| ()).unwrap_err();
        assert!(told.to_string().contains("--broker-socket"), "{told}");
    }

    #[test]
    fn brokers_are_exact_ids_with_types_of_references() {
        let config = broker(true, |raw| {
            raw.broker_socket = Some("unix:///run/b/broker.sock".to_owned());
            raw.broker_listen = Some("127.0.0.1:9466".to_owned());
            raw.broker_allow = vec!["/mesh=pid".to_owned(), "spiffe://partner.example/mesh=pid,pid".to_owned()];
            raw.broker = vec![RawBroker {
                spiffe_id: "/mesh".to_owned(),
                reference_types: vec!["pid".to_owned()],
            }];
        });
        let config = config.unwrap().unwrap();
        assert_eq!(
            (config.socket.unwrap().to_string().as_str(), config.listen.unwrap().port()),
            ("/run/b/broker.sock", 9466)
        );
        assert_eq!(config.grants.len(), 3);
        for wrong in [
            "/mesh",
            "/mesh=",
            "/mesh=*",
            "/mesh=k8s",
            "mesh=pid",
            "/=pid",
            "spiffe://td.example/*=pid",
            "=pid",
        ] {
            let told = broker(true, |raw| {
                raw.broker_listen = Some("127.0.0.1:9466".to_owned());
                raw.broker_allow = vec![wrong.to_owned()];
            });
            assert_eq!(told.unwrap_err().mistakes[0].key, "broker_allow", "{wrong}");
        }
        let told = broker(true, |raw| {
            raw.broker_socket = Some("/run/b/broker.sock".to_owned());
            raw.broker = vec![RawBroker {
                spiffe_id: "/mesh".to_owned(),
                reference_types: Vec::new(),
            }];
        });
        assert_eq!(told.unwrap_err().mistakes[0].key, "broker[0]");
    }

    #[covers("BEP-01")]
    #[test]
    fn a_broker_socket_is_never_in_the_directory_of_the_workloads() {
        let at = |path: &str| broker(true, |raw| raw.broker_socket = Some(path.to_owned()));
        assert!(at("/run/a/broker/broker.sock").is_ok());
        for wrong in [
            "/run/a/broker.sock",
            "/run/a/workload.sock",
            "/run/a/workload.sds.sock",
            "/run/a/../a/broker.sock",
            "/run/b/../a/./broker.sock",
            "/run//a/broker.sock",
            "/home/ada/.local/state/troth/agent/broker.sock",
        ] {
            assert_eq!(at(wrong).unwrap_err().mistakes[0].key, "broker_socket", "{wrong}");
        }
        let here = std::env::current_dir().unwrap();
        let relative_beside_absolute = broker(true, |raw| {
            raw.workload_socket = Some(here.join("run/workload.sock").display().to_string());
            raw.broker_socket = Some("run/b.sock".to_owned());
        });
        assert_eq!(relative_beside_absolute.unwrap_err().mistakes[0].key, "broker_socket");
    }
}
