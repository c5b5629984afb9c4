//! File sinks as they are configured: for an identity whose trust domain may not be known yet.

mod table;

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::config::Mistakes;
use platform::file_set::{KeyMode, Layout};
use trust_domains::configured_id::ParseConfiguredIdError;
use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;
use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::{ConfiguredId, TrustDomain};

use super::raw::RawAgentConfig;
use crate::reload::ReloadHook;
use crate::sinks::{FileSinkConfig, OnWithdraw, SinkContents};

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

/// A sink is not described.
#[derive(Debug, thiserror::Error)]
pub enum ParseSinkError {
    /// The directory.
    #[error("the directory {directory:?} is not an absolute path")]
    Directory {
        /// What was given.
        directory: String,
    },
    /// The directory has no name of its own: what is in it is not the sink's.
    #[error("{directory:?} is no directory for a sink, which has one of its own, as /var/lib/web/svid; and .. depends on links")]
    NoPlace {
        /// What was given.
        directory: String,
    },
    /// The identity.
    #[error("the identity is {0}")]
    Id(#[from] ParseConfiguredIdError),
    /// The flag has no `=`.
    #[error("a sink has the form ID=DIR")]
    NoDirectory,
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
            directory: place(&directory)?,
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

/// Takes a directory of an absolute path, without what names the same place in other words.
fn place(directory: &Path) -> Result<PathBuf, ParseSinkError> {
    let is_named = directory.components().all(|part| !matches!(part, Component::ParentDir));
    match directory.file_name() {
        Some(_) if is_named => Ok(directory.components().collect()),
        _ => Err(ParseSinkError::NoPlace {
            directory: directory.display().to_string(),
        }),
    }
}

impl SinkConfig {
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

/// Reads the sinks of flags and those of the file's tables; no two have a directory in common.
pub(super) fn sinks(mistakes: &mut Mistakes, raw: &RawAgentConfig) -> Vec<SinkConfig> {
    let mut sinks = Vec::new();
    for text in &raw.sinks {
        let sink = mistakes.check("sink", text.parse());
        keep(&mut sinks, sink, |text| mistakes.add("sink", text));
    }
    for (index, table) in raw.sink.iter().enumerate() {
        let mut mistakes = mistakes.within(format!("sink[{index}]"));
        let sink = table::read(&mut mistakes, table);
        keep(&mut sinks, sink, |text| mistakes.add("directory", text));
    }
    sinks
}

fn keep(sinks: &mut Vec<SinkConfig>, sink: Option<SinkConfig>, refuse: impl FnOnce(String)) {
    let Some(sink) = sink else { return };
    match sinks.iter().find(|other| overlap(&other.directory, &sink.directory)) {
        Some(other) => refuse(format!(
            "{} and {} are one directory or lie in each other; each sink has a directory of its own",
            sink.directory.display(),
            other.directory.display()
        )),
        None => sinks.push(sink),
    }
}

fn overlap(one: &Path, two: &Path) -> bool {
    one.starts_with(two) || two.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::super::raw::RawSink;
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
        for wrong in [
            "",
            "/web",
            "web=/x",
            "spiffe://TD/web=/x",
            "/web=",
            "/web=/",
            "/web=/etc/../web",
            "spiffe://td.example=/etc/web",
        ] {
            assert!(wrong.parse::<SinkConfig>().is_err(), "{wrong}");
        }
    }

    fn sinks_of(flags: &[String], tables: &[&str]) -> Result<usize, Vec<String>> {
        let table = |directory: &&str| RawSink {
            spiffe_id: "/web".to_owned(),
            directory: (*directory).to_owned(),
            ..RawSink::default()
        };
        let raw = RawAgentConfig {
            sinks: flags.to_vec(),
            sink: tables.iter().map(table).collect(),
            ..RawAgentConfig::default()
        };
        let mut mistakes = Mistakes::new();
        let sinks = sinks(&mut mistakes, &raw);
        let told = mistakes.finish(None, Some(sinks.len()));
        told.map_err(|told| told.mistakes.into_iter().map(|mistake| mistake.key).collect())
    }

    #[test]
    fn sinks_never_share_a_directory() {
        for (one, two) in [("/etc/a", "/etc/a"), ("/etc/a", "/etc/a/b"), ("/etc/a/b/", "/etc/a")] {
            let flags = [format!("/web={one}"), format!("/db={two}")];
            assert_eq!(sinks_of(&flags, &[]), Err(vec!["sink".to_owned()]), "{one} {two}");
            let within = vec!["sink[0].directory".to_owned()];
            assert_eq!(sinks_of(&flags[..1], &[two]), Err(within), "{one} {two}");
        }
        assert_eq!(sinks_of(&["/web=/etc/a".to_owned(), "/db=/etc/ab".to_owned()], &["/etc/abc"]), Ok(3));
    }
}
