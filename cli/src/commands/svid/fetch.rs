//! `troth svid fetch` and `troth svid watch`.

mod asked;
mod bundles;
mod file_set;
mod wit;
mod x509;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use platform::clock::SystemClock;
use serde::Serialize;
use sidecar::source::{SourceError, WorkloadClient, X509Context};
use trust_domains::{ConfiguredId, Timestamp, TrustDomain};

use super::credentials::{Credentials, Numbered};
use super::shown::{ShownSvid, ShownToken};
use super::socket::SocketArgs;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::table;

/// The file of each JWT-SVID.
const JWT_TOKEN: Numbered = Numbered::new("jwt", "token");

/// Fetches what this process is entitled to.
#[derive(Debug, Subcommand)]
pub(crate) enum FetchCommand {
    /// Its X509-SVIDs: verified against the bundle that comes with them.
    X509(x509::X509Args),
    /// Its JWT-SVIDs for an audience: verified with the keys of its JWT bundles.
    Jwt(JwtArgs),
    /// Its WIT-SVIDs, with a proof of possession for a recipient if one is named: verified with the keys of its WIT bundles.
    Wit(wit::WitArgs),
    /// Its bundles: X.509 roots, JWT keys and, where that profile is on, WIT keys.
    Bundles(bundles::BundlesArgs),
}

/// Fetches JWT-SVIDs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth svid fetch jwt --audience spiffe://prod.example.org/db\n  troth svid fetch jwt --audience https://api.example.com --write ./credentials"
)]
pub(crate) struct JwtArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Whom the token is for; repeat it for more, though one is the rule.
    #[arg(long, value_name = "A", required = true)]
    audience: Vec<String>,
    /// The identity to fetch a token of, whole or as /path [default: every one that this process has].
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<ConfiguredId>,
    /// Also writes jwt.N.token (0600) to this directory, and removes those with higher numbers of an earlier fetch.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Watches X509-SVIDs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth svid watch --output json")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Serialize)]
struct FetchedTokens {
    svids: Vec<ShownToken>,
}

#[derive(Serialize)]
struct Update {
    at: Timestamp,
    svids: Vec<ShownSvid>,
    federates_with: Vec<TrustDomain>,
    crls: usize,
}

/// Carries out a fetch.
pub(crate) async fn fetch(command: FetchCommand, global: &Global) -> Result<(), Failure> {
    match command {
        FetchCommand::X509(args) => x509::fetch_x509(args, global).await,
        FetchCommand::Jwt(args) => fetch_jwt(args, global).await,
        FetchCommand::Wit(args) => wit::fetch_wit(args, global).await,
        FetchCommand::Bundles(args) => bundles::fetch_bundles(&args, global).await,
    }
}

/// Fetches the X509-SVIDs of this process once.
pub(crate) async fn first(socket: &Path) -> Result<X509Context, Failure> {
    let fetched = async { WorkloadClient::connect(socket).await?.watch_x509().await?.next(&SystemClock).await };
    fetched.await.map_err(|error: SourceError| Failure::of(&error))
}

fn partners(received: &X509Context) -> Vec<TrustDomain> {
    received.bundles().federated().map(|bundle| bundle.trust_domain().clone()).collect()
}

fn shown(received: &X509Context) -> Vec<ShownSvid> {
    received.svids().iter().map(ShownSvid::from).collect()
}

async fn fetch_jwt(args: JwtArgs, global: &Global) -> Result<(), Failure> {
    // The agent refuses the same; its status says invalid argument, and not which.
    agent::jwt_svids::Audience::of(args.audience.clone()).map_err(|error| Failure::of(&error))?;
    let socket = args.socket.find()?;
    let asked = asked::whole(args.spiffe_id, &socket).await?;
    let fetched = async {
        WorkloadClient::connect(&socket)
            .await?
            .jwt_svids(&args.audience, asked.as_ref(), &SystemClock)
            .await
    };
    let fetched = fetched.await.map_err(|error: SourceError| Failure::of(&error))?;
    let svids: Vec<_> = fetched.iter().map(ShownToken::from).collect();
    if let Some(folder) = &args.write {
        let credentials = Credentials::open(folder)?;
        for (index, svid) in svids.iter().enumerate() {
            credentials.secret(&JWT_TOKEN.name(index), svid.token.as_str().as_bytes())?;
        }
        credentials.keep_first(svids.len(), &[JWT_TOKEN])?;
    }
    global.output().result(&FetchedTokens { svids }, |fetched| tokens_text(&fetched.svids))
}

/// Prints each update until it is interrupted; a refusal ends it with its reason.
pub(crate) async fn watch(args: WatchArgs, global: &Global) -> Result<(), Failure> {
    let interrupted = platform::process::shutdown_signal()?;
    let socket = args.socket.find()?;
    let opened = async { WorkloadClient::connect(&socket).await?.watch_x509().await };
    let mut updates = opened.await.map_err(|error: SourceError| Failure::of(&error))?;
    loop {
        let received = tokio::select! {
            received = updates.next(&SystemClock) => received.map_err(|error| Failure::of(&error))?,
            () = interrupted.cancelled() => return Ok(()),
        };
        let update = Update {
            at: crate::environment::now(),
            federates_with: partners(&received),
            crls: received.crls().len(),
            svids: shown(&received),
        };
        global
            .output()
            .line(&update, |update| format!("{}\n{}", update.at, svids_text(&update.svids)))?;
    }
}

fn svids_text(svids: &[ShownSvid]) -> String {
    let rows: Vec<[String; 5]> = svids
        .iter()
        .map(|svid| {
            let hint = svid.hint.clone().unwrap_or_default();
            [
                svid.spiffe_id.to_string(),
                svid.serial.to_string(),
                svid.issued_at.to_string(),
                svid.expires_at.to_string(),
                hint,
            ]
        })
        .collect();
    table(["SPIFFE ID", "SERIAL", "ISSUED", "EXPIRES", "HINT"], &rows)
}

/// A token and nothing else is what scripts take: one line each; who it is of goes before it when there are several.
fn tokens_text(svids: &[ShownToken]) -> String {
    match svids {
        [one] => one.token.as_str().to_owned(),
        several => {
            let lines: Vec<String> = several
                .iter()
                .map(|svid| format!("{} until {}\n{}", svid.spiffe_id, svid.expires_at, svid.token.as_str()))
                .collect();
            lines.join("\n")
        }
    }
}
