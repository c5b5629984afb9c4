//! PBES2 (RFC 8018 section 6.2) with PBKDF2-HMAC-SHA-256 and AES-256-CBC.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, AES_256_KEY_LEN, AES_CBC_IV_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use zeroize::Zeroizing;

use super::ITERATIONS;
use crate::keystore::{Chance, KeyStoreError, der};

/// id-PBES2, 1.2.840.113549.1.5.13.
const PBES2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];

/// id-PBKDF2, 1.2.840.113549.1.5.12.
const PBKDF2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];

/// id-hmacWithSHA256, 1.2.840.113549.2.9.
const HMAC_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];

/// aes256-CBC-PAD, 2.16.840.1.101.3.4.1.42.
const AES_256_CBC: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// Twice the least of RFC 8018 section 4.1, and what NIST SP 800-132 section 5.1 asks for: 128 bits.
const SALT_LEN: usize = 16;

/// The octets of a block of AES.
const BLOCK_LEN: usize = 16;

/// Encrypts; returns the AlgorithmIdentifier and the ciphertext.
pub(super) fn encrypt(plain: &[u8], password: &str, chance: &mut Chance<'_>) -> Result<(Vec<u8>, Vec<u8>), KeyStoreError> {
    let mut salt = [0; SALT_LEN];
    chance(&mut salt);
    let mut iv = [0; AES_CBC_IV_LEN];
    chance(&mut iv);
    let ciphertext = aes_256_cbc(plain, &derived_key(password, &salt), iv)?;
    Ok((algorithm(&salt, &iv), ciphertext))
}

/// Encrypts a private key (PKCS#8 DER) as an EncryptedPrivateKeyInfo (RFC 5958 section 3).
pub(super) fn encrypted_private_key(key: &[u8], password: &str, chance: &mut Chance<'_>) -> Result<Vec<u8>, KeyStoreError> {
    let (algorithm, encrypted) = encrypt(key, password, chance)?;
    Ok(der::sequence(&[&algorithm, &der::octet_string(&encrypted)]))
}

/// The password goes in as its octets: ASCII, of which UTF-8 and every other reading of it are the same.
fn derived_key(password: &str, salt: &[u8]) -> Zeroizing<[u8; AES_256_KEY_LEN]> {
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), key.as_mut_slice());
    key
}

fn aes_256_cbc(plain: &[u8], key: &[u8; AES_256_KEY_LEN], iv: [u8; AES_CBC_IV_LEN]) -> Result<Vec<u8>, KeyStoreError> {
    let key = UnboundCipherKey::new(&AES_256, key).and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| KeyStoreError::Encryption)?;
    // With room for the padding: a list that grows would leave the plain text behind. When it fails, what is half done is wiped.
    let mut in_place = Zeroizing::new(Vec::with_capacity(plain.len() + BLOCK_LEN));
    in_place.extend_from_slice(plain);
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(&mut *in_place, context).map_err(|_| KeyStoreError::Encryption)?;
    Ok(std::mem::take(&mut *in_place))
}

fn algorithm(salt: &[u8], iv: &[u8]) -> Vec<u8> {
    let prf = der::sequence(&[&der::object_identifier(&HMAC_WITH_SHA256), &der::null()]);
    let derivation = der::sequence(&[&der::octet_string(salt), &der::integer(ITERATIONS), &prf]);
    let derivation = der::sequence(&[&der::object_identifier(&PBKDF2), &derivation]);
    let scheme = der::sequence(&[&der::object_identifier(&AES_256_CBC), &der::octet_string(iv)]);
    der::sequence(&[&der::object_identifier(&PBES2), &der::sequence(&[&derivation, &scheme])])
}
