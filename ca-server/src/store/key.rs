//! Keys: which record is meant. Built from newtypes, so that no key can be malformed or reach into another kind of record.

use std::fmt;
use std::sync::Arc;

use trust_domains::node::NodeName;
use trust_domains::{EntryId, TrustDomain};

/// The key of one record, as `entry/ID`: readable, and ordered by its octets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// A kind of records: everything whose key begins so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(&'static str);

/// The name of a record that has no type of its own in the domain: 1 to 255 letters, digits and `. _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordName(Arc<str>);

/// A text that is no [`RecordName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a record name: 1 to {limit} letters, digits, dots, dashes and underscores")]
pub struct InvalidRecordName {
    /// The text.
    pub name: String,
    /// The longest that is accepted.
    pub limit: usize,
}

impl Prefix {
    /// Every record.
    pub const ALL: Self = Self("");
    /// Authorities: their certificates and sealed keys.
    pub const AUTHORITIES: Self = Self("authority/");
    /// Bundles of partner trust domains.
    pub const BUNDLES: Self = Self("bundle/");
    /// Revocation lists of partner trust domains.
    pub const BUNDLE_CRLS: Self = Self("bundle-crls/");
    /// Registration entries.
    pub const ENTRIES: Self = Self("entry/");
    /// Relationships with partner trust domains.
    pub const FEDERATION: Self = Self("federation/");
    /// When the bundles of partners were last fetched.
    pub const FETCHES: Self = Self("fetch/");
    /// What there is one of: trust domain, sealed data key, settings.
    pub const META: Self = Self("meta/");
    /// Nodes.
    pub const NODES: Self = Self("node/");
    /// Operators' orders about authorities.
    pub const ORDERS: Self = Self("order/");
    /// Rules of revocation.
    pub const REVOCATIONS: Self = Self("revocation/");
    /// Join tokens.
    pub const TOKENS: Self = Self("token/");
    /// Cross-certificates by upstream authorities.
    pub const UPSTREAMS: Self = Self("upstream/");

    /// Returns the text with which each of its keys begins.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns whether the key is under this prefix.
    #[must_use]
    pub fn contains(self, key: &Key) -> bool {
        key.0.starts_with(self.0)
    }

    fn key(self, name: impl fmt::Display) -> Key {
        Key(format!("{}{name}", self.0).into())
    }
}

impl Key {
    /// Returns the key of a partner's bundle: the characters of a trust domain's name are those of a record's.
    #[must_use]
    pub fn bundle(trust_domain: &TrustDomain) -> Self {
        Prefix::BUNDLES.key(trust_domain)
    }

    /// Returns the key of a partner's revocation lists.
    #[must_use]
    pub fn bundle_crls(trust_domain: &TrustDomain) -> Self {
        Prefix::BUNDLE_CRLS.key(trust_domain)
    }

    /// Returns the key of the relationship with a partner.
    #[must_use]
    pub fn federation(trust_domain: &TrustDomain) -> Self {
        Prefix::FEDERATION.key(trust_domain)
    }

    /// Returns the key of what is remembered of the fetches from a partner.
    #[must_use]
    pub fn fetch(trust_domain: &TrustDomain) -> Self {
        Prefix::FETCHES.key(trust_domain)
    }

    /// Returns the key of a registration entry.
    #[must_use]
    pub fn entry(id: &EntryId) -> Self {
        Prefix::ENTRIES.key(id)
    }

    /// Returns the key of a node.
    #[must_use]
    pub fn node(name: &NodeName) -> Self {
        Prefix::NODES.key(name)
    }

    /// Returns the key of a join token; its id, never the token.
    #[must_use]
    pub fn token(id: &RecordName) -> Self {
        Prefix::TOKENS.key(id)
    }

    /// Returns the key of an operator's order about authorities.
    #[must_use]
    pub fn order(id: &RecordName) -> Self {
        Prefix::ORDERS.key(id)
    }

    /// Returns the key of a cross-certificate.
    #[must_use]
    pub fn upstream(id: &RecordName) -> Self {
        Prefix::UPSTREAMS.key(id)
    }

    /// Returns the key of a rule of revocation.
    #[must_use]
    pub fn revocation(id: &RecordName) -> Self {
        Prefix::REVOCATIONS.key(id)
    }

    /// Returns the key of an authority.
    #[must_use]
    pub fn authority(id: &RecordName) -> Self {
        Prefix::AUTHORITIES.key(id)
    }

    /// Returns the key of something there is one of. The name is a word of the program: letters, digits, `. _ -`.
    #[must_use]
    pub fn meta(name: &'static str) -> Self {
        debug_assert!(RecordName::new(name).is_ok(), "{name:?} is not a record name");
        Prefix::META.key(name)
    }

    /// Returns the whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part after the kind: an entry's id, a node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// Reads back a key that a backend stored; `None` unless it is one that could have been built.
    pub(crate) fn from_stored(octets: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?;
        let (_, name) = text.split_once('/')?;
        RecordName::new(name).ok()?;
        Some(Self(text.into()))
    }
}

impl RecordName {
    /// The longest name: that of a trust domain. Keys stay far below the 4 KiB that a stored value may have.
    pub const MAX_LEN: usize = TrustDomain::MAX_LEN;

    /// Returns the name.
    ///
    /// # Errors
    /// The text is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidRecordName> {
        let acceptable = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > Self::MAX_LEN || !name.bytes().all(acceptable) {
            return Err(InvalidRecordName {
                name: name.chars().take(Self::MAX_LEN).collect(),
                limit: Self::MAX_LEN,
            });
        }
        Ok(Self(name.into()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RecordName {
    type Err = InvalidRecordName;

    fn from_str(name: &str) -> Result<Self, InvalidRecordName> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_under_its_own_prefix_only() {
        let key = Key::meta("settings");
        assert_eq!(key.as_str(), "meta/settings");
        assert_eq!(key.name(), "settings");
        assert!(Prefix::META.contains(&key) && Prefix::ALL.contains(&key));
        assert!(!Prefix::ENTRIES.contains(&key));
    }

    #[test]
    fn a_stored_key_is_read_back_and_a_foreign_one_is_not() {
        let key = Key::authority(&RecordName::new("root-1").unwrap());
        assert_eq!(Key::from_stored(key.as_str().as_bytes()), Some(key));
        let longest: TrustDomain = "a.".repeat(127).parse().unwrap();
        let key = Key::bundle(&longest);
        assert_eq!(Key::from_stored(key.as_str().as_bytes()), Some(key));
        for foreign in [&b""[..], b"entry", b"entry/", b"entry/a/b", b"entry/a\0\0\x01", b"\0head", b"entry/\xff"] {
            assert_eq!(Key::from_stored(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_record_name_is_letters_digits_dots_dashes_and_underscores() {
        for good in ["a", "A-1_b.c", &"x".repeat(255)] {
            assert!(RecordName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ä", "a\0", &"x".repeat(256)] {
            assert!(RecordName::new(bad).is_err(), "{bad}");
        }
    }
}
