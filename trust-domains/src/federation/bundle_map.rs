//! Bundle Maps: the bundles of several trust domains in one document (SPIFFE Trust Domain and Bundle section 5.1).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::bundle::{ParseBundleError, ParsedBundle, RawDocument, TrustBundle, without_hint};
use crate::problem::{Code, Coded};
use crate::trust_domain::{ParseTrustDomainError, TrustDomain};

/// The largest map that is read: a thousand domains with two roots and two token keys each take 2.5 MB.
pub const MAX_BUNDLE_MAP_BYTES: usize = 4 * 1024 * 1024;

/// The most bundles of one map: twice the partners that one server is measured with.
pub const MAX_MAPPED_BUNDLES: usize = 2_000;

/// The member of a map that holds the bundles (BUN-12).
const TRUST_DOMAINS: &str = "trust_domains";

/// The bundles of several trust domains, each under its own name: never a mixture (FED-06).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleMap {
    bundles: BTreeMap<TrustDomain, TrustBundle>,
}

impl BundleMap {
    /// Returns the bundle of a trust domain.
    #[must_use]
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&TrustBundle> {
        self.bundles.get(trust_domain)
    }

    /// Returns the bundles by the names of their trust domains.
    pub fn iter(&self) -> impl Iterator<Item = &TrustBundle> {
        self.bundles.values()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bundles.len()
    }

    /// Returns whether there is none: a map may be empty (BUN-12).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    /// Returns the document, without line breaks. Refresh hints are left out: a map has none (BUN-14).
    #[must_use]
    #[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Out(self)).expect("a bundle map is always JSON")
    }
}

/// Of two bundles of one trust domain the later one stands: a map has each name once (BUN-12).
impl FromIterator<TrustBundle> for BundleMap {
    fn from_iter<I: IntoIterator<Item = TrustBundle>>(bundles: I) -> Self {
        let bundles = bundles.into_iter().map(|bundle| (bundle.trust_domain().clone(), bundle)).collect();
        Self { bundles }
    }
}

struct Out<'a>(&'a BundleMap);

impl Serialize for Out<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(TRUST_DOMAINS, &Bundles(self.0))?;
        map.end()
    }
}

struct Bundles<'a>(&'a BundleMap);

impl Serialize for Bundles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.bundles.iter().map(|(name, bundle)| (name, without_hint(bundle))))
    }
}

/// A map as read, with what was passed over. It is taken as a whole or not at all (appendix B.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedBundleMap {
    /// What was understood. No bundle in it has a refresh hint (BUN-14).
    pub map: BundleMap,
    /// The members that were not.
    pub skipped: Vec<SkippedBundle>,
}

/// A member of `trust_domains` that was passed over; the map stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkippedBundle {
    /// Its bundle is none.
    Bundle {
        /// Whose it is.
        trust_domain: TrustDomain,
        /// Why.
        reason: ParseBundleError,
    },
    /// Its name is none.
    Name {
        /// Why.
        reason: ParseTrustDomainError,
    },
}

/// Why a document as a whole is not a Bundle Map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBundleMapError {
    /// A name is there twice: two readers could choose differently (BUN-13).
    #[error("{trust_domain} is in the bundle map twice")]
    DuplicateName {
        /// The name.
        trust_domain: TrustDomain,
    },
    /// `trust_domains` is there twice.
    #[error("the bundle map has trust_domains twice")]
    DuplicateMember,
    /// It is not JSON of the right shape.
    #[error("not a bundle map, at line {line} column {column}")]
    Malformed {
        /// The line, from 1; 0 when unknown.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// `trust_domains` is missing (BUN-12): an empty object is what means "none".
    #[error("bundle map without trust_domains")]
    TrustDomainsMissing,
    /// It is larger than [`MAX_BUNDLE_MAP_BYTES`].
    #[error("bundle map of {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Its length.
        actual: usize,
    },
    /// It has more than [`MAX_MAPPED_BUNDLES`] members.
    #[error("bundle map of more than {limit} trust domains")]
    TooManyBundles {
        /// The limit.
        limit: usize,
    },
}

impl Coded for ParseBundleMapError {
    fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::TooManyBundles { .. } => Code::EndpointDocumentTooLarge,
            Self::DuplicateName { .. } | Self::DuplicateMember | Self::Malformed { .. } | Self::TrustDomainsMissing => Code::EndpointDocumentInvalid,
        }
    }
}

impl ParsedBundleMap {
    /// Reads a document, and tells which members were passed over.
    ///
    /// # Errors
    ///
    /// When the document as a whole is no Bundle Map.
    pub fn parse(document: &[u8]) -> Result<Self, ParseBundleMapError> {
        if document.len() > MAX_BUNDLE_MAP_BYTES {
            return Err(ParseBundleMapError::TooLarge {
                limit: MAX_BUNDLE_MAP_BYTES,
                actual: document.len(),
            });
        }
        let raw: RawMap = serde_json::from_slice(document).map_err(|error| ParseBundleMapError::Malformed {
            line: error.line(),
            column: error.column(),
        })?;
        match raw.refused {
            Some(refused) => Err(refused),
            None => raw.members.ok_or(ParseBundleMapError::TrustDomainsMissing),
        }
    }

    fn take(&mut self, name: &str, document: RawDocument) -> Result<(), ParseBundleMapError> {
        let trust_domain: TrustDomain = match name.parse() {
            Ok(trust_domain) => trust_domain,
            Err(reason) => {
                self.skipped.push(SkippedBundle::Name { reason });
                return Ok(());
            }
        };
        if self.map.bundles.contains_key(&trust_domain) {
            return Err(ParseBundleMapError::DuplicateName { trust_domain });
        }
        match ParsedBundle::of_document(&trust_domain, document) {
            Ok(parsed) => {
                self.map.bundles.insert(trust_domain, parsed.bundle.without_refresh_hint());
            }
            Err(reason) => self.skipped.push(SkippedBundle::Bundle { trust_domain, reason }),
        }
        Ok(())
    }
}

/// A map while it is read. What refuses it as a whole is kept apart, since an error of the JSON reader knows only its place.
#[derive(Default)]
struct RawMap {
    members: Option<ParsedBundleMap>,
    refused: Option<ParseBundleMapError>,
}

impl<'de> Deserialize<'de> for RawMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor)
    }
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = RawMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SPIFFE bundle map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawMap, A::Error> {
        let mut raw = RawMap::default();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            if name != TRUST_DOMAINS {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let Members { parsed, refused } = members.next_value()?;
            let twice = raw.members.is_some().then_some(ParseBundleMapError::DuplicateMember);
            raw.refused = raw.refused.or(twice).or(refused);
            raw.members = Some(parsed);
        }
        Ok(raw)
    }
}

/// What `trust_domains` holds, read one bundle after the other: no more than one of them is in memory as JSON.
struct Members {
    parsed: ParsedBundleMap,
    refused: Option<ParseBundleMapError>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bundles by the names of their trust domains")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
        let mut parsed = ParsedBundleMap {
            map: BundleMap::default(),
            skipped: Vec::new(),
        };
        let mut refused = None;
        let mut read = 0_usize;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            read += 1;
            if read > MAX_MAPPED_BUNDLES {
                refused = refused.or(Some(ParseBundleMapError::TooManyBundles { limit: MAX_MAPPED_BUNDLES }));
            }
            if refused.is_some() {
                // Nothing of it is kept: the rest is only gone through.
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            refused = parsed.take(&name, members.next_value()?).err();
        }
        Ok(Members { parsed, refused })
    }
}

#[cfg(test)]
mod tests;
