//! What commands take from the process they run in: default places, configuration files, logs, the parent, the clock.

use std::path::{Path, PathBuf};

use platform::clock::SystemClock;
use platform::logging::{LogColor, LogFormat, LogOptions};
use platform::paths::Environment;
use trust_domains::problem::Code;
use trust_domains::{Clock as _, Timestamp};

use crate::args::{Color, Global};
use crate::failure::Failure;
use crate::output::Format;

/// Returns the wall clock's time.
pub(crate) fn now() -> Timestamp {
    SystemClock.now().wall
}

/// Returns where the server keeps its data: as said, as its configuration file says, or in the default place.
pub(crate) fn server_data_dir(named: Option<&Path>, global: &Global) -> Result<PathBuf, Failure> {
    let environment = Environment::of_process();
    data_dir(named, global.config.as_deref().or(environment.server_config().ok().as_deref()), || {
        environment.server_data()
    })
}

/// Returns where the agent keeps its data, in the same way.
pub(crate) fn agent_data_dir(named: Option<&Path>, global: &Global) -> Result<PathBuf, Failure> {
    let environment = Environment::of_process();
    data_dir(named, global.config.as_deref().or(environment.agent_config().ok().as_deref()), || {
        environment.agent_data()
    })
}

fn data_dir(named: Option<&Path>, config: Option<&Path>, default: impl FnOnce() -> Result<PathBuf, platform::paths::NoHome>) -> Result<PathBuf, Failure> {
    let chosen = match named {
        Some(named) => named.to_owned(),
        None => match config.and_then(data_dir_in) {
            Some(configured) => configured,
            None => default().map_err(|error| Failure::of(&error))?,
        },
    };
    Ok(std::path::absolute(chosen)?)
}

/// The `data_dir` of a configuration file. An operator's command needs no more of it: the process that runs has checked the file.
fn data_dir_in(config: &Path) -> Option<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Only {
        data_dir: Option<PathBuf>,
    }
    let text = std::fs::read_to_string(config).ok()?;
    toml::from_str::<Only>(&text).ok()?.data_dir
}

/// Starts logging to standard error as the global options say.
pub(crate) fn start_logging(global: &Global) -> Result<(), Failure> {
    let by_flags = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let options = LogOptions {
        level: global.log_level.clone().unwrap_or_else(|| by_flags.to_owned()),
        format: match global.log_format {
            Format::Json => LogFormat::Json,
            Format::Text => LogFormat::Text,
        },
        color: match global.color {
            Color::Always => LogColor::Always,
            Color::Auto => LogColor::Auto,
            Color::Never => LogColor::Never,
        },
    };
    platform::logging::init(&options).map_err(|error| Failure::new(Code::Usage, error.to_string()).with_hint("choose one of error, warn, info, debug, trace"))
}

/// Asks the kernel to end this process when the one that started it ends, if that was wanted.
pub(crate) fn die_with_parent(wanted: bool) -> Result<(), Failure> {
    if wanted {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// Whose configuration file is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The agent's.
    Agent,
    /// The server's.
    Server,
}

/// Returns the configuration file: the one that was named, else that of the default place when it is there.
pub(crate) fn config_file(global: &Global, role: Role) -> Option<PathBuf> {
    if let Some(named) = &global.config {
        return Some(named.clone());
    }
    let environment = Environment::of_process();
    let default = match role {
        Role::Agent => environment.agent_config(),
        Role::Server => environment.server_config(),
    };
    default.ok().filter(|file| file.exists())
}
