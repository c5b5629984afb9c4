//! What the files of a supervised program hold.

use std::collections::{BTreeMap, BTreeSet};

use platform::random::{self, RandomError};
use trust_domains::TrustDomain;
use trust_domains::delivery::{ComposeError, Credentials, DomainTrust, FileSetSpec, Format, KeystorePassword, SetFile, TokenSpec, compose};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::supervising::Change;
use trust_domains::problem::{Code, Coded};

use super::tokens::{FOLDER, FreshToken};
use crate::source::{HeldSvid, X509Context};

/// The file of revocation lists.
const CRL: &str = "crl.pem";

/// What the files hold, and in which formats. The password of key stores is generated once.
#[derive(Debug)]
pub(super) struct Contents {
    spec: FileSetSpec,
    /// The same in PEM alone, which has nothing by chance in it: whether anything is new is found here.
    facts: FileSetSpec,
}

/// Why a set cannot be composed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotComposed {
    /// A key store cannot be written.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// There is no randomness for its salts.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Coded for NotComposed {
    fn code(&self) -> Code {
        match self {
            Self::Compose(error) => error.code(),
            Self::Random(error) => error.code(),
        }
    }
}

/// A set, and the facts by which it is compared with the next.
pub(super) struct Composed {
    pub(super) files: Vec<SetFile>,
    pub(super) facts: Vec<SetFile>,
}

impl Contents {
    pub(super) fn new(formats: &[Format], tokens: Vec<TokenSpec>) -> Result<Self, RandomError> {
        let needs_password = formats.iter().any(|format| format.has_password());
        let mut filled = Ok(());
        let password = needs_password.then(|| KeystorePassword::generated(&mut |octets: &mut [u8]| filled = filled.and(random::fill(octets))));
        filled?;
        let facts = FileSetSpec {
            formats: vec![Format::Pem],
            tokens: tokens.clone(),
            ..FileSetSpec::default()
        };
        Ok(Self {
            spec: FileSetSpec {
                formats: formats.to_vec(),
                tokens,
                trust_domain: None,
                keystore_password: password,
            },
            facts,
        })
    }

    /// Composes the whole set.
    ///
    /// The stream has the lists of every trust domain in one field, and nothing that tells whose a partner's issuing CA is: a partner's lists, as far as its
    /// roots signed them, are left out, and there is no file of them. A sink of the agent delivers each trust domain's lists apart.
    pub(super) fn compose(&self, context: &X509Context, svid: &HeldSvid, tokens: &[FreshToken]) -> Result<Composed, NotComposed> {
        let credentials = credentials(context, svid, tokens);
        let mut filled = Ok(());
        let mut chance = |octets: &mut [u8]| filled = filled.and(random::fill(octets));
        let files = compose(&self.spec, &credentials, &mut chance)?;
        let facts = compose(&self.facts, &credentials, &mut chance)?;
        filled?;
        Ok(Composed { files, facts })
    }
}

fn credentials<'a>(context: &'a X509Context, svid: &'a HeldSvid, tokens: &'a [FreshToken]) -> Credentials<'a> {
    let own: TrustDomain = svid.spiffe_id().trust_domain();
    let partners = context.bundles().federated().filter(|partner| *partner.trust_domain() != own);
    Credentials {
        spiffe_id: svid.spiffe_id(),
        chain: svid.chain().iter().map(|der| &**der).collect(),
        key: svid.key(),
        own: DomainTrust {
            bundle: svid.bundle(),
            crls: own_lists(context),
        },
        federated: partners.map(|bundle| DomainTrust { bundle, crls: Vec::new() }).collect(),
        tokens: tokens.iter().map(|token| (token.name().clone(), token.text())).collect::<BTreeMap<_, _>>(),
    }
}

fn own_lists(context: &X509Context) -> Vec<&[u8]> {
    let roots = context.bundles().federated().flat_map(|partner| partner.x509_authorities().to_vec());
    let of_partners: BTreeSet<AuthorityId> = roots
        .filter_map(|root| AuthorityId::from_key_id(root.certificate().subject_key_id()?))
        .collect();
    let own = context.crls().iter().filter(|list| !of_partners.contains(list.issuer()));
    own.map(|list| &**list.der()).collect()
}

/// Returns what a set has that the one before had not; nothing if they are the same.
pub(super) fn change(before: &[SetFile], after: &[SetFile]) -> Option<Change> {
    let without = |set: &[SetFile], is: fn(&SetFile) -> bool| -> Vec<SetFile> { set.iter().filter(|file| !is(file)).cloned().collect() };
    let is_token: fn(&SetFile) -> bool = |file| file.name.folder() == Some(FOLDER);
    let is_light: fn(&SetFile) -> bool = |file| file.name.folder() == Some(FOLDER) || file.name.as_str() == CRL;
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
        let file = |(name, text): &(&str, &str)| SetFile {
            name: name.parse().unwrap(),
            secret: false,
            content: text.as_bytes().to_vec().into(),
        };
        files.iter().map(file).collect()
    }

    #[test]
    fn what_changed_decides_whether_a_program_is_told() {
        let before = set(&[("svid.pem", "1"), ("jwt/vault.token", "a")]);
        assert_eq!(change(&before, &before), None);
        assert_eq!(change(&before, &set(&[("svid.pem", "1"), ("jwt/vault.token", "b")])), Some(Change::Tokens));
        assert_eq!(
            change(&before, &set(&[("svid.pem", "1"), (CRL, "x"), ("jwt/vault.token", "b")])),
            Some(Change::Lists)
        );
        assert_eq!(change(&before, &set(&[("svid.pem", "2"), (CRL, "x")])), Some(Change::Credentials));
        assert_eq!(change(&[], &before), Some(Change::Credentials));
    }
}
