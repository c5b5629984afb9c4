//! `troth svid`: fetches, watches, mints and checks SVIDs.

mod credentials;
mod fetch;
mod lint;
mod mint;
mod received_wit;
mod revoke;
mod shown;
pub(crate) mod socket;

use std::process::ExitCode;

use clap::Subcommand;
pub(crate) use fetch::first as first_x509;

use crate::args::Global;
use crate::failure::Failure;

/// Fetches, watches, mints and checks SVIDs.
#[derive(Debug, Subcommand)]
pub(crate) enum SvidCommand {
    /// Fetches what this process is entitled to, over the Workload API.
    #[command(subcommand)]
    Fetch(fetch::FetchCommand),
    /// Prints each update of this process's X509-SVIDs, one line an update, until it is interrupted.
    Watch(fetch::WatchArgs),
    /// Mints a token as an operator, without an entry.
    #[command(subcommand)]
    Mint(mint::MintCommand),
    /// Revokes X509-SVIDs before they end: what was issued until now, and nothing that is issued afterwards.
    Revoke(revoke::RevokeArgs),
    /// Lists what is revoked and has not ended.
    Revocations(revoke::RevocationsArgs),
    /// Checks a file of certificates or revocation lists against every rule of the standards.
    Lint(lint::LintArgs),
}

/// Carries out an svid command.
pub(crate) async fn run(command: SvidCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        SvidCommand::Fetch(command) => fetch::fetch(command, global).await?,
        SvidCommand::Watch(args) => fetch::watch(args, global).await?,
        SvidCommand::Mint(command) => mint::mint(command, global).await?,
        SvidCommand::Revoke(args) => return revoke::revoke(args, global).await,
        SvidCommand::Revocations(args) => revoke::list(args, global).await?,
        SvidCommand::Lint(args) => return lint::run(&args, global),
    }
    Ok(ExitCode::SUCCESS)
}
