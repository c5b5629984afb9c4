//! The authorities of the trust domain: root and issuing CAs, the keys that sign tokens, and their life.
//!
//! Private keys are in this room and nowhere else. They are sealed in the store, open in memory while they may be used, and reached only through
//! [`Issuer`] and [`TokenKey`] by the stages of [issuance](crate::issuance). What happens to them, and when, is decided by [`trust_domains::plan::authority`];
//! [`Authorities`] performs it.

mod authorities;
mod clock_guard;
pub(crate) mod create;
mod crl_signing;
mod hardware;
mod held;
mod issuer;
mod key;
mod key_store;
mod loading;
mod order_record;
mod orders;
mod partners_seen;
mod public_half;
mod record;
mod restored;
mod running;
mod set;
mod shape;
mod signing_keys;
mod steps;
mod stored_key;
#[cfg(test)]
mod tests;
mod token_key;
mod token_signer;
pub(crate) mod trial;
mod unavailable;
pub mod upstream;
mod views;
mod witness;

pub use authorities::{Authorities, AuthoritySettings};
pub use create::CreateError;
pub use crl_signing::CrlSignError;
pub use issuer::{Issuer, IssuerError};
pub use key::{AuthorityKey, KeyError, KeyPlace};
pub use key_store::{KeyStore, Vault};
pub use loading::LoadAuthoritiesError;
pub use orders::OrderError;
pub use partners_seen::PartnersSeen;
pub use public_half::{KeyId, PublicHalf};
pub use token_key::TokenKey;
pub use trial::TrialError;
pub use unavailable::IssuerUnavailable;
pub use witness::BundleWitness;

pub use signing_keys::SigningKeysError;

pub(crate) use crl_signing::ListingCa;
pub(crate) use hardware::Hardware;
pub(crate) use held::authority_key;
pub(crate) use key_store::NewKeys;
pub(crate) use public_half::Subject;
#[cfg(test)]
pub(crate) use restored::phases;
pub(crate) use restored::restored;
pub(crate) use shape::fresh_serial;
pub(crate) use signing_keys::{open as open_keys, remember as remember_keys};
#[cfg(test)]
pub(crate) use tests::forget_token_keys;
