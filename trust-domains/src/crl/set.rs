//! The lists of all CAs, verified.

use std::collections::BTreeMap;

use super::error::CrlSetRefused;
use super::issuer::CrlIssuer;
use super::list::Crl;
use super::{MAX_LISTS, apply, diff};
use crate::bundle::TrustBundle;
use crate::plan::authority::AuthorityId;
use crate::serial::Serial;
use crate::wire::crls::{CrlsChange, CrlsWhole, IssuedCrl};
use crate::x509::Certificate;

/// One list for each of some CAs, every one verified under its CA. Clones share the lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CrlSet {
    lists: BTreeMap<AuthorityId, Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    issuer: CrlIssuer,
    crl: Crl,
}

impl Listed {
    fn verify(issuer: CrlIssuer, crl: Crl) -> Result<Self, CrlSetRefused> {
        issuer.verify(&crl)?;
        Ok(Self { issuer, crl })
    }

    fn read(issued: &IssuedCrl) -> Result<Self, CrlSetRefused> {
        let crl = Crl::parse(issued.crl.0.as_slice()).map_err(super::CrlRefused::from)?;
        Self::verify(CrlIssuer::parse(issued.issuer.0.as_slice())?, crl)
    }

    fn read_of_partner(issued: &IssuedCrl) -> Result<Self, CrlSetRefused> {
        let crl = Crl::parse_in_any_order(issued.crl.0.as_slice()).map_err(super::CrlRefused::from)?;
        Self::verify(CrlIssuer::parse(issued.issuer.0.as_slice())?, crl)
    }

    fn wire(&self) -> IssuedCrl {
        IssuedCrl {
            issuer: self.issuer.der().to_vec().into(),
            crl: self.crl.der().to_vec().into(),
        }
    }
}

impl CrlSet {
    /// Returns the set of these lists, each verified under the CA beside it.
    ///
    /// # Errors
    /// A list is not its CA's, a CA is there twice, or there are over [`MAX_LISTS`].
    pub fn new(lists: impl IntoIterator<Item = (CrlIssuer, Crl)>) -> Result<Self, CrlSetRefused> {
        let mut set = Self::default();
        for (issuer, crl) in lists {
            set.insert(Listed::verify(issuer, crl)?)?;
        }
        Ok(set)
    }

    /// Returns the set with these lists in place of those of their CAs, and without those of CAs that are not kept. What is kept was verified before.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn replaced(&self, lists: impl IntoIterator<Item = (CrlIssuer, Crl)>, kept: impl Fn(&AuthorityId) -> bool) -> Result<Self, CrlSetRefused> {
        let mut set = Self::new(lists)?;
        for (id, listed) in &self.lists {
            if kept(id) && !set.lists.contains_key(id) {
                set.insert(listed.clone())?;
            }
        }
        Ok(set)
    }

    /// Reads a whole set.
    ///
    /// # Errors
    /// As [`new`](Self::new), or a list or certificate cannot be read.
    pub fn read(whole: &CrlsWhole) -> Result<Self, CrlSetRefused> {
        let mut set = Self::default();
        for issued in &whole.lists {
            set.insert(Listed::read(issued)?)?;
        }
        Ok(set)
    }

    /// Reads the whole set of a partner, whose CAs write the entries of their lists in any order.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for the order.
    pub fn read_of_partner(whole: &CrlsWhole) -> Result<Self, CrlSetRefused> {
        let mut set = Self::default();
        for issued in &whole.lists {
            set.insert(Listed::read_of_partner(issued)?)?;
        }
        Ok(set)
    }

    fn insert(&mut self, listed: Listed) -> Result<(), CrlSetRefused> {
        let id = listed.issuer.id().clone();
        if self.lists.contains_key(&id) {
            return Err(CrlSetRefused::Twice { issuer: id });
        }
        if self.lists.len() >= MAX_LISTS {
            return Err(CrlSetRefused::TooMany {
                limit: MAX_LISTS,
                actual: self.lists.len() + 1,
            });
        }
        self.lists.insert(id, listed);
        Ok(())
    }

    /// Returns the set as it travels whole.
    #[must_use]
    pub fn whole(&self) -> CrlsWhole {
        CrlsWhole {
            lists: self.lists.values().map(Listed::wire).collect(),
        }
    }

    /// Returns how another set came of this one.
    #[must_use]
    pub fn change_to(&self, new: &Self) -> CrlsChange {
        let patch = |(id, now): (&AuthorityId, &Listed)| {
            let before = self.lists.get(id).filter(|before| before.crl != now.crl)?;
            Some(diff(&before.crl, &now.crl))
        };
        CrlsChange::Changed {
            added: new
                .lists
                .iter()
                .filter(|(id, _)| !self.lists.contains_key(id))
                .map(|(_, listed)| listed.wire())
                .collect(),
            patches: new.lists.iter().filter_map(patch).collect(),
            removed: self.lists.keys().filter(|id| !new.lists.contains_key(id)).cloned().collect(),
        }
    }

    /// Returns what a change makes of this set; nothing when the lists are withdrawn. What changed is verified again; a list's number only goes up.
    ///
    /// # Errors
    /// The change was made for another set, or what comes out is not believed: ask for the whole set.
    pub fn changed(&self, change: &CrlsChange) -> Result<Option<Self>, CrlSetRefused> {
        let (added, patches, removed) = match change {
            CrlsChange::Withdrawn => return Ok(None),
            CrlsChange::Whole(whole) => return Self::read(whole).map(Some),
            CrlsChange::Changed { added, patches, removed } => (added, patches, removed),
        };
        let mut set = self.clone();
        for id in removed {
            set.lists.remove(id).ok_or_else(|| CrlSetRefused::NotHeld { issuer: id.clone() })?;
        }
        for patch in patches {
            let held = set
                .lists
                .get_mut(&patch.issuer)
                .ok_or_else(|| CrlSetRefused::NotHeld { issuer: patch.issuer.clone() })?;
            let crl = apply(&held.crl, patch)?;
            if crl.number() <= held.crl.number() {
                return Err(CrlSetRefused::NumberNotAbove {
                    issuer: patch.issuer.clone(),
                    held: held.crl.number(),
                    presented: crl.number(),
                });
            }
            *held = Listed::verify(held.issuer.clone(), crl)?;
        }
        for issued in added {
            set.insert(Listed::read(issued)?)?;
        }
        Ok(Some(set))
    }

    /// Returns the lists, with their CAs, in the order of the CAs' identifiers.
    pub fn lists(&self) -> impl Iterator<Item = (&CrlIssuer, &Crl)> {
        self.lists.values().map(|listed| (&listed.issuer, &listed.crl))
    }

    /// Returns the list of a CA.
    #[must_use]
    pub fn list_of(&self, issuer: &AuthorityId) -> Option<&Crl> {
        self.lists.get(issuer).map(|listed| &listed.crl)
    }

    /// Returns whether the certificate with this serial, of this CA, is revoked.
    #[must_use]
    pub fn revokes(&self, issuer: &AuthorityId, serial: &Serial) -> bool {
        self.list_of(issuer).is_some_and(|crl| crl.revokes(serial))
    }

    /// Returns how many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Returns whether there is no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Returns the octets of all lists in DER.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.lists().map(|(_, crl)| crl.der().len()).sum()
    }

    /// Returns the highest number of its lists; 0 without any.
    #[must_use]
    pub fn highest_number(&self) -> u64 {
        self.lists().map(|(_, crl)| crl.number()).max().unwrap_or(0)
    }

    /// Returns the lists that belong to a bundle: those of its roots, those of CAs that its roots signed, and those of CAs that one of these signed.
    #[must_use]
    pub fn under(&self, bundle: &TrustBundle) -> Self {
        let of_root = |issuer: &CrlIssuer| issuer.is_root_of(bundle) || issuer.is_signed_by_root_of(bundle);
        let (mut lists, mut left): (BTreeMap<_, _>, BTreeMap<_, _>) = self.lists.clone().into_iter().partition(|(_, listed)| of_root(&listed.issuer));
        loop {
            let signed = |issuer: &CrlIssuer| {
                let above: Option<&Listed> = issuer.signed_by().and_then(|above| lists.get(&above));
                above.is_some_and(|above| issuer.is_signed_by(&above.issuer))
            };
            let (mut more, others): (BTreeMap<_, _>, BTreeMap<_, _>) = left.into_iter().partition(|(_, listed)| signed(&listed.issuer));
            left = others;
            if more.is_empty() {
                return Self { lists };
            }
            lists.append(&mut more);
        }
    }

    /// Returns the roots of a bundle that have no list here: while there is one, the set is not complete.
    ///
    /// A root that does not name the trust domain is not asked for a list: it is that of an upstream authority, which publishes its own.
    pub fn roots_without_list<'a>(&'a self, bundle: &'a TrustBundle) -> impl Iterator<Item = &'a [u8]> {
        let has_list = |der: &[u8]| self.lists().any(|(issuer, _)| **issuer.der() == *der);
        let domain = bundle.trust_domain().id();
        let names_it = move |der: &[u8]| Certificate::parse(der).is_ok_and(|root| root.uri_sans().iter().any(|uri| uri == domain.as_str()));
        bundle.x509_ders().map(AsRef::as_ref).filter(move |der| names_it(der) && !has_list(der))
    }
}

#[cfg(test)]
mod tests;
