//! PKCS#12 (RFC 7292), as OpenSSL 3 and the JDK from 8u301 on read it without options.
//!
//! Keys and certificates are encrypted by PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 8018), the whole is authenticated by HMAC-SHA-256
//! under the derivation of RFC 7292 appendix B. The newer PBMAC1 (RFC 9579) is not read by JDK 17 nor by OpenSSL 3.0.
//!
//! Java finds the chain of a key by names: it takes the issuer's certificate by its subject, whatever the order in the file.

mod bags;
mod encryption;
mod mac;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{Chance, KeyStoreError, alias, check_password, der};
use bags::Attributes;

/// id-data (RFC 5652 section 4), 1.2.840.113549.1.7.1.
const DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// id-encryptedData (RFC 5652 section 8), 1.2.840.113549.1.7.6.
const ENCRYPTED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];

/// The version of a PFX (RFC 7292 section 4).
const PFX_VERSION: u32 = 3;

/// Rounds of each derivation: what the JDK writes since version 16, five times what OpenSSL 3 writes (2,048).
///
/// Some milliseconds for the three derivations of a store, of which one is written a rotation; the reader pays the same at each load. It slows the
/// guessing of a weak password by little: what guards a key that lives for an hour is that it is worthless then, and the file's mode until then. A
/// generated password cannot be guessed at any count.
const ITERATIONS: u32 = 10_000;

/// Writes a key store: the private key (PKCS#8 DER) and its certificates (DER, leaf first) under one alias.
///
/// # Errors
/// The alias or the password is not one that all readers take, there is no certificate, or the cipher failed.
pub fn key_store<D: AsRef<[u8]>>(alias: &str, chain: &[D], key: &[u8], password: &str, chance: &mut Chance<'_>) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    check_password(password)?;
    alias::check(alias)?;
    let (leaf, issuers) = chain.split_first().ok_or(KeyStoreError::ChainEmpty)?;
    // What ties a key to its certificate: any octets, the same at both.
    let key_id = digest(&SHA256, leaf.as_ref());
    let named = Attributes::new().friendly_name(alias).local_key_id(key_id.as_ref());

    let mut certificates = vec![bags::certificate(leaf.as_ref(), &named)];
    certificates.extend(issuers.iter().map(|issuer| bags::certificate(issuer.as_ref(), &Attributes::new())));
    let shrouded = encryption::encrypted_private_key(key, password, chance)?;
    let contents = [
        encrypted_data(&safe_contents(&certificates), password, chance)?,
        data(&safe_contents(&[bags::shrouded_key(&shrouded, &named)])),
    ];
    pfx(&contents, password, chance)
}

/// Writes a trust store: certificates (DER), each under its alias, each marked as one that Java trusts. None is a store that trusts nobody.
///
/// # Errors
/// An alias or the password is not one that all readers take, an alias is there twice, or the cipher failed.
pub fn trust_store<A: AsRef<str>, D: AsRef<[u8]>>(trusted: &[(A, D)], password: &str, chance: &mut Chance<'_>) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    check_password(password)?;
    alias::check_all(trusted.iter().map(|(alias, _)| alias.as_ref()))?;
    let certificates: Vec<Vec<u8>> = trusted
        .iter()
        .map(|(alias, certificate)| bags::certificate(certificate.as_ref(), &Attributes::new().friendly_name(alias.as_ref()).trusted_by_java()))
        .collect();
    let contents = [encrypted_data(&safe_contents(&certificates), password, chance)?];
    pfx(&contents, password, chance)
}

/// `SafeContents ::= SEQUENCE OF SafeBag` (RFC 7292 section 4.2).
fn safe_contents(bags: &[Vec<u8>]) -> Vec<u8> {
    der::sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// `ContentInfo` of plain data (RFC 5652 section 3).
fn data(content: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::object_identifier(&DATA), &der::explicit_0(&der::octet_string(content))])
}

/// `ContentInfo` of encrypted data (RFC 5652 section 8), version 0.
fn encrypted_data(plain: &[u8], password: &str, chance: &mut Chance<'_>) -> Result<Vec<u8>, KeyStoreError> {
    let (algorithm, encrypted) = encryption::encrypt(plain, password, chance)?;
    let content = der::sequence(&[&der::object_identifier(&DATA), &algorithm, &der::implicit_octets_0(&encrypted)]);
    let encrypted_data = der::sequence(&[&der::integer(0), &content]);
    Ok(der::sequence(&[&der::object_identifier(&ENCRYPTED_DATA), &der::explicit_0(&encrypted_data)]))
}

/// `PFX` (RFC 7292 section 4): the authenticated safe, and the code over its octets.
fn pfx(contents: &[Vec<u8>], password: &str, chance: &mut Chance<'_>) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
    let authenticated_safe = der::sequence(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mac_data = mac::mac_data(&authenticated_safe, password, chance);
    Ok(Zeroizing::new(der::sequence(&[
        &der::integer(PFX_VERSION),
        &data(&authenticated_safe),
        &mac_data,
    ])))
}
