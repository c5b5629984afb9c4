//! The command line: every option has a help text, an environment variable, and each command an example.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    agent, audit, authority, bundle, completions, config, entry, explain, federation, health, help, node, proxy, quickstart, run, server, svid, token,
};
use crate::output::{Format, Output};

/// Issues and rotates workload identities (SPIFFE) for one trust domain.
#[derive(Debug, Parser)]
#[command(
    name = "troth",
    disable_help_subcommand = true,
    version,
    max_term_width = 120,
    after_help = "Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 not found, 4 cannot reach the server or agent.\n\
                  Start here: troth quickstart\n\
                  An error's code explained: troth help CODE"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// How results are printed on standard output; logs and progress go to standard error.
    #[arg(long, global = true, value_enum, default_value = "text", env = "TROTH_OUTPUT")]
    pub(crate) output: Format,
    /// The configuration file (TOML) [default: /etc/troth/server.toml, agent.toml or proxy.toml as root, else under the XDG directories].
    #[arg(long, global = true, value_name = "FILE", env = "TROTH_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Prints results and errors only.
    #[arg(short, long, global = true, env = "TROTH_QUIET")]
    pub(crate) quiet: bool,
    /// Logs more; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "TROTH_VERBOSE")]
    pub(crate) verbose: u8,
    /// Logs from this level on: error, warn, info, debug or trace.
    #[arg(long, global = true, value_name = "LEVEL", env = "TROTH_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value = "text", env = "TROTH_LOG_FORMAT")]
    pub(crate) log_format: Format,
    /// Whether text is coloured; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value = "auto", env = "TROTH_COLOR")]
    pub(crate) color: Color,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// Always.
    Always,
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Never.
    Never,
}

impl Global {
    /// How results are printed.
    pub(crate) fn format(&self) -> Format {
        self.output
    }

    /// Where results go.
    pub(crate) fn output(&self) -> Output {
        Output {
            format: self.output,
            quiet: self.quiet,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a whole trust domain on this machine and shows a workload identity rotate.
    Quickstart(quickstart::QuickstartArgs),
    /// Makes a trust domain and runs its server.
    #[command(subcommand)]
    Server(server::ServerCommand),
    /// Runs and asks the agent of this node.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Lets new nodes join.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Says which process gets which identity.
    #[command(subcommand)]
    Entry(entry::EntryCommand),
    /// Shows, bans and evicts nodes.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Lists and replaces what signs for the trust domain: root and issuing CAs, the keys of tokens.
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    /// Shows trust bundles.
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// Believes the workloads of other trust domains, and lets others believe ours.
    #[command(subcommand)]
    Federation(federation::FederationCommand),
    /// Fetches, watches, mints and checks SVIDs.
    #[command(subcommand)]
    Svid(svid::SvidCommand),
    /// Supervises a program and keeps its credentials fresh in files.
    Run(Box<run::RunArgs>),
    /// Speaks mTLS for programs that cannot.
    #[command(subcommand)]
    Proxy(proxy::ProxyCommand),
    /// Says why a process of this node gets what it gets.
    Explain(explain::ExplainArgs),
    /// Reads the issuance journal.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Asks a running server or agent how it is.
    #[command(subcommand)]
    Health(health::HealthCommand),
    /// Checks configuration files.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Prints the completion script of a shell.
    Completions(completions::CompletionsArgs),
    /// Prints the version.
    #[command(after_help = "Example:\n  troth version --output json")]
    Version,
    /// Explains an error code or a command.
    Help(help::HelpArgs),
}

/// Returns the whole command line, with an environment variable for every option.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let prefix = environment_prefix(&name);
        command.mut_subcommand(name, move |sub| with_environment(sub, prefix))
    })
}

/// The proxy and the quickstart have variables of their own. Agent commands, and those that a workload or the operator of a node runs, read `TROTH_AGENT_*`; all others `TROTH_SERVER_*`.
fn environment_prefix(command: &str) -> &'static str {
    match command {
        "agent" | "explain" | "run" | "svid" => "TROTH_AGENT",
        "proxy" => "TROTH_PROXY",
        "quickstart" => "TROTH_QUICKSTART",
        _ => "TROTH_SERVER",
    }
}

fn with_environment(command: clap::Command, prefix: &'static str) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match arg.get_long() {
        Some(long) if arg.get_env().is_none() && long != "help" => {
            let variable = format!("{prefix}_{}", long.replace('-', "_").to_uppercase());
            arg.env(variable).hide_env(true)
        }
        _ => arg,
    });
    names.into_iter().fold(command, |command, name| {
        // `health agent` asks the agent, `svid mint` and `svid revoke` the server, wherever they stand.
        let prefix = match name.as_str() {
            "agent" => "TROTH_AGENT",
            "mint" | "revoke" | "revocations" => "TROTH_SERVER",
            _ => prefix,
        };
        command.mut_subcommand(name, |sub| with_environment(sub, prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &clap::Command, path: &str, visit: &mut impl FnMut(&clap::Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        if command.get_subcommands().next().is_none() {
            visit(command, &path);
        }
        for sub in command.get_subcommands() {
            leaves(sub, &path, visit);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn each_side_has_variables_of_its_own() {
        let variable = |path: &[&str]| {
            let found = path.iter().fold(command(), |command, word| command.find_subcommand(word).unwrap().clone());
            let arg = found.get_arguments().find(|arg| arg.get_long() == Some("data-dir")).unwrap().clone();
            arg.get_env().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(variable(&["health", "agent"]), "TROTH_AGENT_DATA_DIR");
        assert_eq!(variable(&["health", "server"]), "TROTH_SERVER_DATA_DIR");
        assert_eq!(variable(&["svid", "mint", "jwt"]), "TROTH_SERVER_DATA_DIR");
        assert_eq!(variable(&["svid", "revoke"]), "TROTH_SERVER_DATA_DIR");
        assert_eq!(variable(&["svid", "revocations"]), "TROTH_SERVER_DATA_DIR");
        assert_eq!(variable(&["agent", "run"]), "TROTH_AGENT_DATA_DIR");
        assert_eq!(variable(&["explain"]), "TROTH_AGENT_DATA_DIR");
        assert_eq!(variable(&["entry", "create"]), "TROTH_SERVER_DATA_DIR");
    }

    #[test]
    fn every_command_has_an_example() {
        leaves(&command(), "", &mut |command, path| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{path} has no example");
        });
    }

    #[test]
    fn every_option_has_a_help_text_and_an_environment_variable() {
        leaves(&command(), "", &mut |command, path| {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| long != "help")) {
                assert!(arg.get_help().is_some(), "{path} --{} has no help", arg.get_id());
                assert!(arg.get_env().is_some(), "{path} --{} has no environment variable", arg.get_id());
            }
        });
    }
}
