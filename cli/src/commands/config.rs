//! `troth config`: checks configuration files.

use std::path::{Path, PathBuf};

use agent::config::{AgentConfig, RawAgentConfig};
use ca_server::config::{RawServerConfig, ServerConfig};
use clap::{Args, Subcommand};
use platform::paths::Environment;
use serde::Serialize;
use sidecar::proxy::{ProxyConfig, RawProxyConfig};

use crate::args::Global;
use crate::failure::{Failure, usage};
use crate::output::{Format, Output};

/// Checks configuration files.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks a file whole: names every mistake at once with its line, warns of what it needs and this machine lacks, and changes nothing.
    Check(CheckArgs),
}

/// Checks a file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth config check /etc/troth/server.toml")]
pub(crate) struct CheckArgs {
    /// The file.
    file: PathBuf,
    /// Whose configuration it is [default: by the file's name, or by a table that only one of them has, as [[sink]]].
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The agent's.
    Agent,
    /// The proxy's.
    Proxy,
    /// The server's.
    Server,
}

#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    kind: Kind,
    ok: bool,
    /// What the file names and this machine lacks.
    lacking: Vec<Lacking>,
}

/// A user, file or program that the configuration needs: it is valid without, and fails at run time.
#[derive(Serialize)]
struct Lacking {
    line: Option<usize>,
    key: String,
    text: String,
}

/// Checks a file.
pub(crate) fn run(command: ConfigCommand, global: &Global) -> Result<(), Failure> {
    let ConfigCommand::Check(args) = command;
    let kind = args
        .kind
        .or_else(|| kind_by_name(&args.file))
        .or_else(|| kind_by_tables(&args.file))
        .ok_or_else(|| {
            usage(format!("{} may be a server's, an agent's or a proxy's configuration", args.file.display()))
                .with_hint("say which: troth config check FILE --kind server")
        })?;
    if !args.file.is_file() {
        return Err(usage(format!("there is no file {}", args.file.display())).with_hint("check the path"));
    }
    let lacking = match kind {
        Kind::Agent => check_agent(&args.file)?,
        Kind::Proxy => {
            let draft = RawProxyConfig::read(&args.file).map_err(|error| Failure::of(&error))?;
            draft.finish_alone(ProxyConfig::new).map_err(|error| Failure::of(&error))?;
            Vec::new()
        }
        Kind::Server => {
            let draft = RawServerConfig::read(Some(&args.file)).map_err(|error| Failure::of(&error))?;
            let checked = draft.finish_alone(|raw| ServerConfig::new(raw, &Environment::of_process()));
            checked.map_err(|error| Failure::of(&error))?;
            Vec::new()
        }
    };
    tell(
        &Checked {
            file: args.file,
            kind,
            ok: true,
            lacking,
        },
        global.output(),
    )
}

fn check_agent(file: &Path) -> Result<Vec<Lacking>, Failure> {
    let draft = RawAgentConfig::read(Some(file)).map_err(|error| Failure::of(&error))?;
    let lines = draft.lines().clone();
    let checked = draft.finish_alone(|raw| AgentConfig::new(raw, &Environment::of_process()));
    let config = checked.map_err(|error| Failure::of(&error))?;
    let lacking = agent::config::lacking(&config.sinks).into_iter();
    let lacking = lacking.map(|lack| Lacking {
        line: lines.of(&lack.key),
        key: lack.key,
        text: lack.text,
    });
    Ok(lacking.collect())
}

fn tell(checked: &Checked, output: Output) -> Result<(), Failure> {
    if output.format == Format::Text {
        for lack in &checked.lacking {
            let line = lack.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            output.warn(&format!("{line}{}: {}", lack.key, lack.text));
        }
    }
    output.result(checked, |checked| match checked.lacking.len() {
        0 => format!("{} is right", checked.file.display()),
        _ => format!("{} is right; this machine lacks what the warnings name", checked.file.display()),
    })
}

fn kind_by_name(file: &Path) -> Option<Kind> {
    let name = file.file_name()?.to_str()?;
    let named = [("agent", Kind::Agent), ("proxy", Kind::Proxy), ("server", Kind::Server)];
    let mut kinds = named.into_iter().filter(|(word, _)| name.contains(word)).map(|(_, kind)| kind);
    // A name with two of the words names neither.
    kinds.next().filter(|_| kinds.next().is_none())
}

/// What only one of them has tells, too: a mistake in the rest of the file is found when it is read as that.
fn kind_by_tables(file: &Path) -> Option<Kind> {
    let text = std::fs::read_to_string(file).ok()?;
    let tables = [("[[sink]]", Kind::Agent), ("[[listener]]", Kind::Proxy)];
    let mut kinds = tables
        .into_iter()
        .filter(|(table, _)| text.lines().any(|line| line.trim() == *table))
        .map(|(_, kind)| kind);
    kinds.next().filter(|_| kinds.next().is_none())
}
