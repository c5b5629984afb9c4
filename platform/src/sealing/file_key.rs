//! A key source in a file that only its owner can read.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use super::kind::KeySourceKind;
use super::secret_file::{self, Readers};
use crate::files;

/// What a key file starts with.
const HEADER: &str = "troth-seal-key-1 ";

/// The length of a line of a key file: header, 64 hex digits, line end. A file has one; more while the key is being replaced.
const LINE_LEN: usize = HEADER.len() + 2 * DataKey::LEN + 1;

/// The format version of wrapped keys, part of their associated data.
const WRAP_VERSION: u8 = 1;

/// The most keys of a file: each beyond the first is of a replacement that was interrupted.
const MOST_KEYS: usize = 4;

/// Whether a key file was made or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// It was made now.
    Created,
    /// It was there.
    Existing,
}

/// A wrapping key in a 0600 file.
///
/// While a key is being replaced the file holds the new one and those before: whichever the store's data key is wrapped by when the machine goes down,
/// the file opens it.
pub struct FileKeySource {
    path: PathBuf,
    /// The one that wraps.
    key: DataKey,
    /// Those before it, which open what they wrapped.
    before: Vec<DataKey>,
}

impl FileKeySource {
    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// [`KeySourceError`] when it is missing, open to others, someone else's, or no key file.
    pub fn open(path: &Path) -> Result<Self, KeySourceError> {
        let text = secret_file::read(path, Readers::Owner, MOST_KEYS * LINE_LEN)?;
        let (key, before) = parse(&text).ok_or_else(|| KeySourceError::Malformed { path: path.to_owned() })?;
        Ok(Self {
            path: path.to_owned(),
            key,
            before,
        })
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
        if files::create_durable(path, &render(&[&key]), 0o600)? {
            let made = Self {
                path: path.to_owned(),
                key,
                before: Vec::new(),
            };
            return Ok((made, Provenance::Created));
        }
        // Someone else made it in between: theirs counts.
        Self::open(path).map(|source| (source, Provenance::Existing))
    }

    /// Makes a new key for the same file, beside the one that is there; it wraps from now on, and either opens.
    ///
    /// # Errors
    /// [`KeySourceError`]; the file is then as it was.
    pub fn begin_replacing(path: &Path) -> Result<Self, KeySourceError> {
        let Self { key: last, before, .. } = Self::open(path)?;
        let before: Vec<DataKey> = [last].into_iter().chain(before).collect();
        if before.len() == MOST_KEYS {
            return Err(KeySourceError::Malformed { path: path.to_owned() });
        }
        let key = DataKey::generate()?;
        let keys: Vec<&DataKey> = [&key].into_iter().chain(&before).collect();
        files::write_durable(path, &render(&keys), 0o600)?;
        Ok(Self {
            path: path.to_owned(),
            key,
            before,
        })
    }

    /// Forgets the keys before, once nothing is wrapped by them any more.
    ///
    /// # Errors
    /// [`KeySourceError`]; the file then still opens.
    pub fn end_replacing(path: &Path) -> Result<(), KeySourceError> {
        let Self { key, before, .. } = Self::open(path)?;
        match before.is_empty() {
            false => Ok(files::write_durable(path, &render(&[&key]), 0o600)?),
            true => Ok(()),
        }
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
        [&self.key]
            .into_iter()
            .chain(&self.before)
            .find_map(|key| envelope::open(key, &[b"troth-data-key", &[WRAP_VERSION], context.as_bytes()], wrapped).ok())
            .and_then(|octets| DataKey::from_slice(&octets))
            .ok_or_else(|| KeySourceError::DoesNotFit { source_name: self.describe() })
    }

    fn kind(&self) -> KeySourceKind {
        KeySourceKind::File
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

fn render(keys: &[&DataKey]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(keys.len() * LINE_LEN));
    for key in keys {
        let mut digits = Zeroizing::new([0; 2 * DataKey::LEN]);
        text.extend_from_slice(HEADER.as_bytes());
        // The length is that of the digits: it cannot fail.
        let _ = hex::encode_to_slice(key.expose(), &mut *digits);
        text.extend_from_slice(&*digits);
        text.push(b'\n');
    }
    text
}

/// Reads the key that wraps, and those before it.
fn parse(text: &[u8]) -> Option<(DataKey, Vec<DataKey>)> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut keys = text.split(|octet| *octet == b'\n').map(parse_line);
    let first = keys.next()??;
    Some((first, keys.collect::<Option<_>>()?))
}

fn parse_line(line: &[u8]) -> Option<DataKey> {
    let digits = line.strip_prefix(HEADER.as_bytes())?;
    let mut octets = Zeroizing::new([0; DataKey::LEN]);
    hex::decode_to_slice(digits, &mut *octets).ok()?;
    DataKey::from_slice(&*octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::effective_uid;
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
        assert_eq!(text.len(), LINE_LEN);
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
    fn while_a_key_is_replaced_the_file_opens_what_either_wrapped_and_afterwards_the_new_one_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        let data_key = DataKey::generate().unwrap();
        let (first, _) = FileKeySource::create_or_open(&path).unwrap();
        let by_first = first.wrap("x", &data_key).unwrap();
        let by_second = FileKeySource::begin_replacing(&path).unwrap().wrap("x", &data_key).unwrap();
        let between = FileKeySource::open(&path).unwrap();
        between.unwrap("x", &by_first).unwrap();
        between.unwrap("x", &by_second).unwrap();
        first.unwrap("x", &by_second).unwrap_err();
        let by_third = FileKeySource::begin_replacing(&path).unwrap().wrap("x", &data_key).unwrap();
        for wrapped in [&by_first, &by_second, &by_third] {
            FileKeySource::open(&path)
                .unwrap()
                .unwrap("x", wrapped)
                .expect("a replacement that was interrupted loses no key");
        }
        FileKeySource::begin_replacing(&path).unwrap();
        FileKeySource::begin_replacing(&path).unwrap_err();
        let by_second = FileKeySource::open(&path).unwrap().wrap("x", &data_key).unwrap();
        FileKeySource::end_replacing(&path).unwrap();
        FileKeySource::end_replacing(&path).unwrap();
        let after = FileKeySource::open(&path).unwrap();
        after.unwrap("x", &by_first).unwrap_err();
        after.unwrap("x", &by_second).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), LINE_LEN);
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
        for content in ["", "troth-seal-key-1 ", "troth-seal-key-1 zz", &"x".repeat(LINE_LEN), &"x".repeat(1 << 20)] {
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
