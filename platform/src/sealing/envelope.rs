//! AES-256-GCM with a random nonce, and associated data that cannot be read two ways.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::data_key::DataKey;

/// Seals octets. Returns the nonce, then the ciphertext with its tag.
pub(super) fn seal(key: &DataKey, associated: &[&[u8]], plaintext: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut ciphertext = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
    ciphertext.extend_from_slice(plaintext);
    let nonce = cipher(key)?.seal_in_place_append_tag(Aad::from(framed(associated)), &mut ciphertext)?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + ciphertext.len());
    sealed.extend_from_slice(nonce.as_ref());
    sealed.append(&mut ciphertext);
    Ok(sealed)
}

/// Opens what [`seal`] returned.
pub(super) fn open(key: &DataKey, associated: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unspecified)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let length = cipher(key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(framed(associated)), &mut plaintext)?
        .len();
    plaintext.truncate(length);
    Ok(plaintext)
}

fn cipher(key: &DataKey) -> Result<RandomizedNonceKey, Unspecified> {
    RandomizedNonceKey::new(&AES_256_GCM, key.expose())
}

/// Joins the parts, each behind its length: `("ab", "c")` and `("a", "bc")` stay apart.
pub(super) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part);
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_with_the_same_context_only(plaintext: Vec<u8>, context: Vec<u8>, other: Vec<u8>, flip: usize) {
            let key = DataKey::from_slice(&[9; 32]).unwrap();
            let mut sealed = seal(&key, &[&context], &plaintext).unwrap();
            prop_assert_eq!(&*open(&key, &[&context], &sealed).unwrap(), &plaintext);
            prop_assert_eq!(open(&key, &[&other], &sealed).is_ok(), other == context);
            let at = flip % sealed.len();
            sealed[at] ^= 1;
            prop_assert!(open(&key, &[&context], &sealed).is_err());
        }

        #[test]
        fn garbage_does_not_open(garbage: Vec<u8>) {
            let key = DataKey::from_slice(&[9; 32]).unwrap();
            prop_assert!(open(&key, &[b"x"], &garbage).is_err());
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(framed(&[b"ab", b"c"]), framed(&[b"a", b"bc"]));
        assert_ne!(framed(&[b"ab"]), framed(&[b"ab", b""]));
    }
}
