//! What the files of a supervised program hold.

use std::collections::BTreeSet;

use trust_domains::crl::Crl;
use trust_domains::delivery::{FileName, SetFile};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::supervising::Change;
use zeroize::Zeroizing;

use super::tokens::FreshToken;
use crate::source::{HeldSvid, X509Context};

/// How keys and certificates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `svid.pem`, `svid_key.pem`.
    Pem,
    /// `svid_combined.pem`: the key, then the chain.
    PemCombined,
}

/// The chain, leaf first.
pub(super) const SVID: &str = "svid.pem";
/// Its key.
pub(super) const KEY: &str = "svid_key.pem";
/// Both in one.
pub(super) const COMBINED: &str = "svid_combined.pem";
/// The roots of the own trust domain.
pub(super) const BUNDLE: &str = "bundle.pem";
/// Its revocation lists.
pub(super) const CRL: &str = "crl.pem";

/// Composes the whole set.
///
/// The stream has the lists of every trust domain in one field, and nothing that tells whose a partner's issuing CA is: a partner's lists, as far as its roots
/// signed them, are left out, and there is no file of them. A sink of the agent delivers each trust domain's lists apart.
pub(super) fn compose(formats: &[Format], context: &X509Context, svid: &HeldSvid, tokens: &[FreshToken]) -> Vec<SetFile> {
    let mut files = Vec::new();
    let key = key_pem(svid);
    for format in formats {
        match format {
            Format::Pem => {
                files.extend(file(SVID, false, svid.svid().to_pem().into_bytes()));
                files.extend(file(KEY, true, key.to_vec()));
            }
            Format::PemCombined => {
                let combined = [key.as_slice(), svid.svid().to_pem().as_bytes()].concat();
                files.extend(file(COMBINED, true, combined));
            }
        }
    }
    files.extend(file(BUNDLE, false, svid.bundle().to_pem().into_bytes()));
    files.extend(lists(context));
    let own = svid.spiffe_id().trust_domain();
    let partners = context
        .bundles()
        .federated()
        .filter(|partner| *partner.trust_domain() != own && !partner.x509_authorities().is_empty());
    files.extend(partners.filter_map(|partner| file(&format!("federated/{}.pem", partner.trust_domain()), false, partner.to_pem().into_bytes())));
    files.extend(tokens.iter().filter_map(|token| file(&token.file(), true, token.octets().to_vec())));
    files
}

fn key_pem(svid: &HeldSvid) -> Zeroizing<Vec<u8>> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Zeroizing::new(pem::encode_config(&pem::Pem::new("PRIVATE KEY", svid.key().to_vec()), config).into_bytes())
}

/// There is no file of lists where none are delivered: programs that check revocation refuse everybody over an empty one.
fn lists(context: &X509Context) -> Option<SetFile> {
    let roots = context.bundles().federated().flat_map(|partner| partner.x509_authorities().to_vec());
    let of_partners: BTreeSet<AuthorityId> = roots
        .filter_map(|root| AuthorityId::from_key_id(root.certificate().subject_key_id()?))
        .collect();
    let own = context.crls().iter().filter(|list| !of_partners.contains(list.issuer()));
    let blocks: Vec<_> = own.map(|list: &Crl| pem::Pem::new("X509 CRL", list.der().to_vec())).collect();
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    (!blocks.is_empty())
        .then(|| file(CRL, false, pem::encode_many_config(&blocks, config).into_bytes()))
        .flatten()
}

/// A name that no file can have, as that of a partner with 255 letters, has none.
fn file(name: &str, secret: bool, content: Vec<u8>) -> Option<SetFile> {
    let name: FileName = name.parse().ok()?;
    Some(SetFile {
        name,
        secret,
        content: Zeroizing::new(content),
    })
}

/// Returns what a set has that the one before had not; nothing if they are the same.
pub(super) fn change(before: &[SetFile], after: &[SetFile]) -> Option<Change> {
    let without = |set: &[SetFile], is: fn(&SetFile) -> bool| -> Vec<SetFile> { set.iter().filter(|file| !is(file)).cloned().collect() };
    let is_token: fn(&SetFile) -> bool = |file| file.name.folder() == Some(super::tokens::FOLDER);
    let is_light: fn(&SetFile) -> bool = |file| file.name.folder() == Some(super::tokens::FOLDER) || file.name.as_str() == CRL;
    if before == after {
        None
    } else if without(before, is_token) == without(after, is_token) {
        Some(Change::Tokens)
    } else if without(before, is_light) == without(after, is_light) {
        Some(Change::Lists)
    } else {
        Some(Change::Credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> Vec<SetFile> {
        files.iter().map(|(name, text)| file(name, false, text.as_bytes().to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_changed_decides_whether_a_program_is_told() {
        let before = set(&[(SVID, "1"), ("jwt/vault.token", "a")]);
        assert_eq!(change(&before, &before), None);
        assert_eq!(change(&before, &set(&[(SVID, "1"), ("jwt/vault.token", "b")])), Some(Change::Tokens));
        assert_eq!(change(&before, &set(&[(SVID, "1"), (CRL, "x"), ("jwt/vault.token", "b")])), Some(Change::Lists));
        assert_eq!(change(&before, &set(&[(SVID, "2"), (CRL, "x")])), Some(Change::Credentials));
        assert_eq!(change(&[], &before), Some(Change::Credentials));
    }
}
