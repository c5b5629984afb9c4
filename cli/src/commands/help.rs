//! `troth help`: explains an error code or a command.

use clap::Args;
use serde::Serialize;
use trust_domains::problem::{Code, CodeFacts};

use crate::args::{self, Global};
use crate::failure::{Failure, usage};
use crate::output::fields;

/// Explains an error code or a command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  troth help entry_exists\n  troth help entry create")]
pub(crate) struct HelpArgs {
    /// An error code, or the words of a command.
    words: Vec<String>,
    /// Prints the page of all codes (docs/errors.md).
    #[arg(long, hide = true)]
    markdown: bool,
}

#[derive(Serialize)]
struct CodeHelp {
    code: &'static str,
    meaning: &'static str,
    hint: &'static str,
    exit: u8,
    http_status: u16,
    retry: bool,
}

impl From<CodeFacts> for CodeHelp {
    fn from(facts: CodeFacts) -> Self {
        Self {
            code: facts.word,
            meaning: facts.meaning,
            hint: facts.hint,
            exit: facts.exit,
            http_status: facts.status,
            retry: facts.retry,
        }
    }
}

/// Prints the help.
pub(crate) fn run(args: &HelpArgs, global: &Global) -> Result<(), Failure> {
    if args.markdown {
        return global.output().raw(&codes_page());
    }
    match args.words.as_slice() {
        [word] => match Code::from_word(word) {
            Some(code) => global.output().result(&CodeHelp::from(code.facts()), code_text),
            None => command_help(&args.words, global),
        },
        words => command_help(words, global),
    }
}

fn code_text(help: &CodeHelp) -> String {
    fields(&[
        ("code", help.code.to_owned()),
        ("meaning", help.meaning.to_owned()),
        ("what to do", help.hint.to_owned()),
        ("exit code", help.exit.to_string()),
        ("HTTP status", help.http_status.to_string()),
        ("retry", if help.retry { "may succeed later" } else { "not without a change" }.to_owned()),
    ])
}

fn command_help(words: &[String], global: &Global) -> Result<(), Failure> {
    let mut command = args::command();
    command.build();
    for word in words {
        command = match command.find_subcommand(word) {
            Some(sub) => sub.clone(),
            None => return Err(unknown_word(word, &command)),
        };
    }
    global.output().raw(&command.render_long_help().to_string())
}

fn unknown_word(word: &str, command: &clap::Command) -> Failure {
    let known = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .chain(Code::ALL.iter().map(|code| code.word()));
    let nearest = known.map(|name| (strsim::damerau_levenshtein(word, name), name)).min();
    let failure = usage(format!("`{word}` is neither an error code nor a command"));
    match nearest {
        Some((distance, name)) if distance <= 3 => failure.with_hint(format!("did you mean: troth help {name}")),
        _ => failure,
    }
}

/// Renders docs/errors.md from the codes.
fn codes_page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Every error has a stable code: the same word in an HTTP answer (RFC 9457 problem document), a log line, a metric label, an audit record and the JSON of the command line.\n\
         `troth help CODE` shows one row. Exit codes: 1 refused or failed, 2 usage, 3 not found, 4 cannot reach the server or agent.\n\n\
         This page is generated: `troth help --markdown > docs/errors.md`; a test compares them.\n\n\
         | code | what happened | what to do | exit | HTTP | retry |\n|---|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let facts = code.facts();
        let retry = if facts.retry { "yes" } else { "no" };
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            facts.word, facts.meaning, facts.hint, facts.exit, facts.status, retry
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_errors_is_the_generated_one() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md")).unwrap();
        assert!(page == codes_page(), "run: cargo run --release -- help --markdown > docs/errors.md");
    }
}
