//! Rekeying: the data key of the store is wrapped by another key source.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// What shall wrap the data key from now on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RekeyRequest {
    /// The new source, as `--key-source` names it; absent for a new key in the same key file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_source: Option<String>,
    /// The passphrase, where the new source is one: whoever asks has it, the server has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub passphrase: Option<NewPassphrase>,
}

/// A passphrase on its way over the local socket. Wiped on drop, and never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NewPassphrase(Zeroizing<String>);

impl NewPassphrase {
    /// Takes a passphrase.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// Shows it, to what wraps.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassphrase(..)")
    }
}

/// What wraps the data key now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rekeyed {
    /// The source, as `--key-source` names it: what the next start needs.
    pub key_source: String,
    /// What opened the store before and does not any more; absent where it is the same file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
}
