//! `troth run`: supervises a program and keeps its credentials fresh.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use platform::clock::SystemClock;
use sidecar::supervisor::{self, Choice, Options, SignalName, TokenSpec};
use trust_domains::SpiffeId;
use trust_domains::duration::parse_duration;
use trust_domains::plan::supervising::{OnExpiry, OnRotation, Policy};

use super::format::{FormatName, formats};
use super::svid::socket::SocketArgs;
use crate::args::Global;
use crate::environment;
use crate::failure::{Failure, usage};

/// Supervises a program.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth run --reload-signal HUP -- nginx -c /etc/web/nginx.conf\n  troth run --restart --grace 30s -- /usr/bin/legacy-server\n  troth run --jwt vault=https://vault.example --write /run/web/svid -- ./start.sh\n\
                  The program finds TROTH_SVID_FILE, TROTH_SVID_KEY_FILE, TROTH_BUNDLE_FILE, TROTH_SVID_DIR and SPIFFE_ENDPOINT_SOCKET in its environment (docs/run.md)."
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The directory of the files; made with mode 0700 if it is missing [default: one of its own under XDG_RUNTIME_DIR, TMPDIR or /tmp, removed at the end].
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// The identity to deliver, of several that this process has [default: the agent's first].
    #[arg(long, value_name = "ID", conflicts_with = "hint")]
    spiffe_id: Option<SpiffeId>,
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
    /// The signal that tells the program of new files, as HUP.
    #[arg(long, value_name = "SIGNAL", conflicts_with = "restart")]
    reload_signal: Option<SignalName>,
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

/// Runs the program, and exits as it does.
pub(crate) async fn run(args: RunArgs, global: &Global) -> Result<ExitCode, Failure> {
    start_logging(global)?;
    match supervisor::run(options(args)?, SystemClock::shared()).await {
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
    let on_rotation = match (args.reload_signal, args.restart) {
        (Some(signal), _) => OnRotation::Signal(signal.number()),
        (None, true) => OnRotation::Restart,
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
        words: args.command,
    })
}
