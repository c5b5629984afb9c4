//! The code over a store (RFC 7292 section 5.1), under a key derived as its appendix B.2 says.

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::Zeroizing;

use super::ITERATIONS;
use crate::keystore::{Chance, der, password};

/// id-sha256, 2.16.840.1.101.3.4.2.1.
const ID_SHA256: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// As long as the hash: RFC 7292 section 5.1 recommends no less.
const SALT_LEN: usize = SHA256_OUTPUT_LEN;

/// The octets that SHA-256 takes at once (`v` of appendix B.2).
const BLOCK_LEN: usize = 64;

/// What the derived octets are for (appendix B.3): a key of a code.
const PURPOSE_MAC: u8 = 3;

/// Returns the `MacData` over an authenticated safe.
pub(super) fn mac_data(authenticated_safe: &[u8], password: &str, chance: &mut Chance<'_>) -> Vec<u8> {
    let mut salt = [0; SALT_LEN];
    chance(&mut salt);
    let key = derived_key(password, &salt);
    let code = hmac::sign(&hmac::Key::new(HMAC_SHA256, key.as_slice()), authenticated_safe);
    let algorithm = der::sequence(&[&der::object_identifier(&ID_SHA256), &der::null()]);
    let digest_info = der::sequence(&[&algorithm, &der::octet_string(code.as_ref())]);
    der::sequence(&[&digest_info, &der::octet_string(&salt), &der::integer(ITERATIONS)])
}

/// Appendix B.2, for as many octets as one hash has: its steps that make more are not needed.
fn derived_key(password: &str, salt: &[u8]) -> Zeroizing<[u8; SHA256_OUTPUT_LEN]> {
    // A BMPString with its end, two zeros.
    let mut password = password::utf16(password);
    password.extend_from_slice(&[0, 0]);

    let mut context = Context::new(&SHA256);
    context.update(&[PURPOSE_MAC; BLOCK_LEN]);
    update_in_whole_blocks(&mut context, salt);
    update_in_whole_blocks(&mut context, &password);
    let mut key = Zeroizing::new([0; SHA256_OUTPUT_LEN]);
    key.copy_from_slice(context.finish().as_ref());
    for _ in 1..ITERATIONS {
        let mut context = Context::new(&SHA256);
        context.update(key.as_slice());
        key.copy_from_slice(context.finish().as_ref());
    }
    key
}

/// Repeats octets until they fill whole blocks; of none, no block.
fn update_in_whole_blocks(context: &mut Context, octets: &[u8]) {
    let filled = octets.len().next_multiple_of(BLOCK_LEN);
    let mut left = filled;
    while left > 0 {
        let part = octets.get(..left.min(octets.len())).unwrap_or_default();
        context.update(part);
        left -= part.len();
    }
}
