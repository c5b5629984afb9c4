//! Public keys of nodes and workloads: P-256, as an uncompressed point, in one exact DER form.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// The DER before the point in a SubjectPublicKeyInfo with id-ecPublicKey, prime256v1 and an uncompressed point (RFC 5480 section 2).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, // SEQUENCE, 89 octets
    0x30, 0x13, // SEQUENCE, 19 octets
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // OID 1.2.840.10045.2.1, id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // OID 1.2.840.10045.3.1.7, prime256v1
    0x03, 0x42, 0x00, // BIT STRING, 66 octets, no unused bits
];

/// The octets of an uncompressed point: 0x04, X, Y (SEC 1 section 2.3.3).
const POINT_LEN: usize = 65;

/// A public key: always a point on P-256 other than infinity.
///
/// Only the one form that our agents send is read: a form that cannot occur needs no care later. The check that the point is on the curve is made here
/// because the certificate builder makes none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PublicKey::SPKI_LEN]);

impl PublicKey {
    /// The octets of the DER SubjectPublicKeyInfo.
    pub const SPKI_LEN: usize = SPKI_PREFIX.len() + POINT_LEN;

    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// It is of another form, algorithm or curve, or the point is not on the curve.
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let spki: [u8; Self::SPKI_LEN] = der.try_into().map_err(|_| PublicKeyError::WrongForm)?;
        let point = spki.strip_prefix(&SPKI_PREFIX).ok_or(PublicKeyError::WrongForm)?;
        check_point(point)?;
        Ok(Self(spki))
    }

    /// Reads an uncompressed SEC 1 point.
    ///
    /// # Errors
    /// It is of another form, or not on the curve.
    pub fn from_sec1(point: &[u8]) -> Result<Self, PublicKeyError> {
        check_point(point)?;
        let mut spki = [0; Self::SPKI_LEN];
        for (place, octet) in spki.iter_mut().zip(SPKI_PREFIX.iter().chain(point)) {
            *place = *octet;
        }
        Ok(Self(spki))
    }

    /// Returns the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0
    }

    /// Returns the uncompressed SEC 1 point.
    #[must_use]
    pub fn sec1(&self) -> &[u8] {
        self.0.get(SPKI_PREFIX.len()..).unwrap_or_default()
    }

    /// Returns the SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of_spki(&self.0)
    }

    /// Checks an ASN.1 ECDSA signature with SHA-256 over the message.
    ///
    /// # Errors
    /// The signature is not one of this key over this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureInvalid> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.sec1())
            .verify(message, signature)
            .map_err(|_| SignatureInvalid)
    }
}

fn check_point(point: &[u8]) -> Result<(), PublicKeyError> {
    if point.len() != POINT_LEN || point.first() != Some(&0x04) {
        return Err(PublicKeyError::WrongForm);
    }
    p256::PublicKey::from_sec1_bytes(point).map(|_| ()).map_err(|_| PublicKeyError::NotOnCurve)
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(der: &[u8]) -> Result<Self, Self::Error> {
        Self::from_spki(der)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hash())
    }
}

/// The SHA-256 of a DER SubjectPublicKeyInfo: what a node record pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Returns the hash of a SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// Returns the octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

impl FromStr for KeyHash {
    type Err = ParseKeyHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 32];
        hex::decode_to_slice(text, &mut octets).map_err(|_| ParseKeyHashError)?;
        Ok(Self(octets))
    }
}

serde_as_text!(KeyHash, "a SHA-256 in hex");

/// The text is not a SHA-256 in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is 64 hex digits")]
pub struct ParseKeyHashError;

/// The key that was sent cannot be certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The coordinates are of no point of the curve.
    #[error("the point is not on P-256")]
    NotOnCurve,
    /// Another DER form, algorithm or curve, or a compressed point.
    #[error("the key is not a DER SubjectPublicKeyInfo with an uncompressed P-256 point")]
    WrongForm,
}

impl Coded for PublicKeyError {
    fn code(&self) -> Code {
        Code::KeyUnacceptable
    }
}

/// The signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the key and the message")]
pub struct SignatureInvalid;

impl Coded for SignatureInvalid {
    fn code(&self) -> Code {
        Code::AttestationRefused
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use p256::ecdsa::signature::Verifier as _;
    use proptest::prelude::*;

    use super::*;

    fn key_pair() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = PublicKey::from_sec1(pair.public_key().as_ref()).unwrap();
        (pair, key)
    }

    #[test]
    fn a_key_has_one_der_form_which_other_tools_write_too() {
        let (_, key) = key_pair();
        let written = rcgen::KeyPair::generate().unwrap();
        let read = PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&written)).unwrap();
        assert_eq!(read.sec1(), rcgen::PublicKeyData::der_bytes(&written));
        assert_eq!(PublicKey::from_spki(key.spki()), Ok(key));
        assert_eq!(PublicKey::from_sec1(key.sec1()), Ok(key));
        assert_eq!(key.hash().to_string(), hex::encode(Sha256::digest(key.spki())));
        assert_eq!(key.hash().to_string().parse::<KeyHash>().unwrap(), key.hash());
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let (_, key) = key_pair();
        let mut off = key.spki().to_vec();
        *off.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_spki(&off), Err(PublicKeyError::NotOnCurve));
        // Coordinates that are no field elements, and the encoding that some take for infinity.
        for filler in [0x00, 0xff] {
            let mut point = [filler; POINT_LEN];
            point[0] = 0x04;
            assert_eq!(PublicKey::from_sec1(&point), Err(PublicKeyError::NotOnCurve));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let (_, key) = key_pair();
        let mut compressed = vec![0x02 + (key.sec1()[64] & 1)];
        compressed.extend(&key.sec1()[1..33]);
        let mut hybrid = key.sec1().to_vec();
        hybrid[0] = 0x06;
        for point in [&[][..], &[0], &compressed, &hybrid, &key.sec1()[1..]] {
            assert_eq!(PublicKey::from_sec1(point), Err(PublicKeyError::WrongForm));
        }
        let with = |at: usize, octet: u8| {
            let mut der = key.spki().to_vec();
            der[at] = octet;
            der
        };
        let mut longer = key.spki().to_vec();
        longer.push(0);
        // Another length, unused bits, another algorithm, the curve secp256k1's neighbour, a compressed marker.
        for der in [longer, with(1, 0x5a), with(25, 1), with(12, 0x02), with(22, 0x06), with(26, 0x02), Vec::new()] {
            assert_eq!(PublicKey::from_spki(&der), Err(PublicKeyError::WrongForm));
        }
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(
            PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&p384)),
            Err(PublicKeyError::WrongForm)
        );
    }

    #[test]
    fn a_signature_fits_its_key_and_message_only_and_a_second_implementation_agrees() {
        let (pair, key) = key_pair();
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        assert_eq!(key.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(key.verify(b"massage", signature.as_ref()), Err(SignatureInvalid));
        assert_eq!(key.verify(b"message", &[]), Err(SignatureInvalid));
        let (_, other) = key_pair();
        assert_eq!(other.verify(b"message", signature.as_ref()), Err(SignatureInvalid));

        let second = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.sec1()).unwrap();
        let parsed = p256::ecdsa::Signature::from_der(signature.as_ref()).unwrap();
        second.verify(b"message", &parsed).unwrap();
    }

    proptest! {
        #[test]
        fn any_octets_are_refused_or_come_back_unchanged(at in 0..PublicKey::SPKI_LEN, octet in any::<u8>(), cut in 0..=PublicKey::SPKI_LEN) {
            let (_, key) = key_pair();
            let mut der = key.spki().to_vec();
            der[at] = octet;
            if let Ok(read) = PublicKey::from_spki(&der) {
                prop_assert_eq!(read, key, "one octet changed is never another key");
            }
            prop_assert_eq!(PublicKey::from_spki(&key.spki()[..cut]).is_ok(), cut == PublicKey::SPKI_LEN);
        }
    }
}
