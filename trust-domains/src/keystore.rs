//! Key stores and trust stores: the files that Java, and programs made for Java's way, read in place of PEM.
//!
//! Written here, never read: PKCS#12 ([`pkcs12`], RFC 7292), which everything of this decade reads, and JKS ([`jks`]), for what reads nothing else.
//! Salts are an argument, as all chance of this crate is. Every store of one sink is under one password, that of its key too: keytool and the key managers
//! of the JDK expect that of PKCS#12.

mod alias;
mod der;
mod error;
pub mod jks;
mod password;
pub mod pkcs12;

#[cfg(test)]
mod tests;

pub use alias::MAX_ALIAS_CHARACTERS;
pub use error::KeyStoreError;
pub use password::{MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, check_password, generated_password};

/// Fills octets that nobody can guess.
pub type Chance<'a> = dyn FnMut(&mut [u8]) + 'a;
