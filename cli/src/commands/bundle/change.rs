//! `troth bundle set` and `troth bundle delete`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use trust_domains::TrustDomain;
use trust_domains::bundle::MAX_BUNDLE_BYTES;
use trust_domains::wire::bundles::{self, BundleDeleted, BundleResult, BundleSet, FederatedEntries, SetBundle};

use super::bundle_path;
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::commands::entry::wait::{WaitArgs, wait};
use crate::counted::counted;
use crate::failure::Failure;
use crate::input::read_text;

/// Sets a partner's bundle.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth bundle set --trust-domain partner.example bundle.json\n  troth bundle set --trust-domain partner.example --format pem roots.pem --wait"
)]
pub(crate) struct SetArgs {
    /// The partner's trust domain.
    #[arg(long, value_name = "TD")]
    trust_domain: TrustDomain,
    /// How the file is written.
    #[arg(long, value_enum, default_value = "spiffe")]
    format: SetFormat,
    /// The bundle; - for standard input.
    file: PathBuf,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// How a bundle is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SetFormat {
    /// A SPIFFE bundle document (JSON).
    Spiffe,
    /// Roots in PEM.
    Pem,
}

/// Deletes a partner's bundle.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth bundle delete --trust-domain partner.example\n  troth bundle delete --trust-domain partner.example --dissociate --wait"
)]
pub(crate) struct DeleteArgs {
    /// The partner's trust domain.
    #[arg(long, value_name = "TD")]
    trust_domain: TrustDomain,
    /// Also takes the trust domain out of every entry that federates with it.
    #[arg(long)]
    dissociate: bool,
    /// Leaves entries that federate with it as they are: they have the next bundle that is set.
    #[arg(long, conflicts_with = "dissociate")]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Sets a bundle, and says what of it was passed over.
pub(super) async fn set(args: SetArgs, global: &Global) -> Result<ExitCode, Failure> {
    let request = SetBundle {
        format: match args.format {
            SetFormat::Spiffe => bundles::BundleFormat::Spiffe,
            SetFormat::Pem => bundles::BundleFormat::Pem,
        },
        document: read_text(&args.file, MAX_BUNDLE_BYTES as u64)?,
    };
    let client = AdminClient::find(&args.place, global)?;
    let set: BundleSet = client.put(&bundle_path(&args.trust_domain), &request).await?;
    for skipped in &set.skipped {
        global.output().warn(&format!("part {} was passed over: {}", skipped.position, skipped.reason));
    }
    for warning in &set.warnings {
        global.output().warn(warning);
    }
    global.output().result(&set, set_text)?;
    wait(&client, &args.wait, set.revision, set.nodes, global).await
}

fn set_text(set: &BundleSet) -> String {
    let result = match set.result {
        BundleResult::Created => "set",
        BundleResult::Unchanged => "unchanged",
        BundleResult::Updated => "replaced",
    };
    let bundle = &set.bundle;
    format!(
        "{result}: {} with {} X.509, {} JWT and {} WIT keys; entries that federate with it: {}",
        bundle.trust_domain,
        bundle.x509_authorities,
        bundle.jwt_authorities,
        bundle.wit_authorities,
        bundle.entries.unwrap_or_default()
    )
}

/// Deletes a bundle.
pub(super) async fn delete(args: DeleteArgs, global: &Global) -> Result<ExitCode, Failure> {
    let entries = match (args.dissociate, args.force) {
        (true, _) => FederatedEntries::Dissociate,
        (false, true) => FederatedEntries::Keep,
        (false, false) => FederatedEntries::Refuse,
    };
    let client = AdminClient::find(&args.place, global)?;
    let path = format!("{}?entries={}", bundle_path(&args.trust_domain), word(entries));
    let deleted: BundleDeleted = client.delete(&path).await?;
    global.output().result(&deleted, deleted_text)?;
    wait(&client, &args.wait, deleted.revision, deleted.nodes, global).await
}

/// Returns the word of the API.
pub(crate) fn word(entries: FederatedEntries) -> &'static str {
    match entries {
        FederatedEntries::Dissociate => "dissociate",
        FederatedEntries::Keep => "keep",
        FederatedEntries::Refuse => "refuse",
    }
}

fn deleted_text(deleted: &BundleDeleted) -> String {
    let left = deleted.entries - deleted.dissociated.min(deleted.entries);
    let mut text = format!("deleted the bundle of {}", deleted.trust_domain);
    if deleted.dissociated > 0 {
        text.push_str(&format!("; it was taken out of {}", counted(deleted.dissociated, "entry", "entries")));
    }
    if left > 0 {
        text.push_str(&format!(
            "; {} still {} it",
            counted(left, "entry", "entries"),
            if left == 1 { "names" } else { "name" }
        ));
    }
    text
}
