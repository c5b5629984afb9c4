//! A bundle as a SPIFFE bundle document: a JWK Set with two members of its own (BUN-01 to BUN-05).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::bundle::TrustBundle;
use crate::jwk::EcJwk;
use crate::plan::authority::AuthorityId;
use crate::public_key::PublicKey as P256Key;

/// `use` of a root of X509-SVIDs (BUN-09).
pub(super) const USE_X509: &str = "x509-svid";
/// `use` of a key of JWT-SVIDs.
pub(super) const USE_JWT: &str = "jwt-svid";
/// `use` of a key of WIT-SVIDs.
pub(super) const USE_WIT: &str = "wit-svid";

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// A public key as JWK members: only public ones, whatever it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    /// The key type: `EC`, `RSA` or `OKP`.
    kty: String,
    /// The key ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// The algorithm that the key is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    /// The numbers of the key by their member names, base64url, and the curve.
    #[serde(flatten)]
    members: Map<String, Value>,
}

impl PublicJwk {
    /// Returns the members of a key that signs ES256 tokens under this identifier (JWT-14).
    #[must_use]
    pub fn es256(kid: &AuthorityId, key: &P256Key) -> Self {
        Self {
            kid: Some(kid.to_string()),
            ..Self::es256_without_id(key)
        }
    }

    /// Returns the members of a key that signs with ES256 and is named by where it stands.
    pub(crate) fn es256_without_id(key: &P256Key) -> Self {
        let EcJwk { kty, crv, x, y } = EcJwk::of(key);
        Self {
            alg: Some("ES256".to_owned()),
            ..Self::with_members(&kty, [("crv", crv), ("x", x), ("y", y)])
        }
    }

    /// Returns the members of a key that signs RS256 tokens under this identifier (JWT-14), from its modulus and exponent: big-endian, without leading
    /// zero octets (RFC 7518 section 6.3.1).
    #[must_use]
    pub fn rs256(kid: &AuthorityId, modulus: &[u8], exponent: &[u8]) -> Self {
        Self {
            kid: Some(kid.to_string()),
            alg: Some("RS256".to_owned()),
            ..Self::with_members("RSA", [("n", url(modulus)), ("e", url(exponent))])
        }
    }

    /// Returns the members that state a key of this type (RFC 7518 section 6, RFC 8037 section 2).
    fn member_names(kty: &str) -> Option<&'static [&'static str]> {
        match kty {
            "EC" => Some(&["crv", "x", "y"]),
            "RSA" => Some(&["n", "e"]),
            "OKP" => Some(&["crv", "x"]),
            _ => None,
        }
    }

    /// Returns whether keys of this type are known (BUN-06).
    pub(super) fn knows(kty: &str) -> bool {
        Self::member_names(kty).is_some()
    }

    /// Takes the public members of a JWK; `None` when one is missing or is not what it should be.
    pub(crate) fn of_object(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let kty = text("kty")?;
        let mut members = Map::new();
        for name in Self::member_names(&kty)? {
            let value = text(name)?;
            if *name != "crv" {
                URL_SAFE_NO_PAD.decode(&value).ok()?;
            }
            members.insert((*name).to_owned(), Value::String(value));
        }
        Some(Self {
            kty,
            kid: text("kid"),
            alg: text("alg"),
            members,
        })
    }

    /// Returns the key of a DER SubjectPublicKeyInfo; `None` for a kind that bundles cannot express.
    pub(super) fn of_spki(spki: &[u8]) -> Option<Self> {
        let (_, info) = SubjectPublicKeyInfo::from_der(spki).ok()?;
        let algorithm = &info.algorithm.algorithm;
        if *algorithm == OID_SIG_ED25519 {
            return Some(Self::with_members(
                "OKP",
                [("crv", "Ed25519".to_owned()), ("x", url(&info.subject_public_key.data))],
            ));
        }
        match info.parsed().ok()? {
            PublicKey::RSA(key) => Some(Self::of_rsa(&key)),
            PublicKey::EC(point) if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
                let (name, coordinate) = match curve {
                    _ if curve == OID_EC_P256 => ("P-256", 32),
                    _ if curve == OID_NIST_EC_P384 => ("P-384", 48),
                    _ if curve == OID_NIST_EC_P521 => ("P-521", 66),
                    _ => return None,
                };
                Self::of_point(name, coordinate, point.data())
            }
            _ => None,
        }
    }

    fn of_rsa(key: &RSAPublicKey<'_>) -> Self {
        // DER puts a zero octet before a number with its top bit set; a JWK does not (RFC 7518 section 6.3.1).
        let number = |der: &[u8]| url(der.iter().position(|octet| *octet != 0).and_then(|first| der.get(first..)).unwrap_or_default());
        Self::with_members("RSA", [("n", number(key.modulus)), ("e", number(key.exponent))])
    }

    fn of_point(curve: &str, coordinate: usize, point: &[u8]) -> Option<Self> {
        let (form, coordinates) = point.split_first()?;
        if *form != UNCOMPRESSED || coordinates.len() != 2 * coordinate {
            return None;
        }
        let (x, y) = coordinates.split_at_checked(coordinate)?;
        Some(Self::with_members("EC", [("crv", curve.to_owned()), ("x", url(x)), ("y", url(y))]))
    }

    fn with_members<const N: usize>(kty: &str, members: [(&str, String); N]) -> Self {
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        Self {
            kty: kty.to_owned(),
            kid: None,
            alg: None,
            members,
        }
    }

    /// Returns the key ID.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns the algorithm that the key is for, if it names one.
    #[must_use]
    pub fn algorithm(&self) -> Option<&str> {
        self.alg.as_deref()
    }

    /// Returns the key type.
    #[must_use]
    pub fn key_type(&self) -> &str {
        &self.kty
    }

    /// Returns a member that states the key, as `crv`, `x`, `y`, `n` or `e`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }
}

fn url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A bundle document, in the order in which the standard shows its members.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_refresh_hint: Option<u64>,
    keys: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "use")]
    purpose: &'static str,
    #[serde(flatten)]
    key: &'a PublicJwk,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5c: Option<[String; 1]>,
}

impl<'a> Document<'a> {
    pub(super) fn of(bundle: &'a TrustBundle) -> Self {
        let roots = bundle.x509_authorities.iter().map(|root| Entry {
            purpose: USE_X509,
            key: root.key(),
            x5c: Some([STANDARD.encode(root.der())]),
        });
        let jwt = bundle.jwt_authorities.iter().map(|key| Entry {
            purpose: USE_JWT,
            key,
            x5c: None,
        });
        let wit = bundle.wit_authorities.iter().map(|key| Entry {
            purpose: USE_WIT,
            key,
            x5c: None,
        });
        Self {
            spiffe_sequence: bundle.sequence,
            spiffe_refresh_hint: bundle.refresh_hint.map(|hint| hint.as_secs()),
            keys: roots.chain(jwt).chain(wit).collect(),
        }
    }
}

/// Returns the document of a bundle as it stands in a Bundle Map (BUN-14).
pub(crate) fn without_hint(bundle: &TrustBundle) -> impl Serialize + '_ {
    Document {
        spiffe_refresh_hint: None,
        ..Document::of(bundle)
    }
}

impl TrustBundle {
    /// Returns the bundle as a SPIFFE bundle document, without line breaks.
    #[must_use]
    #[expect(clippy::expect_used, reason = "maps with text keys and no fallible Serialize: serde_json cannot fail on them")]
    pub fn to_spiffe_json(&self) -> String {
        serde_json::to_string(&Document::of(self)).expect("a bundle document is always JSON")
    }
}
