//! `troth entry`: which process gets which identity.

mod apply;
mod create;
mod file;
mod partners;
mod text;
pub(crate) mod wait;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use trust_domains::wire::admin::{Count, EntryDeleted, EntryView};

use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::List;

/// Says which process gets which identity.
#[derive(Debug, Subcommand)]
pub(crate) enum EntryCommand {
    /// Makes one entry, or all of a file.
    Create(Box<create::CreateArgs>),
    /// Shows one entry.
    #[command(after_help = "Example:\n  troth entry show /web")]
    Show(EntryArgs),
    /// Changes fields of one entry; the others stay.
    Update(Box<create::UpdateArgs>),
    /// Deletes one entry: its identity is withdrawn at once.
    #[command(after_help = "Example:\n  troth entry delete /web --wait")]
    Delete(DeleteArgs),
    /// Lists entries.
    #[command(after_help = "Example:\n  troth entry list --parent web-1")]
    List(ListArgs),
    /// Counts entries.
    #[command(after_help = "Example:\n  troth entry count")]
    Count(PlaceArgs),
    /// Makes a file true: prints the plan, then does it.
    Apply(apply::ApplyArgs),
}

/// Names one entry.
#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
    /// The entry's id, or its SPIFFE ID (`/web` for short) where only one entry has it.
    id: String,
    #[command(flatten)]
    place: ServerPlace,
}

/// Deletes one entry.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    wait: wait::WaitArgs,
}

/// Lists entries.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The most entries to list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only those with this SPIFFE ID.
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// Only those of this node, by name or SPIFFE ID.
    #[arg(long, value_name = "NODE")]
    parent: Option<String>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Only says where the server is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out an entry command.
pub(crate) async fn run(command: EntryCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        EntryCommand::Create(args) => return create::create(*args, global).await,
        EntryCommand::Update(args) => return create::update(*args, global).await,
        EntryCommand::Delete(args) => return delete(&args, global).await,
        EntryCommand::Apply(args) => return apply::run(args, global).await,
        EntryCommand::Show(args) => show(&args, global).await?,
        EntryCommand::List(args) => list(&args, global).await?,
        EntryCommand::Count(args) => {
            let count: Count = AdminClient::find(&args.place, global)?.get("/v1/admin/entries/count").await?;
            global.output().result(&count, |count| count.count.to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &EntryArgs, global: &Global) -> Result<(), Failure> {
    let entry: EntryView = AdminClient::find(&args.place, global)?.get(&entry_path(&args.id)).await?;
    global.output().result(&entry, text::entry)
}

async fn list(args: &ListArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let filters: Vec<(&str, &str)> = [("spiffe_id", &args.spiffe_id), ("parent", &args.parent)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let list: List<EntryView> = client.pages("/v1/admin/entries", &filters, args.limit).await?;
    global.output().result(&list, |list| text::entries(&list.items))
}

async fn delete(args: &DeleteArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.entry.place, global)?;
    let deleted: EntryDeleted = client.delete(&entry_path(&args.entry.id)).await?;
    global
        .output()
        .result(&deleted, |deleted| format!("deleted {} ({})", deleted.spiffe_id, deleted.id))?;
    wait::wait(&client, &args.wait, deleted.revision, vec![deleted.parent_id], global).await
}

fn entry_path(id: &str) -> String {
    format!("/v1/admin/entries/{}", path_segment(id))
}
