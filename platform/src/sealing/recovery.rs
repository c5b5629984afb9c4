//! The recovery key: a key pair whose secret half is printed once and kept by people.
//!
//! X25519, HKDF-SHA-256 and AES-256-GCM: the server holds the public half only, so what it seals for recovery it cannot open itself.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use serde::{Deserialize, Serialize};
use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope;
use super::sealer::UnsealError;

/// What the text form of a secret half starts with.
const PREFIX: &str = "troth-recovery-1-";

/// The octets of the checksum at its end: a typing mistake is told apart from a wrong key.
const CHECKSUM: usize = 4;

/// The length of either half.
const HALF: usize = 32;

/// The version of what is sealed to a recovery key.
const VERSION: u8 = 1;

/// The secret half. Only [`RecoveryKey::expose`] shows it.
pub struct RecoveryKey {
    private: PrivateKey,
    public: RecoveryPublicKey,
}

impl RecoveryKey {
    /// Makes a new pair.
    ///
    /// # Errors
    /// [`UnsealError::Cipher`] when there is no randomness.
    pub fn generate() -> Result<Self, UnsealError> {
        Self::of(PrivateKey::generate(&X25519).map_err(|_| UnsealError::Cipher)?).ok_or(UnsealError::Cipher)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`ParseRecoveryKeyError`].
    pub fn parse(text: &str) -> Result<Self, ParseRecoveryKeyError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(ParseRecoveryKeyError::NotARecoveryKey)?;
        let mut octets = Zeroizing::new([0; HALF + CHECKSUM]);
        hex::decode_to_slice(digits, &mut *octets).map_err(|_| ParseRecoveryKeyError::NotARecoveryKey)?;
        let (secret, sum) = octets.split_at(HALF);
        if checksum(secret) != sum {
            return Err(ParseRecoveryKeyError::Mistyped);
        }
        let private = PrivateKey::from_private_key(&X25519, secret).map_err(|_| ParseRecoveryKeyError::NotARecoveryKey)?;
        Self::of(private).ok_or(ParseRecoveryKeyError::NotARecoveryKey)
    }

    /// Returns the text form, to be shown once and kept by people.
    ///
    /// # Errors
    /// [`UnsealError::Cipher`] when the key cannot be written out.
    pub fn expose(&self) -> Result<Zeroizing<String>, UnsealError> {
        let secret: Curve25519SeedBin<'_> = self.private.as_be_bytes().map_err(|_| UnsealError::Cipher)?;
        let digits = Zeroizing::new(hex::encode(secret.as_ref()));
        Ok(Zeroizing::new(format!("{PREFIX}{}{}", *digits, hex::encode(checksum(secret.as_ref())))))
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &RecoveryPublicKey {
        &self.public
    }

    /// Opens what was sealed to this key for the same context.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let damaged = || UnsealError::NotAuthentic { record: context.to_owned() };
        let (version, rest) = sealed.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(UnsealError::UnknownVersion {
                record: context.to_owned(),
                version: *version,
            });
        }
        let (ephemeral, ciphertext) = rest.split_first_chunk::<HALF>().ok_or_else(damaged)?;
        let key = agree(&self.private, ephemeral, ephemeral, &self.public.0).ok_or_else(damaged)?;
        envelope::open(&key, &associated(context, ephemeral, &self.public.0), ciphertext).map_err(|_| damaged())
    }

    /// Opens a data key that [`RecoveryPublicKey::seal_key`] sealed.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn open_key(&self, context: &str, sealed: &[u8]) -> Result<DataKey, UnsealError> {
        let octets = self.open(context, sealed)?;
        DataKey::from_slice(&octets).ok_or_else(|| UnsealError::NotAuthentic { record: context.to_owned() })
    }

    fn of(private: PrivateKey) -> Option<Self> {
        let public = private.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self {
            private,
            public: RecoveryPublicKey(public),
        })
    }
}

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The public half: no secret; its text form is 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecoveryPublicKey([u8; HALF]);

impl RecoveryPublicKey {
    /// Seals octets so that only the secret half opens them, for the same context.
    ///
    /// # Errors
    /// [`UnsealError::Cipher`] when the public half is no usable point, or there is no randomness.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let one_time = RecoveryKey::generate()?;
        let ephemeral = one_time.public.0;
        let key = agree(&one_time.private, &self.0, &ephemeral, &self.0).ok_or(UnsealError::Cipher)?;
        let sealed = envelope::seal(&key, &associated(context, &ephemeral, &self.0), plaintext).map_err(|_| UnsealError::Cipher)?;
        Ok([&[VERSION], &ephemeral[..], &sealed].concat())
    }

    /// Seals a data key, so that whoever holds the secret half can open the store without its key source.
    ///
    /// # Errors
    /// [`UnsealError::Cipher`].
    pub fn seal_key(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, UnsealError> {
        self.seal(context, key.expose())
    }
}

impl std::fmt::Display for RecoveryPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<RecoveryPublicKey> for String {
    fn from(key: RecoveryPublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for RecoveryPublicKey {
    type Error = ParseRecoveryKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut octets = [0; HALF];
        hex::decode_to_slice(text, &mut octets).map_err(|_| ParseRecoveryKeyError::NotARecoveryKey)?;
        Ok(Self(octets))
    }
}

/// A text is not a recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseRecoveryKeyError {
    /// The checksum differs.
    #[error("the recovery key has a typing mistake")]
    Mistyped,
    /// It has another form.
    #[error("the text is not a recovery key: those start with {PREFIX:?}")]
    NotARecoveryKey,
}

impl Coded for ParseRecoveryKeyError {
    fn code(&self) -> Code {
        Code::KeySourceUnavailable
    }

    fn hint(&self) -> String {
        "copy the whole recovery key that troth server init printed".to_owned()
    }
}

struct DataKeyLength;

impl KeyType for DataKeyLength {
    fn len(&self) -> usize {
        DataKey::LEN
    }
}

/// Derives the key of one sealing; both public halves are in the salt, so that each pair of keys gives its own.
fn agree(private: &PrivateKey, peer: &[u8; HALF], ephemeral: &[u8; HALF], recipient: &[u8; HALF]) -> Option<DataKey> {
    let salt = Salt::new(HKDF_SHA256, &[&ephemeral[..], &recipient[..]].concat());
    agreement::agree(private, UnparsedPublicKey::new(&X25519, peer), (), |shared| {
        let secret = salt.extract(shared);
        let mut octets = Zeroizing::new([0; DataKey::LEN]);
        let info: [&[u8]; 1] = [b"troth-recovery-1"];
        secret
            .expand(&info, DataKeyLength)
            .and_then(|output| output.fill(&mut *octets))
            .map_err(|_| ())?;
        DataKey::from_slice(&*octets).ok_or(())
    })
    .ok()
}

fn associated<'a>(context: &'a str, ephemeral: &'a [u8; HALF], recipient: &'a [u8; HALF]) -> [&'a [u8]; 5] {
    [b"troth-recovery", &[VERSION], context.as_bytes(), ephemeral, recipient]
}

fn checksum(secret: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    for (to, from) in sum.iter_mut().zip(digest(&SHA256, secret).as_ref()) {
        *to = *from;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_sealed_to_the_public_half_opens_with_the_printed_secret() {
        let key = RecoveryKey::generate().unwrap();
        let public: RecoveryPublicKey = serde_json::from_str(&serde_json::to_string(key.public()).unwrap()).unwrap();
        let sealed = public.seal("prod.example", b"data key").unwrap();
        let typed = RecoveryKey::parse(&format!(" {}\n", *key.expose().unwrap())).unwrap();
        assert_eq!(&*typed.open("prod.example", &sealed).unwrap(), b"data key");
        assert!(typed.open("test.example", &sealed).is_err());
        assert!(RecoveryKey::generate().unwrap().open("prod.example", &sealed).is_err());
    }

    #[test]
    fn a_data_key_is_recovered_without_its_key_source() {
        let (key, data_key) = (RecoveryKey::generate().unwrap(), DataKey::generate().unwrap());
        let sealed = key.public().seal_key("prod.example", &data_key).unwrap();
        assert_eq!(key.open_key("prod.example", &sealed).unwrap().expose(), data_key.expose());
        let other = key.public().seal("prod.example", b"not a key").unwrap();
        assert!(matches!(key.open_key("prod.example", &other), Err(UnsealError::NotAuthentic { .. })));
    }

    #[test]
    fn a_typing_mistake_is_told_apart_from_another_text() {
        let text = RecoveryKey::generate().unwrap().expose().unwrap().to_string();
        let last = if text.ends_with('0') { '1' } else { '0' };
        let mistyped = format!("{}{last}", &text[..text.len() - 1]);
        assert_eq!(RecoveryKey::parse(&mistyped).unwrap_err(), ParseRecoveryKeyError::Mistyped);
        for other in ["", "troth-recovery-1-", "troth-recovery-1-00", &text[..text.len() - 2], &text[1..]] {
            assert_eq!(RecoveryKey::parse(other).unwrap_err(), ParseRecoveryKeyError::NotARecoveryKey);
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = RecoveryKey::generate().unwrap();
        let secret = key.expose().unwrap();
        assert!(!format!("{key:?}").contains(&secret[PREFIX.len()..PREFIX.len() + 16]));
    }

    #[test]
    fn a_public_half_of_low_order_is_refused() {
        let zero: RecoveryPublicKey = "0".repeat(64).try_into().unwrap();
        assert_eq!(zero.seal("x", b"y").unwrap_err(), UnsealError::Cipher);
    }

    proptest! {
        #[test]
        fn garbage_never_opens(garbage: Vec<u8>) {
            prop_assert!(RecoveryKey::generate().unwrap().open("x", &garbage).is_err());
        }
    }
}
