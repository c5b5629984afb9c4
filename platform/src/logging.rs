//! Logs: on standard error, as text or JSON.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use trust_domains::problem::{Code, Coded};

/// Libraries that tell more than an operator can use: they stay one step quieter than we.
const QUIETER: &str = "h2=warn,hyper=warn,hyper_util=warn,rustls=warn,sled=warn,tonic=warn,tower=warn";

/// After this many repetitions in a row the same failure is no news (house style).
const NEWS: u32 = 3;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LoggingError::Format { text: text.to_owned() }),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// Whether text lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogColor {
    /// Always.
    Always,
    /// When standard error is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// How to log.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// A level (`info`), or directives as `tracing_subscriber::EnvFilter` reads them (`info,agent=debug`); `info` when empty.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
    /// Colours.
    pub color: LogColor,
}

/// Starts logging, once in a process.
///
/// # Errors
/// [`LoggingError`].
pub fn init(options: &LogOptions) -> Result<(), LoggingError> {
    let filter = filter(&options.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => builder.with_ansi(colored(options.color)).with_target(false).finish().try_init(),
    }
    .map_err(LoggingError::Started)
}

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let level = if level.trim().is_empty() { "info" } else { level.trim() };
    // A bare word that is no level would be taken for the name of a module.
    let first = level.split(',').next().unwrap_or_default();
    if !first.contains('=') && tracing::level_filters::LevelFilter::from_str(first).is_err() {
        return Err(LoggingError::Level { text: level.to_owned() });
    }
    // What comes later wins: directives of the operator's own are kept.
    EnvFilter::try_new(format!("{QUIETER},{level}")).map_err(|_| LoggingError::Level { text: level.to_owned() })
}

fn colored(color: LogColor) -> bool {
    match color {
        LogColor::Always => true,
        LogColor::Auto => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal(),
        LogColor::Never => false,
    }
}

/// Counts repeated failures, so that the third is the last to be loud.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<String, (String, u32)>>);

impl Repeats {
    /// Notes a failure of a part. Returns whether it is news: its text is new for the part, or was seen less than three times in a row.
    pub fn is_news(&self, part: &str, text: &str) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = seen.entry(part.to_owned()).or_default();
        if last != text {
            (*last, *count) = (text.to_owned(), 0);
        }
        *count = count.saturating_add(1);
        *count <= NEWS
    }

    /// Notes that a part works. Returns whether it had failed.
    pub fn recovered(&self, part: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part).is_some()
    }
}

/// Logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The form is unknown.
    #[error("{text:?} is not a log format: text or json")]
    Format {
        /// What was given.
        text: String,
    },
    /// The level is unknown.
    #[error("{text:?} is not a log level: error, warn, info, debug or trace")]
    Level {
        /// What was given.
        text: String,
    },
    /// It has started.
    #[error("logging has started already")]
    Started(#[source] TryInitError),
}

impl Coded for LoggingError {
    fn code(&self) -> Code {
        match self {
            Self::Format { .. } | Self::Level { .. } => Code::Usage,
            Self::Started(_) => Code::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_understood() {
        for level in ["", "info", "debug", "WARN", "off", "info,agent=debug", "agent=trace"] {
            filter(level).unwrap();
        }
        for level in ["loud", "infos", "loud,agent=debug", "agent=loud"] {
            assert!(matches!(filter(level), Err(LoggingError::Level { .. })), "{level}");
        }
    }

    #[test]
    fn the_fourth_repetition_is_no_news_until_something_changes() {
        let repeats = Repeats::default();
        let news: Vec<bool> = (0..5).map(|_| repeats.is_news("sync", "connection refused")).collect();
        assert_eq!(news, [true, true, true, false, false]);
        assert!(repeats.is_news("sync", "timed out"));
        assert!(repeats.is_news("issue", "connection refused"));
        assert!(repeats.recovered("sync"));
        assert!(!repeats.recovered("sync"));
        assert!(repeats.is_news("sync", "timed out"));
    }
}
