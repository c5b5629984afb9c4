//! One file a noun: its arguments, the call, the print.

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod bundle;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod entry;
pub(crate) mod explain;
pub(crate) mod federation;
pub(crate) mod format;
pub(crate) mod health;
pub(crate) mod help;
pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod quickstart;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod svid;
pub(crate) mod token;
pub(crate) mod version;

use std::process::ExitCode;

use platform::inherited::Inherited;
use platform::service_manager::HandedSockets;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// What this process was started with.
pub(crate) struct Handed {
    /// The sockets of a service manager.
    pub(crate) sockets: HandedSockets,
    /// Descriptors for the program that is supervised.
    pub(crate) descriptors: Inherited,
}

/// Carries out one command and returns the exit code of the process. An agent serves the sockets that were handed to it.
pub(crate) async fn run(cli: Cli, handed: Handed) -> Result<ExitCode, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Quickstart(args) => return quickstart::run(args, &global).await,
        Command::Server(command) => server::run(command, &global).await?,
        Command::Agent(command) => agent::run(command, handed.sockets, &global).await?,
        Command::Token(command) => token::run(command, &global).await?,
        Command::Entry(command) => return entry::run(command, &global).await,
        Command::Node(command) => node::run(command, &global).await?,
        Command::Authority(command) => return authority::run(command, &global).await,
        Command::Bundle(command) => return bundle::run(command, &global).await,
        Command::Federation(command) => return federation::run(command, &global).await,
        Command::Svid(command) => return svid::run(command, &global).await,
        Command::Run(args) => return run::run(*args, handed.descriptors, &global).await,
        Command::Explain(args) => explain::run(args, &global).await?,
        Command::Audit(command) => audit::run(command, &global).await?,
        Command::Proxy(command) => proxy::run(command, &global).await?,
        Command::Health(command) => return health::run(command, &global).await,
        Command::Config(command) => config::run(command, &global)?,
        Command::Completions(args) => completions::run(&args, &global)?,
        Command::Version => version::run(&global)?,
        Command::Help(args) => help::run(&args, &global)?,
    }
    Ok(ExitCode::SUCCESS)
}
