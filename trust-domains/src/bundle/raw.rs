//! The JSON of a bundle document, of a key set and of a Bundle Map as it is read: only the members that we know are kept, so that what a hostile partner sends
//! costs no more memory than its octets, however deep, long or odd it is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::bundle::parse::{MAX_BUNDLE_KEYS, ParseBundleError, SkipReason};

/// The members of an entry of `keys` that are read, in the order of their names: those that name it, and those of each key type (RFC 7517, RFC 7518, RFC 8037).
const KEY_MEMBERS: [&str; 10] = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "x5c", "y"];

/// The members of a document that we read; others are none of our business (BUN-02).
#[derive(Default)]
pub(crate) struct RawDocument {
    pub(super) spiffe_sequence: Option<Value>,
    pub(super) spiffe_refresh_hint: Option<Value>,
    keys: Option<RawKeys>,
    duplicate: Option<&'static str>,
}

/// The first entries of `keys`, and how many there are in all.
struct RawKeys {
    kept: Vec<RawKey>,
    actual: usize,
}

/// An entry of `keys`: its members that are known by name, each a text (`x5c`: a list of at most one) where it is what it should be.
pub(super) struct RawKey(pub(super) Result<Map<String, Value>, SkipReason>);

impl RawDocument {
    pub(super) fn read(document: &[u8]) -> Result<Self, ParseBundleError> {
        serde_json::from_slice(document).map_err(|error| ParseBundleError::Malformed {
            line: error.line(),
            column: error.column(),
        })
    }

    /// Takes the entries of `keys` out.
    pub(super) fn take_keys(&mut self) -> Result<Vec<RawKey>, ParseBundleError> {
        // Two readers could choose differently between two lists of keys, or two numbers.
        if let Some(name) = self.duplicate {
            return Err(ParseBundleError::DuplicateMember { name });
        }
        let keys = self.keys.take().ok_or(ParseBundleError::KeysMissing)?;
        if keys.actual > MAX_BUNDLE_KEYS {
            return Err(ParseBundleError::TooManyKeys {
                limit: MAX_BUNDLE_KEYS,
                actual: keys.actual,
            });
        }
        Ok(keys.kept)
    }

    /// Notes whether a member was there before.
    fn note<T>(&mut self, name: &'static str, before: &Option<T>) {
        if before.is_some() {
            self.duplicate = Some(name);
        }
    }
}

/// Written out, since a derived struct would take an array for an object.
impl<'de> Deserialize<'de> for RawDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = RawDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SPIFFE bundle document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawDocument, A::Error> {
        let mut document = RawDocument::default();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match name.as_ref() {
                "keys" => {
                    let before = document.keys.take();
                    document.note("keys", &before);
                    document.keys = members.next_value()?;
                }
                "spiffe_sequence" => {
                    let before = document.spiffe_sequence.take();
                    document.note("spiffe_sequence", &before);
                    document.spiffe_sequence = Some(members.next_value::<Scalar>()?.0);
                }
                "spiffe_refresh_hint" => {
                    let before = document.spiffe_refresh_hint.take();
                    document.note("spiffe_refresh_hint", &before);
                    document.spiffe_refresh_hint = Some(members.next_value::<Scalar>()?.0);
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(document)
    }
}

impl<'de> Deserialize<'de> for RawKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = RawKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<RawKeys, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_BUNDLE_KEYS {
            match entries.next_element()? {
                Some(key) => kept.push(key),
                None => return Ok(RawKeys { actual: kept.len(), kept }),
            }
        }
        let more = count_rest(&mut entries)?;
        Ok(RawKeys {
            actual: kept.len() + more,
            kept,
        })
    }
}

fn count_rest<'de, A: SeqAccess<'de>>(entries: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while entries.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

impl<'de> Deserialize<'de> for RawKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

/// Answers for every kind of value that is none of those looked for.
macro_rules! otherwise {
    ($answer:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($answer)
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($answer)
        }
    };
}

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = RawKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawKey, A::Error> {
        let mut known = Map::new();
        let mut duplicate = None;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let Some(name) = KEY_MEMBERS.into_iter().find(|member| *member == name) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = match name {
                "x5c" => members.next_value::<FirstOfList>()?.0,
                _ => members.next_value::<Scalar>()?.0,
            };
            if known.insert(name.to_owned(), value).is_some() {
                duplicate = Some(name);
            }
        }
        Ok(RawKey(match duplicate {
            Some(name) => Err(SkipReason::DuplicateMember { name }),
            None => Ok(known),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<RawKey, A::Error> {
        count_rest(&mut entries)?;
        Ok(RawKey(Err(SkipReason::NotAnObject)))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<RawKey, E> {
        Ok(RawKey(Err(SkipReason::NotAnObject)))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<RawKey, E> {
        Ok(RawKey(Err(SkipReason::NotAnObject)))
    }

    fn visit_unit<E: Error>(self) -> Result<RawKey, E> {
        Ok(RawKey(Err(SkipReason::NotAnObject)))
    }

    otherwise!(RawKey(Err(SkipReason::NotAnObject)));
}

/// A text, a whole number or null; `false` for anything else, whatever is in it.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar(Value::Bool(false)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
        count_rest(&mut entries)?;
        Ok(Scalar(Value::Bool(false)))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(Value::Null))
    }

    otherwise!(Scalar(Value::Bool(false)));
}

/// A list of which only the first value counts (X509-21); null for what is no list.
struct FirstOfList(Value);

impl<'de> Deserialize<'de> for FirstOfList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = FirstOfList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<FirstOfList, A::Error> {
        let first: Option<Scalar> = entries.next_element()?;
        count_rest(&mut entries)?;
        Ok(FirstOfList(first.map(|Scalar(value)| value).into_iter().collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<FirstOfList, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(FirstOfList(Value::Null))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<FirstOfList, E> {
        Ok(FirstOfList(Value::Null))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<FirstOfList, E> {
        Ok(FirstOfList(Value::Null))
    }

    fn visit_unit<E: Error>(self) -> Result<FirstOfList, E> {
        Ok(FirstOfList(Value::Null))
    }

    otherwise!(FirstOfList(Value::Null));
}
