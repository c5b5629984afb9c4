//! A key source that systemd hands over: `LoadCredential=` or `LoadCredentialEncrypted=` (systemd.exec(5)).

use std::path::{Component, Path, PathBuf};

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use super::kind::KeySourceKind;
use super::secret_file::{self, Readers};

/// What says where the credentials of a service are.
pub const DIRECTORY_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The least that a credential holds: as much as the key that is made of it.
pub const SHORTEST_CREDENTIAL: usize = DataKey::LEN;

/// The longest credential that is read.
const LONGEST_CREDENTIAL: usize = 4_096;

/// What the wrapping key is made for.
const PURPOSE: &[u8] = b"troth credential key 1";

/// A wrapping key made of a credential's octets.
pub struct CredentialKeySource {
    name: String,
    key: DataKey,
}

impl CredentialKeySource {
    /// Reads the credential of this name from the directory that systemd made for this service.
    ///
    /// # Errors
    /// [`KeySourceError`] when there is no such directory or credential, others can read it, or it is too short to be a key.
    pub fn open(name: &str) -> Result<Self, KeySourceError> {
        let directory = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = directory.ok_or_else(|| KeySourceError::NoCredentials { name: name.to_owned() })?;
        Self::open_in(&directory, name)
    }

    fn open_in(directory: &Path, name: &str) -> Result<Self, KeySourceError> {
        let path = directory.join(name);
        let octets = secret_file::read(&path, Readers::OwnerAndAccessList, LONGEST_CREDENTIAL)?;
        if octets.len() < SHORTEST_CREDENTIAL {
            return Err(KeySourceError::CredentialShort {
                path,
                least: SHORTEST_CREDENTIAL,
                actual: octets.len(),
            });
        }
        let key = wrapping_key(&octets).ok_or(KeySourceError::Wrap)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Returns whether a text can name a credential: one part of a path.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let mut parts = Path::new(name).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
    }
}

/// HKDF, so that whatever the credential's form, the key is of all its octets.
fn wrapping_key(octets: &[u8]) -> Option<DataKey> {
    let mut key = Zeroizing::new([0; DataKey::LEN]);
    let pseudo_random = Salt::new(HKDF_SHA256, b"").extract(octets);
    pseudo_random.expand(&[PURPOSE], HKDF_SHA256).ok()?.fill(&mut *key).ok()?;
    DataKey::from_slice(&*key)
}

impl KeySource for CredentialKeySource {
    fn wrap(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, KeySourceError> {
        envelope::seal(&self.key, &associated(context), key.expose()).map_err(|_| KeySourceError::Wrap)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<DataKey, KeySourceError> {
        envelope::open(&self.key, &associated(context), wrapped)
            .ok()
            .and_then(|octets| DataKey::from_slice(&octets))
            .ok_or_else(|| KeySourceError::DoesNotFit { source_name: self.describe() })
    }

    fn kind(&self) -> KeySourceKind {
        KeySourceKind::Credential
    }

    fn describe(&self) -> String {
        format!("the credential {}", self.name)
    }
}

fn associated(context: &str) -> [&[u8]; 2] {
    [b"troth-data-key-credential", context.as_bytes()]
}

impl std::fmt::Debug for CredentialKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialKeySource").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn directory(octets: &[u8], mode: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal");
        std::fs::write(&path, octets).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    #[test]
    fn the_same_octets_open_and_others_do_not() {
        let (one, same, other) = (directory(&[1; 32], 0o400), directory(&[1; 32], 0o400), directory(&[2; 32], 0o400));
        let open = |directory: &tempfile::TempDir| CredentialKeySource::open_in(directory.path(), "seal").unwrap();
        let key = DataKey::generate().unwrap();
        let wrapped = open(&one).wrap("prod.example", &key).unwrap();
        assert_eq!(open(&same).unwrap("prod.example", &wrapped).unwrap().expose(), key.expose());
        open(&other).unwrap("prod.example", &wrapped).unwrap_err();
        open(&same).unwrap("test.example", &wrapped).unwrap_err();
    }

    #[test]
    fn the_modes_that_systemd_gives_are_taken_and_those_that_let_others_in_are_not() {
        for mode in [0o400, 0o440, 0o600, 0o640] {
            CredentialKeySource::open_in(directory(&[1; 32], mode).path(), "seal").unwrap();
        }
        for mode in [0o444, 0o404, 0o660, 0o602, 0o777] {
            let refused = CredentialKeySource::open_in(directory(&[1; 32], mode).path(), "seal").unwrap_err();
            assert!(matches!(refused, KeySourceError::OpenToOthers { .. }), "{mode:o}: {refused}");
        }
    }

    #[test]
    fn what_is_too_short_for_a_key_is_refused() {
        let refused = CredentialKeySource::open_in(directory(&[1; 31], 0o400).path(), "seal").unwrap_err();
        assert!(matches!(refused, KeySourceError::CredentialShort { actual: 31, .. }), "{refused}");
        let missing = CredentialKeySource::open_in(directory(&[1; 32], 0o400).path(), "other").unwrap_err();
        assert!(matches!(missing, KeySourceError::Missing { .. }), "{missing}");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_directory() {
        assert!(CredentialKeySource::is_name("seal.key"));
        for name in ["", ".", "..", "a/b", "/etc/passwd", "../x", "a/"] {
            assert!(!CredentialKeySource::is_name(name), "{name}");
        }
    }
}
