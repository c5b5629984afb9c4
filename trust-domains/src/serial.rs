//! Serial numbers of certificates.

use std::fmt;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A certificate's serial number: always 1 to 20 octets (RFC 5280 section 4.1.2.2), big-endian, without leading zeros.
///
/// Those that Troth makes have 16 octets: 0x01, so that the number is positive and its length fixed, four that name the issuer, eleven random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial {
    /// The number is right-aligned here, so that the order of arrays is the order of numbers.
    octets: [u8; Serial::MAX_LEN],
    len: u8,
}

impl Serial {
    /// The most octets that a serial has.
    pub const MAX_LEN: usize = 20;

    /// The octets of the serials that Troth makes.
    pub const OWN_LEN: usize = 16;

    /// Returns a new serial of an issuer.
    #[must_use]
    pub fn from_parts(issuer_tag: [u8; 4], random: [u8; 11]) -> Self {
        let mut own = [0; Self::OWN_LEN];
        let (head, tail) = own.split_at_mut(5);
        let (first, tag) = head.split_at_mut(1);
        first.copy_from_slice(&[0x01]);
        tag.copy_from_slice(&issuer_tag);
        tail.copy_from_slice(&random);
        Self::right_aligned(&own)
    }

    /// Returns the serial of a DER INTEGER's content octets. Leading zeros, which DER has before a high bit, do not count.
    ///
    /// # Errors
    /// There are no octets, or more than 20.
    pub fn from_der_bytes(content: &[u8]) -> Result<Self, ParseSerialError> {
        if content.is_empty() {
            return Err(ParseSerialError::Empty);
        }
        let zeros = content.iter().take_while(|octet| **octet == 0).count().min(content.len() - 1);
        let number = content.get(zeros..).unwrap_or_default();
        if number.len() > Self::MAX_LEN {
            return Err(ParseSerialError::TooLong {
                limit: Self::MAX_LEN,
                actual: number.len(),
            });
        }
        Ok(Self::right_aligned(number))
    }

    /// Copies at most 20 octets into place.
    fn right_aligned(number: &[u8]) -> Self {
        let mut octets = [0; Self::MAX_LEN];
        let mut len = 0;
        for (place, octet) in octets.iter_mut().rev().zip(number.iter().rev()) {
            *place = *octet;
            len += 1;
        }
        Self { octets, len }
    }

    /// Returns the number's octets, big-endian, without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(Self::MAX_LEN - usize::from(self.len)..).unwrap_or_default()
    }

    /// Returns the four octets that name the issuer, of a serial that has the form of those that Troth makes.
    #[must_use]
    pub fn issuer_tag(&self) -> Option<[u8; 4]> {
        match self.as_bytes() {
            [0x01, a, b, c, d, random @ ..] if random.len() == 11 => Some([*a, *b, *c, *d]),
            _ => None,
        }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = ParseSerialError;

    /// Reads pairs of hex digits in either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // DER's leading zero octet may be there too.
        const LONGEST: usize = 2 * (Serial::MAX_LEN + 1);
        if text.len() > LONGEST {
            return Err(ParseSerialError::TooLong {
                limit: Self::MAX_LEN,
                actual: text.len() / 2,
            });
        }
        let octets = hex::decode(text).map_err(|_| ParseSerialError::NotHex)?;
        Self::from_der_bytes(&octets)
    }
}

serde_as_text!(Serial, "a serial number in hex");

/// What is there is not a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSerialError {
    /// There are no octets.
    #[error("the serial number is empty")]
    Empty,
    /// Something other than pairs of hex digits.
    #[error("a serial number is pairs of hex digits")]
    NotHex,
    /// More octets than RFC 5280 allows.
    #[error("the serial number has {actual} octets, more than {limit}")]
    TooLong {
        /// The most octets.
        limit: usize,
        /// The octets there are.
        actual: usize,
    },
}

impl Coded for ParseSerialError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_serial_is_positive_and_names_its_issuer() {
        let serial = Serial::from_parts([0xa1, 0xb2, 0xc3, 0xd4], [7; 11]);
        assert_eq!(serial.to_string(), "01a1b2c3d40707070707070707070707");
        assert_eq!(serial.issuer_tag(), Some([0xa1, 0xb2, 0xc3, 0xd4]));
        assert_eq!("02a1b2c3d40707070707070707070707".parse::<Serial>().unwrap().issuer_tag(), None);
        assert_eq!("01a1".parse::<Serial>().unwrap().issuer_tag(), None);
    }

    #[test]
    fn leading_zeros_of_der_do_not_count() {
        let table: [(&[u8], &str); 5] = [(&[0], "00"), (&[0, 0], "00"), (&[0, 0x80], "80"), (&[0x7f], "7f"), (&[1, 0], "0100")];
        for (octets, text) in table {
            assert_eq!(Serial::from_der_bytes(octets).unwrap().to_string(), text);
        }
        assert!(Serial::from_der_bytes(&[0xff; 20]).is_ok());
        let mut padded = vec![0];
        padded.extend([0xff; 20]);
        assert!(Serial::from_der_bytes(&padded).is_ok());
    }

    #[test]
    fn what_is_no_serial_is_refused() {
        assert_eq!(Serial::from_der_bytes(&[]), Err(ParseSerialError::Empty));
        assert_eq!(Serial::from_der_bytes(&[1; 21]), Err(ParseSerialError::TooLong { limit: 20, actual: 21 }));
        let long = "01".repeat(500);
        let table = [
            ("", ParseSerialError::Empty),
            ("1", ParseSerialError::NotHex),
            ("0g", ParseSerialError::NotHex),
            ("01:02", ParseSerialError::NotHex),
            (&long, ParseSerialError::TooLong { limit: 20, actual: 500 }),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Serial>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(octets in proptest::collection::vec(any::<u8>(), 1..=21)) {
            if let Ok(serial) = Serial::from_der_bytes(&octets) {
                prop_assert_eq!(serial.to_string().parse(), Ok(serial));
                prop_assert_eq!(serial.to_string().to_uppercase().parse(), Ok(serial));
                prop_assert_eq!(Serial::from_der_bytes(serial.as_bytes()), Ok(serial));
            }
        }

        #[test]
        fn own_serials_differ_when_their_parts_do(a in any::<([u8; 4], [u8; 11])>(), b in any::<([u8; 4], [u8; 11])>()) {
            let (one, other) = (Serial::from_parts(a.0, a.1), Serial::from_parts(b.0, b.1));
            prop_assert_eq!(a == b, one == other);
            prop_assert_eq!(one.as_bytes().len(), Serial::OWN_LEN);
            prop_assert_eq!(one.issuer_tag(), Some(a.0));
        }

        #[test]
        fn the_order_is_that_of_the_numbers(a in any::<u128>(), b in any::<u128>()) {
            let serial = |number: u128| Serial::from_der_bytes(&number.to_be_bytes()).unwrap();
            prop_assert_eq!(a.cmp(&b), serial(a).cmp(&serial(b)));
        }
    }
}
