//! `troth completions`.

use clap::Args;

use crate::args::{self, Global};
use crate::failure::Failure;

/// Prints a completion script.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth completions bash > /etc/bash_completion.d/troth")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the completion script of a shell.
pub(crate) fn run(args: &CompletionsArgs, global: &Global) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "troth", &mut script);
    global.output().raw(&String::from_utf8_lossy(&script))
}
