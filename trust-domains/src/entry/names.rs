//! Names in certificates beside the SPIFFE ID, for peers that know no SPIFFE: DNS names, and the common name of the subject.
//!
//! They are believed by clients that never heard of the entry, so they have their own permission on a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A DNS name as certificates have it: always 1 to 253 bytes of labels of `a-z 0-9 -` in lower case (RFC 1123 section 2.1), and perhaps `*` as the whole
/// leftmost label before at least two others (RFC 6125 section 6.4.3). Never an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// The longest name in bytes (RFC 1035 section 2.3.4, as text without the last dot).
    pub const MAX_LEN: usize = 253;

    /// The longest label in bytes (RFC 1035 section 2.3.4).
    pub const MAX_LABEL_LEN: usize = 63;

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name, of a wildcard that which it stands below.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Returns whether the name is this one or lies below it, as name constraints count (RFC 5280 section 4.2.1.10). A wildcard lies below what it stands
    /// for all of.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        self.domain()
            .strip_suffix(base.domain())
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

impl FromStr for DnsName {
    type Err = ParseDnsNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(ParseDnsNameError::Length {
                limit: Self::MAX_LEN,
                actual: text.len(),
            });
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(ParseDnsNameError::Address);
        }
        let (wild, plain) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if wild && !plain.contains('.') {
            return Err(ParseDnsNameError::Wildcard);
        }
        plain.split('.').try_for_each(check_label)?;
        // A last label of digits is what the last part of an address looks like, and no top-level domain (RFC 1123 section 2.1).
        match plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit())) {
            true => Err(ParseDnsNameError::Address),
            false => Ok(Self(text.into())),
        }
    }
}

fn check_label(label: &str) -> Result<(), ParseDnsNameError> {
    let allowed = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if label.contains('*') {
        return Err(ParseDnsNameError::Wildcard);
    }
    let fits = (1..=DnsName::MAX_LABEL_LEN).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-');
    match fits {
        true => Ok(()),
        false => Err(ParseDnsNameError::Label { limit: DnsName::MAX_LABEL_LEN }),
    }
}

impl AsRef<str> for DnsName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(DnsName, "a DNS name");

/// The text is no DNS name that a certificate may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseDnsNameError {
    /// An address is no name.
    #[error("it is an IP address")]
    Address,
    /// A label.
    #[error("each part between dots has 1 to {limit} of a-z in lower case, 0-9 and '-', and no '-' at its ends")]
    Label {
        /// The most bytes.
        limit: usize,
    },
    /// Nothing, or more bytes than a name may have.
    #[error("it has {actual} bytes, not 1 to {limit}")]
    Length {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// A star stands where it stands for nothing, or for too much.
    #[error("a '*' may only be the whole first part, before at least two others")]
    Wildcard,
}

impl Coded for ParseDnsNameError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

/// A common name: always 1 to 64 characters of printable text, without spaces at its ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubjectCn(Box<str>);

impl SubjectCn {
    /// The most characters (X.520, `ub-common-name`; RFC 5280 appendix A.1).
    pub const MAX_CHARS: usize = 64;

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubjectCn {
    type Err = ParseSubjectCnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let actual = text.chars().count();
        if !(1..=Self::MAX_CHARS).contains(&actual) {
            return Err(ParseSubjectCnError::Length {
                limit: Self::MAX_CHARS,
                actual,
            });
        }
        match text.chars().any(char::is_control) || text.trim() != text {
            true => Err(ParseSubjectCnError::NotPrintable),
            false => Ok(Self(text.into())),
        }
    }
}

impl AsRef<str> for SubjectCn {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for SubjectCn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(SubjectCn, "a common name");

/// The text is no common name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseSubjectCnError {
    /// Nothing, or more characters than a common name may have.
    #[error("it has {actual} characters, not 1 to {limit}")]
    Length {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// A control character, or a space at an end, which verifiers treat differently.
    #[error("it has a control character, or a space at an end")]
    NotPrintable,
}

impl Coded for ParseSubjectCnError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

/// The names of an entry's certificates beside the SPIFFE ID: at most [`CertificateNames::MAX_DNS_NAMES`], each once. Without any it takes one pointer: a
/// server holds a million entries, and few have names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames(Option<Box<Names>>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dns: Vec<DnsName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cn: Option<SubjectCn>,
}

impl CertificateNames {
    /// The most DNS names of an entry: a service with its aliases; certificates stay under 2 KB.
    pub const MAX_DNS_NAMES: usize = 16;

    /// Returns these names, in their order.
    ///
    /// # Errors
    /// There are too many, or one is there twice.
    pub fn new(dns: Vec<DnsName>, cn: Option<SubjectCn>) -> Result<Self, NamesRefused> {
        if dns.len() > Self::MAX_DNS_NAMES {
            return Err(NamesRefused::TooMany {
                limit: Self::MAX_DNS_NAMES,
                actual: dns.len(),
            });
        }
        if let Some((_, twice)) = dns
            .iter()
            .enumerate()
            .find(|(place, name)| dns.iter().take(*place).any(|earlier| earlier == *name))
        {
            return Err(NamesRefused::Twice { name: twice.clone() });
        }
        Ok(Self((!dns.is_empty() || cn.is_some()).then(|| Box::new(Names { dns, cn }))))
    }

    /// Reads names as they are written.
    ///
    /// # Errors
    /// One cannot be read, or as [`new`](Self::new).
    pub(super) fn read(dns: &[String], cn: Option<&str>) -> Result<Self, NamesRefused> {
        let unreadable = |text: &str| text.chars().take(Self::SHOWN).collect::<String>();
        let parse = |text: &String| {
            text.parse().map_err(|source| NamesRefused::Dns {
                text: unreadable(text),
                source,
            })
        };
        let cn = cn.filter(|text| !text.is_empty()).map(|text| {
            text.parse().map_err(|source| NamesRefused::Cn {
                text: unreadable(text),
                source,
            })
        });
        Self::new(dns.iter().map(parse).collect::<Result<_, _>>()?, cn.transpose()?)
    }

    /// Returns the names that a change makes of these; what it does not speak of stays.
    pub(super) fn changed(&self, dns: Option<&[String]>, cn: Option<&str>) -> Result<Self, NamesRefused> {
        let Self(read) = Self::read(dns.unwrap_or_default(), cn)?;
        let Names { dns: read_dns, cn: read_cn } = read.map_or_else(Names::default, |names| *names);
        let dns = if dns.is_some() { read_dns } else { self.dns().to_vec() };
        let cn = if cn.is_some() { read_cn } else { self.cn().cloned() };
        Self::new(dns, cn)
    }

    /// As much of a text as an error repeats.
    const SHOWN: usize = 80;

    /// Returns whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the DNS names, in their order.
    #[must_use]
    pub fn dns(&self) -> &[DnsName] {
        self.0.as_ref().map_or(&[], |names| &names.dns)
    }

    /// Returns the common name.
    #[must_use]
    pub fn cn(&self) -> Option<&SubjectCn> {
        self.0.as_ref()?.cn.as_ref()
    }

    /// Returns the first name that a verifier may take for a host's and that lies within none of these. A common name that looks like a DNS name counts:
    /// clients without a DNS name before them compare it.
    #[must_use]
    pub fn first_outside(&self, permitted: &[DnsName]) -> Option<DnsName> {
        let cn = self.cn().and_then(|cn| cn.as_str().to_ascii_lowercase().parse::<DnsName>().ok());
        let cn = cn.filter(|name| name.as_str().contains('.'));
        self.dns()
            .iter()
            .cloned()
            .chain(cn)
            .find(|name| !permitted.iter().any(|base| name.is_within(base)))
    }
}

impl Serialize for CertificateNames {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CertificateNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Names { dns, cn } = Option::<Names>::deserialize(deserializer)?.unwrap_or_default();
        Self::new(dns, cn).map_err(serde::de::Error::custom)
    }
}

/// Names that no certificate may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesRefused {
    /// The common name.
    #[error("{text:?} is not a common name")]
    Cn {
        /// The beginning of the text.
        text: String,
        /// What is wrong.
        #[source]
        source: ParseSubjectCnError,
    },
    /// A DNS name.
    #[error("{text:?} is not a DNS name")]
    Dns {
        /// The beginning of the text.
        text: String,
        /// What is wrong.
        #[source]
        source: ParseDnsNameError,
    },
    /// More than an entry may have.
    #[error("the entry has {actual} DNS names, more than {limit}")]
    TooMany {
        /// The most.
        limit: usize,
        /// How many.
        actual: usize,
    },
    /// One is there twice.
    #[error("the DNS name {name} is there twice")]
    Twice {
        /// Which.
        name: DnsName,
    },
}

impl Coded for NamesRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        match self {
            Self::Cn { source, .. } => format!("write another --subject-cn: {source}"),
            Self::Dns { source, .. } => format!("write it as db.example.org: {source}"),
            Self::TooMany { .. } => "make several entries with the same SPIFFE ID".to_owned(),
            Self::Twice { .. } => "name it once".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_hosts_are_accepted_and_what_only_looks_like_them_is_not() {
        let long_label = "a".repeat(64);
        let long = format!("{}.org", "a.".repeat(126));
        for good in [
            "db",
            "db.example.org",
            "*.example.org",
            "xn--bcher-kva.example",
            "1.db.example.org",
            "3com.example",
        ] {
            assert_eq!(good.parse::<DnsName>().unwrap().as_str(), good);
        }
        let label = ParseDnsNameError::Label { limit: 63 };
        for (bad, expected) in [
            ("", ParseDnsNameError::Length { limit: 253, actual: 0 }),
            (
                long.as_str(),
                ParseDnsNameError::Length {
                    limit: 253,
                    actual: long.len(),
                },
            ),
            ("DB.example.org", label),
            ("db.example.org.", label),
            ("db..example.org", label),
            ("-db.example.org", label),
            ("db-.example.org", label),
            ("db_1.example.org", label),
            ("bücher.example", label),
            ("db example", label),
            (long_label.as_str(), label),
            ("*", ParseDnsNameError::Wildcard),
            ("*.org", ParseDnsNameError::Wildcard),
            ("d*.example.org", ParseDnsNameError::Wildcard),
            ("a.*.example.org", ParseDnsNameError::Wildcard),
            ("10.0.0.1", ParseDnsNameError::Address),
            ("::1", ParseDnsNameError::Address),
            ("db.1", ParseDnsNameError::Address),
        ] {
            assert_eq!(bad.parse::<DnsName>(), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn a_name_lies_within_its_domain_and_not_within_one_that_ends_alike() {
        let base: DnsName = "example.org".parse().unwrap();
        let within = |text: &str| text.parse::<DnsName>().unwrap().is_within(&base);
        assert!(within("example.org") && within("db.example.org") && within("*.example.org") && within("a.b.example.org"));
        assert!(!within("badexample.org") && !within("example.org.evil") && !within("org"));
    }

    #[test]
    fn a_common_name_that_a_client_may_take_for_a_host_is_held_to_the_same_domains() {
        let permitted: [DnsName; 1] = ["example.org".parse().unwrap()];
        let outside = |cn: &str| {
            CertificateNames::read(&[], Some(cn))
                .unwrap()
                .first_outside(&permitted)
                .map(|name| name.to_string())
        };
        assert_eq!(outside("app_rw"), None);
        assert_eq!(outside("postgres"), None, "the name of a user");
        assert_eq!(outside("DB.Example.org"), None);
        assert_eq!(outside("DB.evil.test").as_deref(), Some("db.evil.test"));
    }

    #[test]
    fn common_names_keep_the_limits_of_x520() {
        assert!("ü".repeat(64).parse::<SubjectCn>().is_ok(), "characters are counted, not bytes");
        for bad in ["", " a", "a ", "a\nb", &"a".repeat(65)] {
            assert!(bad.parse::<SubjectCn>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_each_there_once_and_few() {
        let twice = ["a.test", "a.test"].map(str::to_owned);
        assert!(matches!(CertificateNames::read(&twice, None), Err(NamesRefused::Twice { .. })));
        let many: Vec<_> = (0..17).map(|number| format!("n{number}.test")).collect();
        assert!(matches!(
            CertificateNames::read(&many, None),
            Err(NamesRefused::TooMany { limit: 16, actual: 17 })
        ));
        assert!(CertificateNames::read(&[], Some("")).unwrap().is_empty(), "an empty common name takes it away");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_comes_back_unchanged(text in any::<String>().prop_union("[a-z*0-9.-]{0,20}")) {
            if let Ok(name) = text.parse::<DnsName>() {
                prop_assert_eq!(name.as_str(), text.as_str());
                let names = CertificateNames::new(vec![name], None).unwrap();
                let json = serde_json::to_string(&names).unwrap();
                prop_assert_eq!(serde_json::from_str::<CertificateNames>(&json).unwrap(), names);
            }
        }
    }
}
