//! Name constraints of issuing CAs (RFC 5280 section 4.2.1.10): DNS domains and address ranges, never URIs, which common verifiers refuse altogether.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::entry::{CertificateNames, DnsName};

/// A range of addresses: always an address whose bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Returns the first address of the range.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns how many leading bits all addresses of the range have in common.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl FromStr for IpRange {
    type Err = ParseIpRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').ok_or(ParseIpRangeError::Form)?;
        let address: IpAddr = address.parse().map_err(|_| ParseIpRangeError::Form)?;
        let prefix: u8 = prefix.parse().map_err(|_| ParseIpRangeError::Form)?;
        let (bits, width) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u8),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let behind = width.checked_sub(prefix).ok_or(ParseIpRangeError::Form)?;
        let within = u32::from(behind);
        let rest = if within >= u128::BITS { bits } else { bits & !(u128::MAX << within) };
        match rest {
            0 => Ok(Self { address, prefix }),
            _ => Err(ParseIpRangeError::HostBits),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIpRangeError {
    /// It is not an address and a length.
    #[error("write it as 10.0.0.0/8 or 2001:db8::/32")]
    Form,
    /// The address is one inside the range.
    #[error("the address has bits behind the prefix: write the first address of the range")]
    HostBits,
}

/// What an issuing CA may name; nothing is no constraint, and each kind counts for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PermittedNames {
    dns: Vec<DnsName>,
    ip: Vec<IpRange>,
}

impl PermittedNames {
    /// Returns the constraint to these.
    #[must_use]
    pub const fn new(dns: Vec<DnsName>, ip: Vec<IpRange>) -> Self {
        Self { dns, ip }
    }

    /// Returns whether nothing is constrained.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ip.is_empty()
    }

    /// Returns the DNS domains.
    #[must_use]
    pub fn dns(&self) -> &[DnsName] {
        &self.dns
    }

    /// Returns the address ranges.
    #[must_use]
    pub fn ip(&self) -> &[IpRange] {
        &self.ip
    }

    /// Returns the first name of a certificate that lies outside.
    #[must_use]
    pub fn first_outside(&self, names: &CertificateNames) -> Option<DnsName> {
        if self.dns.is_empty() {
            return None;
        }
        names.first_outside(&self.dns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_its_first_address_and_a_length() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128"] {
            assert_eq!(text.parse::<IpRange>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("10.0.0.0", ParseIpRangeError::Form),
            ("10.0.0.0/33", ParseIpRangeError::Form),
            ("10.0.0.0/-1", ParseIpRangeError::Form),
            ("x/8", ParseIpRangeError::Form),
            ("::/129", ParseIpRangeError::Form),
            ("10.0.0.1/8", ParseIpRangeError::HostBits),
            ("2001:db8::1/32", ParseIpRangeError::HostBits),
        ] {
            assert_eq!(text.parse::<IpRange>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn without_domains_no_name_is_outside() {
        let names = CertificateNames::new(vec!["db.example.org".parse().unwrap()], None).unwrap();
        let permitted = |dns: &[&str]| PermittedNames::new(dns.iter().map(|name| name.parse().unwrap()).collect(), vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(permitted(&[]).first_outside(&names), None);
        assert_eq!(permitted(&["example.org"]).first_outside(&names), None);
        assert_eq!(permitted(&["example.net"]).first_outside(&names).unwrap().as_str(), "db.example.org");
    }
}
