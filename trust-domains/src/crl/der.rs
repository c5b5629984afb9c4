//! The little of DER (X.690 section 10) that a list is read with: elements and where they lie.

use std::ops::Range;

use super::error::ParseCrlError;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: the extensions of a list.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[0] IMPLICIT`, primitive: the key identifier of an authority key identifier.
pub(super) const KEY_IDENTIFIER: u8 = 0x80;

/// One element: its tag, and where it and its content lie in the whole document.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) tag: u8,
    pub(super) whole: Range<usize>,
    pub(super) content: Range<usize>,
}

/// Reads elements one after the other within a part of a document.
pub(super) struct Reader<'a> {
    document: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            document,
            at: 0,
            end: document.len(),
        }
    }

    /// Returns a reader of an element's content.
    pub(super) fn within(&self, element: &Element) -> Self {
        Self {
            document: self.document,
            at: element.content.start,
            end: element.content.end,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    pub(super) fn octets(&self, range: Range<usize>) -> &'a [u8] {
        self.document.get(range).unwrap_or_default()
    }

    /// Returns the next element's tag, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        if self.is_at_end() { None } else { self.document.get(self.at).copied() }
    }

    /// Reads the next element.
    pub(super) fn next(&mut self) -> Result<Element, ParseCrlError> {
        let malformed = ParseCrlError::Malformed { offset: self.at };
        let start = self.at;
        let rest = self.document.get(start..self.end).ok_or(malformed.clone())?;
        let (tag, rest) = rest.split_first().ok_or(malformed.clone())?;
        // Tags of more than one octet are in no list.
        if tag & 0x1f == 0x1f {
            return Err(malformed);
        }
        let (header, length) = length(rest).ok_or(malformed.clone())?;
        let content = start + 1 + header;
        let end = content.checked_add(length).filter(|end| *end <= self.end).ok_or(malformed)?;
        self.at = end;
        Ok(Element {
            tag: *tag,
            whole: start..end,
            content: content..end,
        })
    }

    /// Reads the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element, ParseCrlError> {
        let offset = self.at;
        let element = self.next()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(ParseCrlError::Malformed { offset })
        }
    }

    /// Nothing may follow.
    pub(super) fn finish(self) -> Result<(), ParseCrlError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(ParseCrlError::Malformed { offset: self.at })
        }
    }
}

/// Reads a definite length in its shortest form; returns the octets that it takes, and the length.
fn length(octets: &[u8]) -> Option<(usize, usize)> {
    let (first, rest) = octets.split_first()?;
    if *first < 0x80 {
        return Some((1, usize::from(*first)));
    }
    let count = usize::from(first & 0x7f);
    // Four octets are far over the longest list; none at all would be the indefinite form.
    let digits = rest.get(..count).filter(|digits| (1..=4).contains(&digits.len()))?;
    let length = digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit));
    let is_shortest = digits.first() != Some(&0) && length >= 0x80;
    is_shortest.then_some((1 + count, length))
}

/// Returns the content of the algorithm identifier beside a certificate's signature.
pub(super) fn algorithm_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut document = Reader::new(der);
    let certificate = document.expect(SEQUENCE).ok()?;
    let mut parts = document.within(&certificate);
    parts.expect(SEQUENCE).ok()?;
    let algorithm = parts.expect(SEQUENCE).ok()?;
    Some(parts.octets(algorithm.content))
}
