//! Where a connection comes from.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::allow_list::ReferenceType;

/// Where a connection comes from: what handshakes are counted by, and whether it is this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The Unix socket.
    Local {
        /// Who connected.
        uid: u32,
    },
    /// TCP, from an address of this machine.
    LocalAddress(IpAddr),
    /// TCP, from anywhere else.
    Remote(IpAddr),
}

impl Source {
    /// Returns the source of a TCP connection. It is local when both its ends are one address, or its peer is on loopback: no packet of another machine comes
    /// from there.
    pub(super) fn of_tcp(peer: SocketAddr, own: SocketAddr) -> Self {
        let (peer, own) = (peer.ip().to_canonical(), own.ip().to_canonical());
        if peer.is_loopback() || peer == own {
            Self::LocalAddress(peer)
        } else {
            Self::Remote(peer)
        }
    }

    /// Returns whether references of this type mean anything where the connection comes from: local ones never cross machines (BRK-03).
    pub(super) fn is_in_scope(self, reference_type: ReferenceType) -> bool {
        !reference_type.is_local() || self.is_local()
    }

    /// Returns what its handshakes are counted by: all of loopback, and an IPv6 /64, are one client's.
    pub(super) fn counted_as(self) -> Self {
        match self {
            Self::LocalAddress(address) if address.is_loopback() => Self::LocalAddress(Ipv4Addr::LOCALHOST.into()),
            Self::Remote(IpAddr::V6(address)) => Self::Remote(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()),
            Self::Local { .. } | Self::LocalAddress(_) | Self::Remote(_) => self,
        }
    }

    fn is_local(self) -> bool {
        match self {
            Self::Local { .. } | Self::LocalAddress(_) => true,
            Self::Remote(_) => false,
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => write!(f, "uid {uid}"),
            Self::LocalAddress(address) | Self::Remote(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    #[covers("BRK-03")]
    #[test]
    fn only_an_address_of_this_machine_is_in_scope_of_its_processes() {
        for (peer, own, in_scope) in [
            ("127.0.0.1:40000", "127.0.0.1:9466", true),
            ("[::ffff:127.0.0.1]:40000", "[::]:9466", true),
            ("[::1]:40000", "[::1]:9466", true),
            ("192.0.2.7:40000", "192.0.2.7:9466", true),
            ("[::ffff:192.0.2.7]:40000", "192.0.2.7:9466", true),
            ("192.0.2.8:40000", "192.0.2.7:9466", false),
            ("[2001:db8::1]:40000", "[2001:db8::2]:9466", false),
        ] {
            assert_eq!(
                Source::of_tcp(peer.parse().unwrap(), own.parse().unwrap()).is_local(),
                in_scope,
                "{peer} to {own}"
            );
        }
        assert!(Source::Local { uid: 0 }.is_local());
    }
}
