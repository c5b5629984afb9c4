//! The PROXY protocol, version 2: the sender's side (haproxy.org, doc/proxy-protocol.txt, 2020-03-05).
//!
//! A header goes first on a connection to a program behind a proxy, and tells it who is at the other end. It is octets like all others to whoever does not expect it,
//! and whoever does believes the first one only: so one that the peer itself sends is payload after ours.

use std::net::{IpAddr, SocketAddr};

use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;

/// Section 2.2: no text protocol begins so.
const SIGNATURE: [u8; 12] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

/// Version 2, command PROXY. LOCAL is for connections of the proxy's own: a receiver would ignore what it says of the peer.
const VERSION_AND_COMMAND: u8 = 0x21;

const PP2_TYPE_SSL: u8 = 0x20;
const PP2_SUBTYPE_SSL_VERSION: u8 = 0x21;
const PP2_SUBTYPE_SSL_CN: u8 = 0x22;
const PP2_SUBTYPE_SSL_CIPHER: u8 = 0x23;

/// The connection is TLS, and the peer showed a certificate on this very one.
const CLIENT_SSL_AND_CERTIFICATE: u8 = 0x01 | 0x02;

/// The certificate was verified.
const VERIFIED: [u8; 4] = [0; 4];

/// The TLV of the peer's SPIFFE ID, as UTF-8: a custom type (section 2.2, PP2_TYPE_MIN_CUSTOM).
pub const TLV_SPIFFE_ID: u8 = 0xe0;

/// The TLV of the serial number of the peer's certificate, in lower-case hex.
pub const TLV_SERIAL: u8 = 0xe1;

/// The longest common name that is told: the upper bound of X.520. A longer one is left out, never cut to another.
const LONGEST_COMMON_NAME: usize = 64;

/// Where a connection went from and to, as the proxy saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxiedAddresses {
    /// Over TCP.
    Tcp {
        /// The peer.
        source: SocketAddr,
        /// The proxy's own address, that the peer connected to.
        destination: SocketAddr,
    },
    /// Over a Unix socket. A client's end of one has no name; the family is told as unspecified, as section 2.2 says for what cannot be expressed, and the receiver takes
    /// the addresses of its own connection.
    Unix,
}

/// Who the peer is, by the certificate that it showed and that was verified.
#[derive(Debug, Clone, Copy)]
pub struct ProxiedPeer<'a> {
    /// Its SPIFFE ID.
    pub spiffe_id: &'a SpiffeId,
    /// The serial of its certificate.
    pub serial: &'a Serial,
    /// The common name of its certificate, if it has one.
    pub common_name: Option<&'a str>,
    /// The version of TLS, as `TLSv1.3`.
    pub tls_version: &'a str,
    /// The cipher suite, as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'a str,
}

/// Returns the header. It is at most 2,400 octets: a SPIFFE ID is at most 2,048.
#[must_use]
pub fn header(addresses: ProxiedAddresses, peer: &ProxiedPeer<'_>) -> Vec<u8> {
    let (family, mut rest) = encode(addresses);
    push(&mut rest, PP2_TYPE_SSL, &tls(peer));
    push(&mut rest, TLV_SPIFFE_ID, peer.spiffe_id.as_str().as_bytes());
    push(&mut rest, TLV_SERIAL, peer.serial.to_string().as_bytes());
    let mut header = SIGNATURE.to_vec();
    header.extend([VERSION_AND_COMMAND, family]);
    header.extend(length(&rest));
    header.append(&mut rest);
    header
}

/// Returns the family and transport, and the addresses.
fn encode(addresses: ProxiedAddresses) -> (u8, Vec<u8>) {
    const UNSPECIFIED: u8 = 0x00;
    const TCP_OVER_IPV4: u8 = 0x11;
    const TCP_OVER_IPV6: u8 = 0x21;
    let ProxiedAddresses::Tcp { source, destination } = addresses else {
        return (UNSPECIFIED, Vec::new());
    };
    let mut octets = Vec::with_capacity(36);
    // A listener on [::] sees peers of IPv4 as mapped addresses: they are told as what they are.
    let family = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            octets.extend(source.octets());
            octets.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (source, destination) => {
            octets.extend(v6(source));
            octets.extend(v6(destination));
            TCP_OVER_IPV6
        }
    };
    octets.extend(source.port().to_be_bytes());
    octets.extend(destination.port().to_be_bytes());
    (family, octets)
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Returns the value of PP2_TYPE_SSL.
fn tls(peer: &ProxiedPeer<'_>) -> Vec<u8> {
    let mut value = vec![CLIENT_SSL_AND_CERTIFICATE];
    value.extend(VERIFIED);
    push(&mut value, PP2_SUBTYPE_SSL_VERSION, peer.tls_version.as_bytes());
    if let Some(name) = peer.common_name.filter(|name| name.len() <= LONGEST_COMMON_NAME) {
        push(&mut value, PP2_SUBTYPE_SSL_CN, name.as_bytes());
    }
    push(&mut value, PP2_SUBTYPE_SSL_CIPHER, peer.cipher.as_bytes());
    value
}

fn push(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    to.push(kind);
    to.extend(length(value));
    to.extend(value);
}

/// Nothing here comes near 65,535 octets: names are bounded by their types.
fn length(value: &[u8]) -> [u8; 2] {
    u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer<'a>(spiffe_id: &'a SpiffeId, serial: &'a Serial, common_name: Option<&'a str>) -> ProxiedPeer<'a> {
        ProxiedPeer {
            spiffe_id,
            serial,
            common_name,
            tls_version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
        }
    }

    /// Reads TLVs as a receiver does, written apart from the sender's side.
    fn tlvs(mut octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        while let [kind, high, low, rest @ ..] = octets {
            let (value, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            found.push((*kind, value.to_vec()));
            octets = after;
        }
        assert!(octets.is_empty());
        found
    }

    #[test]
    fn a_header_is_as_the_standard_writes_it() {
        let (id, serial) = ("spiffe://td.example/web".parse().unwrap(), "0a".parse().unwrap());
        let addresses = ProxiedAddresses::Tcp {
            source: "192.0.2.1:4660".parse().unwrap(),
            destination: "[::ffff:198.51.100.2]:443".parse().unwrap(),
        };
        let header = header(addresses, &peer(&id, &serial, Some("web")));
        assert_eq!(&header[..12], b"\r\n\r\n\0\r\nQUIT\n");
        assert_eq!(header[12..14], [0x21, 0x11]);
        assert_eq!(usize::from(u16::from_be_bytes([header[14], header[15]])), header.len() - 16);
        assert_eq!(header[16..28], [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x01, 0xbb]);
        let told = tlvs(&header[28..]);
        assert_eq!(told[1], (0xe0, b"spiffe://td.example/web".to_vec()));
        assert_eq!(told[2], (0xe1, b"0a".to_vec()));
        assert_eq!((told[0].0, &told[0].1[..5]), (0x20, &[3, 0, 0, 0, 0][..]));
        let tls = tlvs(&told[0].1[5..]);
        let expected: [(u8, &[u8]); 3] = [(0x21, b"TLSv1.3"), (0x22, b"web"), (0x23, b"TLS_AES_128_GCM_SHA256")];
        assert_eq!(tls, expected.map(|(kind, value)| (kind, value.to_vec())));
    }

    #[test]
    fn addresses_that_are_not_both_ipv4_are_told_as_ipv6_and_those_of_a_unix_socket_not_at_all() {
        let (id, serial) = ("spiffe://td.example/web".parse().unwrap(), "0a".parse().unwrap());
        let mixed = ProxiedAddresses::Tcp {
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "[2001:db8::1]:2".parse().unwrap(),
        };
        let six = header(mixed, &peer(&id, &serial, None));
        assert_eq!(six[13], 0x21);
        assert_eq!(six[16..32], "::ffff:192.0.2.1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(tlvs(&six[52..]).len(), 3);
        let unix = header(ProxiedAddresses::Unix, &peer(&id, &serial, None));
        assert_eq!((unix[12], unix[13]), (0x21, 0x00));
        assert_eq!(tlvs(&unix[16..]).len(), 3);
    }

    #[test]
    fn a_common_name_that_is_too_long_is_left_out() {
        let (id, serial) = ("spiffe://td.example/web".parse().unwrap(), "0a".parse().unwrap());
        let long = "x".repeat(65);
        let header = header(ProxiedAddresses::Unix, &peer(&id, &serial, Some(&long)));
        let tls = tlvs(&tlvs(&header[16..])[0].1[5..]);
        assert!(tls.iter().all(|(kind, _)| *kind != 0x22));
    }

    proptest! {
        #[test]
        fn every_header_reads_back_as_what_went_in_and_stays_short(
            path in "(/[a-zA-Z0-9._-]{1,200}x){1,10}",
            serial in proptest::collection::vec(any::<u8>(), 1..16),
            name in proptest::option::of("[ -~]{0,80}"),
            source: (bool, [u8; 16], u16),
            destination: (bool, [u8; 16], u16),
        ) {
            let address = |(four, octets, port): (bool, [u8; 16], u16)| {
                let ip = if four { IpAddr::from([octets[0], octets[1], octets[2], octets[3]]) } else { IpAddr::from(octets) };
                SocketAddr::new(ip, port)
            };
            let id: SpiffeId = format!("spiffe://td.example{path}").parse().unwrap();
            let serial = Serial::from_der_bytes(&[&[1][..], &serial].concat()).unwrap();
            let addresses = ProxiedAddresses::Tcp { source: address(source), destination: address(destination) };
            let header = header(addresses, &peer(&id, &serial, name.as_deref()));
            prop_assert!(header.len() <= 2_400);
            prop_assert_eq!(&header[..12], &SIGNATURE);
            let skip = if header[13] == 0x11 { 28 } else { 52 };
            let told = tlvs(&header[skip..]);
            prop_assert_eq!(&told[1].1, id.as_str().as_bytes());
            prop_assert_eq!(String::from_utf8(told[2].1.clone()).unwrap(), serial.to_string());
            let ports = [header[skip - 4..skip - 2].to_vec(), header[skip - 2..skip].to_vec()].concat();
            prop_assert_eq!(ports, [source.2.to_be_bytes(), destination.2.to_be_bytes()].concat());
        }
    }
}
