//! Keys in a PKCS#11 token: a smart card, a hardware security module, or SoftHSM.
//!
//! A [`Token`] is a token found by its [`Pkcs11Uri`] (RFC 7512), with a pool of sessions that are logged in. A token that goes away and comes back is found
//! again by itself. Its keys never leave it: [`WrappingKey`] enciphers with one, [`SigningKeys`] makes keys that sign.
//!
//! Every call blocks its thread until the token has answered: callers in an async runtime use a thread where that holds nobody up.

mod error;
mod module;
mod pin;
mod session;
mod signing_keys;
#[cfg(test)]
mod tests;
mod token;
mod uri;
mod wrapping_key;

pub use error::Pkcs11Error;
pub use module::end_modules;
pub use signing_keys::{KeyHandle, MadeKey, SigningKeys};
pub use token::Token;
pub use uri::{ParsePkcs11UriError, Pkcs11Uri};
pub use wrapping_key::WrappingKey;
