//! Sun's key protector (`sun.security.provider.KeyProtector`): how JKS hides a key.

use aws_lc_rs::digest::SHA1_OUTPUT_LEN;
use zeroize::Zeroizing;

use super::writer::sha1;
use crate::keystore::{Chance, der, password};

/// The algorithm of the protector, 1.3.6.1.4.1.42.2.17.1.1.
const KEY_PROTECTOR: [u8; 10] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];

/// Hides a private key (PKCS#8 DER); returns an EncryptedPrivateKeyInfo (RFC 5958 section 3).
///
/// A salt, the key under the stream that begins with it, and the hash of password and key by which a reader knows that the password was right.
pub(super) fn protect(key: &[u8], password: &str, chance: &mut Chance<'_>) -> Vec<u8> {
    let password = password::utf16(password);
    let mut salt = [0; SHA1_OUTPUT_LEN];
    chance(&mut salt);

    let mut hidden = salt.to_vec();
    hidden.reserve(key.len() + SHA1_OUTPUT_LEN);
    let mut stream = Zeroizing::new(salt);
    for part in key.chunks(SHA1_OUTPUT_LEN) {
        stream = sha1(&[&password, stream.as_slice()]);
        hidden.extend(part.iter().zip(stream.iter()).map(|(octet, mask)| octet ^ mask));
    }
    hidden.extend_from_slice(sha1(&[&password, key]).as_slice());

    let algorithm = der::sequence(&[&der::object_identifier(&KEY_PROTECTOR), &der::null()]);
    der::sequence(&[&algorithm, &der::octet_string(&hidden)])
}
