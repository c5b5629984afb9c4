//! What files hold that are made of what the Workload API gave: one composition for a supervised program and for a fetch.
//!
//! The files are those of [`trust_domains::delivery`]. What is decided here is whose the revocation lists are, which come in one field for all trust domains
//! ([`trust_domains::crl::DividedLists`]), and which password key stores have.

use std::collections::BTreeMap;

use platform::random::{self, RandomError};
use trust_domains::TrustBundle;
use trust_domains::crl::{CrlIssuer, DividedLists};
use trust_domains::delivery::{ComposeError, Credentials, DomainTrust, FileSetSpec, Format, KeystorePassword, SetFile, TokenName, TokenSpec, compose};
use trust_domains::problem::{Code, Coded};

use crate::source::{HeldSvid, JwtKeys, X509Context};

/// What the files hold, and in which formats.
#[derive(Debug)]
pub struct Contents {
    spec: FileSetSpec,
    /// The same without key stores and the forms that follow from PEM: nothing in it is by chance, so that what is new is found here.
    facts: FileSetSpec,
    /// CAs of the own trust domain that were shown: their lists come on when they sign no more of ours.
    shown: Vec<CrlIssuer>,
    /// Whether it was said that lists are nobody's.
    is_unproved_said: bool,
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
#[derive(Debug)]
pub struct Composed {
    /// The files.
    pub files: Vec<SetFile>,
    /// The same credentials, in forms that differ only where the credentials do.
    pub facts: Vec<SetFile>,
}

impl Contents {
    /// Returns what these formats and tokens need. Key stores get the password that is kept from before, or one that is generated now.
    ///
    /// # Errors
    /// There is no randomness for a password.
    pub fn new(formats: &[Format], tokens: Vec<TokenSpec>, kept: Option<KeystorePassword>) -> Result<Self, RandomError> {
        let needs_password = formats.iter().any(|format| format.has_password());
        let password = match kept {
            Some(kept) => Some(kept),
            None => needs_password.then(|| with_chance(KeystorePassword::generated)).transpose()?,
        };
        let of_keys = formats.iter().copied().filter(|format| has_jwt_keys(*format));
        Ok(Self {
            facts: FileSetSpec {
                formats: [Format::Pem].into_iter().chain(of_keys).collect(),
                tokens: tokens.clone(),
                ..FileSetSpec::default()
            },
            spec: FileSetSpec {
                formats: formats.to_vec(),
                tokens,
                trust_domain: None,
                keystore_password: password.filter(|_| needs_password),
            },
            shown: Vec::new(),
            is_unproved_said: false,
        })
    }

    /// Returns whether a format needs the keys of JWT-SVIDs, which the stream of X509-SVIDs has not.
    #[must_use]
    pub fn needs_jwt_keys(&self) -> bool {
        self.spec.formats.iter().any(|format| has_jwt_keys(*format))
    }

    /// Composes the whole set for one identity, with the tokens and the keys of JWT-SVIDs that are there.
    ///
    /// A list of which nobody can be proved to have signed it is in no file, which is said once. Those of a partner are delivered only when there is none such:
    /// a program that finds the list of its root and not that of its issuing CA refuses good peers.
    ///
    /// # Errors
    /// [`NotComposed`].
    pub fn compose(&mut self, context: &X509Context, svid: &HeldSvid, keys: &JwtKeys, tokens: BTreeMap<TokenName, &str>) -> Result<Composed, NotComposed> {
        let own = svid.spiffe_id().trust_domain();
        let lists = context.divided_lists(&own, &mut self.shown);
        if lists.unproved().len() > 0 && !self.is_unproved_said {
            self.is_unproved_said = true;
            say_unproved(&lists);
        }
        let bundle = keys.beside(svid.bundle());
        let partners = context.bundles().federated().filter(|partner| *partner.trust_domain() != own);
        let partners: Vec<TrustBundle> = partners.map(|partner| keys.beside(partner)).collect();
        let credentials = Credentials {
            spiffe_id: svid.spiffe_id(),
            chain: svid.chain().iter().map(|der| &**der).collect(),
            key: svid.key(),
            own: trust(&bundle, lists.of(&own)),
            federated: partners.iter().map(|partner| trust(partner, lists.all_of(partner.trust_domain()))).collect(),
            tokens,
        };
        let made = |spec| with_chance(|chance| compose(spec, &credentials, chance));
        Ok(Composed {
            files: made(&self.spec)??,
            facts: made(&self.facts)??,
        })
    }
}

fn has_jwt_keys(format: Format) -> bool {
    matches!(format, Format::Jwks | Format::Spiffe)
}

fn trust<'a>(bundle: &'a TrustBundle, lists: &[&'a trust_domains::crl::Crl]) -> DomainTrust<'a> {
    DomainTrust {
        bundle,
        crls: lists.iter().map(|list| &**list.der()).collect(),
    }
}

fn say_unproved(lists: &DividedLists<'_>) {
    let cas = lists.unproved().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::warn!(%cas, "revocation lists of unknown CAs are in no file: of a partner's issuing CAs, or of own ones that never signed an SVID of this process");
}

/// Runs with the system's random generator.
fn with_chance<T>(act: impl FnOnce(&mut dyn FnMut(&mut [u8])) -> T) -> Result<T, RandomError> {
    let mut filled = Ok(());
    let made = act(&mut |octets: &mut [u8]| filled = filled.and(random::fill(octets)));
    filled?;
    Ok(made)
}

#[cfg(test)]
mod tests;
