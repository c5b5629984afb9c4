//! Keys of P-256 that are made in a token and sign there.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use trust_domains::jws::Es256Signature;
use trust_domains::public_key::PublicKey;

use super::error::Pkcs11Error;
use super::session::Open;
use super::token::{CallError, Token};
use crate::random::{self, RandomError};

/// The curve: its object identifier in DER (RFC 5480 section 2.1.1.1, secp256r1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The length of a P-256 point, and of the DER that tokens wrap it in (an OCTET STRING, PKCS#11 section 6.3.3).
const POINT_LEN: usize = 65;

/// The length of what a key is found by.
const ID_LEN: usize = 16;

/// The keys of one token that sign.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    token: Arc<Token>,
}

/// What finds a key in its token: CKA_ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHandle {
    id: Vec<u8>,
}

/// A key that was just made.
#[derive(Debug)]
pub struct MadeKey {
    /// What finds it.
    pub handle: KeyHandle,
    /// Its public half.
    pub public_key: PublicKey,
}

impl KeyHandle {
    /// Takes an id that was kept.
    #[must_use]
    pub fn new(id: Vec<u8>) -> Self {
        Self { id }
    }

    /// Makes the id of a new key. It is random: tokens do not mind two objects of one id, and nobody would find the second.
    fn fresh() -> Result<Self, RandomError> {
        Ok(Self {
            id: random::array::<ID_LEN>()?.to_vec(),
        })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }
}

impl std::fmt::Display for KeyHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.id))
    }
}

impl SigningKeys {
    /// Returns the keys of a token.
    #[must_use]
    pub fn of(token: Arc<Token>) -> Self {
        Self { token }
    }

    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Makes a key pair in the token: private, sensitive, not extractable, for signing alone. The label is for people.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn make(&self, label: &str) -> Result<MadeKey, Pkcs11Error> {
        let handle = KeyHandle::fresh().map_err(|_| self.strange("randomness"))?;
        let public_key = self.token.call(|open| {
            let (public, private) = templates(&handle, label);
            let made = open.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
            let (public, _) = made.map_err(|error| CallError::Said("make a P-256 key", error))?;
            let read = open.session.get_attributes(public, &[AttributeType::EcPoint]);
            let shown = read.map_err(|error| CallError::Said("show a public key", error))?;
            let point = shown.iter().find_map(|attribute| match attribute {
                Attribute::EcPoint(point) => point_of(point),
                _ => None,
            });
            point.ok_or_else(|| CallError::Final(self.strange("a public key")))
        })?;
        Ok(MadeKey { handle, public_key })
    }

    /// Signs a message: ECDSA with SHA-256, an ASN.1 signature. It is verified before it is returned, so that what a token confuses is never handed out.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn sign(&self, key: &KeyHandle, public_key: &PublicKey, message: &[u8]) -> Result<Vec<u8>, Pkcs11Error> {
        let hash = digest(&SHA256, message);
        let raw = self.token.call(|open| {
            let handle = self.find(open, key)?;
            let signed = open.session.sign(&Mechanism::Ecdsa, handle, hash.as_ref());
            signed.map_err(|error| CallError::Said("sign", error))
        })?;
        let signature = Es256Signature::from_numbers(&raw).map(|signature| signature.to_der());
        let signature = signature.ok_or_else(|| self.strange("a signature"))?;
        match public_key.verify(message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(self.strange("a signature")),
        }
    }

    /// Looks whether a key is there.
    ///
    /// # Errors
    /// [`Pkcs11Error::NoKey`] when it is not; else as every call.
    pub fn check(&self, key: &KeyHandle) -> Result<(), Pkcs11Error> {
        self.token.call(|open| {
            // Not by the handle that is remembered: the object may have gone.
            open.forget(&key.id);
            self.find(open, key).map(drop)
        })
    }

    /// Destroys a key, both halves. One that is not there is destroyed already.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn destroy(&self, key: &KeyHandle) -> Result<(), Pkcs11Error> {
        self.token.call(|open| {
            open.forget(&key.id);
            let said = |error| CallError::Said("destroy a key", error);
            let halves = open.session.find_objects(&[Attribute::Id(key.id.clone())]).map_err(said)?;
            halves.into_iter().try_for_each(|half| open.session.destroy_object(half).map_err(said))
        })
    }

    fn find(&self, open: &mut Open, key: &KeyHandle) -> Result<cryptoki::object::ObjectHandle, CallError> {
        let attributes = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(key.id.clone())];
        let found = open.object(&key.id, &attributes).map_err(|error| CallError::Said("be searched", error))?;
        found.ok_or_else(|| {
            CallError::Final(Pkcs11Error::NoKey {
                token: self.token.name().to_owned(),
                object: key.to_string(),
            })
        })
    }

    fn strange(&self, what: &'static str) -> Pkcs11Error {
        Pkcs11Error::Strange {
            token: self.token.name().to_owned(),
            what,
        }
    }
}

fn templates(handle: &KeyHandle, label: &str) -> (Vec<Attribute>, Vec<Attribute>) {
    let shared = |class| {
        vec![
            Attribute::Class(class),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(true),
            Attribute::Id(handle.id.clone()),
            Attribute::Label(label.as_bytes().to_vec()),
        ]
    };
    let (mut public, mut private) = (shared(ObjectClass::PUBLIC_KEY), shared(ObjectClass::PRIVATE_KEY));
    public.extend([Attribute::Private(false), Attribute::Verify(true), Attribute::EcParams(P256.to_vec())]);
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    (public, private)
}

/// Reads a point as tokens show it: in an OCTET STRING, as the standard says, or bare, as some do.
fn point_of(shown: &[u8]) -> Option<PublicKey> {
    let point = match shown {
        [0x04, 0x41, point @ ..] if point.len() == POINT_LEN => point,
        bare => bare,
    };
    PublicKey::from_sec1(point).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn a_point_is_read_wrapped_and_bare_and_nothing_else_is() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let bare = pair.public_key().as_ref();
        let wrapped = [&[0x04, 0x41], bare].concat();
        assert_eq!(point_of(bare).unwrap(), point_of(&wrapped).unwrap());
        for not_a_point in [&bare[..64], &wrapped[..66], &[]] {
            assert!(point_of(not_a_point).is_none());
        }
    }
}
