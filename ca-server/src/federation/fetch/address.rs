//! Which addresses a fetch connects to.
//!
//! An endpoint's URL comes from a partner (in a link, or by a redirect), and so does its DNS. Neither may lead a request of this server into the machine it
//! runs on, or to what only the machine's own link offers, such as a cloud's metadata service. Private ranges are where partners live: they are allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether addresses of this machine and its link are connected to (`--federation-allow-loopback`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    /// They are: for trials on one machine or one link.
    Allowed,
    /// They are not.
    Refused,
}

/// A kind of addresses to which no fetch connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// All machines of the link: 255.255.255.255.
    Broadcast,
    /// The link: 169.254.0.0/16, fe80::/10. Clouds have their metadata service there.
    LinkLocal,
    /// This machine: 127.0.0.0/8, `::1`.
    Loopback,
    /// A group of machines: 224.0.0.0/4, ff00::/8.
    Multicast,
    /// No machine: 0.0.0.0/8, `::`. Linux connects to this machine instead.
    Unspecified,
}

impl AddressKind {
    /// Returns whether `--federation-allow-loopback` admits such addresses.
    #[must_use]
    pub fn may_be_allowed(self) -> bool {
        matches!(self, Self::LinkLocal | Self::Loopback)
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broadcast => "a broadcast address",
            Self::LinkLocal => "a link-local address",
            Self::Loopback => "a loopback address",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "an unspecified address",
        })
    }
}

/// The addresses of a host, each of which may be connected to. There is no other way to a connection than through this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted(Vec<SocketAddr>);

impl Admitted {
    /// Admits all addresses of one answer, or none: who mixes good addresses with such is in error or attacks, and the first of these says which.
    pub(super) fn all(addresses: impl IntoIterator<Item = SocketAddr>, local: Local) -> Result<Self, (IpAddr, AddressKind)> {
        let mut admitted = Vec::new();
        for address in addresses {
            match refused(address.ip(), local) {
                Some(kind) => return Err((address.ip(), kind)),
                None if admitted.contains(&address) => {}
                None => admitted.push(address),
            }
        }
        Ok(Self(admitted))
    }

    /// Returns the addresses, in the order of the answer.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

/// Returns why an address is not connected to, in whatever form it is written.
fn refused(address: IpAddr, local: Local) -> Option<AddressKind> {
    let kind = match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }?;
    match local {
        Local::Allowed if kind.may_be_allowed() => None,
        Local::Allowed | Local::Refused => Some(kind),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<AddressKind> {
    match address.octets() {
        [0, ..] => Some(AddressKind::Unspecified),
        [127, ..] => Some(AddressKind::Loopback),
        [169, 254, ..] => Some(AddressKind::LinkLocal),
        [224..=239, ..] => Some(AddressKind::Multicast),
        [255, 255, 255, 255] => Some(AddressKind::Broadcast),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<AddressKind> {
    if address.is_unspecified() {
        return Some(AddressKind::Unspecified);
    }
    if address.is_loopback() {
        return Some(AddressKind::Loopback);
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => Some(AddressKind::LinkLocal),
        [0xff00..=0xffff, ..] => Some(AddressKind::Multicast),
        [0x64, 0xff9b, 1, ..] => nat64_local(address),
        _ => embedded(address).and_then(kind_of_v4),
    }
}

/// Returns the IPv4 address at which a packet to an IPv6 address may arrive in the end.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // IPv4-mapped (RFC 4291 section 2.5.5.2), its translated form (RFC 2765), and the old IPv4-compatible form.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64's well-known prefix (RFC 6052 section 2.1), and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

/// Returns what NAT64's prefix for local use (RFC 8215) may lead to. How long the network's own prefix in it is cannot be known, so the address is read at
/// each place of RFC 6052 section 2.2; what stands at the others is mostly zero, and no sign of anything.
fn nat64_local(address: Ipv6Addr) -> Option<AddressKind> {
    let [.., a, b, _, c, d, e, f, g, h, i] = address.octets();
    [[a, b, c, d], [b, c, d, e], [c, d, e, f], [f, g, h, i]]
        .into_iter()
        .filter_map(|octets| kind_of_v4(octets.into()))
        .find(|kind| kind.may_be_allowed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<AddressKind> {
        refused(text.parse().unwrap(), Local::Refused)
    }

    #[test]
    fn this_machine_and_its_link_are_refused_in_every_form_of_writing() {
        let refused = [
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.254", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::127.0.0.1", AddressKind::Loopback),
            ("::ffff:0:127.0.0.1", AddressKind::Loopback),
            ("64:ff9b::127.0.0.1", AddressKind::Loopback),
            ("64:ff9b:1::127.0.0.1", AddressKind::Loopback),
            ("64:ff9b:1:7f00:0:100::", AddressKind::Loopback),
            ("64:ff9b:1:ab:7f:0:100::", AddressKind::Loopback),
            ("2002:7f00:1::1", AddressKind::Loopback),
            ("169.254.169.254", AddressKind::LinkLocal),
            ("169.254.0.1", AddressKind::LinkLocal),
            ("::ffff:169.254.169.254", AddressKind::LinkLocal),
            ("64:ff9b::a9fe:a9fe", AddressKind::LinkLocal),
            ("64:ff9b:1:a9fe:a9:fe00::", AddressKind::LinkLocal),
            ("fe80::1", AddressKind::LinkLocal),
            ("febf:ffff::1", AddressKind::LinkLocal),
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.1.2.3", AddressKind::Unspecified),
            ("::", AddressKind::Unspecified),
            ("::ffff:0.0.0.0", AddressKind::Unspecified),
            ("224.0.0.1", AddressKind::Multicast),
            ("239.255.255.255", AddressKind::Multicast),
            ("ff02::1", AddressKind::Multicast),
            ("255.255.255.255", AddressKind::Broadcast),
        ];
        for (text, expected) in refused {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn public_and_private_addresses_are_where_partners_live() {
        let admitted = [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "128.0.0.1",
            "126.255.255.255",
            "169.253.255.255",
            "169.255.0.0",
            "192.0.2.1",
            "240.0.0.1",
            "2001:db8::1",
            "fd00::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::192.0.2.1",
            "64:ff9b:1::192.0.2.1",
            "64:ff9b:1:c000:2:100::",
            "2002:c000:201::1",
        ];
        for text in admitted {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn the_option_admits_this_machine_and_its_link_and_nothing_else() {
        let allowed = |text: &str| refused(text.parse().unwrap(), Local::Allowed).is_none();
        for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.1.1", "fe80::1", "192.0.2.1"] {
            assert!(allowed(text), "{text}");
        }
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
            assert!(!allowed(text), "{text}");
        }
    }

    #[test]
    fn one_bad_address_refuses_the_whole_answer() {
        let answer = |texts: &[&str]| Admitted::all(texts.iter().map(|text| text.parse().unwrap()), Local::Refused);
        let two = answer(&["192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.1:443"]).unwrap();
        assert_eq!(two.addresses().len(), 2, "each address once");
        let mixed = answer(&["192.0.2.1:443", "[::ffff:127.0.0.1]:443"]).unwrap_err();
        assert_eq!(mixed, ("::ffff:127.0.0.1".parse().unwrap(), AddressKind::Loopback));
    }
}
