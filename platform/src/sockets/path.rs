//! The place of a Unix socket.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use trust_domains::problem::{Code, Coded};

use crate::files::parent;

/// The longest path: `sun_path` of `sockaddr_un` has 108 octets and ends in a zero (unix(7)).
pub const LONGEST_SOCKET_PATH: usize = 107;

/// The path of a Unix socket, given as a path or as a `unix:` URI (WAPI: SPIFFE Workload Endpoint section 4). Always valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketPath(String);

impl SocketPath {
    /// Takes a path.
    ///
    /// # Errors
    /// [`ParseSocketPathError`].
    pub fn new(path: &Path) -> Result<Self, ParseSocketPathError> {
        check(path.to_str().ok_or(ParseSocketPathError::NotText)?)
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Returns its directory as an absolute path without `.` and `..`; links are not followed, so two directories may be one under different paths.
    ///
    /// # Errors
    /// The path is relative and the current directory cannot be named.
    pub fn absolute_directory(&self) -> io::Result<PathBuf> {
        let absolute = std::path::absolute(parent(self.path()))?;
        let mut directory = PathBuf::new();
        for component in absolute.components() {
            match component {
                Component::ParentDir => {
                    directory.pop();
                }
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => directory.push(component),
            }
        }
        Ok(directory)
    }

    /// Returns the form that `SPIFFE_ENDPOINT_SOCKET` has, for an absolute path.
    #[must_use]
    pub fn to_uri(&self) -> String {
        format!("unix://{}", self.0)
    }
}

impl std::str::FromStr for SocketPath {
    type Err = ParseSocketPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("unix:") else {
            return match text.split_once("://") {
                Some((scheme, _)) => Err(ParseSocketPathError::OtherScheme { scheme: scheme.to_owned() }),
                None => check(text),
            };
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(ParseSocketPathError::UriNotAbsolute);
        }
        if path.contains(['?', '#']) {
            return Err(ParseSocketPathError::UriWithQuery);
        }
        check(path)
    }
}

fn check(path: &str) -> Result<SocketPath, ParseSocketPathError> {
    if path.is_empty() || path.ends_with('/') {
        return Err(ParseSocketPathError::Empty);
    }
    if path.contains('\0') {
        return Err(ParseSocketPathError::NotText);
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(ParseSocketPathError::TooLong { length: path.len() });
    }
    Ok(SocketPath(path.to_owned()))
}

impl std::fmt::Display for SocketPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SocketPath> for String {
    fn from(path: SocketPath) -> Self {
        path.0
    }
}

impl From<SocketPath> for PathBuf {
    fn from(path: SocketPath) -> Self {
        path.0.into()
    }
}

impl TryFrom<String> for SocketPath {
    type Error = ParseSocketPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A text does not name a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSocketPathError {
    /// There is no file name.
    #[error("the socket path names no file")]
    Empty,
    /// It is not UTF-8, or has a zero octet.
    #[error("the socket path is not text")]
    NotText,
    /// It is the URI of something else.
    #[error("the socket is named with {scheme}://; only a path or unix:// is known")]
    OtherScheme {
        /// The scheme.
        scheme: String,
    },
    /// The kernel could not hold it.
    #[error("the socket path has {length} bytes; the system takes at most {LONGEST_SOCKET_PATH}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// A URI names an absolute path.
    #[error("a unix:// socket needs an absolute path: unix:///run/troth/workload.sock")]
    UriNotAbsolute,
    /// A URI of a socket has neither query nor fragment.
    #[error("a unix:// socket has no query and no fragment")]
    UriWithQuery,
}

impl Coded for ParseSocketPathError {
    fn code(&self) -> Code {
        Code::SocketUnsafe
    }

    fn hint(&self) -> String {
        match self {
            Self::TooLong { .. } => "choose a shorter directory".to_owned(),
            _ => "write it as /run/troth/workload.sock or unix:///run/troth/workload.sock".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {

    use conformance::covers;

    use super::*;
    use proptest::prelude::*;

    #[covers("EP-08")]
    #[test]
    fn a_path_and_a_uri_name_the_same_socket() {
        for text in ["/run/troth/w.sock", "unix:///run/troth/w.sock", "unix:/run/troth/w.sock"] {
            assert_eq!(text.parse::<SocketPath>().unwrap().path(), Path::new("/run/troth/w.sock"), "{text}");
        }
        assert_eq!("w.sock".parse::<SocketPath>().unwrap().path(), Path::new("w.sock"));
    }

    #[covers("EP-08")]
    #[test]
    fn what_names_no_unix_socket_is_refused() {
        use ParseSocketPathError as E;
        for (text, error) in [
            ("", E::Empty),
            ("/run/troth/", E::Empty),
            ("unix://", E::UriNotAbsolute),
            ("unix://run/w.sock", E::UriNotAbsolute),
            ("unix:w.sock", E::UriNotAbsolute),
            ("unix:///w.sock?x", E::UriWithQuery),
            ("tcp://127.0.0.1:80", E::OtherScheme { scheme: "tcp".to_owned() }),
            ("/a\0b", E::NotText),
        ] {
            assert_eq!(text.parse::<SocketPath>().unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn the_directory_of_a_path_is_absolute_and_has_no_detours() {
        let directory = |text: &str| text.parse::<SocketPath>().unwrap().absolute_directory().unwrap();
        let here = std::env::current_dir().unwrap();
        for (text, expected) in [
            ("/x/run/../run/b.sock", PathBuf::from("/x/run")),
            ("/x/./run//b.sock", PathBuf::from("/x/run")),
            ("/../b.sock", PathBuf::from("/")),
            ("run/b.sock", here.join("run")),
            ("./b.sock", here.clone()),
            ("b.sock", here.clone()),
            ("run/../b.sock", here),
        ] {
            assert_eq!(directory(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_over_107_bytes_is_refused_with_the_reason() {
        let longest = format!("/{}", "a".repeat(106));
        longest.parse::<SocketPath>().unwrap();
        let error = format!("{longest}a").parse::<SocketPath>().unwrap_err();
        assert_eq!(error.to_string(), "the socket path has 108 bytes; the system takes at most 107");
    }

    proptest! {
        #[test]
        fn a_parsed_path_parses_again_to_itself(text in "(unix:)?/{0,3}[a-z./?#:]{0,40}") {
            if let Ok(path) = text.parse::<SocketPath>() {
                prop_assert_eq!(path.to_string().parse::<SocketPath>().ok(), Some(path.clone()));
            }
        }
    }
}
