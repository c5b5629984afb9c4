//! The little of DER (X.690 section 10) that a key store is written with.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`, or `[0] IMPLICIT` of a constructed type.
const CONTEXT_0: u8 = 0xa0;
/// `[0] IMPLICIT` of a primitive type.
const CONTEXT_0_PRIMITIVE: u8 = 0x80;

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut octets = Vec::with_capacity(length + 2 + size_of::<usize>());
    octets.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => octets.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let digits = without_leading_zeros(&digits);
            // At most eight digits: the short form of a count.
            octets.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f));
            octets.extend_from_slice(digits);
        }
    }
    for part in parts {
        octets.extend_from_slice(part);
    }
    octets
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.get(zeros..).unwrap_or_default()
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

/// A SET OF: its elements in ascending order (X.690 section 11.6).
pub(super) fn set_of(mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    element(SET, &elements.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

pub(super) fn integer(value: u32) -> Vec<u8> {
    // A zero before the digits keeps the number positive; the shortest form has no more of them than needed.
    let mut digits = vec![0];
    digits.extend(value.to_be_bytes());
    let spare = digits.windows(2).take_while(|pair| matches!(pair, [0, next] if next & 0x80 == 0)).count();
    element(INTEGER, &[digits.get(spare..).unwrap_or_default()])
}

pub(super) fn octet_string(octets: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, &[octets])
}

pub(super) fn null() -> Vec<u8> {
    element(NULL, &[])
}

/// An object identifier, of the octets of its arcs.
pub(super) fn object_identifier(arcs: &[u8]) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[arcs])
}

/// A BMPString; the text is within the plane already.
pub(super) fn bmp_string(text: &str) -> Vec<u8> {
    let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    element(BMP_STRING, &[&octets])
}

pub(super) fn explicit_0(content: &[u8]) -> Vec<u8> {
    element(CONTEXT_0, &[content])
}

/// `[0] IMPLICIT OCTET STRING`.
pub(super) fn implicit_octets_0(octets: &[u8]) -> Vec<u8> {
    element(CONTEXT_0_PRIMITIVE, &[octets])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_shortest_form_and_stay_positive() {
        for (value, expected) in [
            (0, vec![2, 1, 0]),
            (3, vec![2, 1, 3]),
            (127, vec![2, 1, 127]),
            (128, vec![2, 2, 0, 128]),
            (10_000, vec![2, 2, 0x27, 0x10]),
            (u32::MAX, vec![2, 5, 0, 255, 255, 255, 255]),
        ] {
            assert_eq!(integer(value), expected, "{value}");
        }
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        for (length, header) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (256, vec![4, 0x82, 1, 0]),
            (65_536, vec![4, 0x83, 1, 0, 0]),
        ] {
            let written = octet_string(&vec![7; length]);
            assert_eq!(written.len(), header.len() + length);
            assert!(written.starts_with(&header), "{length}");
        }
    }

    #[test]
    fn the_elements_of_a_set_are_in_order() {
        assert_eq!(set_of(vec![integer(9), integer(1)]), [0x31, 6, 2, 1, 1, 2, 1, 9]);
    }
}
