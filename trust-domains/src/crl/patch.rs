//! The way from one list to the next, in few octets.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ParseCrlError, PatchRefused};
use super::list::Crl;
use super::{MAX_CRL_BYTES, list};
use crate::plan::authority::AuthorityId;
use crate::wire::encoding::Base64;

/// A stretch that is kept must be this long: naming a shorter one costs more than writing it again.
const WORTH_KEEPING: usize = 32;

/// How to make the next list of a CA from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CrlPatch {
    /// The CA whose list it is, by its key identifier.
    pub issuer: AuthorityId,
    /// The SHA-256 of the DER that it applies to, in hex.
    pub applies_to: String,
    /// The new DER, piece by piece.
    pub parts: Vec<PatchPart>,
}

/// One piece of the new list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatchPart {
    /// New octets.
    Insert(Base64),
    /// Octets of the old list.
    Keep {
        /// Where they begin.
        from: usize,
        /// How many there are.
        len: usize,
    },
}

/// Returns the way from one list to another of the same CA: the entries that both have are kept, whatever else differs is written.
#[must_use]
pub fn diff(old: &Crl, new: &Crl) -> CrlPatch {
    let (before, after) = (old.layout(), new.layout());
    let mut parts = Parts::default();
    parts.insert(new.octets(0..after.fixed.start));
    match old.octets(before.fixed.clone()) == new.octets(after.fixed.clone()) {
        true => parts.keep(before.fixed.clone()),
        false => parts.insert(new.octets(after.fixed.clone())),
    }
    let mut held = before.entries().peekable();
    let mut at = after.fixed.end;
    for entry in after.entries() {
        // Times and the header of the list, before the first entry; nothing before the others.
        parts.insert(new.octets(at..entry.start));
        at = entry.end;
        let octets = new.octets(entry);
        // Both lists are in the order of their serials, so what is below is gone.
        let serial = list::serial_of(octets);
        while held.next_if(|range| list::serial_of(old.octets(range.clone())) < serial).is_some() {}
        match held.next_if(|range| old.octets(range.clone()) == octets) {
            Some(range) => parts.keep(range),
            None => parts.insert(octets),
        }
    }
    parts.insert(new.octets(at..new.der().len()));
    CrlPatch {
        issuer: new.issuer().clone(),
        applies_to: hex::encode(old.sha256()),
        parts: parts.finish(old),
    }
}

/// Returns the list that a patch makes of the one before it. Its signature is for [`CrlIssuer`](super::CrlIssuer) to check.
///
/// # Errors
/// The patch was made for another list, or what comes out is no list.
pub fn apply(old: &Crl, patch: &CrlPatch) -> Result<Crl, PatchRefused> {
    if patch.issuer != *old.issuer() || patch.applies_to != hex::encode(old.sha256()) {
        return Err(PatchRefused::OtherList { issuer: patch.issuer.clone() });
    }
    let out_of_range = || PatchRefused::OutOfRange { len: old.der().len() };
    let mut der = Vec::with_capacity(old.der().len());
    for part in &patch.parts {
        let octets = match part {
            PatchPart::Insert(Base64(octets)) => octets.as_slice(),
            PatchPart::Keep { from, len } => {
                let end = from.checked_add(*len).ok_or_else(out_of_range)?;
                old.der().get(*from..end).ok_or_else(out_of_range)?
            }
        };
        der.extend_from_slice(octets);
        // A few parts can keep the whole list over and over.
        if der.len() > MAX_CRL_BYTES {
            let too_large = ParseCrlError::TooLarge {
                limit: MAX_CRL_BYTES,
                actual: der.len(),
            };
            return Err(too_large.into());
        }
    }
    let new = Crl::parse(der)?;
    if new.issuer() != old.issuer() {
        return Err(PatchRefused::OtherList { issuer: new.issuer().clone() });
    }
    Ok(new)
}

/// Parts in the making: neighbours are joined.
#[derive(Default)]
struct Parts(Vec<PatchPart>);

impl Parts {
    fn insert(&mut self, octets: &[u8]) {
        match self.0.last_mut() {
            _ if octets.is_empty() => {}
            Some(PatchPart::Insert(Base64(before))) => before.extend_from_slice(octets),
            _ => self.0.push(PatchPart::Insert(Base64(octets.to_vec()))),
        }
    }

    fn keep(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(PatchPart::Keep { from, len }) if *from + *len == range.start => *len += range.len(),
            _ => self.0.push(PatchPart::Keep {
                from: range.start,
                len: range.len(),
            }),
        }
    }

    /// Writes again what is too short to be kept.
    fn finish(self, old: &Crl) -> Vec<PatchPart> {
        let mut finished = Self::default();
        for part in self.0 {
            match part {
                PatchPart::Insert(Base64(octets)) => finished.insert(&octets),
                PatchPart::Keep { from, len } if len < WORTH_KEEPING => finished.insert(old.octets(from..from + len)),
                PatchPart::Keep { from, len } => finished.keep(from..from + len),
            }
        }
        finished.0
    }
}

#[cfg(test)]
mod tests;
