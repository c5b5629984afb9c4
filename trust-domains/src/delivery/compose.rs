//! From credentials to a set of files.

use zeroize::Zeroizing;

use crate::TrustBundle;
use crate::keystore::{Chance, KeyStoreError, jks, pkcs12};
use crate::problem::{Code, Coded};

use super::credentials::{Credentials, DomainTrust};
use super::encode::{CERTIFICATE, CRL, PRIVATE_KEY, append, pem};
use super::file_name::{FileName, ParseFileNameError};
use super::format::Format;
use super::set_file::SetFile;
use super::spec::FileSetSpec;

/// The file of a generated password: beside the key stores, as secret as they are.
pub const PASSWORD_FILE: &str = "keystore.password";

/// The one key of a key store is found under this name.
const KEY_ALIAS: &str = "svid";

/// Why a set cannot be composed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A name is none that a file can have; every name that is written here can be one.
    #[error("a file of the set has no valid name")]
    FileName(#[from] ParseFileNameError),
    /// A key store cannot be written.
    #[error("the key store cannot be written")]
    KeyStore(#[from] KeyStoreError),
    /// Key stores are asked for, and no password is there.
    #[error("the format {format} needs a password")]
    NoPassword {
        /// The format.
        format: Format,
    },
}

impl Coded for ComposeError {
    fn code(&self) -> Code {
        match self {
            Self::FileName(_) => Code::Internal,
            Self::KeyStore(error) => error.code(),
            Self::NoPassword { .. } => Code::ConfigInvalid,
        }
    }
}

/// Returns the files of a set, in the order in which they are put in place where that is done one by one: what verifies peers, then the certificates, and
/// the key last.
///
/// - A trust file holds one trust domain. Where that domain's bundle is not here, there is none: nothing of it is trusted.
/// - There is no file of lists where none are delivered: programs that check revocation refuse everybody over an empty one.
/// - A partner without roots has no file of its own: programs refuse to start over an empty one, and nothing of it is trusted either way. Neither has one
///   whose name is too long for a file.
/// - The same credentials make the same files but for key stores, in which the salts are by chance.
///
/// # Errors
/// A key store is asked for without a password, or cannot be written.
pub fn compose(spec: &FileSetSpec, credentials: &Credentials<'_>, chance: &mut Chance<'_>) -> Result<Vec<SetFile>, ComposeError> {
    let mut set = Set::default();
    let trust = credentials.trust_of(spec);
    for format in &spec.formats {
        match format {
            Format::Der => der(&mut set, credentials, trust)?,
            Format::Jks | Format::Pkcs12 => key_stores(&mut set, *format, spec, credentials, trust, chance)?,
            Format::Jwks => of_bundle(&mut set, "jwks.json", trust, TrustBundle::to_jwks)?,
            Format::Pem => {
                pem_trust(&mut set, credentials, trust)?;
                set.public("svid.pem", pem(CERTIFICATE, credentials.chain.iter().copied()))?;
                set.secret("svid_key.pem", pem(PRIVATE_KEY, [credentials.key]))?;
            }
            Format::PemCombined => {
                pem_trust(&mut set, credentials, trust)?;
                let mut both = pem(PRIVATE_KEY, [credentials.key]);
                append(&mut both, &pem(CERTIFICATE, credentials.chain.iter().copied()));
                set.secret("svid_combined.pem", both)?;
            }
            Format::Spiffe => of_bundle(&mut set, "bundle.json", trust, TrustBundle::to_spiffe_json)?,
        }
    }
    for token in &spec.tokens {
        if let Some(text) = credentials.tokens.get(&token.name) {
            set.add(token.name.file().clone(), true, Zeroizing::new(text.as_bytes().to_vec()));
        }
    }
    Ok(set.files)
}

/// The files so far; the first of a name stands.
#[derive(Default)]
struct Set {
    files: Vec<SetFile>,
}

impl Set {
    fn public(&mut self, name: &str, content: Zeroizing<Vec<u8>>) -> Result<(), ParseFileNameError> {
        self.add(name.parse()?, false, content);
        Ok(())
    }

    fn secret(&mut self, name: &str, content: Zeroizing<Vec<u8>>) -> Result<(), ParseFileNameError> {
        self.add(name.parse()?, true, content);
        Ok(())
    }

    fn add(&mut self, name: FileName, secret: bool, content: Zeroizing<Vec<u8>>) {
        if self.files.iter().all(|file| file.name != name) {
            self.files.push(SetFile { name, secret, content });
        }
    }
}

/// Roots and lists in PEM: of the one trust domain, and of each partner in files of their own.
fn pem_trust(set: &mut Set, credentials: &Credentials<'_>, trust: Option<&DomainTrust<'_>>) -> Result<(), ParseFileNameError> {
    if let Some(trust) = trust {
        set.public("bundle.pem", roots(trust))?;
        lists(set, "crl.pem", trust)?;
    }
    for partner in credentials.federated.iter().filter(|partner| !partner.bundle.x509_authorities().is_empty()) {
        // Their ends differ, so that no partner's name makes one file of two: `a` and `a.crl` may both be trust domains.
        let trust_domain = partner.bundle.trust_domain();
        let Ok(name) = format!("federated/{trust_domain}.pem").parse::<FileName>() else {
            continue;
        };
        set.add(name, false, roots(partner));
        lists(set, &format!("federated/{trust_domain}.crl"), partner)?;
    }
    Ok(())
}

fn roots(trust: &DomainTrust<'_>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(trust.bundle.to_pem().into_bytes())
}

fn lists(set: &mut Set, name: &str, trust: &DomainTrust<'_>) -> Result<(), ParseFileNameError> {
    if trust.crls.is_empty() {
        return Ok(());
    }
    set.public(name, pem(CRL, trust.crls.iter().copied()))
}

fn der(set: &mut Set, credentials: &Credentials<'_>, trust: Option<&DomainTrust<'_>>) -> Result<(), ParseFileNameError> {
    if let Some(trust) = trust {
        numbered(set, "bundle", trust.bundle.x509_ders().map(AsRef::as_ref))?;
        numbered(set, "crl", trust.crls.iter().copied())?;
    }
    let mut chain = credentials.chain.iter().copied();
    let leaf = chain.next().unwrap_or_default();
    numbered(set, "chain", chain)?;
    set.public("svid.der", Zeroizing::new(leaf.to_vec()))?;
    set.secret("svid_key.der", Zeroizing::new(credentials.key.to_vec()))
}

fn numbered<'a>(set: &mut Set, folder: &str, ders: impl Iterator<Item = &'a [u8]>) -> Result<(), ParseFileNameError> {
    for (number, der) in ders.enumerate() {
        set.public(&format!("{folder}/{number}.der"), Zeroizing::new(der.to_vec()))?;
    }
    Ok(())
}

fn of_bundle(set: &mut Set, name: &str, trust: Option<&DomainTrust<'_>>, write: impl FnOnce(&TrustBundle) -> String) -> Result<(), ParseFileNameError> {
    let Some(trust) = trust else { return Ok(()) };
    set.public(name, Zeroizing::new(write(trust.bundle).into_bytes()))
}

fn key_stores(
    set: &mut Set,
    format: Format,
    spec: &FileSetSpec,
    credentials: &Credentials<'_>,
    trust: Option<&DomainTrust<'_>>,
    chance: &mut Chance<'_>,
) -> Result<(), ComposeError> {
    let password = spec.keystore_password.as_ref().ok_or(ComposeError::NoPassword { format })?;
    // Before the stores that it opens.
    if password.is_told() {
        set.secret(PASSWORD_FILE, Zeroizing::new(password.as_str().as_bytes().to_vec()))?;
    }
    if let Some(trust) = trust {
        let trusted: Vec<(String, &[u8])> = trust
            .bundle
            .x509_ders()
            .enumerate()
            .map(|(number, der)| (format!("root-{number}"), der.as_ref()))
            .collect();
        let (name, store) = match format {
            Format::Jks => ("truststore.jks", jks::trust_store(&trusted, password.as_str())?),
            _ => ("truststore.p12", pkcs12::trust_store(&trusted, password.as_str(), chance)?),
        };
        set.public(name, store)?;
    }
    let (name, store) = match format {
        Format::Jks => (
            "keystore.jks",
            jks::key_store(KEY_ALIAS, &credentials.chain, credentials.key, password.as_str(), chance)?,
        ),
        _ => (
            "keystore.p12",
            pkcs12::key_store(KEY_ALIAS, &credentials.chain, credentials.key, password.as_str(), chance)?,
        ),
    };
    set.secret(name, store)?;
    Ok(())
}
