//! The proxy's configuration as people write it: in a file, in flags, in the environment.

use std::path::Path;

use platform::config::{ConfigMistakes, Draft, KeyValue, KnownKey, as_text, read_draft};
use platform::sockets::SocketPath;
use platform::telemetry::TelemetryListen;
use serde::Deserialize;
use trust_domains::SpiffeId;
use trust_domains::duration::TextDuration;
use trust_domains::peering::PeerPattern;

use super::address::{ListenAddress, TargetAddress};
use super::config::MOST_CONNECTIONS;
use super::direction::Direction;
use super::tls_version::TlsVersion;

/// Every option of the proxy, each optional; what is absent takes the default of [`ProxyConfig`](super::ProxyConfig).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawProxyConfig {
    /// The Workload API socket, a path or `unix://`. Default: as every workload finds it.
    pub socket: Option<String>,
    /// Which identity is shown, where the process has several. Default: the first.
    pub spiffe_id: Option<String>,
    /// Where metrics and probes are served, or `off`. Default: off.
    pub telemetry_listen: Option<String>,
    /// How long open connections may go on after the proxy was told to end. Default: 30 seconds.
    pub drain: Option<String>,
    /// The listeners.
    pub listener: Vec<RawListener>,
}

/// A `[[listener]]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawListener {
    /// What it is called in records and metrics. Default: its direction.
    pub name: Option<String>,
    /// `inbound`: peers come over mTLS to a plain program. `outbound`: a plain program goes to a peer over mTLS.
    pub direction: String,
    /// Where it accepts: `ADDRESS:PORT` or `unix:PATH`.
    pub listen: String,
    /// Where it goes on to: `HOST:PORT` or `unix:PATH`.
    pub target: String,
    /// The peers that are wanted: SPIFFE IDs, prefixes with `/*`, trust domains.
    pub allow: Vec<String>,
    /// Whether every workload of the own trust domain is wanted.
    pub allow_any: bool,
    /// Whether the program is told who the peer is, by the PROXY protocol, version 2. Inbound only.
    pub proxy_protocol: bool,
    /// The least version of TLS, `1.2` or `1.3`. Default: 1.3.
    pub min_tls: Option<String>,
    /// The application protocols of ALPN, best first. Default: none is negotiated.
    pub alpn: Vec<String>,
    /// The most open connections. Default: 10,000, or what the limit of open files leaves room for.
    pub max_connections: Option<u64>,
    /// The most open connections of one address (IPv6: one /64 network) or local user. Default: half of all inbound, all outbound.
    pub max_connections_per_source: Option<u64>,
    /// How long a handshake may take. Default: 10 seconds.
    pub handshake_deadline: Option<String>,
    /// How long the target may take to accept. Default: 5 seconds.
    pub connect_deadline: Option<String>,
    /// How long a connection may be silent in both directions. Default: for ever.
    pub idle: Option<String>,
    /// Whether the side without TLS may be another machine's. Default: it must be on this one.
    pub plaintext_network: bool,
    /// The mode of the listening Unix socket, as `0660`. Default: 0600.
    pub socket_mode: Option<String>,
}

const CONNECTIONS: KeyValue = KeyValue::Integer {
    least: 1,
    most: MOST_CONNECTIONS.cast_signed(),
};

/// The keys of a `[[listener]]` table.
const LISTENER_KEYS: &[KnownKey] = &[
    KnownKey::text::<String>("name"),
    KnownKey::text::<Direction>("direction").required(),
    KnownKey::text::<ListenAddress>("listen").required(),
    KnownKey::text::<TargetAddress>("target").required(),
    KnownKey::new("allow", KeyValue::Texts(as_text::<PeerPattern>)),
    KnownKey::new("allow_any", KeyValue::Bool),
    KnownKey::new("proxy_protocol", KeyValue::Bool),
    KnownKey::text::<TlsVersion>("min_tls"),
    KnownKey::new("alpn", KeyValue::Texts(as_text::<String>)),
    KnownKey::new("max_connections", CONNECTIONS),
    KnownKey::new("max_connections_per_source", CONNECTIONS),
    KnownKey::text::<TextDuration>("handshake_deadline"),
    KnownKey::text::<TextDuration>("connect_deadline"),
    KnownKey::text::<TextDuration>("idle"),
    KnownKey::new("plaintext_network", KeyValue::Bool),
    KnownKey::text::<String>("socket_mode"),
];

impl RawProxyConfig {
    /// The keys of the file.
    pub const KNOWN_KEYS: &'static [KnownKey] = &[
        KnownKey::text::<SocketPath>("socket"),
        KnownKey::text::<SpiffeId>("spiffe_id"),
        KnownKey::text::<TelemetryListen>("telemetry_listen"),
        KnownKey::text::<TextDuration>("drain"),
        KnownKey::new("listener", KeyValue::Tables(LISTENER_KEYS)),
    ];

    /// Reads a file. The draft keeps the mistakes of keys and values, until the whole is checked too.
    ///
    /// # Errors
    /// Every mistake of the file at once, each with its line, where too little of it is understood to check the whole.
    pub fn read(file: &Path) -> Result<Draft<Self>, ConfigMistakes> {
        read_draft(file, Self::KNOWN_KEYS)
    }

    /// Lays these options over others: where one is absent here, the other counts. Listeners add up.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            socket: self.socket.or(under.socket),
            spiffe_id: self.spiffe_id.or(under.spiffe_id),
            telemetry_listen: self.telemetry_listen.or(under.telemetry_listen),
            drain: self.drain.or(under.drain),
            listener: [self.listener, under.listener].concat(),
        }
    }
}
