//! The stored form of an authority's private key: what opens it again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::pkcs11::KeyHandle;
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use zeroize::Zeroizing;

/// A private key at the one place where it is written out: inside a record that is then sealed.
#[derive(Clone)]
pub(crate) enum StoredKey {
    /// The key itself, in PKCS#8.
    Pkcs8(Zeroizing<Vec<u8>>),
    /// What finds a key of P-256 in the token where it was made.
    Token(TokenKeyPlace),
}

/// What finds a key in its token, and its public half: an authority can be shown, and its successor planned, while the token is away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenKeyPlace {
    /// CKA_ID.
    pkcs11_id: Base64,
    /// SubjectPublicKeyInfo.
    public_key: Base64,
}

impl TokenKeyPlace {
    pub(super) fn new(handle: &KeyHandle, public_key: &PublicKey) -> Self {
        Self {
            pkcs11_id: Base64(handle.id().to_vec()),
            public_key: Base64(public_key.spki().to_vec()),
        }
    }

    pub(super) fn handle(&self) -> KeyHandle {
        KeyHandle::new(self.pkcs11_id.0.clone())
    }

    pub(super) fn public_key(&self) -> Option<PublicKey> {
        PublicKey::from_spki(&self.public_key.0).ok()
    }
}

impl StoredKey {
    /// Returns where in a token the key is, if it is in one.
    pub(crate) fn in_token(&self) -> Option<&TokenKeyPlace> {
        match self {
            Self::Pkcs8(_) => None,
            Self::Token(place) => Some(place),
        }
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredKey(..)")
    }
}

impl Serialize for StoredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pkcs8(octets) => serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&**octets))),
            Self::Token(place) => place.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

/// Text is a key, an object says where one is.
struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = StoredKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a private key in base64, or what finds one in a token")
    }

    /// Borrowed from the buffer that is wiped, and only so: no copy of the text is left behind.
    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<StoredKey, E> {
        let octets = STANDARD.decode(text).map_err(E::custom)?;
        Ok(StoredKey::Pkcs8(Zeroizing::new(octets)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoredKey, A::Error> {
        TokenKeyPlace::deserialize(MapAccessDeserializer::new(map)).map(StoredKey::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_back_and_neither_is_shown() {
        let pkcs8 = StoredKey::Pkcs8(Zeroizing::new(b"secret".to_vec()));
        let text = serde_json::to_string(&pkcs8).unwrap();
        assert_eq!(text, "\"c2VjcmV0\"", "as every version before wrote it");
        assert!(matches!(serde_json::from_str(&text).unwrap(), StoredKey::Pkcs8(octets) if *octets == b"secret"));

        let public_key = *crate::authority::AuthorityKey::generate().unwrap().0.public_key();
        let stored = StoredKey::Token(TokenKeyPlace::new(&KeyHandle::new(vec![7; 16]), &public_key));
        let read: StoredKey = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
        let place = read.in_token().unwrap();
        assert_eq!((place.handle(), place.public_key().unwrap()), (KeyHandle::new(vec![7; 16]), public_key));
        assert_eq!(format!("{pkcs8:?} {stored:?}"), "StoredKey(..) StoredKey(..)");
        serde_json::from_str::<StoredKey>("7").unwrap_err();
    }
}
