//! The proxy's configuration, valid as a whole.

mod listener;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use platform::config::{ConfigMistakes, Mistakes, TableMistakes};
use platform::sockets::SocketPath;
use platform::telemetry::TelemetryListen;
use trust_domains::ConfiguredId;
use trust_domains::duration::parse_duration;
use trust_domains::peering::AllowList;

use super::address::{ListenAddress, TargetAddress};
use super::direction::Direction;
use super::raw::{RawListener, RawProxyConfig};
use super::tls_version::TlsVersion;

/// The most connections that may be configured: beyond it the ports of one target address run out.
pub(super) const MOST_CONNECTIONS: u64 = 60_000;

/// How long open connections may go on at the end when nothing is said.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// The whole.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The Workload API socket, where one is named.
    pub socket: Option<SocketPath>,
    /// Which identity is shown; the first, if none is named.
    pub spiffe_id: Option<ConfiguredId>,
    /// Where metrics and probes are served, unless off.
    pub telemetry_listen: TelemetryListen,
    /// How long open connections may go on after the proxy was told to end.
    pub drain: Duration,
    /// The listeners, at least one.
    pub listeners: Vec<Arc<ListenerConfig>>,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// What it is called: no two are called the same.
    pub name: String,
    /// Who comes over mTLS.
    pub direction: Direction,
    /// Where it accepts.
    pub listen: ListenAddress,
    /// Where it goes on to.
    pub target: TargetAddress,
    /// Who is wanted: never empty.
    pub allowed: Arc<AllowList>,
    /// Whether the program is told who the peer is.
    pub proxy_protocol: bool,
    /// The least version of TLS.
    pub min_tls: TlsVersion,
    /// The application protocols, best first.
    pub alpn: Vec<Vec<u8>>,
    /// The most open connections.
    pub max_connections: usize,
    /// The most of one source.
    pub max_per_source: usize,
    /// How long a handshake may take.
    pub handshake_deadline: Duration,
    /// How long the target may take to accept.
    pub connect_deadline: Duration,
    /// How long a connection may be silent.
    pub idle: Option<Duration>,
    /// The mode of a listening Unix socket.
    pub socket_mode: u32,
}

impl ProxyConfig {
    /// Makes a valid configuration.
    ///
    /// # Errors
    /// Every mistake at once, each with its key.
    pub fn new(raw: RawProxyConfig) -> Result<Self, ConfigMistakes> {
        let mut mistakes = Mistakes::new();
        let config = Self::check(raw, &mut mistakes);
        mistakes.finish(None, config)
    }

    fn check(raw: RawProxyConfig, mistakes: &mut Mistakes) -> Option<Self> {
        let socket = optional(mistakes, "socket", raw.socket.as_deref());
        let spiffe_id = optional(mistakes, "spiffe_id", raw.spiffe_id.as_deref());
        let telemetry_listen = mistakes.check("telemetry_listen", raw.telemetry_listen.as_deref().unwrap_or("off").parse());
        let drain = mistakes.check("drain", raw.drain.as_deref().map_or(Ok(DEFAULT_DRAIN), parse_duration));
        let listeners = listeners(mistakes, raw.listener);
        Some(Self {
            socket: socket?,
            spiffe_id: spiffe_id?,
            telemetry_listen: telemetry_listen?,
            drain: drain?,
            listeners: listeners?,
        })
    }
}

fn listeners(mistakes: &mut Mistakes, tables: Vec<RawListener>) -> Option<Vec<Arc<ListenerConfig>>> {
    if tables.is_empty() {
        mistakes.add("listener", "there is none, so that the proxy would do nothing");
    }
    let count = tables.len();
    let mut listeners: Vec<Arc<ListenerConfig>> = Vec::with_capacity(count);
    for (index, table) in tables.into_iter().enumerate() {
        let mut mistakes = mistakes.within(format!("listener[{index}]"));
        let is_named = table.name.is_some();
        let Some(listener) = listener::read(&mut mistakes, table) else { continue };
        for other in &listeners {
            check_apart(&mut mistakes, &listener, other, is_named);
        }
        listeners.push(Arc::new(listener));
    }
    (listeners.len() == count).then_some(listeners)
}

/// Names what two listeners have in common that each has for itself.
fn check_apart(mistakes: &mut TableMistakes<'_>, one: &ListenerConfig, other: &ListenerConfig, is_named: bool) {
    if one.name == other.name && is_named {
        mistakes.add(
            "name",
            format_args!("another listener is called {:?} too; give each a name of its own", one.name),
        );
    } else if one.name == other.name {
        mistakes.add(
            "name",
            format_args!(
                "a listener without a name is called by its direction, and another is called {:?} too; give this one a name",
                one.name
            ),
        );
    }
    let takes_any_port = matches!(one.listen, ListenAddress::Tcp(address) if address.port() == 0);
    if one.listen == other.listen && !takes_any_port {
        mistakes.add("listen", format_args!("the listener {:?} accepts at {} already", other.name, one.listen));
    }
}

fn optional<T: FromStr<Err: fmt::Display>>(mistakes: &mut Mistakes, key: &str, text: Option<&str>) -> Option<Option<T>> {
    mistakes.check(key, text.map(str::parse).transpose())
}

#[cfg(test)]
mod tests;
