//! The document: what it may look like, and what each of its entries says.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::MoveRefused;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// The entries of a SPIRE server, in the order of the document: always at least one, and all well-formed.
#[derive(Debug, Clone)]
pub struct SpireEntries(Vec<SpireEntry>);

impl SpireEntries {
    /// Returns whether a document is SPIRE's: an object with a list under `entries`, where ours has `items`.
    #[must_use]
    pub fn are_in(document: &Value) -> bool {
        document.get("entries").is_some_and(Value::is_array)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is one page of several, has no entry, or names the first entry that is not well-formed or has a field of a newer SPIRE that says something.
    pub fn read(document: Value) -> Result<Self, MoveRefused> {
        let page: Page = serde_json::from_value(document).map_err(|error| MoveRefused::Document { reason: error.to_string() })?;
        if !page.next_page_token.is_empty() {
            return Err(MoveRefused::Document {
                reason: "it is one page of several (next_page_token)".to_owned(),
            });
        }
        if page.entries.is_empty() {
            return Err(MoveRefused::Document {
                reason: "it has no entries".to_owned(),
            });
        }
        let read = |(position, fields)| {
            read_entry(fields).map_err(|error| MoveRefused::Entry {
                position,
                reason: error.to_string(),
            })
        };
        (1..).zip(page.entries).map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &SpireEntry)> {
        (1..).zip(&self.0)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Map<String, Value>>,
    #[serde(default)]
    next_page_token: String,
}

/// One entry, as both documents have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpireEntry {
    #[serde(deserialize_with = "id")]
    pub(super) spiffe_id: SpiffeId,
    #[serde(deserialize_with = "id")]
    pub(super) parent_id: SpiffeId,
    #[serde(default)]
    pub(super) selectors: Vec<SpireSelector>,
    /// Zero is SPIRE's default. It was called `ttl` before there were two.
    #[serde(default, alias = "ttl", deserialize_with = "number")]
    pub(super) x509_svid_ttl: i64,
    #[serde(default, deserialize_with = "number")]
    pub(super) jwt_svid_ttl: i64,
    #[serde(default, deserialize_with = "trust_domains")]
    pub(super) federates_with: Vec<TrustDomain>,
    #[serde(default)]
    pub(super) dns_names: Vec<String>,
    #[serde(default)]
    pub(super) hint: String,
    #[serde(default, alias = "entryExpiry", alias = "entry_expiry", deserialize_with = "moment")]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) admin: bool,
    #[serde(default)]
    pub(super) downstream: bool,
    #[serde(default)]
    pub(super) store_svid: bool,
    #[serde(default)]
    pub(super) additional_attributes: Attributes,

    // The server names entries, counts revisions and dates them itself.
    #[serde(default, rename = "id", alias = "entry_id")]
    _id: Value,
    #[serde(default, rename = "created_at")]
    _created_at: Value,
    #[serde(default, rename = "revision_number")]
    _revision_number: Value,
}

/// What SPIRE added later.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attributes {
    #[serde(default)]
    pub(super) disable_x509_svid_prefetch: bool,
    #[serde(default)]
    pub(super) jwt_svid_include_jti: bool,
}

/// A selector, as `{"type": .., "value": ..}` or `"type:value"`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum SpireSelector {
    Pair {
        #[serde(rename = "type")]
        kind: String,
        value: String,
    },
    Text(String),
}

impl SpireSelector {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Pair { kind, value } => format!("{kind}:{value}"),
            Self::Text(text) => text.clone(),
        }
    }
}

impl std::fmt::Debug for SpireSelector {
    /// Leaves the value out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpireSelector(..)")
    }
}

/// Reads an entry without what says nothing: `entry show` prints every field that there is, and a field that we do not know is no matter while it is empty.
fn read_entry(mut fields: Map<String, Value>) -> serde_json::Result<SpireEntry> {
    drop_empty(&mut fields);
    serde_json::from_value(Value::Object(fields))
}

fn drop_empty(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| {
        if let Value::Object(inner) = value {
            drop_empty(inner);
        }
        !is_empty(value)
    });
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_i64() == Some(0),
        // 64-bit numbers are texts in this JSON.
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SpiffeId, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Parts {
            trust_domain: String,
            #[serde(default)]
            path: String,
        },
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Parts { trust_domain, path } => format!("spiffe://{trust_domain}{path}"),
        Written::Text(text) => text,
    };
    text.parse().map_err(D::Error::custom)
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    let number = match Written::deserialize(deserializer)? {
        Written::Number(number) => number,
        Written::Text(text) => text.parse().map_err(D::Error::custom)?,
    };
    match number {
        0.. => Ok(number),
        _ => Err(D::Error::custom(format_args!("{number} is less than nothing"))),
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    number(deserializer).map(|seconds| Some(Timestamp::from_unix(seconds)))
}

fn trust_domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TrustDomain>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let name = |text: &String| text.strip_prefix("spiffe://").unwrap_or(text).parse().map_err(D::Error::custom);
    names.iter().map(name).collect()
}
