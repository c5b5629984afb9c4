//! The password of a sink's key stores: read from a file, or generated once.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use trust_domains::delivery::KeystorePassword;
use zeroize::Zeroizing;

use super::error::SinkError;

/// The longest file that is taken for a password: eight times the longest password.
const MOST: usize = 4 * 1024;

/// Reads the password in a file; a line break at its end is no part of it.
pub(crate) fn read(path: &Path) -> Result<KeystorePassword, SinkError> {
    let failed = |source| SinkError::PasswordFile { path: path.to_owned(), source };
    let mut octets = Zeroizing::new(Vec::with_capacity(MOST + 1));
    File::open(path)
        .and_then(|file| file.take(MOST as u64 + 1).read_to_end(&mut octets))
        .map_err(failed)?;
    let text = text_of(&octets).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
    KeystorePassword::given(text).map_err(|source| SinkError::Password { path: path.to_owned(), source })
}

/// Takes the password that the set in place tells, so that it stays over restarts; `None` if it cannot be one.
pub(super) fn kept(octets: &[u8]) -> Option<KeystorePassword> {
    KeystorePassword::kept(text_of(octets)?).ok()
}

fn text_of(octets: &[u8]) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(octets).ok().filter(|text| text.len() <= MOST)?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    Some(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_one_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        for (written, read_as) in [
            ("correct horse\n", Some("correct horse")),
            ("correct horse", Some("correct horse")),
            ("a b c d\r\n", Some("a b c d")),
        ] {
            std::fs::write(&file, written).unwrap();
            assert_eq!(read(&file).ok().as_ref().map(KeystorePassword::as_str), read_as, "{written:?}");
        }
        for wrong in [&b""[..], b"short\n", b"two\nlines here\n", b"\xff\xfe\xfd\xfc\xfb\xfa", &[b'a'; 5_000]] {
            std::fs::write(&file, wrong).unwrap();
            let told = read(&file).unwrap_err().text();
            assert!(told.contains("password"), "{told}");
        }
        assert!(matches!(read(&dir.path().join("absent")), Err(SinkError::PasswordFile { .. })));
    }
}
