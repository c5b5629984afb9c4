//! `--key-source`: how a key source is named, and how it is opened.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::{Zeroize as _, Zeroizing};

use super::credential::CredentialKeySource;
use super::file_key::FileKeySource;
use super::key_source::{KeySource, KeySourceError};
use super::kind::{KeySourceKind, UnknownKind};
use super::passphrase::{LONGEST_PASSPHRASE, Passphrase, PassphraseKeySource};
use super::pkcs11_key::Pkcs11KeySource;
use super::prompt;
use super::secret_file::{self, Readers};
use crate::files;
use crate::pkcs11::{ParsePkcs11UriError, Pkcs11Uri};

/// A key source that is open.
pub type SharedKeySource = std::sync::Arc<dyn KeySource>;

/// Where the key that wraps the data key is. It names a place, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySourceSpec {
    /// A credential of this name.
    Credential(String),
    /// A key file.
    File(PathBuf),
    /// A passphrase.
    Passphrase(PassphrasePlace),
    /// A key in a PKCS#11 token.
    Pkcs11(Pkcs11Uri),
}

/// Where a passphrase comes from; never from the command line, where everybody reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphrasePlace {
    /// A file, or a descriptor as `/dev/fd/3`.
    File(PathBuf),
    /// Standard input.
    StandardInput,
    /// A person at the terminal.
    Terminal,
}

/// Why a source is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// To open what it wrapped: nothing is made.
    Existing,
    /// To wrap a data key that is new to it: a missing key file or token key is made, a passphrase is asked for twice.
    New,
}

/// A text names no key source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeySourceError {
    /// A key source and a key file are named.
    #[error("key_source and key_file are one option: name one of them")]
    BothNamed,
    /// The name of a credential is no name.
    #[error("{name:?} is no credential's name: credential:NAME, one part of a path")]
    CredentialName {
        /// What was there.
        name: String,
    },
    /// No path follows.
    #[error("there is no path after file:")]
    NoPath,
    /// The URI is not usable.
    #[error(transparent)]
    Uri(#[from] ParsePkcs11UriError),
    /// It begins with another word.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
}

impl FromStr for KeySourceSpec {
    type Err = ParseKeySourceError;

    fn from_str(text: &str) -> Result<Self, ParseKeySourceError> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        match (word.parse()?, rest) {
            (KeySourceKind::Credential, Some(name)) if CredentialKeySource::is_name(name) => Ok(Self::Credential(name.to_owned())),
            (KeySourceKind::Credential, name) => Err(ParseKeySourceError::CredentialName {
                name: name.unwrap_or_default().to_owned(),
            }),
            (KeySourceKind::File, None | Some("")) => Err(ParseKeySourceError::NoPath),
            (KeySourceKind::File, Some(path)) => Ok(Self::File(path.into())),
            (KeySourceKind::Passphrase, None | Some("")) => Ok(Self::Passphrase(PassphrasePlace::Terminal)),
            (KeySourceKind::Passphrase, Some("-")) => Ok(Self::Passphrase(PassphrasePlace::StandardInput)),
            (KeySourceKind::Passphrase, Some(path)) => Ok(Self::Passphrase(PassphrasePlace::File(path.into()))),
            (KeySourceKind::Pkcs11, _) => Ok(Self::Pkcs11(text.parse()?)),
        }
    }
}

impl fmt::Display for KeySourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Passphrase(PassphrasePlace::File(path)) => write!(f, "passphrase:{}", path.display()),
            Self::Passphrase(PassphrasePlace::StandardInput) => f.write_str("passphrase:-"),
            Self::Passphrase(PassphrasePlace::Terminal) => f.write_str("passphrase"),
            Self::Pkcs11(uri) => uri.fmt(f),
        }
    }
}

impl KeySourceSpec {
    /// Returns the source that is configured: by `key_source`, else the key file, else that of the default place.
    ///
    /// # Errors
    /// Both are named, or the text names no source.
    pub fn configured(key_source: Option<&str>, key_file: Option<&Path>, default: impl FnOnce() -> PathBuf) -> Result<Self, ParseKeySourceError> {
        match (key_source, key_file) {
            (Some(_), Some(_)) => Err(ParseKeySourceError::BothNamed),
            (Some(text), None) => text.parse(),
            (None, Some(file)) => Ok(Self::File(file.to_owned())),
            (None, None) => Ok(Self::File(default())),
        }
    }

    /// Returns which kind of source it names.
    #[must_use]
    pub const fn kind(&self) -> KeySourceKind {
        match self {
            Self::Credential(_) => KeySourceKind::Credential,
            Self::File(_) => KeySourceKind::File,
            Self::Passphrase(_) => KeySourceKind::Passphrase,
            Self::Pkcs11(_) => KeySourceKind::Pkcs11,
        }
    }

    /// Returns the key file, if it is one.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Credential(_) | Self::Passphrase(_) | Self::Pkcs11(_) => None,
        }
    }

    /// Makes the paths in it absolute: it may be used by a process that started elsewhere.
    ///
    /// # Errors
    /// The current directory cannot be read.
    pub fn absolute(self) -> std::io::Result<Self> {
        Ok(match self {
            Self::File(path) => Self::File(std::path::absolute(path)?),
            Self::Passphrase(PassphrasePlace::File(path)) => Self::Passphrase(PassphrasePlace::File(std::path::absolute(path)?)),
            other => other,
        })
    }

    /// Opens the source. This reads files, may wait for a person or a token, and blocks its thread meanwhile.
    ///
    /// # Errors
    /// [`KeySourceError`].
    pub fn open(&self, opening: Opening) -> Result<SharedKeySource, KeySourceError> {
        Ok(match (self, opening) {
            (Self::Credential(name), _) => std::sync::Arc::new(CredentialKeySource::open(name)?),
            (Self::File(path), Opening::Existing) => std::sync::Arc::new(FileKeySource::open(path)?),
            (Self::File(path), Opening::New) => std::sync::Arc::new(FileKeySource::create_or_open(path)?.0),
            (Self::Passphrase(place), _) => std::sync::Arc::new(PassphraseKeySource::new(place.read(opening)?)),
            (Self::Pkcs11(uri), _) => std::sync::Arc::new(Pkcs11KeySource::open(uri, opening)?),
        })
    }
}

impl PassphrasePlace {
    /// Reads the passphrase, once; a new one that is typed is asked for twice.
    ///
    /// # Errors
    /// [`KeySourceError`].
    pub fn read(&self, opening: Opening) -> Result<Passphrase, KeySourceError> {
        match (self, opening) {
            (Self::File(path), _) => Passphrase::new(&read_passphrase(path)?),
            (Self::StandardInput, _) => Passphrase::new(&first_line_of_input()?),
            (Self::Terminal, Opening::Existing) => prompt::ask("passphrase: "),
            (Self::Terminal, Opening::New) => prompt::ask_new(),
        }
    }
}

/// A regular file must be closed to others; a descriptor or a pipe is whoever's it was that opened it.
fn read_passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
    let longest = LONGEST_PASSPHRASE + 2;
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() && !facts.is_dir() => Ok(files::read_secret(path, longest)?),
        _ => secret_file::read(path, Readers::Owner, longest),
    }
}

/// Reads one line, octet by octet, so that what follows is left to whoever reads on.
fn first_line_of_input() -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_PASSPHRASE + 2));
    let mut input = std::io::stdin().lock();
    let mut next = [0];
    while line.len() < LONGEST_PASSPHRASE + 2 && input.read(&mut next)? == 1 && next != *b"\n" {
        line.extend_from_slice(&next);
    }
    next.zeroize();
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sealing::DataKey;

    #[test]
    fn a_key_file_is_the_default_and_the_short_form_and_not_beside_a_source() {
        let default = || PathBuf::from("/default");
        let configured = |source: Option<&str>, file: Option<&str>| KeySourceSpec::configured(source, file.map(Path::new), default);
        assert_eq!(configured(None, None), Ok(KeySourceSpec::File("/default".into())));
        assert_eq!(configured(None, Some("/k")), configured(Some("file:/k"), None));
        assert_eq!(configured(Some("passphrase"), Some("/k")), Err(ParseKeySourceError::BothNamed));
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        let forms = [
            "file:/etc/troth/seal.key",
            "passphrase",
            "passphrase:-",
            "passphrase:/run/secrets/troth",
            "credential:troth.seal",
            "pkcs11:token=troth;object=seal?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/troth/pin",
        ];
        for form in forms {
            let spec: KeySourceSpec = form.parse().unwrap();
            assert_eq!(spec.to_string(), form);
        }
    }

    #[test]
    fn what_names_no_source_is_refused_with_the_forms_there_are() {
        for (text, expected) in [
            ("", "is no kind of key source"),
            ("/etc/troth/seal.key", "file:PATH"),
            ("file", "no path after file:"),
            ("file:", "no path after file:"),
            ("credential", "no credential's name"),
            ("credential:../x", "no credential's name"),
            ("tpm:1", "is no kind of key source"),
        ] {
            let error = text.parse::<KeySourceSpec>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_passphrase_of_a_file_opens_what_it_wrapped_and_its_file_must_be_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passphrase");
        std::fs::write(&path, "correct horse battery\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let spec = KeySourceSpec::Passphrase(PassphrasePlace::File(path.clone()));
        let wrapped = spec.open(Opening::New).unwrap().wrap_key("x", &DataKey::generate().unwrap()).unwrap();
        assert_eq!(wrapped.kind, KeySourceKind::Passphrase);
        spec.open(Opening::Existing).unwrap().unwrap_key("x", &wrapped).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(spec.open(Opening::Existing), Err(KeySourceError::OpenToOthers { .. })));
    }

    #[test]
    fn the_wrong_kind_of_source_is_told_which_option_is_right() {
        let directory = tempfile::tempdir().unwrap();
        let spec = KeySourceSpec::File(directory.path().join("key"));
        let wrapped = spec.open(Opening::New).unwrap().wrap_key("x", &DataKey::generate().unwrap()).unwrap();
        let other = PassphraseKeySource::new(Passphrase::new(b"correct horse battery").unwrap());
        let error = (&other as &dyn KeySource).unwrap_key("x", &wrapped).unwrap_err();
        assert!(matches!(error, KeySourceError::OtherKind { .. }));
        assert!(trust_domains::problem::Coded::hint(&error).contains("--key-source file:PATH"));
    }
}
