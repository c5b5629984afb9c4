//! What a file sink is told.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use platform::file_set::{KeyMode, Layout};
use serde::{Deserialize, Serialize};
use trust_domains::delivery::{Format, TokenName};
use trust_domains::{SpiffeId, TrustDomain};

use crate::jwt_svids::Audience;
use crate::reload::ReloadHook;

/// Where an identity goes, and whose the files are.
#[derive(Debug, Clone)]
pub struct FileSinkConfig {
    /// The identity: any entry of this node with this ID.
    pub spiffe_id: SpiffeId,
    /// The directory, an absolute path. It is made if only its last part is missing.
    pub directory: PathBuf,
    /// How the files lie in it.
    pub layout: Layout,
    /// The user whose the files are, by name or number; the agent's own when absent.
    pub owner: Option<String>,
    /// The group whose the files are, by name or number; the agent's own when absent.
    pub group: Option<String>,
    /// The mode of the key.
    pub key_mode: KeyMode,
    /// What the files hold.
    pub contents: SinkContents,
    /// What happens to the files when the identity is withdrawn.
    pub on_withdraw: OnWithdraw,
    /// What makes the program read the files, in this order.
    pub hooks: Vec<ReloadHook>,
    /// How often at most a change of revocation lists alone makes the hooks run.
    pub crl_reload_interval: Duration,
}

/// What the files of a sink hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkContents {
    /// In which formats.
    pub formats: Vec<Format>,
    /// Whose roots and lists the trust files hold; those of the own trust domain when absent.
    pub trust_domain: Option<TrustDomain>,
    /// The tokens.
    pub tokens: Vec<SinkToken>,
    /// The file with the password of key stores; one is generated when absent.
    pub keystore_password_file: Option<PathBuf>,
}

impl SinkContents {
    /// Returns whether revocation lists are among the files, where there are any.
    #[must_use]
    pub fn has_lists(&self) -> bool {
        self.formats.iter().any(|format| format.has_lists())
    }

    /// Returns whether each partner has files of its own among them.
    #[must_use]
    pub fn has_partners(&self) -> bool {
        self.formats.iter().any(|format| format.has_partners())
    }
}

/// A token that a sink keeps fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkToken {
    /// What it is called.
    pub name: TokenName,
    /// Whom it is for.
    pub audience: Audience,
}

impl Default for SinkContents {
    /// PEM, of the own trust domain.
    fn default() -> Self {
        Self {
            formats: vec![Format::Pem],
            trust_domain: None,
            tokens: Vec::new(),
            keystore_password_file: None,
        }
    }
}

/// What happens to the files when no entry of this node has the identity any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWithdraw {
    /// They stay until they are useless by themselves.
    Keep,
    /// They are removed.
    #[default]
    Remove,
}

/// The text is neither `remove` nor `keep`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is neither remove nor keep")]
pub struct ParseOnWithdrawError {
    /// What was given.
    pub presented: String,
}

impl FromStr for OnWithdraw {
    type Err = ParseOnWithdrawError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "keep" => Ok(Self::Keep),
            "remove" => Ok(Self::Remove),
            _ => Err(ParseOnWithdrawError { presented: text.to_owned() }),
        }
    }
}

impl fmt::Display for OnWithdraw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_forms_of_on_withdraw_round_trip() {
        for value in [OnWithdraw::Keep, OnWithdraw::Remove] {
            assert_eq!(value.to_string().parse(), Ok(value));
        }
        assert!("delete".parse::<OnWithdraw>().is_err());
    }
}
