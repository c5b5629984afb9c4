//! An AES key in a token that wraps data keys.

use std::sync::Arc;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use zeroize::Zeroizing;

use super::error::Pkcs11Error;
use super::session::Open;
use super::token::{CallError, Token};
use super::uri::Pkcs11Uri;
use crate::random;

/// The length of the key: AES-256.
const KEY_LEN: u64 = 32;

/// The length of a nonce (NIST SP 800-38D section 8.2).
const NONCE_LEN: usize = 12;

/// The length of a tag, in bits.
const TAG_BITS: u64 = 128;

/// A key that was made in a token and does not leave it: sensitive, not extractable. It enciphers with AES-256-GCM, which SoftHSM and the large modules have.
#[derive(Debug)]
pub struct WrappingKey {
    token: Arc<Token>,
    label: String,
}

impl WrappingKey {
    /// Finds the key that the URI names.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn open(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let key = Self::named(uri)?;
        key.token.call(|open| key.handle(open).map(drop))?;
        Ok(key)
    }

    /// Finds the key that the URI names, or makes it: one that is there is used, never replaced.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn open_or_make(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let key = Self::named(uri)?;
        key.token.call(|open| {
            let found = open
                .object(key.label.as_bytes(), &key.attributes())
                .map_err(|error| CallError::Said("be searched", error))?;
            match found {
                Some(_) => Ok(()),
                None => key.make(open),
            }
        })?;
        Ok(key)
    }

    fn named(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let label = uri.object().ok_or(Pkcs11Error::NoObject)?.to_owned();
        Ok(Self {
            token: Token::open(uri)?,
            label,
        })
    }

    /// Says which key it is, for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("the key {:?} in the token {:?}", self.label, self.token.name())
    }

    /// Enciphers octets; returns the nonce, then the ciphertext with its tag.
    ///
    /// # Errors
    /// [`Pkcs11Error`].
    pub fn seal(&self, associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Pkcs11Error> {
        self.token.call(|open| {
            let key = self.handle(open)?;
            let mut nonce = random::array::<NONCE_LEN>().map_err(|_| CallError::Said("make a nonce", Error::InvalidValue))?;
            let parameters = GcmParams::new(&mut nonce, associated, TAG_BITS.into()).map_err(|error| CallError::Said("encipher", error))?;
            let mechanism = Mechanism::AesGcm(parameters);
            let ciphertext = open.session.encrypt(&mechanism, key, plaintext);
            drop(mechanism);
            // Read back: some modules put a nonce of their own there.
            let ciphertext = ciphertext.map_err(|error| CallError::Said("encipher", error))?;
            Ok([&nonce[..], &ciphertext].concat())
        })
    }

    /// Deciphers what [`seal`](Self::seal) returned for the same associated octets.
    ///
    /// # Errors
    /// [`Pkcs11Error::DoesNotFit`] when another key enciphered it, or it is damaged.
    pub fn open_sealed(&self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Pkcs11Error> {
        let does_not_fit = || {
            CallError::Final(Pkcs11Error::DoesNotFit {
                token: self.token.name().to_owned(),
                object: self.label.clone(),
            })
        };
        self.token.call(|open| {
            let key = self.handle(open)?;
            let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(does_not_fit)?;
            let mut nonce = *nonce;
            let parameters = GcmParams::new(&mut nonce, associated, TAG_BITS.into()).map_err(|error| CallError::Said("decipher", error))?;
            match open.session.decrypt(&Mechanism::AesGcm(parameters), key, ciphertext) {
                Ok(plaintext) => Ok(Zeroizing::new(plaintext)),
                Err(error) if is_not_authentic(&error) => Err(does_not_fit()),
                Err(error) => Err(CallError::Said("decipher", error)),
            }
        })
    }

    fn handle(&self, open: &mut Open) -> Result<cryptoki::object::ObjectHandle, CallError> {
        let found = open
            .object(self.label.as_bytes(), &self.attributes())
            .map_err(|error| CallError::Said("be searched", error))?;
        found.ok_or_else(|| {
            CallError::Final(Pkcs11Error::NoKey {
                token: self.token.name().to_owned(),
                object: self.label.clone(),
            })
        })
    }

    fn attributes(&self) -> [Attribute; 3] {
        [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.label.clone().into_bytes()),
        ]
    }

    fn make(&self, open: &Open) -> Result<(), CallError> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.label.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::ValueLen(KEY_LEN.into()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let made = open.session.generate_key(&Mechanism::AesKeyGen, &template);
        made.map(drop).map_err(|error| CallError::Said("make an AES key", error))
    }
}

/// Modules say in several ways that a tag is wrong.
fn is_not_authentic(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::DataInvalid | RvError::GeneralError,
            _
        )
    )
}
