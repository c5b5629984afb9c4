//! The lists of a partner trust domain: what was fetched, and the complete set that it makes under the partner's bundle.
//!
//! - A list is believed under a root of the partner's bundle, or under a CA whose certificate came along and that chains to such a root (RFC 5280 section 6.3.3).
//! - One list that is not believed refuses all of them: half a set would have programs refuse good peers.
//! - A number never goes back, and a list that was there stays until it or its CA has ended: who leaves one out, or serves an old one, revokes nothing less by it.

mod error;

use std::collections::BTreeMap;

use super::der::{Reader, SEQUENCE};
use super::{Crl, CrlIssuer, CrlRefused, CrlSet, CrlSetRefused, MAX_LISTS, ParseCrlError};
use crate::bundle::TrustBundle;
use crate::plan::authority::AuthorityId;
use crate::timestamp::Timestamp;
use crate::x509::{Certificate, PEM_LABEL};

pub use error::PartnerCrlsRefused;

/// The longest document of a partner's lists: 14,000 serials. Every process that federates with the partner gets them in one message of 4 MiB, beside the lists
/// of its own trust domain and those of other partners.
pub const MAX_PARTNER_CRLS: usize = 512 * 1024;

/// The label of a list in PEM (RFC 7468 section 6).
const CRL_LABEL: &str = "X509 CRL";

/// Lists as a partner publishes them, with the certificates of CAs that came along. Nothing about them is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedCrls {
    lists: Vec<Crl>,
    issuers: Vec<CrlIssuer>,
}

impl FetchedCrls {
    /// Reads a document: PEM with lists and certificates in any order, or lists in DER one after the other. A certificate that signs no lists is passed over.
    ///
    /// # Errors
    /// It is over [`MAX_PARTNER_CRLS`], is neither PEM nor DER, holds no list or over [`MAX_LISTS`] lists or certificates, or one of the lists cannot be read.
    pub fn parse(document: &[u8]) -> Result<Self, PartnerCrlsRefused> {
        if document.len() > MAX_PARTNER_CRLS {
            return Err(PartnerCrlsRefused::TooLarge {
                limit: MAX_PARTNER_CRLS,
                actual: document.len(),
            });
        }
        // No DER of a list begins so: its first octet is 0x30, a digit, and its second no character of a text.
        let fetched = match document.first() {
            Some(&SEQUENCE) => Self::parse_der(document)?,
            _ => Self::parse_pem(document)?,
        };
        if fetched.lists.is_empty() {
            return Err(PartnerCrlsRefused::Empty);
        }
        Ok(fetched)
    }

    fn parse_der(document: &[u8]) -> Result<Self, PartnerCrlsRefused> {
        let mut reader = Reader::new(document);
        let mut lists = Vec::new();
        while !reader.is_at_end() {
            refuse_more(lists.len())?;
            let list = reader.expect(SEQUENCE)?;
            lists.push(Crl::parse_in_any_order(reader.octets(list.whole))?);
        }
        Ok(Self { lists, issuers: Vec::new() })
    }

    fn parse_pem(document: &[u8]) -> Result<Self, PartnerCrlsRefused> {
        let blocks = pem::parse_many(document).map_err(|_| PartnerCrlsRefused::Unreadable)?;
        let (mut lists, mut issuers) = (Vec::new(), Vec::new());
        for block in &blocks {
            refuse_more(lists.len().max(issuers.len()))?;
            match block.tag() {
                CRL_LABEL => lists.push(Crl::parse_in_any_order(block.contents())?),
                PEM_LABEL => issuers.extend(CrlIssuer::parse(block.contents()).ok()),
                _ => return Err(PartnerCrlsRefused::Unreadable),
            }
        }
        Ok(Self { lists, issuers })
    }

    /// Returns how many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Returns whether there is no list, which is never the case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }
}

fn refuse_more(there_are: usize) -> Result<(), PartnerCrlsRefused> {
    if there_are < MAX_LISTS {
        return Ok(());
    }
    let too_many = CrlSetRefused::TooMany {
        limit: MAX_LISTS,
        actual: there_are + 1,
    };
    Err(too_many.into())
}

impl CrlSet {
    /// Returns the complete set that fetched lists make of those that are held, under the partner's bundle.
    ///
    /// - Lists of CAs that have ended are left out.
    /// - A held list of a CA that none was fetched for stays while neither it nor its CA has ended; what the bundle no longer stands for goes.
    ///
    /// # Errors
    /// A list is not believed under the bundle, is older than the held one, or has ended before its CA did; or the list of a root, or of a CA whose
    /// certificate came along, is missing.
    pub fn of_partner(bundle: &TrustBundle, fetched: &FetchedCrls, held: &Self, now: Timestamp) -> Result<Self, PartnerCrlsRefused> {
        let believed = believed(bundle, &fetched.issuers);
        let mut lists = BTreeMap::new();
        for crl in &fetched.lists {
            let issuer = believed
                .get(crl.issuer())
                .ok_or_else(|| PartnerCrlsRefused::UnknownCa { issuer: crl.issuer().clone() })?;
            issuer.verify(crl)?;
            if issuer.not_after() <= now {
                continue;
            }
            refuse_ended(issuer, crl, now)?;
            refuse_older(held.list_of(issuer.id()), crl)?;
            if lists.insert(issuer.id().clone(), (issuer.clone(), crl.clone())).is_some() {
                return Err(CrlSetRefused::Twice { issuer: issuer.id().clone() }.into());
            }
        }
        for (issuer, crl) in held.under(bundle).lists() {
            if issuer.not_after() > now && crl.next_update() > now {
                lists.entry(issuer.id().clone()).or_insert_with(|| (issuer.clone(), crl.clone()));
            }
        }
        let needs_list = |issuer: &&CrlIssuer| issuer.not_after() > now && !issuer.is_root_of(bundle);
        if let Some(issuer) = believed.values().filter(needs_list).find(|issuer| !lists.contains_key(issuer.id())) {
            return Err(PartnerCrlsRefused::Incomplete { ca: issuer.id().to_string() });
        }
        let set = Self::new(lists.into_values())?;
        if let Some(ca) = root_without_list(&set, bundle, now) {
            return Err(PartnerCrlsRefused::Incomplete { ca });
        }
        if set.octets() > MAX_PARTNER_CRLS {
            return Err(PartnerCrlsRefused::TooLarge {
                limit: MAX_PARTNER_CRLS,
                actual: set.octets(),
            });
        }
        Ok(set)
    }

    /// Returns when verifiers stop believing the first of its lists whose CA goes on; then nothing of the set is delivered any more: who asks for lists
    /// refuses good peers over one that has ended.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let ending = self.lists().filter(|(issuer, crl)| crl.next_update() < issuer.not_after());
        ending.map(|(_, crl)| crl.next_update()).min()
    }
}

/// Returns the CAs whose lists are believed: roots, and what chains to one. A key identifier names one CA, so each certificate costs one signature at most.
fn believed(bundle: &TrustBundle, came_along: &[CrlIssuer]) -> BTreeMap<AuthorityId, CrlIssuer> {
    let roots = bundle.x509_ders().filter_map(|root| CrlIssuer::parse(root.to_vec()).ok());
    let mut believed: BTreeMap<AuthorityId, CrlIssuer> = roots.map(|root| (root.id().clone(), root)).collect();
    let mut left: Vec<&CrlIssuer> = came_along.iter().filter(|issuer| !believed.contains_key(issuer.id())).collect();
    loop {
        let mut grew = false;
        left.retain(|issuer| {
            let above = issuer.signed_by().and_then(|above| believed.get(&above)).cloned();
            let Some(above) = above else { return true };
            if issuer.is_signed_by(&above) && !believed.contains_key(issuer.id()) {
                believed.insert(issuer.id().clone(), (*issuer).clone());
                grew = true;
            }
            false
        });
        if !grew {
            return believed;
        }
    }
}

/// Returns the subject of a root that has no list and needs one.
fn root_without_list(set: &CrlSet, bundle: &TrustBundle, now: Timestamp) -> Option<String> {
    let roots = set.roots_without_list(bundle).filter_map(|root| Certificate::parse(root).ok());
    let mut going_on = roots.filter(|root| root.not_after() > now);
    going_on.next().map(|root| root.subject().to_owned())
}

fn refuse_ended(issuer: &CrlIssuer, crl: &Crl, now: Timestamp) -> Result<(), PartnerCrlsRefused> {
    if crl.next_update() > now {
        return Ok(());
    }
    Err(PartnerCrlsRefused::Ended {
        issuer: issuer.id().clone(),
        at: crl.next_update(),
    })
}

/// A list may be signed anew under the number that it has, and never goes back.
fn refuse_older(held: Option<&Crl>, crl: &Crl) -> Result<(), PartnerCrlsRefused> {
    let Some(held) = held else { return Ok(()) };
    if (crl.number(), crl.this_update()) >= (held.number(), held.this_update()) {
        return Ok(());
    }
    Err(PartnerCrlsRefused::Older {
        issuer: crl.issuer().clone(),
        held: held.number(),
        presented: crl.number(),
    })
}

impl From<ParseCrlError> for PartnerCrlsRefused {
    fn from(error: ParseCrlError) -> Self {
        Self::List(CrlRefused::from(error).into())
    }
}

impl From<CrlRefused> for PartnerCrlsRefused {
    fn from(refused: CrlRefused) -> Self {
        Self::List(refused.into())
    }
}

#[cfg(test)]
mod tests;
