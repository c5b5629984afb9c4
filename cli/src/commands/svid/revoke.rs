//! `troth svid revoke` and `revocations`.

use std::process::ExitCode;

use clap::Args;
use trust_domains::revocation::{RevocationCause, RevocationTarget};
use trust_domains::wire::admin::{NodeView, RevocationView, RevokeRequest, RevokeTarget, Revoked};
use trust_domains::{Serial, SpiffeId};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::commands::entry::wait::{WaitArgs, wait};
use crate::counted::counted;
use crate::failure::Failure;
use crate::output::{List, table};

/// Revokes X509-SVIDs.
///
/// The rule concerns what was issued until now. The workloads of an entry that still exists get new certificates at once, and these are good: to keep an
/// identity from them, delete the entry first. A node whose own SVID is revoked must join again with a new link: to keep it out, ban it. Tokens are not
/// revoked: they end by themselves within minutes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth svid revoke --serial 01a1b2c3d40102030405060708090a0b --because \"key was in a log\"\n  troth svid revoke --spiffe-id /web --wait\n  troth svid revoke --entry 8f14e45fceea167a5a36dedd4bea2543\n  troth svid revoke --node web-1"
)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    what: What,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Names certificates.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// One certificate, by its serial number in hex.
    #[arg(long, value_name = "S")]
    serial: Option<Serial>,
    /// What was issued with this SPIFFE ID, or /PATH, by whichever entry.
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// What an entry was issued: its id, also of one that is deleted, or its SPIFFE ID where that is unique.
    #[arg(long, value_name = "E")]
    entry: Option<String>,
    /// The SVID of a node and everything issued through it: its name, or its SPIFFE ID, also of one that is gone.
    #[arg(long, value_name = "N")]
    node: Option<String>,
}

/// Lists what is revoked.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth svid revocations")]
pub(crate) struct RevocationsArgs {
    /// The most rules to list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    place: ServerPlace,
}

impl What {
    /// The parser takes exactly one.
    fn target(self) -> Option<RevokeTarget> {
        let serial = self.serial.map(RevokeTarget::Serial);
        serial
            .or(self.spiffe_id.map(RevokeTarget::SpiffeId))
            .or(self.entry.map(RevokeTarget::Entry))
            .or(self.node.map(RevokeTarget::Node))
    }
}

/// Revokes, and waits for every node if asked to: each of them delivers the lists.
pub(crate) async fn revoke(args: RevokeArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let Some(target) = args.what.target() else {
        return Ok(ExitCode::SUCCESS);
    };
    let request = RevokeRequest { target, because: args.because };
    let revoked: Revoked = client.post("/v1/admin/revocations", &request).await?;
    global.output().result(&revoked, revoked_text)?;
    let nodes = match args.wait.is_asked() && revoked.rule.is_some() {
        true => client.pages::<NodeView>("/v1/admin/nodes", &[], None).await?.items,
        false => Vec::new(),
    };
    let nodes: Vec<SpiffeId> = nodes.into_iter().map(|node| node.spiffe_id).collect();
    wait(&client, &args.wait, revoked.revision, nodes, global).await
}

/// Lists the rules.
pub(crate) async fn list(args: RevocationsArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let list: List<RevocationView> = client.pages("/v1/admin/revocations", &[], args.limit).await?;
    global.output().result(&list, |list| rules_text(&list.items))
}

fn revoked_text(revoked: &Revoked) -> String {
    match &revoked.rule {
        None => "nothing that was issued for it has still to end: nothing is revoked".to_owned(),
        Some(rule) => format!(
            "revoked {} for {}, until {}: then the last of them would have ended",
            counted(revoked.certificates, "certificate", "certificates"),
            named(&rule.target),
            rule.until
        ),
    }
}

fn named(target: &RevocationTarget) -> String {
    match target {
        RevocationTarget::Entry { entry } => format!("entry {entry}"),
        RevocationTarget::Listed { issuer, serials } => format!("{} serials of {issuer}", serials.len()),
        RevocationTarget::Node { spiffe_id } => format!("node {spiffe_id}"),
        RevocationTarget::Serial { serial } => format!("serial {serial}"),
        RevocationTarget::SpiffeId { spiffe_id } => spiffe_id.to_string(),
    }
}

fn cause_word(cause: RevocationCause) -> &'static str {
    match cause {
        RevocationCause::Banned => "banned",
        RevocationCause::Evicted => "evicted",
        RevocationCause::HandedBack => "handed back",
        RevocationCause::Ordered => "ordered",
    }
}

fn rules_text(rules: &[RevocationView]) -> String {
    let rows: Vec<[String; 5]> = rules
        .iter()
        .map(|rule| {
            let until = if rule.before.is_some() {
                rule.until.to_string()
            } else {
                "while banned".to_owned()
            };
            let because = rule.because.clone().unwrap_or_else(|| "-".to_owned());
            [rule.made_at.to_string(), named(&rule.target), until, cause_word(rule.cause).to_owned(), because]
        })
        .collect();
    table(["MADE", "WHAT", "UNTIL", "CAUSE", "BECAUSE"], &rows)
}
