//! Claims beside those that make a JWT-SVID: what an operator gives an entry to say (JWT-12).

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::{Code, Coded};

/// Claims that nobody gives an entry: those of RFC 7519 section 4.1, which the issuer sets itself; `cnf` (RFC 7800), which would bind a bearer token to a
/// key that nobody proves; and those that speak of another subject (`act` and `may_act` of RFC 8693, `sub_id` of RFC 9493, `sub_jwk` of OpenID Connect).
///
/// `scope`, `roles` and their like are not here: what they may say is between the operator, who lists them, and the services that read them.
const REGISTERED: [&str; 12] = ["act", "aud", "cnf", "exp", "iat", "iss", "jti", "may_act", "nbf", "sub", "sub_id", "sub_jwk"];

/// Extra claims: always within the limits, never a registered one. Most entries have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>", into = "BTreeMap<String, Value>")]
pub struct ExtraClaims(BTreeMap<String, Value>);

impl ExtraClaims {
    /// The most claims of an entry: each of its tokens repeats them.
    pub const MAX_CLAIMS: usize = 16;

    /// The longest name of a claim, in bytes: a collision-resistant one is a URL.
    pub const MAX_NAME_LEN: usize = 128;

    /// The most bytes of all of them as JSON: tokens travel in headers, of which servers take 8 KiB.
    pub const MAX_LEN: usize = 2_048;

    /// Checks claims.
    ///
    /// # Errors
    /// One is registered, or has no usable name, or there are too many or too much.
    pub fn new(claims: BTreeMap<String, Value>) -> Result<Self, ClaimRefused> {
        if claims.len() > Self::MAX_CLAIMS {
            return Err(ClaimRefused::TooMany {
                limit: Self::MAX_CLAIMS,
                actual: claims.len(),
            });
        }
        claims.keys().try_for_each(|name| check_name(name))?;
        let actual = serde_json::to_vec(&claims).map_or(usize::MAX, |json| json.len());
        if actual > Self::MAX_LEN {
            return Err(ClaimRefused::TooLong { limit: Self::MAX_LEN, actual });
        }
        Ok(Self(claims))
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the claims by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Returns the first name that is not in a list.
    #[must_use]
    pub fn not_in(&self, allowed: &ClaimNames) -> Option<&str> {
        self.iter().map(|(name, _)| name.as_str()).find(|name| !allowed.0.contains(*name))
    }
}

impl TryFrom<BTreeMap<String, Value>> for ExtraClaims {
    type Error = ClaimRefused;

    fn try_from(claims: BTreeMap<String, Value>) -> Result<Self, Self::Error> {
        Self::new(claims)
    }
}

impl From<ExtraClaims> for BTreeMap<String, Value> {
    fn from(claims: ExtraClaims) -> Self {
        claims.0
    }
}

/// Names of claims that entries may have; as text, separated by commas. Always usable names, never registered ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimNames(BTreeSet<String>);

impl ClaimNames {
    /// Takes names.
    ///
    /// # Errors
    /// One cannot be that of an extra claim.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, ClaimRefused> {
        let names: BTreeSet<_> = names.into_iter().collect();
        names.iter().try_for_each(|name| check_name(name))?;
        Ok(Self(names))
    }

    /// Returns the names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromStr for ClaimNames {
    type Err = ClaimRefused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()))
    }
}

fn check_name(name: &str) -> Result<(), ClaimRefused> {
    if REGISTERED.contains(&name) {
        return Err(ClaimRefused::Registered { name: name.to_owned() });
    }
    let is_usable = (1..=ExtraClaims::MAX_NAME_LEN).contains(&name.len()) && !name.contains(|character: char| character.is_control() || character == ',');
    match is_usable {
        true => Ok(()),
        false => Err(ClaimRefused::Name {
            limit: ExtraClaims::MAX_NAME_LEN,
        }),
    }
}

/// Claims that no entry may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimRefused {
    /// A name is empty, too long, or has a comma or a control character.
    #[error("the name of a claim has 1 to {limit} bytes, without commas and control characters")]
    Name {
        /// The most bytes.
        limit: usize,
    },
    /// The claim is not among those that this server allows.
    #[error("the claim {name:?} is not among those that this server allows")]
    NotAllowed {
        /// The claim.
        name: String,
    },
    /// The claim is one that only the issuer sets, or that nobody does.
    #[error("the claim {name:?} is registered: an entry cannot set it")]
    Registered {
        /// The claim.
        name: String,
    },
    /// All claims together are too long.
    #[error("the claims are {actual} bytes of JSON, the limit is {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// There are too many claims.
    #[error("{actual} claims, the limit is {limit}")]
    TooMany {
        /// The most claims.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
}

impl Coded for ClaimRefused {
    fn code(&self) -> Code {
        match self {
            Self::NotAllowed { .. } | Self::Registered { .. } => Code::ClaimNotAllowed,
            Self::Name { .. } | Self::TooLong { .. } | Self::TooMany { .. } => Code::InvalidRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Result<ExtraClaims, ClaimRefused> {
        ExtraClaims::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_registered_claim_is_never_an_extra_one() {
        for name in REGISTERED {
            let refused = claims(json!({ name: "x" })).unwrap_err();
            assert_eq!(
                (refused.code(), &refused),
                (Code::ClaimNotAllowed, &ClaimRefused::Registered { name: name.to_owned() })
            );
            assert!(name.parse::<ClaimNames>().is_err(), "{name}");
        }
        for name in ["scope", "roles", "Sub", "https://example.org/tier"] {
            assert!(claims(json!({ name: 1 })).is_ok(), "{name}");
        }
    }

    #[test]
    fn claims_are_bounded_in_number_name_and_size() {
        let many = |count: usize| (0..count).map(|number| (number.to_string(), json!(true))).collect::<BTreeMap<_, _>>();
        assert!(ExtraClaims::new(many(ExtraClaims::MAX_CLAIMS)).is_ok());
        assert!(matches!(ExtraClaims::new(many(ExtraClaims::MAX_CLAIMS + 1)), Err(ClaimRefused::TooMany { .. })));
        for name in ["", "a\nb", "a,b", &"n".repeat(ExtraClaims::MAX_NAME_LEN + 1)] {
            assert!(matches!(claims(json!({ name: 1 })), Err(ClaimRefused::Name { .. })), "{name:?}");
        }
        let text = |length: usize| claims(json!({ "t": "x".repeat(length) }));
        assert!(text(ExtraClaims::MAX_LEN - r#"{"t":""}"#.len()).is_ok());
        assert!(matches!(text(ExtraClaims::MAX_LEN), Err(ClaimRefused::TooLong { .. })));
    }

    #[test]
    fn what_is_not_in_the_list_is_named() {
        let allowed: ClaimNames = "scope, tier,".parse().unwrap();
        assert_eq!(allowed.iter().collect::<Vec<_>>(), ["scope", "tier"]);
        assert_eq!(claims(json!({ "scope": "a b" })).unwrap().not_in(&allowed), None);
        assert_eq!(claims(json!({ "scope": "a b", "team": 1 })).unwrap().not_in(&allowed), Some("team"));
        assert_eq!(ExtraClaims::default().not_in(&ClaimNames::default()), None);
    }

    #[test]
    fn claims_come_back_from_json_through_the_same_door() {
        let read = |text: &str| serde_json::from_str::<ExtraClaims>(text);
        let claims = read(r#"{"tier":{"n":[1,2.5,null]}}"#).unwrap();
        assert_eq!(serde_json::to_string(&claims).unwrap(), r#"{"tier":{"n":[1,2.5,null]}}"#);
        assert!(read("{}").unwrap().is_empty());
        assert!(read(r#"{"sub":"spiffe://example.org/admin"}"#).is_err());
    }
}
