//! ES256 signatures (RFC 7518 section 3.4): the two numbers of an ECDSA signature at their full length, side by side.

use std::fmt;

/// The octets of one number.
const NUMBER_LEN: usize = 32;

/// A signature as a token carries it: `r` and `s`, 32 octets each.
///
/// Keys sign behind rcgen's `SigningKey`, whose ECDSA signatures are ASN.1, as are those of key services: this is the one place where they change form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Es256Signature([u8; 2 * NUMBER_LEN]);

impl Es256Signature {
    /// Takes an ASN.1 signature (RFC 3279 section 2.2.3), in its one DER form: two positive numbers of at most 32 octets, and nothing after them.
    ///
    /// # Errors
    /// The octets are something else.
    pub fn from_der(der: &[u8]) -> Result<Self, NotEcdsaDer> {
        let [0x30, length, body @ ..] = der else { return Err(NotEcdsaDer) };
        // Both numbers take at most 70 octets: the length is one octet.
        if usize::from(*length) != body.len() || *length >= 0x80 {
            return Err(NotEcdsaDer);
        }
        let (r, rest) = number(body)?;
        let (s, rest) = number(rest)?;
        if !rest.is_empty() {
            return Err(NotEcdsaDer);
        }
        let mut octets = [0; 2 * NUMBER_LEN];
        let (r_place, s_place) = octets.split_at_mut(NUMBER_LEN);
        r_place.copy_from_slice(&r);
        s_place.copy_from_slice(&s);
        Ok(Self(octets))
    }

    /// Returns the octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads a DER INTEGER that is positive and in its shortest form, and returns it at full length with what follows it.
fn number(octets: &[u8]) -> Result<([u8; NUMBER_LEN], &[u8]), NotEcdsaDer> {
    let [0x02, length, rest @ ..] = octets else { return Err(NotEcdsaDer) };
    let (value, rest) = rest.split_at_checked(usize::from(*length)).ok_or(NotEcdsaDer)?;
    let magnitude = match value {
        // A zero octet stands before a number only to keep its first bit from making it negative.
        [0, first, ..] if *first >= 0x80 => value.get(1..).unwrap_or_default(),
        [first, ..] if (1..0x80).contains(first) => value,
        _ => return Err(NotEcdsaDer),
    };
    let mut full = [0; NUMBER_LEN];
    let start = NUMBER_LEN.checked_sub(magnitude.len()).ok_or(NotEcdsaDer)?;
    full.iter_mut().skip(start).zip(magnitude).for_each(|(place, octet)| *place = *octet);
    Ok((full, rest))
}

impl fmt::Debug for Es256Signature {
    /// A signature makes a bearer token of its signing input: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Es256Signature(..)")
    }
}

/// The octets are not an ECDSA signature of P-256 in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a P-256 signature in DER")]
pub struct NotEcdsaDer;

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
    use conformance::covers;
    use proptest::prelude::*;

    use super::*;

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x30, u8::try_from(r.len() + s.len() + 4).unwrap()];
        for value in [r, s] {
            octets.extend([0x02, u8::try_from(value.len()).unwrap()]);
            octets.extend(value);
        }
        octets
    }

    #[test]
    fn short_numbers_are_filled_up_and_signs_are_dropped() {
        let read = Es256Signature::from_der(&der(&[1], &[0, 0x80])).unwrap();
        let mut expected = [0; 64];
        (expected[31], expected[63]) = (1, 0x80);
        assert_eq!(read.as_bytes(), expected);
        let full = [&[0][..], &[0xff; 32]].concat();
        assert_eq!(Es256Signature::from_der(&der(&full, &full)).unwrap().as_bytes(), [0xff; 64]);
    }

    #[test]
    fn other_forms_are_refused() {
        let good = der(&[1], &[2]);
        let with = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            octets
        };
        let long = [&[0][..], &[0xff; 33]].concat();
        for bad in [
            Vec::new(),
            with(0, 0x31),
            with(1, 0x05),
            with(1, 0x81),
            with(2, 0x03),
            with(3, 0x02),
            der(&[], &[1]),
            der(&[0], &[1]),
            der(&[0, 1], &[1]),
            der(&[0x80], &[1]),
            der(&long, &[1]),
            der(&[1; 33], &[1]),
            [&good[..], &[0]].concat(),
            good[..good.len() - 1].to_vec(),
        ] {
            assert_eq!(Es256Signature::from_der(&bad), Err(NotEcdsaDer), "{bad:02x?}");
        }
    }

    #[covers("JWT-11")]
    #[test]
    fn jwt_11_what_a_key_signed_is_the_same_to_two_other_implementations() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        for number in 0..500_u32 {
            let message = number.to_be_bytes();
            let signed = pair.sign(&SystemRandom::new(), &message).unwrap();
            let fixed = Es256Signature::from_der(signed.as_ref()).unwrap();
            let second = p256::ecdsa::Signature::from_der(signed.as_ref()).unwrap();
            assert_eq!(fixed.as_bytes(), &second.to_bytes()[..]);
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
            key.verify(&message, fixed.as_bytes()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_what_p256_reads(octets in proptest::collection::vec(any::<u8>(), 0..80), r in proptest::collection::vec(any::<u8>(), 0..34), s in proptest::collection::vec(any::<u8>(), 0..34)) {
            for der in [octets, der(&r, &s)] {
                if let (Ok(fixed), Ok(second)) = (Es256Signature::from_der(&der), p256::ecdsa::Signature::from_der(&der)) {
                    prop_assert_eq!(fixed.as_bytes(), &second.to_bytes()[..]);
                }
            }
        }
    }
}
