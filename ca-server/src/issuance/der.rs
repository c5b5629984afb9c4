//! The outer shell of a certificate (RFC 5280 section 4.1): the signed octets, the algorithm, the signature.

/// `AlgorithmIdentifier { ecdsa-with-SHA256 }`, without parameters (RFC 5758 section 3.2).
const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Returns the DER of the certificate, or of the list (section 5.1), that an ECDSA P-256 signature over these octets makes.
pub(crate) fn certificate(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    // The first octet of a BIT STRING counts the unused bits of its last one: none.
    let mut bits = Vec::with_capacity(signature.len() + 1);
    bits.push(0);
    bits.extend_from_slice(signature);

    let content = to_be_signed.len() + ECDSA_WITH_SHA256.len() + element_len(bits.len());
    let mut der = Vec::with_capacity(element_len(content));
    push_header(&mut der, SEQUENCE, content);
    der.extend_from_slice(to_be_signed);
    der.extend_from_slice(&ECDSA_WITH_SHA256);
    push_header(&mut der, BIT_STRING, bits.len());
    der.extend_from_slice(&bits);
    der
}

/// What an encoder without a key leaves at the end of a certificate: a BIT STRING of one zero octet.
const STAND_IN: [u8; 4] = [BIT_STRING, 2, 0, 0];

/// Returns a certificate whose stand-in for a signature is replaced by a real one, whatever its algorithm; `None` when it ends in no stand-in.
pub(crate) fn with_signature(unsigned: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let header = match *unsigned.get(1)? {
        short if short < 0x80 => 2,
        long => 2 + usize::from(long & 0x7f),
    };
    let content = unsigned.get(header..)?.strip_suffix(&STAND_IN)?;
    let bits = signature.len() + 1;
    let mut der = Vec::with_capacity(content.len() + bits + 2 * MAX_HEADER);
    push_header(&mut der, SEQUENCE, content.len() + element_len(bits));
    der.extend_from_slice(content);
    push_header(&mut der, BIT_STRING, bits);
    der.push(0);
    der.extend_from_slice(signature);
    Some(der)
}

fn element_len(content: usize) -> usize {
    let mut header = Vec::with_capacity(MAX_HEADER);
    push_header(&mut header, SEQUENCE, content);
    header.len() + content
}

/// A tag, the count of length octets, and at most eight of those.
const MAX_HEADER: usize = 10;

fn push_header(der: &mut Vec<u8>, tag: u8, length: usize) {
    der.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            der.push(0x80 | u8::try_from(octets.len()).unwrap_or(u8::MAX));
            der.extend_from_slice(&octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_replaced_and_nothing_else_is_taken_for_one() {
        let unsigned = [0x30, 8, 0x30, 2, 5, 0, 0x03, 2, 0, 0];
        assert_eq!(with_signature(&unsigned, &[7, 9]), Some(vec![0x30, 9, 0x30, 2, 5, 0, 0x03, 3, 0, 7, 9]));
        assert_eq!(with_signature(&unsigned[..9], &[7]), None);
        assert_eq!(with_signature(&[0x30, 2, 0x03, 0], &[7]), None);
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        for (length, expected) in [
            (0, vec![0x30, 0x00]),
            (0x7f, vec![0x30, 0x7f]),
            (0x80, vec![0x30, 0x81, 0x80]),
            (0xff, vec![0x30, 0x81, 0xff]),
            (0x100, vec![0x30, 0x82, 0x01, 0x00]),
            (0x1_0000, vec![0x30, 0x83, 0x01, 0x00, 0x00]),
        ] {
            let mut der = Vec::new();
            push_header(&mut der, SEQUENCE, length);
            assert_eq!(der, expected);
        }
    }
}
