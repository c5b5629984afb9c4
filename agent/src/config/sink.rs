//! File sinks as they are configured: for an identity whose trust domain may not be known yet.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::file_set::{KeyMode, ParseKeyModeError};
use trust_domains::TrustDomain;
use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;
use trust_domains::spiffe_id::ParseSpiffeIdError;

use super::configured_id::ConfiguredId;
use super::raw::RawSink;
use crate::reload::ReloadHook;
use crate::sinks::{FileSinkConfig, OnWithdraw, ParseOnWithdrawError};

/// One file sink.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// The identity.
    pub id: ConfiguredId,
    /// The directory: an absolute path.
    pub directory: PathBuf,
    /// Whose the files are.
    pub owner: Option<String>,
    /// The group of the files.
    pub group: Option<String>,
    /// The mode of the key.
    pub key_mode: KeyMode,
    /// What happens when the identity is withdrawn.
    pub on_withdraw: OnWithdraw,
    /// What makes the program read the files, in this order.
    pub hooks: Vec<ReloadHook>,
    /// The least time between two reloads for revocation lists alone.
    pub crl_reload_interval: Duration,
}

/// A sink is not complete.
#[derive(Debug, thiserror::Error)]
pub enum ParseSinkError {
    /// The directory.
    #[error("the directory {directory:?} is not an absolute path")]
    Directory {
        /// What was given.
        directory: String,
    },
    /// The identity.
    #[error("the identity is neither a SPIFFE ID nor a path: {0}")]
    Id(#[from] ParseSpiffeIdError),
    /// The mode.
    #[error(transparent)]
    Mode(#[from] ParseKeyModeError),
    /// The flag has no `=`.
    #[error("a sink has the form ID=DIR")]
    NoDirectory,
    /// The word.
    #[error(transparent)]
    OnWithdraw(#[from] ParseOnWithdrawError),
}

impl FromStr for SinkConfig {
    type Err = ParseSinkError;

    /// Reads `ID=DIR`; a relative directory is one below where the process was started.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, directory) = text.split_once('=').ok_or(ParseSinkError::NoDirectory)?;
        let invalid = || ParseSinkError::Directory {
            directory: directory.to_owned(),
        };
        let directory = std::path::absolute(directory).map_err(|_| invalid())?;
        Ok(Self {
            id: id.parse()?,
            directory,
            owner: None,
            group: None,
            key_mode: KeyMode::default(),
            on_withdraw: OnWithdraw::default(),
            hooks: Vec::new(),
            crl_reload_interval: DEFAULT_LISTS_INTERVAL,
        })
    }
}

impl SinkConfig {
    /// Reads a table of the file, in which a directory is absolute: where the process is started is no part of the file.
    pub(super) fn of_table(table: &RawSink) -> Result<Self, ParseSinkError> {
        let directory = Path::new(&table.directory);
        if !directory.is_absolute() {
            return Err(ParseSinkError::Directory {
                directory: table.directory.clone(),
            });
        }
        Ok(Self {
            id: table.spiffe_id.parse()?,
            directory: directory.components().collect(),
            owner: table.owner.clone(),
            group: table.group.clone(),
            key_mode: table.mode.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            on_withdraw: table.on_withdraw.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            // Read beside, so that each of their mistakes has its own key.
            hooks: Vec::new(),
            crl_reload_interval: DEFAULT_LISTS_INTERVAL,
        })
    }

    /// Returns the sink in the trust domain that the agent joined.
    ///
    /// # Errors
    /// The identity is of another one.
    pub fn resolve(&self, trust_domain: &TrustDomain) -> Result<FileSinkConfig, ParseSpiffeIdError> {
        Ok(FileSinkConfig {
            spiffe_id: self.id.expand(trust_domain)?,
            directory: self.directory.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            key_mode: self.key_mode,
            on_withdraw: self.on_withdraw,
            hooks: self.hooks.clone(),
            crl_reload_interval: self.crl_reload_interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_names_the_identity_and_the_directory() {
        let sink: SinkConfig = "spiffe://td.example/web=/etc/web=x".parse().unwrap();
        assert_eq!(
            (sink.id.to_string().as_str(), sink.directory.as_path()),
            ("spiffe://td.example/web", Path::new("/etc/web=x"))
        );
        let sink: SinkConfig = "/web=svid".parse().unwrap();
        assert!(sink.directory.is_absolute());
        for wrong in ["", "/web", "web=/x", "spiffe://TD/web=/x", "/web="] {
            assert!(wrong.parse::<SinkConfig>().is_err(), "{wrong}");
        }
    }
}
