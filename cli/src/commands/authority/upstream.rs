//! `troth authority csr`, `cross-sign` and `upstream`: our roots certified by CAs outside of the trust domain.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind};
use trust_domains::plan::upstream::CrossId;
use trust_domains::problem::Code;
use trust_domains::wire::upstreams::{CrossSign, CrossSource, CrossView, Csr, CsrRequest, MAX_CHAIN_PEM};

use super::order::find;
use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::{Failure, usage};
use crate::input::read_text;
use crate::output::{List, table};

/// Writes a certificate request.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth authority csr --kind x509-root --to root.csr\n  troth authority csr --kind x509-root > root.csr\n\nCarry it to the upstream authority, and what it returns back: troth authority cross-sign --certificate chain.pem"
)]
pub(crate) struct CsrArgs {
    /// What is to be certified: x509-root.
    #[arg(long, value_name = "K")]
    kind: AuthorityKind,
    /// The root's id, or its beginning where only one begins so [default: the active root].
    id: Option<String>,
    /// Writes it to this new file instead of printing it.
    #[arg(long, value_name = "F")]
    to: Option<PathBuf>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Takes a cross-certificate.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth authority cross-sign --certificate chain.pem --send-cross-certificate\n  cat cross.pem corporate-ca.pem | troth authority cross-sign --certificate -"
)]
pub(crate) struct CrossSignArgs {
    /// What the upstream authority returned, in PEM: the cross-certificate first, then the authority's certificates, the one that signed it first; - for standard
    /// input.
    #[arg(long, value_name = "F")]
    certificate: PathBuf,
    /// The root's id, or its beginning where only one begins so [default: the root whose key is certified].
    id: Option<String>,
    /// Sends it along in chains, for those who trust the upstream authority alone.
    #[arg(long)]
    send_cross_certificate: bool,
    /// Declares that the upstream authority issues for this trust domain alone: its root, which must then be in the file, comes into the bundle.
    #[arg(long)]
    dedicated: bool,
    #[command(flatten)]
    place: ServerPlace,
}

/// Lists and removes cross-certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum UpstreamCommand {
    /// Lists the cross-certificates of our roots.
    #[command(after_help = "Example:\n  troth authority upstream list")]
    List {
        /// Where the server is.
        #[command(flatten)]
        place: ServerPlace,
    },
    /// Removes a cross-certificate: chains are issued without it, and a dedicated authority's root leaves the bundle.
    #[command(after_help = "Example:\n  troth authority upstream remove 0102030405060708")]
    Remove {
        /// The cross-certificate's id.
        id: CrossId,
        /// Where the server is.
        #[command(flatten)]
        place: ServerPlace,
    },
}

#[derive(Serialize)]
struct Removed {
    id: CrossId,
}

/// Makes a request, and prints or writes it.
pub(super) async fn csr(args: CsrArgs, global: &Global) -> Result<(), Failure> {
    if args.kind != AuthorityKind::X509Root {
        return Err(usage(format!("an upstream authority certifies roots: --kind x509-root, not {}", args.kind)));
    }
    let client = AdminClient::find(&args.place, global)?;
    let root = root(&client, args.id.as_deref()).await?;
    let csr: Csr = client.post("/v1/admin/upstreams/csr", &CsrRequest { root }).await?;
    match &args.to {
        None => global.output().result(&csr, |csr| csr.csr_pem.clone()),
        Some(file) => {
            write_new(file, &csr.csr_pem)?;
            global.output().result(&csr, |csr| {
                format!(
                    "wrote a request for {} to {}\nthe certificate must keep that name, be a CA and allow one CA below it; then: troth authority cross-sign --certificate CHAIN",
                    csr.subject,
                    file.display()
                )
            })
        }
    }
}

/// Takes a cross-certificate.
pub(super) async fn cross_sign(args: CrossSignArgs, global: &Global) -> Result<(), Failure> {
    let chain_pem = read_text(&args.certificate, MAX_CHAIN_PEM as u64)?;
    let client = AdminClient::find(&args.place, global)?;
    let request = CrossSign {
        root: root(&client, args.id.as_deref()).await?,
        chain_pem,
        sent: args.send_cross_certificate,
        dedicated: args.dedicated,
    };
    let taken: CrossView = client.post("/v1/admin/upstreams", &request).await?;
    global.output().result(&taken, |taken| {
        let use_of = match taken.sent {
            true => "new chains carry it, those that are out are as they were until they are renewed",
            false => "chains do not carry it",
        };
        format!(
            "took cross-certificate {} of root {} by {}, good until {}; {use_of}",
            taken.id, taken.root, taken.upstream, taken.not_after
        )
    })
}

/// Lists or removes.
pub(super) async fn run(command: UpstreamCommand, global: &Global) -> Result<(), Failure> {
    match command {
        UpstreamCommand::List { place } => {
            let list: List<CrossView> = AdminClient::find(&place, global)?.pages("/v1/admin/upstreams", &[], None).await?;
            global.output().result(&list, |list| list_text(&list.items))
        }
        UpstreamCommand::Remove { id, place } => {
            let path = format!("/v1/admin/upstreams/{}", path_segment(id.as_str()));
            let () = AdminClient::find(&place, global)?.delete(&path).await?;
            global
                .output()
                .result(&Removed { id }, |removed| format!("removed cross-certificate {}", removed.id))
        }
    }
}

/// Finds the root that is named by its id or the beginning of it.
async fn root(client: &AdminClient, named: Option<&str>) -> Result<Option<AuthorityId>, Failure> {
    let Some(named) = named else { return Ok(None) };
    let root = find(client, named).await?;
    match root.kind {
        AuthorityKind::X509Root => Ok(Some(root.id)),
        other => Err(usage(format!("an upstream authority certifies roots, and {} is of kind {other}", root.id))),
    }
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(Code::FileUnavailable, format!("cannot write {}: {error}", path.display())))
}

fn list_text(items: &[CrossView]) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows: Vec<[String; 7]> = items
        .iter()
        .map(|item| {
            [
                item.id.to_string(),
                super::text::short(&item.root).to_string(),
                item.upstream.clone(),
                match item.source {
                    CrossSource::Files => "files",
                    CrossSource::Request => "request",
                }
                .to_owned(),
                yes(item.sent),
                yes(item.dedicated),
                item.not_after.to_string(),
            ]
        })
        .collect();
    table(["ID", "ROOT", "UPSTREAM AUTHORITY", "BY", "SENT", "DEDICATED", "ENDS"], &rows)
}
