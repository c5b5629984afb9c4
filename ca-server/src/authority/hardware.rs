//! Keys of authorities that live in a PKCS#11 token and sign there.

use std::sync::Arc;

use platform::pkcs11::{KeyHandle, Pkcs11Error, Pkcs11Uri, SigningKeys, Token};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use tokio::sync::watch;
use trust_domains::problem::Coded as _;
use trust_domains::public_key::PublicKey;

use super::key::{AuthorityKey, KeyError};
use super::public_half::PublicHalf;
use super::stored_key::TokenKeyPlace;

/// The token in which authorities' keys are; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hardware {
    keys: SigningKeys,
    trouble: watch::Sender<Option<String>>,
}

impl Hardware {
    /// Finds the token and logs in; the PIN is tried once. It blocks, so it is done where waiting holds nobody up.
    pub(crate) async fn open(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        let (wanted, name) = (uri.clone(), uri.token_name().to_owned());
        let opened = tokio::task::spawn_blocking(move || Token::open(&wanted)).await;
        let token = opened.unwrap_or(Err(Pkcs11Error::Strange {
            token: name,
            what: "an answer",
        }))?;
        Ok(Self {
            keys: SigningKeys::of(token),
            trouble: watch::Sender::default(),
        })
    }

    /// Returns what is wrong with the token, if something is, and each change of it.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Makes a key in the token. The label tells people whose it is.
    pub(super) async fn make(&self, label: String) -> Result<(AuthorityKey, TokenKeyPlace), KeyError> {
        let keys = self.keys.clone();
        let made = self.aside(move || keys.make(&label)).await?;
        let place = TokenKeyPlace::new(&made.handle, &made.public_key);
        Ok((self.key(made.handle, made.public_key)?, place))
    }

    /// Returns the key of this place. The token is not asked: it may be away.
    pub(super) fn open_key(&self, place: &TokenKeyPlace) -> Result<AuthorityKey, KeyError> {
        self.key(place.handle(), place.public_key().ok_or(KeyError::Unreadable)?)
    }

    /// Looks whether keys are in the token, and notes what is wrong.
    pub(super) async fn check(&self, places: Vec<KeyHandle>) -> Result<(), KeyError> {
        let keys = self.keys.clone();
        self.aside(move || places.iter().try_for_each(|place| keys.check(place))).await
    }

    /// Destroys a key in the token.
    pub(super) async fn destroy(&self, place: &TokenKeyPlace) -> Result<(), KeyError> {
        let (keys, handle) = (self.keys.clone(), place.handle());
        self.aside(move || keys.destroy(&handle)).await
    }

    fn key(&self, handle: KeyHandle, public_key: PublicKey) -> Result<AuthorityKey, KeyError> {
        let signer = HardwareKey {
            half: PublicHalf::from_point(public_key.sec1()).ok_or(KeyError::Unreadable)?,
            hardware: self.clone(),
            handle,
            public_key,
        };
        AuthorityKey::from_signer(Arc::new(signer)).ok_or(KeyError::Unreadable)
    }

    /// Calls the token on a thread where waiting holds nobody up, and notes whether it answered.
    async fn aside<T: Send + 'static>(&self, call: impl FnOnce() -> Result<T, Pkcs11Error> + Send + 'static) -> Result<T, KeyError> {
        let called = tokio::task::spawn_blocking(call).await.map_err(|_| KeyError::Generate)?;
        self.note(&called);
        Ok(called?)
    }

    /// Notes what is wrong, once, and that it is over.
    fn note<T>(&self, called: &Result<T, Pkcs11Error>) {
        let text = called.as_ref().err().map(|error| format!("signing keys: {error}; {}", error.hint()));
        self.trouble.send_if_modified(|trouble| {
            let changed = *trouble != text;
            if changed {
                match called {
                    Ok(_) => tracing::info!(token = self.keys.token().name(), "the token with the signing keys answers again"),
                    Err(error) => tracing::warn!(%error, code = %error.code(), cause = cause(error), "the token with the signing keys does not do its part"),
                }
                *trouble = text;
            }
            changed
        });
    }
}

fn cause(error: &Pkcs11Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// A key in a token.
struct HardwareKey {
    hardware: Hardware,
    handle: KeyHandle,
    public_key: PublicKey,
    half: PublicHalf,
}

impl PublicKeyData for HardwareKey {
    fn der_bytes(&self) -> &[u8] {
        self.half.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.half.algorithm()
    }
}

impl SigningKey for HardwareKey {
    /// Signs in the token. It blocks until that has answered.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = self.hardware.keys.sign(&self.handle, &self.public_key, message);
        self.hardware.note(&signed);
        signed.map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
