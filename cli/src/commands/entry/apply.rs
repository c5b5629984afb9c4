//! `troth entry apply`: makes a file true.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use trust_domains::wire::admin::{ApplyAction, ApplyEntries, ApplyOutcome, ApplyStep};

use super::file::{SpireArgs, read_drafts};
use super::wait::{WaitArgs, wait};
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;

/// Makes a file true.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  troth entry apply entries.json --dry-run\n  troth entry apply entries.json --prune --wait")]
pub(crate) struct ApplyArgs {
    /// The JSON file of entries, ours or those of a SPIRE server; - for standard input.
    file: PathBuf,
    /// Deletes entries that are not in the file.
    #[arg(long)]
    prune: bool,
    /// Prints the plan and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    spire: SpireArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Asks for the plan, shows it, and has it done.
pub(crate) async fn run(args: ApplyArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let mut request = ApplyEntries {
        entries: read_drafts(&args.file, &args.spire, &client, global).await?,
        prune: args.prune,
        dry_run: true,
    };
    let plan: ApplyOutcome = client.post("/v1/admin/entries/apply", &request).await?;
    if args.dry_run {
        global.output().result(&plan, outcome_text)?;
        return Ok(ExitCode::SUCCESS);
    }
    global.output().note(&outcome_text(&plan));
    request.dry_run = false;
    let done: ApplyOutcome = client.post("/v1/admin/entries/apply", &request).await?;
    for warning in &done.warnings {
        global.output().warn(warning);
    }
    let nodes: BTreeSet<_> = done.steps.iter().map(|step| step.parent_id.clone()).collect();
    global
        .output()
        .result(&done, |done| format!("{} changes made, {} unchanged", done.steps.len(), done.unchanged))?;
    wait(&client, &args.wait, done.revision, nodes.into_iter().collect(), global).await
}

fn outcome_text(outcome: &ApplyOutcome) -> String {
    let mut text: String = outcome.steps.iter().map(step_text).collect();
    text.push_str(&format!("plan: {} changes, {} unchanged\n", outcome.steps.len(), outcome.unchanged));
    text
}

fn step_text(step: &ApplyStep) -> String {
    let sign = match step.action {
        ApplyAction::Create => '+',
        ApplyAction::Delete => '-',
        ApplyAction::Update => '~',
    };
    format!("{sign} {} on {} ({})\n", step.spiffe_id, step.parent_id, step.reason)
}
