//! Whose lists they are, where one field holds those of several trust domains, as the Workload API's does.
//!
//! - A list is a trust domain's when a CA of that domain signed it: its issuer's name and key identifier are the CA's, and so is the signature. Names alone are
//!   no proof: a partner chooses those of its own CAs.
//! - The CAs of a domain are the roots of its bundle, and CAs below them that were shown, as in the chain of an SVID.
//! - Where one trust domain alone is known, every list is its own: whoever sent them had no other's to send. So its lists are complete also where some of its
//!   issuing CAs were never shown here: those of another replica, or those before and after a change.
//! - What nobody can be proved to have signed is nobody's. A list of another domain's that gets among ours would have good peers refused.

use std::collections::BTreeMap;

use super::{Crl, CrlIssuer, MAX_LISTS};
use crate::TrustDomain;
use crate::bundle::TrustBundle;
use crate::plan::authority::AuthorityId;

/// The CAs of one trust domain, as far as they are known.
#[derive(Debug, Clone)]
pub struct Signers {
    trust_domain: TrustDomain,
    cas: Vec<CrlIssuer>,
}

impl Signers {
    /// Returns the roots of a bundle, as far as they may sign lists, and those of the shown CAs that chain to a root. Whether a CA is valid now is not asked: a
    /// list is no credential.
    #[must_use]
    pub fn under(bundle: &TrustBundle, shown: impl IntoIterator<Item = CrlIssuer>) -> Self {
        let roots = bundle.x509_ders().filter_map(|root| CrlIssuer::parse(root.to_vec()).ok());
        let mut cas: Vec<CrlIssuer> = roots.collect();
        let mut left: Vec<CrlIssuer> = shown.into_iter().collect();
        loop {
            let chains = |ca: &CrlIssuer| ca.is_signed_by_root_of(bundle) || cas.iter().any(|above| ca.is_signed_by(above));
            let (more, others): (Vec<_>, Vec<_>) = left.into_iter().partition(chains);
            if more.is_empty() {
                return Self {
                    trust_domain: bundle.trust_domain().clone(),
                    cas,
                };
            }
            for ca in more {
                if !cas.contains(&ca) {
                    cas.push(ca);
                }
            }
            left = others;
        }
    }

    /// Returns whose they are.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns them, at most [`MAX_LISTS`], those that were shown last among them: what to remember for lists that come when the chains have changed.
    #[must_use]
    pub fn into_cas(mut self) -> Vec<CrlIssuer> {
        let surplus = self.cas.len().saturating_sub(MAX_LISTS);
        self.cas.split_off(surplus)
    }

    fn have_signed(&self, list: &Crl) -> bool {
        self.cas.iter().any(|ca| ca.verify(list).is_ok())
    }
}

/// Lists, each with those that it was proved to be of.
#[derive(Debug, Clone)]
pub struct DividedLists<'a> {
    of: BTreeMap<TrustDomain, Vec<&'a Crl>>,
    unproved: Vec<&'a Crl>,
}

impl<'a> DividedLists<'a> {
    /// Divides lists among trust domains, in the order in which they came. One that two domains were proved to have signed, as a bundle may hold the root of
    /// another's, is in both.
    #[must_use]
    pub fn new(lists: &'a [Crl], domains: &[Signers]) -> Self {
        let mut of: BTreeMap<_, Vec<_>> = domains.iter().map(|domain| (domain.trust_domain.clone(), Vec::new())).collect();
        if let (1, Some(mut only)) = (of.len(), of.first_entry()) {
            only.get_mut().extend(lists);
            return Self { of, unproved: Vec::new() };
        }
        let mut unproved = Vec::new();
        for list in lists {
            let signed = domains.iter().filter(|domain| domain.have_signed(list));
            let mut proved = false;
            for domain in signed {
                of.entry(domain.trust_domain.clone()).or_default().push(list);
                proved = true;
            }
            if !proved {
                unproved.push(list);
            }
        }
        Self { of, unproved }
    }

    /// Returns the lists that a trust domain was proved to have signed. If [some](Self::unproved) are nobody's, others of it may be among those.
    #[must_use]
    pub fn of(&self, trust_domain: &TrustDomain) -> &[&'a Crl] {
        self.of.get(trust_domain).map_or(&[], Vec::as_slice)
    }

    /// Returns the lists of a trust domain if they are surely all that came of it; none otherwise. A program that finds the list of a root and none of the CA
    /// below it refuses every peer.
    #[must_use]
    pub fn all_of(&self, trust_domain: &TrustDomain) -> &[&'a Crl] {
        if self.unproved.is_empty() { self.of(trust_domain) } else { &[] }
    }

    /// Returns the key identifiers of the CAs whose lists are nobody's.
    pub fn unproved(&self) -> impl ExactSizeIterator<Item = &'a AuthorityId> {
        self.unproved.iter().map(|list| list.issuer())
    }
}

#[cfg(test)]
mod tests;
