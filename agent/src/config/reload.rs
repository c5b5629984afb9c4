//! The `[[sink.reload]]` tables of a sink: what makes its program read the files.

use std::path::PathBuf;
use std::time::Duration;

use platform::config::{KeyValue, KnownKey, TableMistakes, as_text};
use platform::reload_command::{DEFAULT_TIMEOUT, LONGEST_TIMEOUT, ReloadCommand};
use serde::Deserialize;
use trust_domains::Selector;
use trust_domains::duration::{TextDuration, format_duration, parse_duration};
use trust_domains::entry::check_selector;
use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;
use trust_domains::problem::Coded as _;

use crate::reload::http::{HttpHook, HttpMethod, HttpTarget};
use crate::reload::probe::{Probe, ProbeAddress, ProbeServerName, StartTls};
use crate::reload::signal::{SignalHook, SignalName, SignalTarget};
use crate::reload::systemd_unit::{UnitAction, UnitHook, UnitName};
use crate::reload::{ReloadAction, ReloadHook};

/// The most hooks of one sink: they run one after the other.
const MOST_HOOKS: usize = 16;

/// The shortest time between two reloads for revocation lists alone.
const SHORTEST_LISTS_INTERVAL: Duration = Duration::from_secs(1);

/// The longest: a service that reads no list for a day trusts whom it should not.
const LONGEST_LISTS_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A `[[sink.reload]]` table, with exactly one of: `signal` and whom it goes to, `systemd_unit`, `command`, `http`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawReload {
    /// The signal, as `HUP`, with one of `pid_file`, `systemd_unit` and `selectors`.
    pub signal: Option<String>,
    /// The file with the number of the process that gets the signal; it runs as the sink's owner.
    pub pid_file: Option<String>,
    /// The unit that systemd reloads; or, with `signal`, whose main process systemd sends it to.
    pub systemd_unit: Option<String>,
    /// Whether systemd restarts a unit that cannot be reloaded. Default: false.
    pub or_restart: Option<bool>,
    /// The selectors of the processes that get the signal, as those of entries.
    pub selectors: Option<Vec<String>>,
    /// The command: a program by its absolute path, and its arguments.
    pub command: Option<Vec<String>>,
    /// Whether `/bin/sh -c` runs the command, which is one text then. Default: false.
    pub shell: Option<bool>,
    /// The HTTP request.
    pub http: Option<RawHttp>,
    /// How long one run may take. Default: `10s`; at most 5 minutes.
    pub timeout: Option<String>,
    /// What shows that the service presents the new certificate. Default: nothing does; a hook that ended well has succeeded.
    pub probe: Option<RawProbe>,
}

/// The `http` table of a hook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    /// `http://127.0.0.1:PORT/PATH`, or `unix:/SOCKET:/PATH`.
    pub url: String,
    /// GET, PATCH, POST (default) or PUT.
    pub method: Option<String>,
}

/// The `probe` table of a hook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawProbe {
    /// Where the service listens: `127.0.0.1:443`, or `unix:/SOCKET`.
    pub address: String,
    /// The DNS name to ask for. Default: none.
    pub server_name: Option<String>,
    /// What is said before TLS: `postgres`. Default: nothing.
    pub starttls: Option<String>,
    /// How long the service has. Default: `10s`; at most 5 minutes.
    pub within: Option<String>,
}

/// The keys of an `http` table.
const HTTP_KEYS: &[KnownKey] = &[KnownKey::text::<HttpTarget>("url").required(), KnownKey::text::<HttpMethod>("method")];

/// The keys of a `probe` table.
const PROBE_KEYS: &[KnownKey] = &[
    KnownKey::text::<ProbeAddress>("address").required(),
    KnownKey::text::<ProbeServerName>("server_name"),
    KnownKey::text::<StartTls>("starttls"),
    KnownKey::text::<TextDuration>("within"),
];

/// The keys of a `[[sink.reload]]` table.
pub(super) const RELOAD_KEYS: &[KnownKey] = &[
    KnownKey::text::<SignalName>("signal"),
    KnownKey::text::<PathBuf>("pid_file"),
    KnownKey::text::<UnitName>("systemd_unit"),
    KnownKey::new("or_restart", KeyValue::Bool),
    KnownKey::new("selectors", KeyValue::Texts(as_text::<Selector>)),
    KnownKey::new("command", KeyValue::Texts(as_text::<String>)),
    KnownKey::new("shell", KeyValue::Bool),
    KnownKey::new("http", KeyValue::Table(HTTP_KEYS)),
    KnownKey::text::<TextDuration>("timeout"),
    KnownKey::new("probe", KeyValue::Table(PROBE_KEYS)),
];

/// Reads the hooks of a sink, in their order, and notes every mistake under its key.
pub(super) fn hooks(sink: &mut TableMistakes<'_>, tables: &[RawReload]) -> Vec<ReloadHook> {
    if tables.len() > MOST_HOOKS {
        sink.add(&format!("reload[{MOST_HOOKS}]"), format_args!("a sink has at most {MOST_HOOKS} hooks"));
    }
    let hooks = tables.iter().take(MOST_HOOKS).enumerate();
    hooks
        .filter_map(|(index, table)| {
            let mistakes = sink.within(&format!("reload[{index}]"));
            Reader { mistakes, table }.hook()
        })
        .collect()
}

/// Reads `crl_reload_interval`.
pub(super) fn lists_interval(said: Option<&str>) -> Result<Duration, String> {
    let Some(said) = said else { return Ok(DEFAULT_LISTS_INTERVAL) };
    let interval = parse_duration(said).map_err(|error| error.to_string())?;
    if interval < SHORTEST_LISTS_INTERVAL || interval > LONGEST_LISTS_INTERVAL {
        let (shortest, longest) = (format_duration(SHORTEST_LISTS_INTERVAL), format_duration(LONGEST_LISTS_INTERVAL));
        return Err(format!("the interval is not between {shortest} and {longest}"));
    }
    Ok(interval)
}

/// What a table asks for; each has keys that go with no other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Http,
    Signal,
    Unit,
}

/// Reads one table.
struct Reader<'a> {
    mistakes: TableMistakes<'a>,
    table: &'a RawReload,
}

impl Reader<'_> {
    fn hook(mut self) -> Option<ReloadHook> {
        let kind = self.kind();
        let action = kind.and_then(|kind| {
            self.refuse_strangers(kind);
            self.action(kind)
        });
        let timeout = self.mistakes.check("timeout", timeout(self.table.timeout.as_deref()));
        let probe = self.probe();
        Some(ReloadHook {
            action: action?,
            timeout: timeout?,
            probe: probe?,
        })
    }

    fn kind(&mut self) -> Option<Kind> {
        let table = self.table;
        let named = [
            (table.command.is_some(), Kind::Command),
            (table.http.is_some(), Kind::Http),
            (table.signal.is_some(), Kind::Signal),
            (table.systemd_unit.is_some() && table.signal.is_none(), Kind::Unit),
        ];
        let mut kinds = named.into_iter().filter_map(|(is_named, kind)| is_named.then_some(kind));
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Some(kind),
            _ => {
                self.mistakes.add(
                    "",
                    "a reload is exactly one of: signal = with pid_file =, systemd_unit = or selectors =; systemd_unit = alone; command =; http =",
                );
                None
            }
        }
    }

    /// Names the keys that mean nothing in a table of this kind.
    fn refuse_strangers(&mut self, kind: Kind) {
        let table = self.table;
        let strangers = [
            ("pid_file", table.pid_file.is_some(), kind == Kind::Signal, "signal ="),
            ("selectors", table.selectors.is_some(), kind == Kind::Signal, "signal ="),
            ("shell", table.shell.is_some(), kind == Kind::Command, "command ="),
            ("or_restart", table.or_restart.is_some(), kind == Kind::Unit, "systemd_unit = without signal ="),
            (
                "systemd_unit",
                table.systemd_unit.is_some(),
                matches!(kind, Kind::Signal | Kind::Unit),
                "signal =, or nothing else",
            ),
        ];
        for (key, is_said, belongs, with) in strangers {
            if is_said && !belongs {
                self.mistakes.add(key, format_args!("goes only with {with}"));
            }
        }
    }

    fn action(&mut self, kind: Kind) -> Option<ReloadAction> {
        let table = self.table;
        match kind {
            Kind::Command => {
                let words = table.command.as_deref().unwrap_or_default();
                let command = ReloadCommand::parse(words, table.shell.unwrap_or(false));
                self.mistakes.check("command", command).map(ReloadAction::Command)
            }
            Kind::Http => self.http(table.http.as_ref()?).map(ReloadAction::Http),
            Kind::Signal => self.signal(),
            Kind::Unit => {
                let unit = self.mistakes.check("systemd_unit", table.systemd_unit.as_deref()?.parse())?;
                let action = match table.or_restart {
                    Some(true) => UnitAction::ReloadOrRestart,
                    Some(false) | None => UnitAction::Reload,
                };
                Some(ReloadAction::Unit(UnitHook { unit, action }))
            }
        }
    }

    fn http(&mut self, http: &RawHttp) -> Option<HttpHook> {
        let mut mistakes = self.mistakes.within("http");
        let target: Option<HttpTarget> = mistakes.check("url", http.url.parse());
        let method = mistakes.check("method", http.method.as_deref().map_or(Ok(HttpMethod::default()), str::parse));
        Some(HttpHook::new(target?, method?))
    }

    fn signal(&mut self) -> Option<ReloadAction> {
        let table = self.table;
        let signal: Option<SignalName> = self.mistakes.check("signal", table.signal.as_deref()?.parse());
        match (&table.pid_file, &table.systemd_unit, &table.selectors) {
            (Some(path), None, None) => {
                let target = self.pid_file(path).map(SignalTarget::PidFile);
                Some(ReloadAction::Signal(SignalHook {
                    signal: signal?,
                    target: target?,
                }))
            }
            (None, Some(unit), None) => {
                let unit = self.mistakes.check("systemd_unit", unit.parse());
                let action = UnitAction::Signal(signal?.signal().as_raw());
                Some(ReloadAction::Unit(UnitHook { unit: unit?, action }))
            }
            (None, None, Some(selectors)) => {
                let target = self.selectors(selectors).map(SignalTarget::Selectors);
                Some(ReloadAction::Signal(SignalHook {
                    signal: signal?,
                    target: target?,
                }))
            }
            _ => {
                self.mistakes
                    .add("signal", "a signal goes to exactly one of: pid_file =, systemd_unit =, selectors =");
                None
            }
        }
    }

    fn pid_file(&mut self, path: &str) -> Option<PathBuf> {
        let path = PathBuf::from(path);
        if path.is_absolute() {
            return Some(path);
        }
        self.mistakes
            .add("pid_file", format_args!("{:?} is not an absolute path", path.display().to_string()));
        None
    }

    fn selectors(&mut self, texts: &[String]) -> Option<Vec<Selector>> {
        if texts.is_empty() {
            self.mistakes.add("selectors", "none would mean every process; name at least one");
            return None;
        }
        let mut selectors = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let key = format!("selectors[{index}]");
            let Some(selector) = self.mistakes.check(&key, text.parse::<Selector>()) else {
                continue;
            };
            match check_selector(&selector) {
                Ok(()) => selectors.push(selector),
                Err(refused) => self.mistakes.add(&key, format_args!("{refused}; {}", refused.hint())),
            }
        }
        (selectors.len() == texts.len()).then_some(selectors)
    }

    /// Returns `None` for a mistake, and `Some(None)` where there is no probe.
    fn probe(&mut self) -> Option<Option<Probe>> {
        let Some(probe) = &self.table.probe else { return Some(None) };
        let mut mistakes = self.mistakes.within("probe");
        let address: Option<ProbeAddress> = mistakes.check("address", probe.address.parse());
        let server_name = mistakes.check("server_name", probe.server_name.as_deref().map(str::parse::<ProbeServerName>).transpose());
        let starttls = mistakes.check("starttls", probe.starttls.as_deref().map(str::parse::<StartTls>).transpose());
        let within = mistakes.check("within", probe.within.as_deref().map(parse_duration).transpose());
        let probe = Probe::new(address?, server_name?, starttls?, within?);
        mistakes.check("within", probe).map(Some)
    }
}

fn timeout(said: Option<&str>) -> Result<Duration, String> {
    let Some(said) = said else { return Ok(DEFAULT_TIMEOUT) };
    let timeout = parse_duration(said).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(format!("a run takes longer than nothing, and at most {}", format_duration(LONGEST_TIMEOUT)));
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests;
