//! What a set is made of.

use std::collections::BTreeMap;
use std::fmt;

use crate::{SpiffeId, TrustBundle, TrustDomain};

use super::spec::FileSetSpec;
use super::token_name::TokenName;

/// What somebody is entitled to at one moment: everything that a set can hold.
pub struct Credentials<'a> {
    /// The identity.
    pub spiffe_id: &'a SpiffeId,
    /// The certificates in DER, leaf first, without the root.
    pub chain: Vec<&'a [u8]>,
    /// The private key: PKCS#8 in DER.
    pub key: &'a [u8],
    /// What verifies peers of the own trust domain.
    pub own: DomainTrust<'a>,
    /// What verifies peers of each partner; never pooled.
    pub federated: Vec<DomainTrust<'a>>,
    /// The tokens that are there. One that the specification names and that is not here is no file.
    pub tokens: BTreeMap<TokenName, &'a str>,
}

/// What verifies the peers of one trust domain.
#[derive(Debug, Clone)]
pub struct DomainTrust<'a> {
    /// Its roots, and its keys of tokens.
    pub bundle: &'a TrustBundle,
    /// Its revocation lists in DER: those of all its CAs, or none.
    pub crls: Vec<&'a [u8]>,
}

impl<'a> Credentials<'a> {
    /// Returns what the trust files of a set hold; `None` when it names a partner whose bundle is not here: then there are no trust files.
    #[must_use]
    pub fn trust_of(&self, spec: &FileSetSpec) -> Option<&DomainTrust<'a>> {
        let named = |trust_domain: &TrustDomain| self.domains().find(|domain| domain.bundle.trust_domain() == trust_domain);
        spec.trust_domain.as_ref().map_or(Some(&self.own), named)
    }

    fn domains(&self) -> impl Iterator<Item = &DomainTrust<'a>> {
        std::iter::once(&self.own).chain(&self.federated)
    }
}

impl fmt::Debug for Credentials<'_> {
    /// Leaves key and tokens out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("spiffe_id", self.spiffe_id).finish_non_exhaustive()
    }
}
