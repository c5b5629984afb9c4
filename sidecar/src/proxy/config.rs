//! The proxy's configuration, valid as a whole.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use platform::config::{ConfigMistakes, Mistakes};
use platform::sockets::SocketPath;
use platform::telemetry::TelemetryListen;
use trust_domains::ConfiguredId;
use trust_domains::duration::parse_duration;
use trust_domains::peering::{AllowList, PeerPattern};

use super::address::{ListenAddress, TargetAddress};
use super::raw::{RawListener, RawProxyConfig};

/// The most connections that may be configured: beyond it the ports of one target address run out.
pub(super) const MOST_CONNECTIONS: u64 = 60_000;

/// The most connections of a listener when nothing is said: each holds two sockets and up to 128 KiB.
const DEFAULT_CONNECTIONS: u64 = 10_000;

const DEFAULT_HANDSHAKE: Duration = Duration::from_secs(10);
const DEFAULT_CONNECT: Duration = Duration::from_secs(5);
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// The longest protocol name of ALPN (RFC 7301 section 3.1).
const LONGEST_PROTOCOL: usize = 255;

/// Who comes over mTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Those who connect to the listener.
    Inbound,
    /// The target.
    Outbound,
}

/// The least version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3, for old peers.
    Tls12,
    /// TLS 1.3 only.
    #[default]
    Tls13,
}

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
        let drain = duration(mistakes, "drain", raw.drain.as_deref(), DEFAULT_DRAIN);
        if raw.listener.is_empty() {
            mistakes.add("listener", "there is none, so that the proxy would do nothing");
        }
        let mut names = BTreeSet::new();
        let mut listeners = Vec::with_capacity(raw.listener.len());
        for (index, raw) in raw.listener.into_iter().enumerate() {
            let key = format!("listener[{index}]");
            let listener = ListenerConfig::check(raw, &key, mistakes)?;
            if !names.insert(listener.name.clone()) {
                mistakes.add(
                    format!("{key}.name"),
                    format!("another listener is called {:?} too; give each a name", listener.name),
                );
            }
            listeners.push(Arc::new(listener));
        }
        Some(Self {
            socket: socket?,
            spiffe_id: spiffe_id?,
            telemetry_listen: telemetry_listen?,
            drain: drain?,
            listeners,
        })
    }
}

impl ListenerConfig {
    fn check(raw: RawListener, key: &str, mistakes: &mut Mistakes) -> Option<Self> {
        let of = |name: &str| format!("{key}.{name}");
        let direction = mistakes.check(&of("direction"), raw.direction.parse::<Direction>());
        let listen = mistakes.check(&of("listen"), raw.listen.parse::<ListenAddress>());
        let target = mistakes.check(&of("target"), raw.target.parse::<TargetAddress>());
        let allowed = allowed(mistakes, &of("allow"), &raw);
        let min_tls = mistakes.check(&of("min_tls"), raw.min_tls.as_deref().map_or(Ok(TlsVersion::default()), str::parse));
        let socket_mode = mistakes.check(&of("socket_mode"), raw.socket_mode.as_deref().map_or(Ok(0o600), mode));
        let handshake_deadline = duration(mistakes, &of("handshake_deadline"), raw.handshake_deadline.as_deref(), DEFAULT_HANDSHAKE);
        let connect_deadline = duration(mistakes, &of("connect_deadline"), raw.connect_deadline.as_deref(), DEFAULT_CONNECT);
        let idle = match raw.idle.as_deref() {
            Some(text) => mistakes.check(&of("idle"), parse_duration(text)).map(Some),
            None => Some(None),
        };
        if raw.alpn.iter().any(|name| name.is_empty() || name.len() > LONGEST_PROTOCOL) {
            mistakes.add(of("alpn"), format!("a protocol name has 1 to {LONGEST_PROTOCOL} octets"));
        }
        let (direction, listen, target) = (direction?, listen?, target?);
        check_plain_side(mistakes, key, direction, &listen, &target, raw.plaintext_network);
        if raw.proxy_protocol && direction == Direction::Outbound {
            mistakes.add(
                of("proxy_protocol"),
                "it tells a program who its peer is: only an inbound listener has such a program",
            );
        }
        let max = raw.max_connections.unwrap_or(DEFAULT_CONNECTIONS).clamp(1, MOST_CONNECTIONS);
        let per_source = raw.max_connections_per_source.unwrap_or(match direction {
            Direction::Inbound => (max / 2).max(1),
            // All come from this machine.
            Direction::Outbound => max,
        });
        Some(Self {
            name: raw.name.unwrap_or_else(|| direction.to_string()),
            direction,
            listen,
            target,
            allowed: Arc::new(allowed?),
            proxy_protocol: raw.proxy_protocol,
            min_tls: min_tls?,
            alpn: raw.alpn.into_iter().map(String::into_bytes).collect(),
            max_connections: usize::try_from(max).ok()?,
            max_per_source: usize::try_from(per_source.clamp(1, max)).ok()?,
            handshake_deadline: handshake_deadline?,
            connect_deadline: connect_deadline?,
            idle: idle?,
            socket_mode: socket_mode?,
        })
    }
}

fn allowed(mistakes: &mut Mistakes, key: &str, raw: &RawListener) -> Option<AllowList> {
    let mut patterns = Vec::with_capacity(raw.allow.len() + 1);
    for text in &raw.allow {
        patterns.push(mistakes.check(key, text.parse::<PeerPattern>())?);
    }
    patterns.extend(raw.allow_any.then(PeerPattern::any_of_own));
    let list: AllowList = patterns.into_iter().collect();
    if list.is_empty() {
        mistakes.add(
            key,
            "nobody is wanted; name the peers, as spiffe://TD/path, spiffe://TD/path/* or spiffe://TD, or say allow_any (--allow-any) for every workload of the own trust domain",
        );
        return None;
    }
    Some(list)
}

/// Whoever reaches the plain side has the identity of this process, or is believed to be its peer.
fn check_plain_side(mistakes: &mut Mistakes, key: &str, direction: Direction, listen: &ListenAddress, target: &TargetAddress, network: bool) {
    const SAY: &str = "is not on this machine for certain, and what goes there is plaintext that anybody on the way reads and changes; use 127.0.0.1, [::1] or unix:PATH, or say plaintext_network (--plaintext-network)";
    match direction {
        _ if network => {}
        Direction::Inbound if !target.is_local() => mistakes.add(format!("{key}.target"), format!("{target} {SAY}")),
        Direction::Outbound if !listen.is_local() => mistakes.add(format!("{key}.listen"), format!("{listen} {SAY}")),
        Direction::Inbound | Direction::Outbound => {}
    }
}

fn optional<T: FromStr<Err: fmt::Display>>(mistakes: &mut Mistakes, key: &str, text: Option<&str>) -> Option<Option<T>> {
    match text {
        Some(text) => mistakes.check(key, text.parse()).map(Some),
        None => Some(None),
    }
}

fn duration(mistakes: &mut Mistakes, key: &str, text: Option<&str>, default: Duration) -> Option<Duration> {
    mistakes.check(key, text.map_or(Ok(default), parse_duration))
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(format!("{text:?} is no mode of a socket that its owner may use, as 0600 or 0660")),
    }
}

impl FromStr for Direction {
    type Err = ParseDirectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "inbound" => Ok(Self::Inbound),
            "outbound" => Ok(Self::Outbound),
            _ => Err(ParseDirectionError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

/// A word is no direction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither \"inbound\" nor \"outbound\"")]
pub struct ParseDirectionError {
    /// The word.
    pub text: String,
}

impl FromStr for TlsVersion {
    type Err = ParseTlsVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(ParseTlsVersionError { text: text.to_owned() }),
        }
    }
}

/// A text is no version of TLS that is spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither \"1.2\" nor \"1.3\"")]
pub struct ParseTlsVersionError {
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use platform::config::read_toml_text;

    use super::*;

    fn listener() -> RawListener {
        RawListener {
            direction: "inbound".to_owned(),
            listen: "0.0.0.0:8443".to_owned(),
            target: "127.0.0.1:8080".to_owned(),
            allow: vec!["/web".to_owned()],
            ..RawListener::default()
        }
    }

    fn mistakes(listeners: Vec<RawListener>) -> Vec<String> {
        let raw = RawProxyConfig {
            listener: listeners,
            ..RawProxyConfig::default()
        };
        match ProxyConfig::new(raw) {
            Ok(_) => Vec::new(),
            Err(told) => told.mistakes.into_iter().map(|mistake| mistake.key).collect(),
        }
    }

    #[test]
    fn without_an_allow_list_there_is_no_proxy() {
        let nobody = RawListener {
            allow: Vec::new(),
            ..listener()
        };
        assert_eq!(mistakes(vec![nobody.clone()]), ["listener[0].allow"]);
        assert_eq!(mistakes(vec![RawListener { allow_any: true, ..nobody }]), [""; 0]);
        assert_eq!(mistakes(Vec::new()), ["listener"]);
    }

    #[test]
    fn the_plain_side_stays_on_this_machine_unless_it_is_asked_for() {
        let away = RawListener {
            target: "db.example:5432".to_owned(),
            ..listener()
        };
        assert_eq!(mistakes(vec![away.clone()]), ["listener[0].target"]);
        let open = RawListener {
            direction: "outbound".to_owned(),
            ..away.clone()
        };
        assert_eq!(mistakes(vec![open]), ["listener[0].listen"]);
        let asked = RawListener {
            plaintext_network: true,
            ..away
        };
        assert_eq!(mistakes(vec![asked]), [""; 0]);
    }

    #[test]
    fn two_listeners_have_two_names_and_only_an_inbound_one_a_program_to_tell() {
        assert_eq!(mistakes(vec![listener(), listener()]), ["listener[1].name"]);
        let outbound = RawListener {
            direction: "outbound".to_owned(),
            listen: "127.0.0.1:1".to_owned(),
            proxy_protocol: true,
            ..listener()
        };
        assert_eq!(mistakes(vec![outbound]), ["listener[0].proxy_protocol"]);
    }

    #[test]
    fn the_sample_of_the_page_is_valid() {
        let page = include_str!("../../../docs/proxy.md");
        let (_, sample) = page.split_once("```toml\n").unwrap();
        let (sample, _) = sample.split_once("```").unwrap();
        let raw: RawProxyConfig = read_toml_text(sample, RawProxyConfig::KNOWN_KEYS).unwrap();
        assert_eq!(ProxyConfig::new(raw).unwrap().listeners.len(), 2);
    }
}
