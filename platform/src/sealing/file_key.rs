//! A key source in a file that only its owner can read.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use crate::files::{self, FileError};
use crate::process::effective_uid;

/// What a key file starts with.
const HEADER: &str = "troth-seal-key-1 ";

/// The length of a key file: header, 64 hex digits, line end.
const FILE_LEN: usize = HEADER.len() + 2 * DataKey::LEN + 1;

/// The format version of wrapped keys, part of their associated data.
const WRAP_VERSION: u8 = 1;

/// Bits of a mode that a key file must not have.
const FORBIDDEN_MODE: u32 = 0o177;

/// Whether a key file was made or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// It was made now.
    Created,
    /// It was there.
    Existing,
}

/// A wrapping key in a 0600 file.
pub struct FileKeySource {
    path: PathBuf,
    key: DataKey,
}

impl FileKeySource {
    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// [`KeySourceError`] when it is missing, open to others, someone else's, or no key file.
    pub fn open(path: &Path) -> Result<Self, KeySourceError> {
        // Not to be held up by a pipe that stands in for the file.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(KeySourceError::Missing { path: path.to_owned() }),
            Err(source) => {
                return Err(FileError::Io {
                    action: "open",
                    path: path.to_owned(),
                    source,
                }
                .into());
            }
        };
        check_private(&file, path)?;
        let text = files::read_secret_from(file, path, FILE_LEN).map_err(|error| match error {
            FileError::TooLong { path, .. } => KeySourceError::Malformed { path },
            other => other.into(),
        })?;
        let key = parse(&text).ok_or_else(|| KeySourceError::Malformed { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), key })
    }

    /// Makes a key file at `path`, or reads the one that is there: an existing file is never overwritten.
    ///
    /// # Errors
    /// [`KeySourceError`].
    pub fn create_or_open(path: &Path) -> Result<(Self, Provenance), KeySourceError> {
        match Self::open(path) {
            Err(KeySourceError::Missing { .. }) => {}
            other => return other.map(|source| (source, Provenance::Existing)),
        }
        let key = DataKey::generate()?;
        if files::create_durable(path, render(&key).as_bytes(), 0o600)? {
            return Ok((Self { path: path.to_owned(), key }, Provenance::Created));
        }
        // Someone else made it in between: theirs counts.
        Self::open(path).map(|source| (source, Provenance::Existing))
    }

    /// Returns where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl KeySource for FileKeySource {
    fn wrap(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, KeySourceError> {
        envelope::seal(&self.key, &[b"troth-data-key", &[WRAP_VERSION], context.as_bytes()], key.expose()).map_err(|_| KeySourceError::Wrap)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<DataKey, KeySourceError> {
        envelope::open(&self.key, &[b"troth-data-key", &[WRAP_VERSION], context.as_bytes()], wrapped)
            .ok()
            .and_then(|octets| DataKey::from_slice(&octets))
            .ok_or_else(|| KeySourceError::DoesNotFit { source_name: self.describe() })
    }

    fn describe(&self) -> String {
        format!("the file {}", self.path.display())
    }
}

impl std::fmt::Debug for FileKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileKeySource").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Looks at the file that was opened, not at its name, which may mean another by now.
fn check_private(file: &File, path: &Path) -> Result<(), KeySourceError> {
    let metadata = file.metadata().map_err(|source| FileError::Io {
        action: "look at",
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(KeySourceError::Malformed { path: path.to_owned() });
    }
    let own = effective_uid();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(KeySourceError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            own,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & FORBIDDEN_MODE != 0 {
        return Err(KeySourceError::OpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

fn render(key: &DataKey) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(key.expose()));
    Zeroizing::new(format!("{HEADER}{}\n", *digits))
}

fn parse(text: &[u8]) -> Option<DataKey> {
    let digits = text.strip_prefix(HEADER.as_bytes())?;
    let digits = digits.strip_suffix(b"\n").unwrap_or(digits);
    let mut octets = Zeroizing::new([0; DataKey::LEN]);
    hex::decode_to_slice(digits, &mut *octets).ok()?;
    DataKey::from_slice(&*octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use trust_domains::problem::Coded;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_file_is_made_once_and_then_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        let (first, provenance) = FileKeySource::create_or_open(&path).unwrap();
        assert_eq!(provenance, Provenance::Created);
        let text = std::fs::read(&path).unwrap();
        assert_eq!(text.len(), FILE_LEN);
        let (second, provenance) = FileKeySource::create_or_open(&path).unwrap();
        assert_eq!(provenance, Provenance::Existing);
        assert_eq!(std::fs::read(&path).unwrap(), text);
        let data_key = DataKey::generate().unwrap();
        let wrapped = first.wrap("prod.example", &data_key).unwrap();
        assert_eq!(second.unwrap("prod.example", &wrapped).unwrap().expose(), data_key.expose());
    }

    #[test]
    fn a_data_key_opens_only_with_its_file_and_for_its_trust_domain() {
        let dir = tempfile::tempdir().unwrap();
        let (one, _) = FileKeySource::create_or_open(&dir.path().join("one")).unwrap();
        let (two, _) = FileKeySource::create_or_open(&dir.path().join("two")).unwrap();
        let wrapped = one.wrap("prod.example", &DataKey::generate().unwrap()).unwrap();
        assert!(matches!(two.unwrap("prod.example", &wrapped), Err(KeySourceError::DoesNotFit { .. })));
        assert!(matches!(one.unwrap("test.example", &wrapped), Err(KeySourceError::DoesNotFit { .. })));
        assert!(matches!(one.unwrap("prod.example", &[]), Err(KeySourceError::DoesNotFit { .. })));
    }

    #[test]
    fn a_key_file_that_others_may_touch_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        FileKeySource::create_or_open(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o700, 0o777] {
            set_mode(&path, mode);
            let error = FileKeySource::create_or_open(&path).unwrap_err();
            assert!(
                matches!(error, KeySourceError::OpenToOthers { mode: seen, .. } if seen == mode),
                "{mode:o}: {error}"
            );
            assert!(error.hint().contains("chmod 600"));
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            FileKeySource::open(&path).unwrap();
        }
    }

    #[test]
    fn a_key_file_of_another_user_is_refused() {
        if effective_uid() != 0 {
            return; // Only root can give a file away; root's own files are covered by the other tests.
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        FileKeySource::create_or_open(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        assert!(matches!(
            FileKeySource::open(&path),
            Err(KeySourceError::ForeignOwner { owner: 4711, own: 0, .. })
        ));
    }

    #[test]
    fn what_is_no_key_file_is_refused_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        for content in ["", "troth-seal-key-1 ", "troth-seal-key-1 zz", &"x".repeat(FILE_LEN), &"x".repeat(1 << 20)] {
            std::fs::write(&path, content).unwrap();
            set_mode(&path, 0o600);
            assert!(matches!(FileKeySource::create_or_open(&path), Err(KeySourceError::Malformed { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert!(matches!(
            FileKeySource::open(dir.path()),
            Err(KeySourceError::Malformed { .. } | KeySourceError::File(_))
        ));
    }

    #[test]
    fn a_pipe_in_its_place_does_not_hold_the_process_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(matches!(FileKeySource::open(&path), Err(KeySourceError::Malformed { .. })));
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let error = FileKeySource::open(Path::new("/nonexistent/seal.key")).unwrap_err();
        assert_eq!(error.to_string(), "there is no key file /nonexistent/seal.key");
    }
}
