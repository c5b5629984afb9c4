//! `troth authority`: the keys and certificates that sign for the trust domain.

mod follow;
mod order;
mod progress;
mod replace;
mod text;
mod upstream;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::wire::authorities::{AuthorityView, Because, ClockAccepted, PrepareRequest};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::List;

/// Lists and replaces what signs for the trust domain: root and issuing CAs, the keys of tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Lists every authority: its state, its time, how much it has signed, and who has not acknowledged it.
    #[command(after_help = "Example:\n  troth authority list")]
    List(ListArgs),
    /// Makes a successor ahead of its time; it signs when it is activated.
    #[command(after_help = "Example:\n  troth authority prepare --kind x509-root --because 'yearly drill'")]
    Prepare(PrepareArgs),
    /// Lets a prepared authority sign, as soon as every node knows it or the deadline passed.
    #[command(after_help = "Example:\n  troth authority activate 3f8a19c40b77d2e1 --because 'yearly drill'")]
    Activate(order::OrderArgs),
    /// Replaces at once what an authority signed, because its key may be in other hands.
    #[command(after_help = "Example:\n  troth authority taint 3f8a19c40b77d2e1 --because 'the disk was copied'")]
    Taint(order::OrderArgs),
    /// Ends an authority: what it signed is replaced, then believed no longer.
    #[command(after_help = "Example:\n  troth authority revoke 3f8a19c40b77d2e1 --because 'the disk was copied'")]
    Revoke(order::OrderArgs),
    /// Replaces the authorities of a kind, step by step; says beforehand what it will do, and shows how far it is.
    #[command(
        after_help = "Examples:\n  troth authority replace --kind x509-root --because 'yearly drill'\n  troth authority replace --kind x509-issuing --compromised --because 'the disk was copied' --yes\n\nThe server does the work: an interrupted command changes nothing, and the same command again shows the same replacement.\nExit code 0: done on every node that was waited for; 1: done, and some were left behind, or not yet done."
    )]
    Replace(replace::ReplaceArgs),
    /// Writes a certificate request (PKCS#10) by a root, for an upstream authority that certifies it.
    Csr(upstream::CsrArgs),
    /// Takes the cross-certificate that an upstream authority returned: those who trust that authority believe our SVIDs too.
    CrossSign(upstream::CrossSignArgs),
    /// Lists and removes the cross-certificates of our roots.
    #[command(subcommand)]
    Upstream(upstream::UpstreamCommand),
    /// Accepts the server's clock as it is, after it was far off: what was held because of it goes on.
    #[command(after_help = "Example:\n  troth authority clock-ok --because 'checked against two time servers'")]
    ClockOk(ClockArgs),
}

/// Lists authorities.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    place: ServerPlace,
}

/// Makes a successor.
#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    /// What it signs: x509-root, x509-issuing, jwt or wit.
    #[arg(long, value_name = "K")]
    kind: AuthorityKind,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Accepts the clock.
#[derive(Debug, Args)]
pub(crate) struct ClockArgs {
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out an authority command.
pub(crate) async fn run(command: AuthorityCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        AuthorityCommand::List(args) => {
            let authorities = all(&AdminClient::find(&args.place, global)?).await?;
            global.output().result(&authorities, |list| text::list(&list.items))?;
        }
        AuthorityCommand::Prepare(args) => prepare(args, global).await?,
        AuthorityCommand::Activate(args) => order::activate(args, global).await?,
        AuthorityCommand::Taint(args) => return order::run(args, order::Order::Taint, global).await,
        AuthorityCommand::Revoke(args) => return order::run(args, order::Order::Revoke, global).await,
        AuthorityCommand::Replace(args) => return replace::run(args, global).await,
        AuthorityCommand::Csr(args) => upstream::csr(args, global).await?,
        AuthorityCommand::CrossSign(args) => upstream::cross_sign(args, global).await?,
        AuthorityCommand::Upstream(command) => upstream::run(command, global).await?,
        AuthorityCommand::ClockOk(args) => {
            let client = AdminClient::find(&args.place, global)?;
            let because = Because { because: args.because };
            let accepted: ClockAccepted = client.post("/v1/admin/authorities/clock-ok", &because).await?;
            global.output().result(&accepted, text::clock)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn prepare(args: PrepareArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let request = PrepareRequest {
        kind: args.kind,
        because: args.because,
    };
    let made: AuthorityView = client.post("/v1/admin/authorities/prepare", &request).await?;
    global.output().result(&made, |made| {
        format!(
            "prepared {} {}; it signs nothing yet\nto let it sign: troth authority activate {}",
            made.kind,
            made.id,
            text::short(&made.id)
        )
    })
}

/// Returns every authority.
async fn all(client: &AdminClient) -> Result<List<AuthorityView>, Failure> {
    client.pages("/v1/admin/authorities", &[], None).await
}
