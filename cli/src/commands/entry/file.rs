//! Entry files: ours, and those of a SPIRE server.

use std::path::Path;

use clap::Args;
use serde_json::Value;
use trust_domains::TrustDomain;
use trust_domains::problem::Code;
use trust_domains::spire::{Move, SpireEntries};
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::bundles::BundleView;

use crate::admin::AdminClient;
use crate::args::Global;
use crate::failure::{Failure, usage};
use crate::input::read_text;
use crate::output::List;

/// The largest entry file: 200,000 entries of 600 bytes.
const MAX_FILE: u64 = 120 * 1024 * 1024;

/// How the entries of a SPIRE server become ours.
#[derive(Debug, Args)]
pub(crate) struct SpireArgs {
    /// For a file of SPIRE entries: the trust domain that they are of, where this server has another; they get the same paths here.
    #[arg(long, value_name = "TD")]
    from_trust_domain: Option<TrustDomain>,
    /// For a file of SPIRE entries: what stands in place of a parent: /spire/agent/x509pop/0beec7=web-1; repeat it for more.
    #[arg(long = "map-parent", value_name = "PARENT=NODE", value_parser = parse_mapping)]
    parents: Vec<(String, String)>,
    /// For a file of SPIRE entries: leaves out what has no counterpart and names it; without this the file is refused.
    #[arg(long)]
    leave_out: bool,
}

impl SpireArgs {
    /// Refuses these options where there is no file of SPIRE entries: they would do nothing.
    pub(crate) fn refuse_without_file(&self) -> Result<(), Failure> {
        if self.from_trust_domain.is_none() && self.parents.is_empty() && !self.leave_out {
            return Ok(());
        }
        Err(usage("--from-trust-domain, --map-parent and --leave-out are for a file of SPIRE entries").with_hint("leave them out, or give the file"))
    }
}

/// Reads `PARENT=NODE`; a SPIFFE ID has no `=`.
fn parse_mapping(text: &str) -> Result<(String, String), String> {
    let (parent, node) = text.split_once('=').ok_or("write it as PARENT=NODE")?;
    if parent.is_empty() || node.is_empty() {
        return Err("write it as PARENT=NODE".to_owned());
    }
    Ok((parent.to_owned(), node.to_owned()))
}

/// Reads an entry file, naming the entry that is wrong. What the operator should know of a move is said.
pub(crate) async fn read_drafts(path: &Path, spire: &SpireArgs, client: &AdminClient, global: &Global) -> Result<Vec<EntryDraft>, Failure> {
    let text = read_text(path, MAX_FILE)?;
    let document: Value = serde_json::from_str(&text).map_err(|error| unreadable(path, &error.to_string()))?;
    drop(text);
    if SpireEntries::are_in(&document) {
        return moved(document, spire, client, global).await;
    }
    spire.refuse_without_file()?;
    own_drafts(path, document)
}

/// What a file of ours may be: the document of `entry list`, a plain list, or one entry.
fn own_drafts(path: &Path, document: Value) -> Result<Vec<EntryDraft>, Failure> {
    let values = match document {
        Value::Array(items) => items,
        Value::Object(mut fields) => match fields.remove("items") {
            Some(Value::Array(items)) => items,
            Some(_) => return Err(unreadable(path, "items is no list")),
            None => vec![Value::Object(fields)],
        },
        _ => return Err(unreadable(path, "it is neither a list nor an entry")),
    };
    (1..)
        .zip(values)
        .map(|(position, value)| serde_json::from_value(value).map_err(|error| unreadable(path, &format!("entry {position}: {error}"))))
        .collect()
}

fn unreadable(path: &Path, reason: &str) -> Failure {
    usage(format!("{} is no list of entries: {reason}", path.display())).with_hint("write it as `troth entry list --output json` prints it")
}

async fn moved(document: Value, spire: &SpireArgs, client: &AdminClient, global: &Global) -> Result<Vec<EntryDraft>, Failure> {
    let entries = SpireEntries::read(document).map_err(|error| Failure::of(&error))?;
    let asked = Move {
        own: own_trust_domain(client).await?,
        from: spire.from_trust_domain.clone(),
        parents: spire.parents.clone(),
    };
    let moved = entries.translate(&asked).map_err(|error| Failure::of(&error))?;
    let moved = match spire.leave_out {
        true => moved,
        false => moved.whole(&entries).map_err(|error| Failure::of(&error))?,
    };
    for left_out in &moved.left_out {
        global.output().warn(&format!("left out: {left_out}"));
    }
    for note in &moved.notes {
        global.output().warn(&note.to_string());
    }
    if moved.drafts.is_empty() {
        return Err(Failure::new(Code::NoCounterpart, "no entry of the file is left to make"));
    }
    Ok(moved.drafts)
}

/// The own bundle stands first in the list.
async fn own_trust_domain(client: &AdminClient) -> Result<TrustDomain, Failure> {
    let list: List<BundleView> = client.pages("/v1/admin/bundles", &[], Some(1)).await?;
    let own = list.items.into_iter().next();
    own.map(|view| view.trust_domain)
        .ok_or_else(|| Failure::new(Code::Internal, "the server names no bundle of its own"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mapping_has_two_sides() {
        let both = |parent: &str, node: &str| Ok((parent.to_owned(), node.to_owned()));
        assert_eq!(parse_mapping("/spire/agent/x509pop/ab=web-1"), both("/spire/agent/x509pop/ab", "web-1"));
        for text in ["", "/a", "/a=", "=b"] {
            assert!(parse_mapping(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_of_ours_is_a_list_a_document_or_one_entry() {
        let entry = json!({ "spiffe_id": "/web", "selectors": ["unix:uid:0"] });
        for document in [json!([entry]), json!({ "items": [entry], "next": null }), entry.clone()] {
            assert_eq!(own_drafts(Path::new("f"), document).unwrap().len(), 1);
        }
        for document in [json!(1), json!("x"), json!({ "items": 1 }), json!([1]), json!({ "spiffe_id": "/web" })] {
            assert!(own_drafts(Path::new("f"), document.clone()).is_err(), "{document}");
        }
    }
}
