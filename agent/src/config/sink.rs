//! File sinks as they are configured: for an identity whose trust domain may not be known yet.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::file_set::{KeyMode, Layout, ParseKeyModeError, ParseLayoutError};
use trust_domains::TrustDomain;
use trust_domains::delivery::{Format, ParseFormatError, ParseTokenNameError, TokenName};
use trust_domains::jwt_svid::AudienceRefused;
use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;
use trust_domains::spiffe_id::ParseSpiffeIdError;

use super::one_trust_domain::OneTrustDomain;
use super::raw::{RawSink, RawSinkToken};
use crate::jwt_svids::Audience;
use crate::reload::ReloadHook;
use crate::sinks::{FileSinkConfig, OnWithdraw, ParseOnWithdrawError, SinkContents, SinkToken};
use trust_domains::ConfiguredId;

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
    /// How the files lie in the directory.
    pub layout: Layout,
    /// What they hold.
    pub contents: SinkContents,
    /// What happens when the identity is withdrawn.
    pub on_withdraw: OnWithdraw,
    /// What makes the program read the files, in this order.
    pub hooks: Vec<ReloadHook>,
    /// How often at most a change of revocation lists alone makes the hooks run.
    pub crl_reload_interval: Duration,
}

/// A sink is not complete.
#[derive(Debug, thiserror::Error)]
pub enum ParseSinkError {
    /// Whom a token is for.
    #[error("the token {name}: {source}")]
    Audience {
        /// The token.
        name: TokenName,
        /// What is wrong.
        source: AudienceRefused,
    },
    /// Neither formats nor tokens.
    #[error("the sink delivers nothing: name formats, or tokens in [[sink.jwt]]")]
    Empty,
    /// A format.
    #[error(transparent)]
    Format(#[from] ParseFormatError),
    /// The layout.
    #[error(transparent)]
    Layout(#[from] ParseLayoutError),
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
    /// The file of the password.
    #[error("the keystore_password_file {path:?} is not an absolute path")]
    PasswordFile {
        /// What was given.
        path: String,
    },
    /// A password that nothing is under.
    #[error("keystore_password_file is of no use without the format pkcs12 or jks")]
    PasswordUnused,
    /// The name of a token.
    #[error(transparent)]
    TokenName(#[from] ParseTokenNameError),
    /// Two tokens have one name.
    #[error("there are two tokens with the name {name}")]
    TokenTwice {
        /// The name.
        name: TokenName,
    },
    /// The trust domain.
    #[error("trust_domain: {0}")]
    TrustDomain(String),
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
            layout: Layout::default(),
            contents: SinkContents::default(),
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
            layout: table.layout.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            contents: contents(table)?,
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
            layout: self.layout,
            contents: self.contents.clone(),
            on_withdraw: self.on_withdraw,
            hooks: self.hooks.clone(),
            crl_reload_interval: self.crl_reload_interval,
        })
    }
}

/// Reads what the files hold.
fn contents(table: &RawSink) -> Result<SinkContents, ParseSinkError> {
    let mut formats = Vec::new();
    for name in table.formats.as_deref().unwrap_or_default() {
        let format = name.parse()?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    if table.formats.is_none() {
        formats = SinkContents::default().formats;
    }
    let tokens = tokens(&table.jwt)?;
    if formats.is_empty() && tokens.is_empty() {
        return Err(ParseSinkError::Empty);
    }
    let trust_domain = table.trust_domain.as_deref().map(str::parse::<OneTrustDomain>).transpose();
    let keystore_password_file = table.keystore_password_file.as_deref().map(password_file).transpose()?;
    if keystore_password_file.is_some() && !formats.iter().any(|format: &Format| format.has_password()) {
        return Err(ParseSinkError::PasswordUnused);
    }
    Ok(SinkContents {
        formats,
        trust_domain: trust_domain.map_err(ParseSinkError::TrustDomain)?.map(|OneTrustDomain(one)| one),
        tokens,
        keystore_password_file,
    })
}

fn tokens(tables: &[RawSinkToken]) -> Result<Vec<SinkToken>, ParseSinkError> {
    let mut tokens: Vec<SinkToken> = Vec::new();
    for table in tables {
        let name: TokenName = table.name.parse()?;
        if tokens.iter().any(|token| token.name == name) {
            return Err(ParseSinkError::TokenTwice { name });
        }
        let audience = Audience::of(table.audiences.clone()).map_err(|source| ParseSinkError::Audience { name: name.clone(), source })?;
        tokens.push(SinkToken { name, audience });
    }
    Ok(tokens)
}

fn password_file(text: &str) -> Result<PathBuf, ParseSinkError> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(ParseSinkError::PasswordFile { path: text.to_owned() })
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

    fn of_toml(rest: &str) -> Result<SinkConfig, ParseSinkError> {
        let text = format!("[[sink]]\nspiffe_id = '/web'\ndirectory = '/etc/web'\n{rest}\n");
        let raw: super::super::RawAgentConfig = toml::from_str(&text).unwrap();
        SinkConfig::of_table(&raw.sink[0])
    }

    #[test]
    fn a_table_says_what_the_files_hold_and_how_they_lie() {
        let whole = "formats = ['pkcs12', 'jks', 'pkcs12']\ntrust_domain = 'partner.test'\nlayout = 'single-files'\nkeystore_password_file = '/etc/web/password'\n\
                     [[sink.jwt]]\nname = 'vault'\naudiences = ['vault.example']\n";
        let sink = of_toml(whole).unwrap();
        assert_eq!(sink.layout, Layout::SingleFiles);
        assert_eq!(sink.contents.formats, [Format::Pkcs12, Format::Jks]);
        assert_eq!(sink.contents.trust_domain.unwrap().as_str(), "partner.test");
        assert_eq!((sink.contents.tokens.len(), sink.contents.keystore_password_file.is_some()), (1, true));

        let plain = of_toml("").unwrap();
        assert_eq!(
            (plain.contents, plain.layout, plain.crl_reload_interval),
            (SinkContents::default(), Layout::Linked, Duration::from_secs(60))
        );
        let tokens_alone = of_toml("formats = []\n[[sink.jwt]]\nname = 'a'\naudiences = ['x']\n").unwrap();
        assert!(tokens_alone.contents.formats.is_empty());
    }

    #[test]
    fn what_cannot_be_delivered_is_refused() {
        let table = [
            ("formats = []", "delivers nothing"),
            ("formats = ['p12']", "no format"),
            ("layout = 'files'", "neither linked"),
            ("trust_domain = 'a.test,b.test'", "[[sink]] of its own"),
            ("keystore_password_file = '/p'", "of no use"),
            ("formats = ['jks']\nkeystore_password_file = 'p'", "absolute"),
            ("[[sink.jwt]]\nname = 'a/b'\naudiences = ['x']", "no name for a token"),
            ("[[sink.jwt]]\nname = 'a'\naudiences = []", "the token a"),
            (
                "[[sink.jwt]]\nname = 'a'\naudiences = ['x']\n[[sink.jwt]]\nname = 'a'\naudiences = ['y']",
                "two tokens",
            ),
        ];
        for (rest, expected) in table {
            let told = of_toml(rest).unwrap_err().to_string();
            assert!(told.contains(expected), "{rest}: {told}");
        }
    }
}
