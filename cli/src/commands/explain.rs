//! `troth explain`: why a process gets what it gets.

use clap::Args;
use trust_domains::wire::agent::{EntryMatch, Explanation, IdentityNow, PartnerNow};

use crate::admin::{AdminClient, AgentPlace};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::table;

/// Says why a process of this node gets what it gets; run it as the agent's user or root.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth explain --pid 4242")]
pub(crate) struct ExplainArgs {
    /// The process [default: the one that runs this command's shell].
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
    #[command(flatten)]
    place: AgentPlace,
}

/// Asks the agent and prints its answer.
pub(crate) async fn run(args: ExplainArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find_agent(&args.place, global)?;
    let pid = args.pid.unwrap_or_else(parent);
    let explanation: Explanation = client.get(&format!("/v1/agent/explain?pid={pid}")).await?;
    global.output().result(&explanation, explanation_text)
}

/// A person who asks about no process means the shell: what is started from it has its user and groups.
fn parent() -> i32 {
    rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get())
}

fn explanation_text(explanation: &Explanation) -> String {
    let mut text = format!("process {} has:\n", explanation.pid);
    for selector in &explanation.selectors {
        text.push_str(&format!("  {selector}\n"));
    }
    for unknown in &explanation.unknown {
        text.push_str(&format!("  {}: could not be read: {}\n", unknown.kind, unknown.reason));
    }
    text.push_str("\nentries of this node:\n");
    if explanation.entries.is_empty() {
        text.push_str("  none\n");
    }
    for entry in &explanation.entries {
        text.push_str(&entry_text(entry));
    }
    text.push_str("\nit gets now:\n");
    text.push_str(&identities_text(&explanation.identities));
    if let Some(remedy) = &explanation.remedy {
        text.push_str(&format!("\nto give it an identity:\n  {remedy}\n"));
    }
    text
}

fn entry_text(entry: &EntryMatch) -> String {
    let verdict = if entry.matches { "matches" } else { "does not match" };
    let mut text = format!("  {} ({}, {}) {verdict}\n", entry.spiffe_id, entry.id, entry.class);
    for (word, selectors) in [("has", &entry.matched), ("lacks", &entry.missing), ("unknown", &entry.unknown)] {
        if !selectors.is_empty() {
            let list: Vec<String> = selectors.iter().map(ToString::to_string).collect();
            text.push_str(&format!("    {word}: {}\n", list.join(", ")));
        }
    }
    for partner in &entry.partners {
        text.push_str(&format!("    partner {}: {}\n", partner.trust_domain, partner_text(partner)));
    }
    text
}

/// Says what there is of a partner, and why there is not more.
fn partner_text(partner: &PartnerNow) -> String {
    let mut parts = vec![match (partner.held, partner.roots) {
        (false, _) => "no bundle here, its workloads are not trusted".to_owned(),
        (true, 0) => "its bundle has no root, nothing of it is trusted".to_owned(),
        (true, _) => "bundle held".to_owned(),
    }];
    parts.extend(partner.held_since.map(|since| format!("since {since}")));
    parts.extend(partner.sequence.map(|sequence| format!("sequence {sequence}")));
    if partner.crls > 0 {
        parts.push(format!("{} revocation lists", partner.crls));
    }
    let error = partner.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
    parts.push(match (partner.status, partner.since) {
        (Some(status), Some(since)) => format!("the server says {status}{error} since {since}"),
        (Some(status), None) => format!("the server says {status}{error}"),
        (None, _) if partner.held => "set by hand, or the server has not said how it stands".to_owned(),
        (None, _) => "the server fetches nothing from it, or has not said how it stands: troth federation show".to_owned(),
    });
    parts.join(", ")
}

fn identities_text(identities: &[IdentityNow]) -> String {
    if identities.is_empty() {
        return "  nothing\n".to_owned();
    }
    let dash = || "-".to_owned();
    let rows: Vec<[String; 4]> = identities
        .iter()
        .map(|identity| {
            let serial = identity.serial.as_ref().map_or_else(|| "being issued".to_owned(), ToString::to_string);
            let expires = identity.expires_at.map_or_else(dash, |time| time.to_string());
            let renewal = identity.next_renewal.map_or_else(dash, |time| time.to_string());
            [identity.spiffe_id.to_string(), serial, expires, renewal]
        })
        .collect();
    table(["SPIFFE ID", "SERIAL", "EXPIRES", "NEXT RENEWAL"], &rows)
}
