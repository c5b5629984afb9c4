//! `troth entry create` and `troth entry update`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use trust_domains::class::CredentialClass;
use trust_domains::duration::TextDuration;
use trust_domains::timestamp::Timestamp;
use trust_domains::wire::admin::{CreateEntries, EntriesCreated, EntryChange, EntryDraft, EntryResult, EntryView};
use trust_domains::{SpiffeId, TrustDomain};

use super::file::{SpireArgs, read_drafts};
use super::partners::warn_without_bundle;
use super::wait::{WaitArgs, wait};
use super::{entry_path, text};
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::{Failure, usage};
use crate::output::List;

/// The path of the server's ID: as a parent it makes an entry a node alias.
const SERVER_PATH: &str = "/troth/server";

/// Makes entries.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth entry create --spiffe-id /web --selector unix:user:www-data --wait\n  troth entry create --file entries.json\n  spire-server entry show -output json | troth entry create --file - --leave-out"
)]
pub(crate) struct CreateArgs {
    /// The identity to give: a SPIFFE ID, or its path.
    #[arg(long, value_name = "ID", required_unless_present = "file")]
    spiffe_id: Option<String>,
    /// A fact that the process must have, as type:value; repeat it for more, all must hold.
    #[arg(long = "selector", value_name = "TYPE:VALUE", required_unless_present = "file")]
    selectors: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
    /// Makes a node alias: nodes that have all its selectors (x509pop:...) have its SPIFFE ID, which is then a --parent of other entries, and no workload's.
    #[arg(long, conflicts_with_all = ["parent", "class", "x509_ttl", "jwt_ttl", "hint", "federates_with", "expires_at", "dns", "subject_cn", "claims"])]
    node: bool,
    /// Makes all entries of this JSON file (what `entry list --output json` prints, a list of entries, or the entries of a SPIRE server); - for standard
    /// input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["spiffe_id", "selectors", "parent", "class", "x509_ttl", "jwt_ttl", "hint", "federates_with", "expires_at", "node", "dns", "subject_cn"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    spire: SpireArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// What an entry has beside its identity and selectors.
#[derive(Debug, Args)]
struct FieldArgs {
    /// The node, by name or SPIFFE ID, or the SPIFFE ID of a node alias; without it the only node.
    #[arg(long, value_name = "NODE")]
    parent: Option<String>,
    /// How long its credentials may live: fast 3m, medium 90m, slow 24h [default: medium].
    #[arg(long, value_name = "CLASS")]
    class: Option<CredentialClass>,
    /// The life of its X509-SVIDs, from 10s [default: that of the class].
    #[arg(long, value_name = "D")]
    x509_ttl: Option<TextDuration>,
    /// The life of its JWT-SVIDs [default: 5m].
    #[arg(long, value_name = "D")]
    jwt_ttl: Option<TextDuration>,
    /// A claim of its JWT-SVIDs beside those of the standard, as tier="gold"; repeat it for more. The server's jwt_claims lists the names.
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
    /// A label that tells a workload's identities apart, at most 1,024 bytes; of two equal ones that a process gets, the older entry's counts.
    #[arg(long, value_name = "TEXT")]
    hint: Option<String>,
    /// A partner trust domain whose bundle its workload gets; repeat it for more.
    #[arg(long, value_name = "TD")]
    federates_with: Vec<TrustDomain>,
    /// A DNS name in its certificates, as db.example.org; repeat it for more. Clients believe it without knowing SPIFFE.
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// The common name in the subject of its certificates, for servers that map it to a user, as databases do [default: an empty subject].
    #[arg(long, value_name = "CN")]
    subject_cn: Option<String>,
    /// When the entry ends, as 2026-12-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
}

/// Changes an entry.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth entry update /web --x509-ttl 30m --wait")]
pub(crate) struct UpdateArgs {
    /// The entry's id, or its SPIFFE ID where only one entry has it.
    id: String,
    /// Another identity.
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// Takes all claims away; those of --claim replace all as well.
    #[arg(long, conflicts_with = "claims")]
    no_claims: bool,
    /// Other selectors: they replace all that are there.
    #[arg(long = "selector", value_name = "TYPE:VALUE")]
    selectors: Vec<String>,
    #[command(flatten)]
    fields: FieldArgs,
    /// Takes all DNS names away.
    #[arg(long, conflicts_with = "dns")]
    no_dns: bool,
    /// Takes all partner trust domains away.
    #[arg(long, conflicts_with = "federates_with")]
    no_federation: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Reads `NAME=JSON`. A value that is no JSON is a slip of the quotes: `tier=gold` would otherwise be told as a riddle.
fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=JSON")?;
    let value = serde_json::from_str(value).map_err(|_| format!("the value is not JSON; a text is written in quotes: '{name}=\"{value}\"'"))?;
    Ok((name.to_owned(), value))
}

/// Joins claims by name; one that is there twice is a mistake.
fn claims(claims: Vec<(String, Value)>) -> Result<BTreeMap<String, Value>, Failure> {
    let mut joined = BTreeMap::new();
    for (name, value) in claims {
        if joined.insert(name.clone(), value).is_some() {
            return Err(usage(format!("the claim {name} is there twice")).with_hint("write each claim once"));
        }
    }
    Ok(joined)
}

fn seconds(duration: Option<&TextDuration>) -> Option<u64> {
    duration.map(|duration| duration.0.as_secs())
}

/// Makes one entry, or all of a file.
pub(crate) async fn create(args: CreateArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let entries = match &args.file {
        Some(path) => read_drafts(path, &args.spire, &client, global).await?,
        None => {
            args.spire.refuse_without_file()?;
            vec![draft(&args)?]
        }
    };
    let created: EntriesCreated = client.post("/v1/admin/entries", &CreateEntries { entries }).await?;
    for warning in &created.warnings {
        global.output().warn(warning);
    }
    let nodes: BTreeSet<_> = created.entries.iter().map(concerned).collect();
    print(&args, created.entries, global)?;
    wait(&client, &args.wait, created.revision, nodes.into_iter().collect(), global).await
}

/// Whom an entry concerns: its parent; for an alias those that have it.
pub(crate) fn concerned(entry: &EntryView) -> SpiffeId {
    if entry.parent_id.is_server() {
        entry.spiffe_id.clone()
    } else {
        entry.parent_id.clone()
    }
}

fn print(args: &CreateArgs, mut entries: Vec<EntryView>, global: &Global) -> Result<(), Failure> {
    match entries.pop() {
        Some(entry) if args.file.is_none() => global.output().result(&entry, text::entry),
        last => {
            entries.extend(last);
            global.output().result(&List { items: entries, next: None }, |list| counts_text(&list.items))
        }
    }
}

fn counts_text(entries: &[EntryView]) -> String {
    let created = entries.iter().filter(|entry| entry.result == Some(EntryResult::Created)).count();
    format!("{created} created, {} unchanged", entries.len() - created)
}

fn draft(args: &CreateArgs) -> Result<EntryDraft, Failure> {
    let spiffe_id = args.spiffe_id.clone().ok_or_else(|| usage("--spiffe-id is missing"))?;
    Ok(EntryDraft {
        spiffe_id,
        parent_id: if args.node {
            Some(SERVER_PATH.to_owned())
        } else {
            args.fields.parent.clone()
        },
        selectors: args.selectors.clone(),
        class: args.fields.class,
        x509_ttl_s: seconds(args.fields.x509_ttl.as_ref()),
        jwt_ttl_s: seconds(args.fields.jwt_ttl.as_ref()),
        claims: claims(args.fields.claims.clone())?,
        hint: args.fields.hint.clone(),
        federates_with: args.fields.federates_with.clone(),
        dns_names: args.fields.dns.clone(),
        subject_cn: args.fields.subject_cn.clone(),
        expires_at: args.fields.expires_at,
        ..EntryDraft::default()
    })
}

/// Changes one entry.
pub(crate) async fn update(args: UpdateArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let replaced = args.no_claims || !args.fields.claims.is_empty();
    let claims = claims(args.fields.claims)?;
    let change = EntryChange {
        claims: replaced.then_some(claims),
        spiffe_id: args.spiffe_id,
        parent_id: args.fields.parent,
        selectors: (!args.selectors.is_empty()).then_some(args.selectors),
        class: args.fields.class,
        x509_ttl_s: seconds(args.fields.x509_ttl.as_ref()),
        jwt_ttl_s: seconds(args.fields.jwt_ttl.as_ref()),
        hint: args.fields.hint,
        federates_with: (args.no_federation || !args.fields.federates_with.is_empty()).then_some(args.fields.federates_with),
        dns_names: (args.no_dns || !args.fields.dns.is_empty()).then_some(args.fields.dns),
        subject_cn: args.fields.subject_cn,
        expires_at: args.fields.expires_at,
    };
    let entry: EntryView = client.patch(&entry_path(&args.id), &change).await?;
    for partner in change.federates_with.iter().flatten() {
        warn_without_bundle(&client, partner, global).await?;
    }
    global.output().result(&entry, text::entry)?;
    wait(&client, &args.wait, entry.revision, vec![concerned(&entry)], global).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_name_and_a_json_value() {
        assert_eq!(parse_claim(r#"tier="gold""#), Ok(("tier".to_owned(), json!("gold"))));
        assert_eq!(parse_claim("url=\"a=b\""), Ok(("url".to_owned(), json!("a=b"))));
        assert_eq!(parse_claim("roles=[1,2]"), Ok(("roles".to_owned(), json!([1, 2]))));
        assert!(parse_claim("tier").is_err());
        let hint = parse_claim("tier=gold").unwrap_err();
        assert!(hint.contains("'tier=\"gold\"'"), "{hint}");
    }

    #[test]
    fn a_claim_that_is_there_twice_is_a_mistake() {
        let twice = ["tier=1", "tier=2"].map(|text| parse_claim(text).unwrap()).to_vec();
        assert!(claims(twice).is_err());
    }
}
