//! `troth run`: supervises a program and keeps its credentials fresh.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use platform::clock::SystemClock;
use platform::inherited::Inherited;
use platform::reload_command::{LONGEST_TIMEOUT, ReloadCommand};
use sidecar::supervisor::{self, Choice, Options, ReloadBy, SignalName, TokenSpec};
use trust_domains::ConfiguredId;
use trust_domains::duration::{format_duration, parse_duration};
use trust_domains::plan::supervising::{OnExpiry, OnRotation, Policy};

use super::format::{FormatName, formats};
use super::svid::socket::SocketArgs;
use crate::args::Global;
use crate::environment;
use crate::failure::{Failure, usage};

/// What to do about a reload command that is none.
const RELOAD_HINT: &str = "name the program by its absolute path, as --reload-command '/usr/sbin/nginx -s reload', or add --reload-shell";

/// Supervises a program.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth run --reload-signal HUP -- nginx -c /etc/web/nginx.conf\n  troth run --reload-command '/usr/sbin/nginx -s reload' -- nginx -g 'daemon off;'\n  troth run --restart --grace 30s -- /usr/bin/legacy-server\n  troth run --jwt vault=https://vault.example --write /run/web/svid -- ./start.sh\n\
                  The program finds TROTH_SVID_FILE, TROTH_SVID_KEY_FILE, TROTH_BUNDLE_FILE, TROTH_SVID_DIR and SPIFFE_ENDPOINT_SOCKET in its environment (docs/run.md)."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The directory of the files; made with mode 0700 if it is missing [default: one of its own under XDG_RUNTIME_DIR, TMPDIR or /tmp, removed at the end].
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// The identity to deliver, of several that this process has, whole or as a path like /web [default: the agent's first].
    #[arg(long, value_name = "ID", conflicts_with = "hint")]
    spiffe_id: Option<ConfiguredId>,
    /// The same by its hint.
    #[arg(long, value_name = "HINT")]
    hint: Option<String>,
    /// The forms of key, certificate and bundle.
    #[arg(long, value_name = "FORMAT,..", value_delimiter = ',', default_value = "pem")]
    format: Vec<FormatName>,
    /// Also keeps a JWT-SVID for an audience in jwt/NAME.token; repeat it for more.
    #[arg(long, value_name = "NAME=AUDIENCE")]
    jwt: Vec<TokenSpec>,
    /// How long to wait for the first credentials before the program is given up (exit code 4).
    #[arg(long, value_name = "D", default_value = "60s")]
    wait_for: String,
    /// The signal that tells the program of new files, as HUP or RTMIN+1.
    #[arg(long, value_name = "SIGNAL", conflicts_with = "restart")]
    reload_signal: Option<SignalName>,
    /// The command that tells the program of new files: its absolute path and its arguments, as one text; quotes group words, and nothing else is special.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["restart", "reload_signal"])]
    reload_command: Option<String>,
    /// Has /bin/sh -c run the text of --reload-command.
    #[arg(long, requires = "reload_command")]
    reload_shell: bool,
    /// How long one run of --reload-command may take, at most 5m.
    #[arg(long, value_name = "D", default_value = "10s", requires = "reload_command")]
    reload_timeout: String,
    /// Ends the program and starts it anew with new credentials.
    #[arg(long)]
    restart: bool,
    /// How long the program may take to end when it is asked to, before it is killed.
    #[arg(long, value_name = "D", default_value = "10s")]
    grace: String,
    /// What is done when the credentials end and the agent gave no others.
    #[arg(long, value_enum, value_name = "keep|stop", default_value = "keep")]
    on_expiry: ExpiryName,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What is done when the credentials end.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExpiryName {
    /// The program goes on.
    Keep,
    /// The program is ended, and the exit code is 4.
    Stop,
}

/// Runs the program, which has the descriptors that were inherited, and exits as it does.
pub(crate) async fn run(args: RunArgs, inherited: Inherited, global: &Global) -> Result<ExitCode, Failure> {
    start_logging(global)?;
    match supervisor::run(options(args)?, inherited, SystemClock::shared()).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            let failure = Failure::of(&error);
            match error.exit() {
                Some(code) => {
                    failure.report(global.format());
                    Ok(ExitCode::from(code))
                }
                None => Err(failure),
            }
        }
    }
}

/// Standard error is the program's: only what went wrong is said there, unless more was asked for.
fn start_logging(global: &Global) -> Result<(), Failure> {
    let mut global = global.clone();
    if global.log_level.is_none() && global.verbose == 0 && !global.quiet {
        global.log_level = Some("warn".to_owned());
    }
    environment::start_logging(&global)
}

fn options(args: RunArgs) -> Result<Options, Failure> {
    let reload_by = reload_by(&args)?;
    let on_rotation = match (args.reload_signal, args.restart) {
        (Some(signal), _) => OnRotation::Signal(signal.number()),
        (None, true) => OnRotation::Restart,
        (None, false) if reload_by.is_some() => OnRotation::Command,
        (None, false) => OnRotation::Nothing,
    };
    let duration = |text: &str| parse_duration(text).map_err(|error| usage(error.to_string()));
    Ok(Options {
        socket: std::path::absolute(args.socket.find()?)?,
        directory: args.write,
        choice: Choice::of(args.spiffe_id, args.hint),
        formats: formats(args.format),
        tokens: args.jwt,
        policy: Policy {
            wait_for: duration(&args.wait_for)?,
            on_rotation,
            grace: duration(&args.grace)?,
            on_expiry: match args.on_expiry {
                ExpiryName::Keep => OnExpiry::Keep,
                ExpiryName::Stop => OnExpiry::Stop,
            },
        },
        reload_by,
        words: args.command,
    })
}

fn reload_by(args: &RunArgs) -> Result<Option<ReloadBy>, Failure> {
    let Some(text) = &args.reload_command else { return Ok(None) };
    let refused = |why: String| usage(format!("--reload-command: {why}")).with_hint(RELOAD_HINT);
    let words = if args.reload_shell {
        vec![text.clone()]
    } else {
        shlex::split(text).ok_or_else(|| refused("a quote is not closed".to_owned()))?
    };
    let timeout = parse_duration(&args.reload_timeout).map_err(|error| usage(error.to_string()))?;
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        let longest = format_duration(LONGEST_TIMEOUT);
        return Err(usage(format!("--reload-timeout: a run takes longer than nothing, and at most {longest}")));
    }
    let command = ReloadCommand::parse(&words, args.reload_shell).map_err(|error| refused(error.to_string()))?;
    Ok(Some(ReloadBy { command, timeout }))
}
