//! `troth bundle`: what makes SVIDs of a trust domain believable.

pub(crate) mod change;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use trust_domains::duration::format_duration;
use trust_domains::wire::bundles::{BundleOrigin, BundleView};
use trust_domains::{SpiffeBundle, TrustBundle, TrustDomain};

use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{List, table};

/// Shows trust bundles, and says whose SVIDs are believed beside our own.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Prints a trust bundle.
    #[command(after_help = "Examples:\n  troth bundle show --format pem > bundle.pem\n  troth bundle show --trust-domain partner.example --format spiffe")]
    Show(ShowArgs),
    /// Lists the trust bundles that the server holds: its own, and those of partners.
    #[command(after_help = "Example:\n  troth bundle list")]
    List(ListArgs),
    /// Sets the bundle of a partner trust domain by hand; workloads whose entries federate with it have it at once.
    Set(change::SetArgs),
    /// Deletes the bundle of a partner trust domain: nothing of it is trusted from then on.
    Delete(change::DeleteArgs),
}

/// The format of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BundleFormat {
    /// The SPIFFE bundle document (JSON).
    Spiffe,
    /// The X.509 authorities in PEM.
    Pem,
    /// The JWT authorities as a standard JWK Set (JSON).
    Jwks,
}

/// Prints a bundle.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The format: of the document itself, whatever --output says.
    #[arg(long, value_enum, default_value = "spiffe")]
    format: BundleFormat,
    /// The trust domain [default: the server's own].
    #[arg(long, value_name = "TD")]
    trust_domain: Option<TrustDomain>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Lists bundles.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The most bundles to list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out a bundle command.
pub(crate) async fn run(command: BundleCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        BundleCommand::Set(args) => return change::set(args, global).await,
        BundleCommand::Delete(args) => return change::delete(args, global).await,
        BundleCommand::Show(args) => show(&args, global).await?,
        BundleCommand::List(args) => {
            let client = AdminClient::find(&args.place, global)?;
            let list: List<BundleView> = client.pages("/v1/admin/bundles", &[], args.limit).await?;
            global.output().result(&list, |list| bundles_text(&list.items))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(args: &ShowArgs, global: &Global) -> Result<(), Failure> {
    let path = args.trust_domain.as_ref().map_or_else(|| "/v1/admin/bundle".to_owned(), bundle_path);
    let document: SpiffeBundle = AdminClient::find(&args.place, global)?.get(&path).await?;
    let bundle: TrustBundle = document.into_bundle();
    let text = match args.format {
        BundleFormat::Jwks => pretty(&bundle.to_jwks())?,
        BundleFormat::Pem => bundle.to_pem(),
        BundleFormat::Spiffe => pretty(&bundle.to_spiffe_json())?,
    };
    global.output().raw(&text)
}

/// Returns where the admin API has a bundle.
pub(crate) fn bundle_path(trust_domain: &TrustDomain) -> String {
    format!("/v1/admin/bundles/{}", path_segment(trust_domain.as_str()))
}

fn pretty(document: &str) -> Result<String, Failure> {
    let document: serde_json::Value = serde_json::from_str(document).map_err(std::io::Error::from)?;
    Ok(serde_json::to_string_pretty(&document).map_err(std::io::Error::from)?)
}

fn bundles_text(items: &[BundleView]) -> String {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<[String; 7]> = items
        .iter()
        .map(|item| {
            [
                item.trust_domain.to_string(),
                origin_word(item.source).to_owned(),
                format!("{} / {} / {}", item.x509_authorities, item.jwt_authorities, item.wit_authorities),
                or_dash(item.sequence.map(|sequence| sequence.to_string())),
                or_dash(item.refresh_hint_s.map(|hint| format_duration(std::time::Duration::from_secs(hint)))),
                or_dash(item.set_at.map(|at| at.to_string())),
                or_dash(item.entries.map(|entries| entries.to_string())),
            ]
        })
        .collect();
    table(
        [
            "TRUST DOMAIN",
            "SOURCE",
            "X.509 / JWT / WIT KEYS",
            "SEQUENCE",
            "REFRESH HINT",
            "SET AT",
            "ENTRIES",
        ],
        &rows,
    )
}

fn origin_word(origin: BundleOrigin) -> &'static str {
    match origin {
        BundleOrigin::Federation => "federation",
        BundleOrigin::Manual => "manual",
        BundleOrigin::Own => "own",
    }
}
