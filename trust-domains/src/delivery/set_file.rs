//! One file of a set.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::file_name::FileName;

/// One file of a set: what it is called, whether only its owner may read it, and what it holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFile {
    /// Its name in the directory.
    pub name: FileName,
    /// Whether it holds a secret: its mode is that of keys then.
    pub secret: bool,
    /// What it holds.
    pub content: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SetFile {
    /// Leaves the content out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetFile")
            .field("name", &self.name)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_is_never_shown_and_crosses_to_another_process_whole() {
        let file = SetFile {
            name: "svid_key.pem".parse().unwrap(),
            secret: true,
            content: Zeroizing::new(b"hush".to_vec()),
        };
        assert!(!format!("{file:?}").contains("hush") && !format!("{file:?}").contains("104"));
        let crossed: SetFile = serde_json::from_slice(&serde_json::to_vec(&file).unwrap()).unwrap();
        assert_eq!(crossed, file);
    }
}
