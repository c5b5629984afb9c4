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

    /// Takes the two numbers side by side, each at full length: RFC 7518 section 3.4, and what PKCS#11 tokens return (CKM_ECDSA). `None` when one is zero or the
    /// length is another.
    #[must_use]
    pub fn from_numbers(octets: &[u8]) -> Option<Self> {
        let octets: [u8; 2 * NUMBER_LEN] = octets.try_into().ok()?;
        let (r, s) = octets.split_at(NUMBER_LEN);
        [r, s].into_iter().all(|number| number.iter().any(|octet| *octet != 0)).then_some(Self(octets))
    }

    /// Returns the ASN.1 form, in DER.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = self.0.split_at(NUMBER_LEN);
        let mut body = Vec::with_capacity(2 * (NUMBER_LEN + 3));
        for number in [r, s] {
            let zeros = number.iter().take_while(|octet| **octet == 0).count();
            let magnitude = number.get(zeros..).unwrap_or_default();
            let sign: &[u8] = if magnitude.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
            body.extend([0x02, length_octet(sign.len() + magnitude.len())]);
            body.extend_from_slice(sign);
            body.extend_from_slice(magnitude);
        }
        [&[0x30, length_octet(body.len())], body.as_slice()].concat()
    }

    /// Returns the octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The length of at most 70 octets is one octet.
fn length_octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
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

    proptest! {
        #[test]
        fn numbers_are_the_same_through_der(r in proptest::array::uniform32(0_u8..), s in proptest::array::uniform32(0_u8..), zeros in 0_usize..32) {
            let mut octets = [r, s].concat();
            octets[..zeros].fill(0);
            octets[31] |= 1;
            octets[63] |= 1;
            let signature = Es256Signature::from_numbers(&octets).unwrap();
            prop_assert_eq!(Es256Signature::from_der(&signature.to_der()).unwrap(), signature);
        }
    }

    #[test]
    fn numbers_of_another_length_and_zero_are_none() {
        for octets in [vec![1; 63], vec![1; 65], [[0; 32], [1; 32]].concat(), [[1; 32], [0; 32]].concat(), Vec::new()] {
            assert!(Es256Signature::from_numbers(&octets).is_none());
        }
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
