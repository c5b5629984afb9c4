//! `troth bundle`: what makes SVIDs of a trust domain believable.

use clap::{Args, Subcommand};
use serde::Serialize;
use trust_domains::{SpiffeBundle, TrustBundle, TrustDomain};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{List, table};

/// Shows trust bundles.
#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Prints a trust bundle.
    #[command(after_help = "Examples:\n  troth bundle show --format pem > bundle.pem\n  troth bundle show --format spiffe")]
    Show(ShowArgs),
    /// Lists the trust bundles that the server holds.
    #[command(after_help = "Example:\n  troth bundle list")]
    List(ListArgs),
}

/// The format of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BundleFormat {
    /// The SPIFFE bundle document (JSON).
    Spiffe,
    /// The X.509 authorities in PEM.
    Pem,
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
    #[command(flatten)]
    place: ServerPlace,
}

#[derive(Serialize)]
struct BundleItem {
    trust_domain: TrustDomain,
    x509_authorities: usize,
    sequence: Option<u64>,
    refresh_hint_s: Option<u64>,
}

/// Carries out a bundle command.
pub(crate) async fn run(command: BundleCommand, global: &Global) -> Result<(), Failure> {
    match command {
        BundleCommand::Show(args) => {
            let bundle = fetch(&args.place, global).await?;
            if let Some(asked) = args.trust_domain.as_ref().filter(|asked| *asked != bundle.trust_domain()) {
                return Err(
                    Failure::new(trust_domains::problem::Code::NotFound, format!("the server holds no bundle of {asked}"))
                        .with_hint("list what there is: troth bundle list"),
                );
            }
            let text = match args.format {
                BundleFormat::Pem => bundle.to_pem(),
                BundleFormat::Spiffe => pretty(&bundle)?,
            };
            global.output().raw(&text)
        }
        BundleCommand::List(args) => {
            let bundle = fetch(&args.place, global).await?;
            let items = vec![BundleItem {
                trust_domain: bundle.trust_domain().clone(),
                x509_authorities: bundle.x509_authorities().len(),
                sequence: bundle.sequence(),
                refresh_hint_s: bundle.refresh_hint().map(|hint| hint.as_secs()),
            }];
            global.output().result(&List { items, next: None }, |list| bundles_text(&list.items))
        }
    }
}

async fn fetch(place: &ServerPlace, global: &Global) -> Result<TrustBundle, Failure> {
    let document: SpiffeBundle = AdminClient::find(place, global)?.get("/v1/admin/bundle").await?;
    Ok(document.into_bundle())
}

fn pretty(bundle: &TrustBundle) -> Result<String, Failure> {
    let document: serde_json::Value = serde_json::from_str(&bundle.to_spiffe_json()).map_err(std::io::Error::from)?;
    Ok(serde_json::to_string_pretty(&document).map_err(std::io::Error::from)?)
}

fn bundles_text(items: &[BundleItem]) -> String {
    let dash = || "-".to_owned();
    let rows: Vec<[String; 4]> = items
        .iter()
        .map(|item| {
            let sequence = item.sequence.map_or_else(dash, |sequence| sequence.to_string());
            let hint = item.refresh_hint_s.map_or_else(dash, |hint| format!("{hint} s"));
            [item.trust_domain.to_string(), item.x509_authorities.to_string(), sequence, hint]
        })
        .collect();
    table(["TRUST DOMAIN", "X.509 AUTHORITIES", "SEQUENCE", "REFRESH HINT"], &rows)
}
