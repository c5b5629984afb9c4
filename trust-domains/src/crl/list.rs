//! One list, read once into what is asked of it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use time::{Date, Month, PrimitiveDateTime, Time};

use super::MAX_CRL_BYTES;
use super::der::{BIT_STRING, BOOLEAN, CONTEXT_0, Element, GENERALIZED_TIME, INTEGER, KEY_IDENTIFIER, OCTET_STRING, OID, Reader, SEQUENCE, UTC_TIME};
use super::error::ParseCrlError;
use crate::plan::authority::AuthorityId;
use crate::serial::Serial;
use crate::timestamp::Timestamp;

/// `id-ce-authorityKeyIdentifier` (2.5.29.35).
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
/// `id-ce-cRLNumber` (2.5.29.20).
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
/// `id-ce-deltaCRLIndicator` (2.5.29.27).
const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
/// `id-ce-issuingDistributionPoint` (2.5.29.28).
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];

/// A list that could be read: who may have signed it is for [`CrlIssuer`](super::CrlIssuer) to say. Clones share the octets.
#[derive(Clone)]
pub struct Crl(Arc<Inner>);

struct Inner {
    der: Arc<[u8]>,
    issuer: AuthorityId,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    order: Order,
    layout: Layout,
}

/// In which order the entries of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As their CA wrote them (RFC 5280 asks for no order).
    Any,
    /// By their serials, each once.
    BySerial,
}

/// Where the parts of a list lie.
pub(super) struct Layout {
    /// What is signed.
    pub(super) tbs: Range<usize>,
    /// The issuer's name.
    pub(super) issuer_name: Range<usize>,
    /// The content of the outer algorithm identifier.
    pub(super) algorithm: Range<usize>,
    /// The signature, without the count of unused bits.
    pub(super) signature: Range<usize>,
    /// From version to issuer, which change only with the CA.
    pub(super) fixed: Range<usize>,
    /// Where the entries end; after the fixed part where there are none.
    pub(super) entries_end: usize,
    /// Where each entry begins.
    entries: Vec<u32>,
}

/// One revoked certificate of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedSerial {
    /// Its serial number.
    pub serial: Serial,
    /// When it was revoked.
    pub at: Timestamp,
}

impl Crl {
    /// Reads one list in DER.
    ///
    /// # Errors
    /// Whatever cannot be read without doubt is refused, and so are delta CRLs, indirect and partial ones, unordered ones, and those over
    /// [`MAX_CRL_BYTES`].
    pub fn parse(der: impl Into<Arc<[u8]>>) -> Result<Self, ParseCrlError> {
        Self::read(der.into(), Order::BySerial)
    }

    /// Reads one list in DER whose CA is not ours: its entries may be in any order, so that looking one up takes longer.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for the order.
    pub fn parse_in_any_order(der: impl Into<Arc<[u8]>>) -> Result<Self, ParseCrlError> {
        Self::read(der.into(), Order::Any)
    }

    fn read(der: Arc<[u8]>, order: Order) -> Result<Self, ParseCrlError> {
        if der.len() > MAX_CRL_BYTES {
            return Err(ParseCrlError::TooLarge {
                limit: MAX_CRL_BYTES,
                actual: der.len(),
            });
        }
        let mut document = Reader::new(&der);
        let list = document.expect(SEQUENCE)?;
        let mut parts = document.within(&list);
        document.finish()?;
        let tbs = parts.expect(SEQUENCE)?;
        let algorithm = parts.expect(SEQUENCE)?;
        let signature = parts.expect(BIT_STRING)?;
        let mut inner = parts.within(&tbs);
        parts.finish()?;
        // Whole octets: no unused bits.
        if der.get(signature.content.start) != Some(&0) {
            return Err(malformed(&signature));
        }

        let version = inner.expect(INTEGER)?;
        let inner_algorithm = inner.expect(SEQUENCE)?;
        let issuer_name = inner.expect(SEQUENCE)?;
        if inner.octets(version.content.clone()) != [1] {
            return Err(malformed(&version));
        }
        if inner.octets(inner_algorithm.content.clone()) != inner.octets(algorithm.content.clone()) {
            return Err(malformed(&algorithm));
        }
        let this_update = time(&mut inner)?;
        if !matches!(inner.peek(), Some(UTC_TIME | GENERALIZED_TIME)) {
            return Err(ParseCrlError::Missing { what: "nextUpdate" });
        }
        let next_update = time(&mut inner)?;
        let (entries, entries_end) = if inner.peek() == Some(SEQUENCE) {
            let entries = inner.next()?;
            (entry_offsets(inner.within(&entries), order)?, entries.whole.end)
        } else {
            (Vec::new(), 0)
        };
        let extensions = Extensions::read(&mut inner)?;
        inner.finish()?;
        let layout = Layout {
            tbs: tbs.whole,
            algorithm: algorithm.content,
            signature: signature.content.start + 1..signature.content.end,
            fixed: version.whole.start..issuer_name.whole.end,
            entries_end: if entries_end == 0 { issuer_name.whole.end } else { entries_end },
            issuer_name: issuer_name.whole,
            entries,
        };
        Ok(Self(Arc::new(Inner {
            der,
            issuer: extensions.issuer,
            number: extensions.number,
            this_update,
            next_update,
            order,
            layout,
        })))
    }

    /// Returns the list in DER.
    #[must_use]
    pub fn der(&self) -> &Arc<[u8]> {
        &self.0.der
    }

    /// Returns the octets that are signed.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        self.octets(self.0.layout.tbs.clone())
    }

    /// Returns the SHA-256 of the DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.0.der).into()
    }

    /// Returns the CA that the list names: its authority key identifier.
    #[must_use]
    pub fn issuer(&self) -> &AuthorityId {
        &self.0.issuer
    }

    /// Returns its number (RFC 5280 section 5.2.3): of two lists of one CA the one with the higher number is the newer.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Returns when it was signed.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.0.this_update
    }

    /// Returns until when verifiers believe it.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.0.next_update
    }

    /// Returns how many certificates it revokes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.layout.entries.len()
    }

    /// Returns whether it revokes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.layout.entries.is_empty()
    }

    /// Returns whether it revokes the certificate with this serial.
    #[must_use]
    pub fn revokes(&self, serial: &Serial) -> bool {
        if self.0.order == Order::Any {
            return self.revoked().any(|revoked| revoked.serial == *serial);
        }
        let found = self.0.layout.entries.binary_search_by(|start| {
            let listed = self.entry(*start).map(|entry| entry.serial);
            listed.map_or(std::cmp::Ordering::Less, |listed| listed.cmp(serial))
        });
        found.is_ok()
    }

    /// Returns what it revokes, in the order of the list.
    pub fn revoked(&self) -> impl Iterator<Item = RevokedSerial> + '_ {
        self.0.layout.entries.iter().filter_map(|start| self.entry(*start))
    }

    fn entry(&self, start: u32) -> Option<RevokedSerial> {
        let entry = self.0.der.get(usize::try_from(start).ok()?..)?;
        let mut reader = Reader::new(entry);
        let entry = reader.expect(SEQUENCE).ok()?;
        let mut fields = reader.within(&entry);
        Some(RevokedSerial {
            serial: serial(&mut fields).ok()?,
            at: time(&mut fields).ok()?,
        })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    pub(super) fn octets(&self, range: Range<usize>) -> &[u8] {
        self.0.der.get(range).unwrap_or_default()
    }
}

impl Layout {
    /// Returns where each entry lies.
    pub(super) fn entries(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = self.entries.iter().filter_map(|start| usize::try_from(*start).ok());
        let ends = starts.clone().skip(1).chain([self.entries_end]);
        starts.zip(ends).map(|(start, end)| start..end)
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Crl {}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &self.0.issuer)
            .field("number", &self.0.number)
            .field("revoked", &self.len())
            .finish_non_exhaustive()
    }
}

fn malformed(element: &Element) -> ParseCrlError {
    ParseCrlError::Malformed { offset: element.whole.start }
}

/// Reads the entries: each a serial (above the one before, where the order is theirs), a time, and extensions of which none is critical.
fn entry_offsets(mut entries: Reader<'_>, order: Order) -> Result<Vec<u32>, ParseCrlError> {
    // RFC 5280 section 5.1.2.6: absent when nothing is revoked.
    if entries.is_at_end() {
        return Err(ParseCrlError::Missing { what: "revoked certificate" });
    }
    let (mut starts, mut before) = (Vec::new(), None);
    while !entries.is_at_end() {
        let entry = entries.expect(SEQUENCE)?;
        let mut fields = entries.within(&entry);
        let serial = serial(&mut fields)?;
        if order == Order::BySerial && before.is_some_and(|before| before >= serial) {
            return Err(ParseCrlError::OutOfOrder { serial });
        }
        before = Some(serial);
        time(&mut fields)?;
        if !fields.is_at_end() {
            let extensions = fields.expect(SEQUENCE)?;
            each_extension(fields.within(&extensions), |extension| match extension.critical {
                // That of an indirect CRL is critical.
                true => Err(extension.unsupported()),
                false => Ok(()),
            })?;
        }
        fields.finish()?;
        starts.push(u32::try_from(entry.whole.start).map_err(|_| malformed(&entry))?);
    }
    Ok(starts)
}

fn serial(fields: &mut Reader<'_>) -> Result<Serial, ParseCrlError> {
    let element = fields.expect(INTEGER)?;
    let octets = fields.octets(element.content.clone());
    // A negative one is no serial.
    let positive = octets.first().is_some_and(|first| *first < 0x80);
    Serial::from_der_bytes(octets).ok().filter(|_| positive).ok_or_else(|| malformed(&element))
}

/// Returns the serial of an entry.
pub(super) fn serial_of(entry: &[u8]) -> Option<Serial> {
    let mut reader = Reader::new(entry);
    let entry = reader.expect(SEQUENCE).ok()?;
    serial(&mut reader.within(&entry)).ok()
}

/// Reads a `Time`: seconds are there and it ends in `Z` (RFC 5280 section 4.1.2.5).
fn time(fields: &mut Reader<'_>) -> Result<Timestamp, ParseCrlError> {
    let element = fields.next()?;
    let text = fields.octets(element.content.clone());
    let moment = match element.tag {
        UTC_TIME => two_digits(text, 0).and_then(|year| {
            let year = i32::from(year) + if year < 50 { 2000 } else { 1900 };
            moment(year, text.get(2..)?)
        }),
        GENERALIZED_TIME => {
            let century = two_digits(text, 0).map(i32::from);
            let year = two_digits(text, 2).map(i32::from);
            century.zip(year).and_then(|(century, year)| moment(century * 100 + year, text.get(4..)?))
        }
        _ => None,
    };
    moment.ok_or_else(|| malformed(&element))
}

fn moment(year: i32, text: &[u8]) -> Option<Timestamp> {
    let [.., b'Z'] = text else { return None };
    if text.len() != 11 {
        return None;
    }
    let month = Month::try_from(two_digits(text, 0)?).ok()?;
    let date = Date::from_calendar_date(year, month, two_digits(text, 2)?).ok()?;
    let time = Time::from_hms(two_digits(text, 4)?, two_digits(text, 6)?, two_digits(text, 8)?).ok()?;
    Some(Timestamp::from(PrimitiveDateTime::new(date, time).assume_utc()))
}

fn two_digits(text: &[u8], at: usize) -> Option<u8> {
    match text.get(at..at.checked_add(2)?)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// The extensions of a list that say whose it is and which.
struct Extensions {
    issuer: AuthorityId,
    number: u64,
}

impl Extensions {
    fn read(tbs: &mut Reader<'_>) -> Result<Self, ParseCrlError> {
        let (mut issuer, mut number) = (None, None);
        if tbs.peek() == Some(CONTEXT_0) {
            let tagged = tbs.next()?;
            let mut within = tbs.within(&tagged);
            let extensions = within.expect(SEQUENCE)?;
            each_extension(within.within(&extensions), |extension| {
                match extension.oid {
                    AUTHORITY_KEY_ID if issuer.is_none() => issuer = Some(key_identifier(extension.value)?),
                    CRL_NUMBER if number.is_none() => number = Some(crl_number(extension.value)?),
                    // A second one, or what limits the list, whether it is marked as critical or not.
                    AUTHORITY_KEY_ID | CRL_NUMBER | DELTA_INDICATOR | DISTRIBUTION_POINT => return Err(extension.unsupported()),
                    _ if extension.critical => return Err(extension.unsupported()),
                    _ => {}
                }
                Ok(())
            })?;
            within.finish()?;
        }
        Ok(Self {
            issuer: issuer.ok_or(ParseCrlError::Missing {
                what: "authority key identifier",
            })?,
            number: number.ok_or(ParseCrlError::Missing { what: "number" })?,
        })
    }
}

struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl Extension<'_> {
    fn unsupported(&self) -> ParseCrlError {
        ParseCrlError::Extension { oid: hex::encode(self.oid) }
    }
}

fn each_extension<'a>(mut extensions: Reader<'a>, mut take: impl FnMut(Extension<'a>) -> Result<(), ParseCrlError>) -> Result<(), ParseCrlError> {
    while !extensions.is_at_end() {
        let extension = extensions.expect(SEQUENCE)?;
        let mut fields = extensions.within(&extension);
        let oid = fields.expect(OID)?;
        let critical = match fields.peek() {
            Some(BOOLEAN) => {
                let flag = fields.next()?;
                fields.octets(flag.content) == [0xff]
            }
            _ => false,
        };
        let value = fields.expect(OCTET_STRING)?;
        take(Extension {
            oid: fields.octets(oid.content),
            critical,
            value: fields.octets(value.content),
        })?;
        fields.finish()?;
    }
    Ok(())
}

fn key_identifier(value: &[u8]) -> Result<AuthorityId, ParseCrlError> {
    let mut reader = Reader::new(value);
    let sequence = reader.expect(SEQUENCE)?;
    let mut fields = reader.within(&sequence);
    let id = fields.expect(KEY_IDENTIFIER)?;
    AuthorityId::from_key_id(fields.octets(id.content.clone())).ok_or_else(|| malformed(&id))
}

/// Reads the number; those over 64 bits are none of ours.
fn crl_number(value: &[u8]) -> Result<u64, ParseCrlError> {
    let mut reader = Reader::new(value);
    let number = reader.expect(INTEGER)?;
    let octets = reader.octets(number.content.clone());
    let significant = octets.strip_prefix(&[0]).unwrap_or(octets);
    if octets.first().is_none_or(|first| *first >= 0x80) || significant.len() > 8 {
        return Err(malformed(&number));
    }
    reader.finish()?;
    Ok(significant.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet)))
}

#[cfg(test)]
mod tests;
