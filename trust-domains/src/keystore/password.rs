//! Passwords of key stores.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{Chance, KeyStoreError};

/// keytool refuses shorter ones when it makes or changes a store.
pub const MIN_PASSWORD_CHARACTERS: usize = 6;

/// Half of the line that the openssl command reads of a password (1,024): far over what anybody types, and under every reader's buffer.
pub const MAX_PASSWORD_CHARACTERS: usize = 512;

/// Octets of chance in a password that is made here: 192 bits, which is 32 characters without padding.
const GENERATED_LEN: usize = 24;

/// Checks that a password is one that every reader of both formats takes, and takes as the same octets.
///
/// Printable ASCII only. PKCS#12 itself would allow every character of the Basic Multilingual Plane, but the JDK derives keys of PBES2 from ASCII alone
/// and refuses the rest (`com.sun.crypto.provider.PBEKey`), and a password beyond ASCII means other octets to OpenSSL in another locale.
///
/// # Errors
/// It is too short, too long, or has another character.
pub fn check_password(password: &str) -> Result<(), KeyStoreError> {
    if let Some(position) = password.chars().position(|character| !matches!(character, ' '..='~')) {
        return Err(KeyStoreError::PasswordCharacter { position: position + 1 });
    }
    match password.len() {
        actual if actual < MIN_PASSWORD_CHARACTERS => Err(KeyStoreError::PasswordShort { actual }),
        actual if actual > MAX_PASSWORD_CHARACTERS => Err(KeyStoreError::PasswordLong { actual }),
        _ => Ok(()),
    }
}

/// Makes a password that nobody can guess, of letters, digits, `-` and `_`: it needs no quotes in a shell, a property or XML.
#[must_use]
pub fn generated_password(chance: &mut Chance<'_>) -> Zeroizing<String> {
    let mut octets = Zeroizing::new([0; GENERATED_LEN]);
    chance(octets.as_mut_slice());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(octets.as_slice()))
}

/// Returns a password in UTF-16, big end first: as a BMPString holds it, and as JKS hashes it.
pub(super) fn utf16(password: &str) -> Zeroizing<Vec<u8>> {
    // Reserved at once: a list that grows leaves copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(2 * password.len() + 2));
    octets.extend(password.encode_utf16().flat_map(u16::to_be_bytes));
    octets
}
