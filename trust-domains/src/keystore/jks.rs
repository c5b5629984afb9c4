//! JKS, the key store of the JDK before version 9 (`sun.security.provider.JavaKeyStore`, format version 2).
//!
//! For programs that read nothing else. Its protection is of 1996: a key is hidden under a stream of SHA-1 from the password, hashed once, and the whole
//! carries a SHA-1 with the password. The mode of the file is what guards it; a weak password is guessed at millions a second.
//!
//! An entry has a date. No clock is read here: it is the start of the certificate's validity.

mod protector;
mod writer;

use zeroize::Zeroizing;

use super::{Chance, KeyStoreError, alias, check_password};
use crate::x509::Certificate;
use writer::Writer;

const MAGIC: u32 = 0xfeed_feed;
const FORMAT_VERSION: u32 = 2;

/// A private key with its certificates.
const KEY_ENTRY: u32 = 1;
/// A certificate that is trusted.
const TRUSTED_ENTRY: u32 = 2;

/// Writes a key store: the private key (PKCS#8 DER) and its certificates (DER, leaf first) under one alias, the key under the store's password.
///
/// # Errors
/// The alias or the password is not one that all readers take, there is no certificate, the leaf cannot be read, or a part is too long.
pub fn key_store<D: AsRef<[u8]>>(alias: &str, chain: &[D], key: &[u8], password: &str, chance: &mut Chance<'_>) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    check_password(password)?;
    alias::check(alias)?;
    let leaf = chain.first().ok_or(KeyStoreError::ChainEmpty)?;
    let protected = protector::protect(key, password, chance);
    let mut store = begin(1)?;
    entry(&mut store, KEY_ENTRY, alias, leaf.as_ref(), 1)?;
    store.block(&protected)?;
    store.count(chain.len())?;
    for certificate in chain {
        write_certificate(&mut store, certificate.as_ref())?;
    }
    Ok(store.finish(password))
}

/// Writes a trust store: certificates (DER), each under its alias. None is a store that trusts nobody. Nothing in it is by chance.
///
/// # Errors
/// An alias or the password is not one that all readers take, an alias is there twice, a certificate cannot be read, or a part is too long.
pub fn trust_store<A: AsRef<str>, D: AsRef<[u8]>>(trusted: &[(A, D)], password: &str) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    check_password(password)?;
    alias::check_all(trusted.iter().map(|(alias, _)| alias.as_ref()))?;
    let mut store = begin(trusted.len())?;
    for (position, (alias, certificate)) in trusted.iter().enumerate() {
        entry(&mut store, TRUSTED_ENTRY, alias.as_ref(), certificate.as_ref(), position + 1)?;
        write_certificate(&mut store, certificate.as_ref())?;
    }
    Ok(store.finish(password))
}

fn begin(entries: usize) -> Result<Writer, KeyStoreError> {
    let mut store = Writer::new();
    store.number(MAGIC);
    store.number(FORMAT_VERSION);
    store.count(entries)?;
    Ok(store)
}

/// What every entry begins with. Java looks aliases up in small letters, and reads them from the file as they are: another letter would never be found.
fn entry(store: &mut Writer, kind: u32, alias: &str, certificate: &[u8], position: usize) -> Result<(), KeyStoreError> {
    let certificate = Certificate::parse(certificate).map_err(|_| KeyStoreError::CertificateMalformed { position })?;
    store.number(kind);
    store.text(&alias.to_lowercase())?;
    store.milliseconds(certificate.not_before());
    Ok(())
}

fn write_certificate(store: &mut Writer, der: &[u8]) -> Result<(), KeyStoreError> {
    store.text("X.509")?;
    store.block(der)
}
