//! `troth authority replace`: a whole replacement, told beforehand and shown while it goes on.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::problem::Code;
use trust_domains::wire::authorities::{ReplaceRequest, ReplacementView};

use super::follow::{FollowArgs, follow, replacements};
use super::text;
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;

/// Replaces the authorities of a kind.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    /// Which: x509-root, x509-issuing, jwt or wit.
    #[arg(long, value_name = "K")]
    kind: AuthorityKind,
    /// Their keys may be in other hands: nothing that they signed is believed in the end, and an issuing CA takes its root along.
    #[arg(long)]
    compromised: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out a replacement, or goes on showing the one that is under way.
pub(super) async fn run(args: ReplaceArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let output = global.output();
    if let Some(view) = under_way(&client, &args).await? {
        let since = view.ordered_at.map(|at| format!(" since {at}")).unwrap_or_default();
        output.note(&format!("it is under way already{since}: nothing new is ordered"));
        return follow(&client, view, &args.follow, global).await;
    }
    let begun = match begin(&client, &args, output).await {
        // Another operator was quicker: that one is shown, if it does the same. It may have ended meanwhile.
        Err(error) if error.code() == Code::ReplacementRunning => same(&client, &args).await?.next().ok_or(error)?,
        begun => begun?,
    };
    follow(&client, begun, &args.follow, global).await
}

/// Says what will be done, asks, and orders it.
async fn begin(client: &AdminClient, args: &ReplaceArgs, output: Output) -> Result<ReplacementView, Failure> {
    let mut request = ReplaceRequest {
        kind: args.kind,
        compromised: args.compromised,
        because: args.because.clone(),
        dry_run: true,
    };
    let planned: ReplacementView = client.post("/v1/admin/authorities/replace", &request).await?;
    output.note(&text::plan(&planned));
    confirm(&args.follow)?;
    request.dry_run = false;
    client.post("/v1/admin/authorities/replace", &request).await
}

/// Returns the replacement of this kind that goes on, if there is one. One that is planned is none when the keys are compromised.
async fn under_way(client: &AdminClient, args: &ReplaceArgs) -> Result<Option<ReplacementView>, Failure> {
    Ok(same(client, args).await?.find(|view| view.finished_at.is_none()))
}

/// Returns the replacements that do what is asked for, the newest first.
async fn same(client: &AdminClient, args: &ReplaceArgs) -> Result<impl Iterator<Item = ReplacementView>, Failure> {
    let (kind, compromised) = (args.kind, args.compromised);
    let known = replacements(client).await?.items.into_iter();
    Ok(known.filter(move |view| view.kind == kind && view.compromised == compromised))
}

/// Asks whether to go on, where somebody can answer.
pub(super) fn confirm(args: &FollowArgs) -> Result<(), Failure> {
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if args.yes || !input.is_terminal() || !output.is_terminal() {
        return Ok(());
    }
    write!(output, "go on? [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Unconfirmed, "nothing was changed").with_hint("answer y, or give --yes")),
    }
}
