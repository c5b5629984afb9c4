//! `troth federation`: the trust domains whose bundles are fetched here, and what they need to fetch ours.

mod accept;
mod invite;
mod save;
mod text;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use trust_domains::TrustDomain;
use trust_domains::wire::bundles::FederatedEntries;
use trust_domains::wire::federation::{RelationshipDeleted, RelationshipView};

use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::commands::bundle::change::word;
use crate::commands::entry::wait::{WaitArgs, wait};
use crate::failure::Failure;
use crate::output::List;

/// Where the admin API has relationships.
const RELATIONSHIPS: &str = "/v1/admin/federation";

/// Believes the workloads of other trust domains, and lets others believe ours.
#[derive(Debug, Subcommand)]
pub(crate) enum FederationCommand {
    /// Prints the link by which a partner comes to believe our workloads.
    Invite(invite::InviteArgs),
    /// Shows what a partner's link makes us believe, asks, and believes it from then on.
    Accept(accept::AcceptArgs),
    /// Sets up a relationship without a link: with a partner that is no Troth, or whose URL no link can carry.
    Create(save::CreateArgs),
    /// Lists relationships: how each stands, and what was fetched last.
    #[command(after_help = "Examples:\n  troth federation list\n  troth federation list --watch --output json")]
    List(ListArgs),
    /// Shows one relationship in both directions: what we hold of the partner, and whether it holds ours.
    #[command(after_help = "Example:\n  troth federation show partner.example")]
    Show(PartnerArgs),
    /// Changes a relationship; what is not named stays.
    Update(save::UpdateArgs),
    /// Fetches a partner's bundle now, and says what came of it.
    #[command(after_help = "Example:\n  troth federation refresh partner.example")]
    Refresh(PartnerArgs),
    /// Ends a relationship: its bundle is fetched no longer, and withdrawn from every workload at once.
    Delete(DeleteArgs),
}

/// Names one partner.
#[derive(Debug, Args)]
pub(crate) struct PartnerArgs {
    /// The partner's trust domain.
    #[arg(value_name = "TD")]
    partner: TrustDomain,
    #[command(flatten)]
    place: ServerPlace,
}

/// Lists relationships.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The most relationships to list.
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    limit: Option<usize>,
    /// Goes on with each change, one line each, until it is interrupted; JSON Lines with --output json.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    place: ServerPlace,
}

/// Ends a relationship.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth federation delete partner.example\n  troth federation delete partner.example --dissociate --wait\n\nThe partner goes on believing our workloads until its operators end their relationship with us."
)]
pub(crate) struct DeleteArgs {
    /// The partner's trust domain.
    #[arg(value_name = "TD")]
    partner: TrustDomain,
    /// Also takes the trust domain out of every entry that federates with it; without it entries have the next bundle that there is.
    #[arg(long)]
    dissociate: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out a federation command.
pub(crate) async fn run(command: FederationCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        FederationCommand::Invite(args) => invite::run(&args, global).await?,
        FederationCommand::Accept(args) => return accept::run(args, global).await,
        FederationCommand::Create(args) => return save::create(args, global).await,
        FederationCommand::Update(args) => return save::update(args, global).await,
        FederationCommand::Delete(args) => return delete(&args, global).await,
        FederationCommand::List(args) => list(&args, global).await?,
        FederationCommand::Refresh(args) => return refresh(&args, global).await,
        FederationCommand::Show(args) => {
            let shown: RelationshipView = AdminClient::find(&args.place, global)?.get(&path(&args.partner)).await?;
            global.output().result(&shown, text::relationship)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns where the admin API has one relationship.
pub(crate) fn path(partner: &TrustDomain) -> String {
    format!("{RELATIONSHIPS}/{}", path_segment(partner.as_str()))
}

async fn list(args: &ListArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    if args.watch {
        return watch::run(&client, global.output()).await;
    }
    let list: List<RelationshipView> = client.pages(RELATIONSHIPS, &[], args.limit).await?;
    global.output().result(&list, |list| text::list(&list.items))
}

/// Fetches now. Exit code 1 when the fetch failed: the relationship is printed as it stands.
async fn refresh(args: &PartnerArgs, global: &Global) -> Result<ExitCode, Failure> {
    let path = format!("{}/refresh", path(&args.partner));
    let view: RelationshipView = AdminClient::find(&args.place, global)?.post(&path, &()).await?;
    global.output().result(&view, text::relationship)?;
    Ok(if view.fetching.last_error.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn delete(args: &DeleteArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let entries = if args.dissociate {
        FederatedEntries::Dissociate
    } else {
        FederatedEntries::Keep
    };
    let path = format!("{}?entries={}", path(&args.partner), word(entries));
    let deleted: RelationshipDeleted = client.delete(&path).await?;
    global.output().result(&deleted, text::deleted)?;
    wait(&client, &args.wait, deleted.revision, deleted.nodes, global).await
}
