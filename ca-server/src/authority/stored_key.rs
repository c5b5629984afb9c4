//! The stored form of an authority's private key: what opens it again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A private key at the one place where it is written out: inside a record that is then sealed.
#[derive(Clone)]
pub(crate) enum StoredKey {
    /// The key itself, in PKCS#8.
    Pkcs8(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKey(..)")
    }
}

impl Serialize for StoredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pkcs8(octets) => serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&**octets))),
        }
    }
}

impl<'de> Deserialize<'de> for StoredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Borrowed from the buffer that is wiped: no copy of the text is left behind.
        let text = <&str>::deserialize(deserializer)?;
        let octets = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self::Pkcs8(Zeroizing::new(octets)))
    }
}
