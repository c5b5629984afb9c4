//! `troth`: the one command of Troth. It parses, calls the libraries or the API, and prints; the rules live elsewhere.

mod admin;
mod args;
mod commands;
mod counted;
mod environment;
mod failure;
mod input;
mod output;
mod retry_words;

use std::process::ExitCode;

use agent::run::HANDED_SOCKETS;
use agent::sinks::HelperDuty;
use clap::FromArgMatches as _;
use platform::inherited::Inherited;
use platform::service_manager::HandedSockets;
use tokio::runtime::{Builder, Runtime};

use crate::args::{Cli, Command};
use crate::commands::Handed;
use crate::commands::agent::AgentCommand;
use crate::failure::Failure;
use crate::output::Format;

/// The threads that serve workloads; keys, hashes and files have threads of their own. One is enough for 6,000 new callers a second, and a call that wakes
/// a second one costs a quarter more (P5 in docs/performance.md: 164 us for 214 us).
const AGENT_THREADS: usize = 1;

fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Before anything else: it has the agent's rights until it has dropped them, and one thread.
    if let Some(duty) = HelperDuty::of(&words) {
        return duty.perform();
    }
    let matches = match args::command().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => return retry_words::explain(&error, &words),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return retry_words::explain(&error, &words),
    };
    let format = cli.global.format();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => end(&failure, format),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let handed = Handed {
        sockets: handed_sockets(&cli.command)?,
        descriptors: match cli.command {
            // They are the program's, and not those of what tells it to read its files.
            Command::Run(_) => Inherited::take()?,
            _ => Inherited::default(),
        },
    };
    if matches!(cli.command, Command::Agent(AgentCommand::Run(_))) {
        // What it starts are programs of others.
        platform::inherited::keep_from_children()?;
    }
    let runtime = runtime(&cli.command)?;
    let ended = runtime.block_on(commands::run(cli, handed));
    // A name look-up or a read of standard input may still block a thread: the result is known, so it is not waited for.
    runtime.shutdown_background();
    platform::pkcs11::end_modules();
    ended
}

/// Takes the sockets that a service manager hands over, while this process has one thread.
fn handed_sockets(command: &Command) -> Result<HandedSockets, Failure> {
    match command {
        Command::Agent(AgentCommand::Run(_)) => HandedSockets::take(HANDED_SOCKETS).map_err(|error| Failure::of(&error)),
        _ => Ok(HandedSockets::default()),
    }
}

fn runtime(command: &Command) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if matches!(command, Command::Agent(_)) {
        builder.worker_threads(AGENT_THREADS);
    }
    builder.enable_all().build()
}

fn end(failure: &Failure, format: Format) -> ExitCode {
    failure.report(format);
    ExitCode::from(failure.exit())
}
