//! Entries as text for people.

use std::time::Duration;

use trust_domains::duration::format_duration;
use trust_domains::wire::admin::{EntryResult, EntryView};

use crate::output::{fields, table};

/// One entry in full.
pub(crate) fn entry(entry: &EntryView) -> String {
    let mut pairs = vec![
        ("id", entry.id.to_string()),
        ("SPIFFE ID", entry.spiffe_id.to_string()),
        ("parent", entry.parent_id.to_string()),
        ("selectors", selectors(entry)),
    ];
    if !entry.parent_id.is_server() {
        pairs.push(("class", entry.class.to_string()));
        pairs.push(("X.509 life", life(entry.x509_ttl_s)));
        pairs.push(("JWT life", life(entry.jwt_ttl_s)));
    }
    if !entry.claims.is_empty() {
        let claims: Vec<_> = entry.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.push(("claims", claims.join(", ")));
    }
    if let Some(hint) = &entry.hint {
        pairs.push(("hint", hint.clone()));
    }
    if !entry.federates_with.is_empty() {
        let partners: Vec<_> = entry.federates_with.iter().map(ToString::to_string).collect();
        pairs.push(("federates with", partners.join(", ")));
    }
    if !entry.dns_names.is_empty() {
        pairs.push(("DNS names", entry.dns_names.join(", ")));
    }
    if let Some(cn) = &entry.subject_cn {
        pairs.push(("subject CN", cn.clone()));
    }
    if let Some(end) = entry.expires_at {
        pairs.push(("ends", end.to_string()));
    }
    pairs.push(("revision", entry.revision.to_string()));
    if let Some(result) = entry.result {
        pairs.push(("result", result_word(result).to_owned()));
    }
    fields(&pairs)
}

/// Many entries, one a line.
pub(crate) fn entries(entries: &[EntryView]) -> String {
    let rows: Vec<[String; 5]> = entries
        .iter()
        .map(|entry| {
            let node = entry.parent_id.path().rsplit('/').next().unwrap_or_default().to_owned();
            [
                entry.id.to_string(),
                entry.spiffe_id.to_string(),
                node,
                life(entry.x509_ttl_s),
                selectors(entry),
            ]
        })
        .collect();
    table(["ID", "SPIFFE ID", "NODE", "LIFE", "SELECTORS"], &rows)
}

fn selectors(entry: &EntryView) -> String {
    entry.selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn life(seconds: u64) -> String {
    format_duration(Duration::from_secs(seconds))
}

/// What a command did with an entry, in a word.
pub(crate) fn result_word(result: EntryResult) -> &'static str {
    match result {
        EntryResult::Created => "created",
        EntryResult::Unchanged => "unchanged",
        EntryResult::Updated => "updated",
    }
}
