//! A `[[listener]]` table, with every mistake under its key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use platform::config::TableMistakes;
use trust_domains::duration::parse_duration;
use trust_domains::peering::{AllowList, PeerPattern};

use super::super::address::{ListenAddress, TargetAddress};
use super::super::direction::Direction;
use super::super::raw::RawListener;
use super::super::tls_version::TlsVersion;
use super::{ListenerConfig, MOST_CONNECTIONS};

/// The most connections of a listener when nothing is said: each holds two sockets and up to 128 KiB.
const DEFAULT_CONNECTIONS: u64 = 10_000;

const DEFAULT_HANDSHAKE: Duration = Duration::from_secs(10);
const DEFAULT_CONNECT: Duration = Duration::from_secs(5);

/// The longest protocol name of ALPN (RFC 7301 section 3.1).
const LONGEST_PROTOCOL: usize = 255;

/// The mode of a listening Unix socket when nothing is said.
const OWNER_ONLY: u32 = 0o600;

/// Reads a table.
pub(super) fn read(mistakes: &mut TableMistakes<'_>, raw: RawListener) -> Option<ListenerConfig> {
    let direction = parsed(mistakes, "direction", &raw.direction);
    let listen = parsed(mistakes, "listen", &raw.listen);
    let target = parsed(mistakes, "target", &raw.target);
    let allowed = allowed(mistakes, &raw);
    let min_tls = mistakes.check("min_tls", raw.min_tls.as_deref().map_or(Ok(TlsVersion::default()), str::parse));
    let socket_mode = mistakes.check("socket_mode", raw.socket_mode.as_deref().map_or(Ok(OWNER_ONLY), mode));
    let handshake_deadline = deadline(mistakes, "handshake_deadline", raw.handshake_deadline.as_deref(), DEFAULT_HANDSHAKE);
    let connect_deadline = deadline(mistakes, "connect_deadline", raw.connect_deadline.as_deref(), DEFAULT_CONNECT);
    let idle = mistakes.check("idle", raw.idle.as_deref().map(some_time).transpose());
    if raw.alpn.iter().any(|name| name.is_empty() || name.len() > LONGEST_PROTOCOL) {
        mistakes.add("alpn", format_args!("a protocol name has 1 to {LONGEST_PROTOCOL} octets"));
    }
    let (direction, listen, target) = (direction?, listen?, target?);
    check_plain_side(mistakes, direction, &listen, &target, raw.plaintext_network);
    check_together(mistakes, &raw, direction, &listen, &target);
    let max = raw.max_connections.unwrap_or(DEFAULT_CONNECTIONS).clamp(1, MOST_CONNECTIONS);
    let per_source = raw.max_connections_per_source.unwrap_or(match direction {
        Direction::Inbound => (max / 2).max(1),
        // All come from this machine.
        Direction::Outbound => max,
    });
    Some(ListenerConfig {
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

fn allowed(mistakes: &mut TableMistakes<'_>, raw: &RawListener) -> Option<AllowList> {
    let mut patterns = Vec::with_capacity(raw.allow.len() + 1);
    for (index, text) in raw.allow.iter().enumerate() {
        let key = format!("allow[{index}]");
        let Some(pattern) = parsed::<PeerPattern>(mistakes, &key, text) else {
            continue;
        };
        if raw.allow_any && pattern.is_part_of_any_of_own() {
            mistakes.add(
                &key,
                "allow_any (--allow-any) wants every workload of the own trust domain already; take one of the two away",
            );
        }
        patterns.push(pattern);
    }
    if patterns.len() < raw.allow.len() {
        return None;
    }
    patterns.extend(raw.allow_any.then(PeerPattern::any_of_own));
    let list: AllowList = patterns.into_iter().collect();
    if list.is_empty() {
        mistakes.add(
            "allow",
            "nobody is wanted; name the peers, as spiffe://TD/path, spiffe://TD/path/* or spiffe://TD, or say allow_any (--allow-any) for every workload of the own trust domain",
        );
        return None;
    }
    Some(list)
}

/// Whoever reaches the plain side has the identity of this process, or is believed to be its peer.
fn check_plain_side(mistakes: &mut TableMistakes<'_>, direction: Direction, listen: &ListenAddress, target: &TargetAddress, network: bool) {
    const SAY: &str = "is not on this machine for certain, and what goes there is plaintext that anybody on the way reads and changes; use 127.0.0.1, [::1] or unix:PATH, or say plaintext_network (--plaintext-network)";
    match direction {
        _ if network => {}
        Direction::Inbound if !target.is_local() => mistakes.add("target", format_args!("{target} {SAY}")),
        Direction::Outbound if !listen.is_local() => mistakes.add("listen", format_args!("{listen} {SAY}")),
        Direction::Inbound | Direction::Outbound => {}
    }
}

/// Names what does not go with something else that is said.
fn check_together(mistakes: &mut TableMistakes<'_>, raw: &RawListener, direction: Direction, listen: &ListenAddress, target: &TargetAddress) {
    if target.is_at(listen) {
        mistakes.add(
            "target",
            format_args!("{target} is where this listener itself accepts: each connection would come back to it"),
        );
    }
    if raw.proxy_protocol && direction == Direction::Outbound {
        mistakes.add(
            "proxy_protocol",
            "it tells a program who its peer is: only an inbound listener has such a program",
        );
    }
    if raw.socket_mode.is_some() && matches!(listen, ListenAddress::Tcp(_)) {
        mistakes.add("socket_mode", format_args!("{listen} has no mode; it goes only with listen = \"unix:PATH\""));
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(mistakes: &mut TableMistakes<'_>, key: &str, text: &str) -> Option<T> {
    mistakes.check(key, text.parse())
}

fn deadline(mistakes: &mut TableMistakes<'_>, key: &str, text: Option<&str>, default: Duration) -> Option<Duration> {
    mistakes.check(key, text.map_or(Ok(default), some_time))
}

/// Reads a duration in which something may happen.
fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("in no time nothing succeeds; say at least 1s, or leave the key out for its default".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode & !0o666 == 0 && mode & OWNER_ONLY == OWNER_ONLY => Ok(mode),
        _ => Err(format!(
            "{text:?} is no mode of a socket, which its owner reads and writes and nobody executes; say 0600, 0660 or 0666"
        )),
    }
}
