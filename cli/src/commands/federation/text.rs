//! Relationships as text for people.

use std::time::Duration;

use trust_domains::Timestamp;
use trust_domains::duration::format_duration;
use trust_domains::federation::PartnerState;
use trust_domains::plan::fetching::interval;
use trust_domains::problem::Code;
use trust_domains::wire::bundles::BundleResult;
use trust_domains::wire::federation::{Accepted, AcceptedBundle, Invite, PartnerCrlsView, RelationshipDeleted, RelationshipSaved, RelationshipView};

use crate::counted::counted;
use crate::output::{fields, table};

/// Relationships, one a line, each in both directions.
pub(super) fn list(items: &[RelationshipView]) -> String {
    let rows: Vec<[String; 8]> = items
        .iter()
        .map(|item| {
            [
                item.trust_domain.to_string(),
                item.profile.to_string(),
                status(item),
                time_or_dash(item.fetching.last_success),
                time_or_dash(item.fetching.next_fetch),
                or_dash(item.fetching.sequence.map(|sequence| sequence.to_string())),
                entries(item),
                holds_ours_word(item).to_owned(),
            ]
        })
        .collect();
    table(
        [
            "TRUST DOMAIN",
            "PROFILE",
            "STATUS",
            "LAST SUCCESS",
            "NEXT FETCH",
            "SEQUENCE",
            "ENTRIES",
            "HOLDS OURS",
        ],
        &rows,
    )
}

/// One relationship in full.
pub(super) fn relationship(item: &RelationshipView) -> String {
    let mut all = vec![("trust domain", item.trust_domain.to_string())];
    all.extend(endpoint(item));
    all.extend(fetching(item));
    all.push(("entries", entries(item)));
    all.push(("set up", format!("{} by {}", item.created_at, item.created_by)));
    all.push(("this way", this_direction(item)));
    all.push(("the other way", other_direction(item)));
    fields(&all)
}

/// One relationship on one line, with the error of its last fetch.
pub(super) fn change(item: &RelationshipView) -> String {
    let mut line = format!("{}  {}", item.trust_domain, status(item));
    if let Some(sequence) = item.fetching.sequence {
        line.push_str(&format!("  sequence {sequence}"));
    }
    if let Some(next) = item.fetching.next_fetch {
        line.push_str(&format!("  next fetch {next}"));
    }
    if let Some(error) = &item.fetching.last_error {
        line.push_str(&format!("  {} ({})", error.detail, error.code));
    }
    line
}

/// How it stands with the bundle.
fn fetching(item: &RelationshipView) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("status", status(item)),
        ("last success", time_or_dash(item.fetching.last_success)),
        ("next fetch", time_or_dash(item.fetching.next_fetch)),
    ];
    if let Some(error) = &item.fetching.last_error {
        pairs.push(("last error", format!("{} ({})", error.detail, error.code)));
    }
    pairs.push(("sequence", or_dash(item.fetching.sequence.map(|sequence| sequence.to_string()))));
    match (&item.crls, &item.crl_url) {
        (Some(crls), _) => pairs.push(("revocation lists", lists(crls))),
        (None, None) => {
            let update = format!(
                "none are asked for; if the partner serves them: troth federation update {} --crl-url URL",
                item.trust_domain
            );
            pairs.push(("revocation lists", update));
        }
        (None, Some(_)) => {}
    }
    pairs
}

/// The direction that this relationship is about: whether our workloads can believe the partner's.
fn this_direction(item: &RelationshipView) -> String {
    let partner = &item.trust_domain;
    match (item.has_bundle, item.fetching.status) {
        (false, _) => format!("no bundle of {partner} is held: nothing of it is believed"),
        (true, PartnerState::Withdrawn) => format!("{partner} says that nothing of it may be believed"),
        (true, _) => format!("we hold its bundle, so our workloads that federate with {partner} can believe its"),
    }
}

/// What is configured: where the bundle is, and how the endpoint proves itself.
fn endpoint(item: &RelationshipView) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("URL", item.url.to_string()), ("profile", item.profile.to_string())];
    if let Some(id) = &item.endpoint_id {
        pairs.push(("endpoint ID", id.to_string()));
    }
    if !item.redirects {
        pairs.push(("redirects", "not followed".to_owned()));
    }
    if let Some(url) = &item.crl_url {
        pairs.push(("CRL URL", url.to_string()));
    }
    pairs
}

/// How it stands with the partner's revocation lists.
fn lists(crls: &PartnerCrlsView) -> String {
    let delivered = match (crls.lists, crls.delivered) {
        (0, _) => "none held".to_owned(),
        (held, true) => format!(
            "{} with {} delivered",
            counted(held, "list", "lists"),
            counted(crls.revoked, "serial", "serials")
        ),
        (held, false) => format!(
            "{} with {} held, and none delivered: they have ended",
            counted(held, "list", "lists"),
            counted(crls.revoked, "serial", "serials")
        ),
    };
    let fetched = crls.last_success.map(|at| format!("; last fetched {at}")).unwrap_or_default();
    let failed = crls
        .last_error
        .as_ref()
        .map(|error| match error.code == Code::CrlsNotPublished.word() {
            true => format!("; {} ({})", error.detail, error.code),
            false => format!("; the last fetch failed: {} ({})", error.detail, error.code),
        })
        .unwrap_or_default();
    format!("{delivered}{fetched}{failed}")
}

/// The direction that no command of ours can set up: whether the partner holds our bundle.
pub(super) fn other_direction(item: &RelationshipView) -> String {
    let partner = &item.trust_domain;
    let told = match item.holds_ours {
        Some(true) => return format!("{partner} holds our newest bundle, so its workloads can believe ours"),
        Some(false) => format!("{partner} does not hold our newest bundle"),
        None => format!("{partner} has not told yet whether it holds our bundle"),
    };
    format!("{told}; for its workloads to believe ours its operators accept the link of: troth federation invite")
}

/// What a link makes us believe, beside what there is already.
pub(super) fn acceptance(planned: &Accepted) -> String {
    let item = &planned.relationship;
    let mut text = String::new();
    let replaced = replaced(planned);
    if let Some(existing) = replaced {
        text.push_str(&format!("now, with {}:\n", existing.trust_domain));
        text.push_str(&indented(&fields(&configured(existing))));
        for root in &planned.replaced_roots {
            text.push_str(&format!("  root {root} (not named by the link)\n"));
        }
    }
    let (heading, end) = match (replaced, &planned.existing) {
        (None, None) => ("this link makes us believe the workloads of", ""),
        (None, Some(_)) => ("we believe already the workloads of", ", as this link says"),
        (Some(_), _) => ("with this link instead we believe the workloads of", ""),
    };
    text.push_str(&format!("{heading} {}{end}:\n", item.trust_domain));
    text.push_str(&indented(&fields(&configured(item))));
    text.push_str("by this bundle, fetched from there:\n");
    text.push_str(&indented(&bundle(&planned.bundle)));
    text
}

/// The relationship that says something else than the link, or is by roots of which the link names none. A newer bundle of the same partner is no such difference.
pub(super) fn replaced(planned: &Accepted) -> Option<&RelationshipView> {
    planned
        .existing
        .as_ref()
        .filter(|existing| configured(existing) != configured(&planned.relationship) || !planned.replaced_roots.is_empty())
}

fn configured(item: &RelationshipView) -> Vec<(&'static str, String)> {
    let mut pairs = endpoint(item);
    pairs.push((
        "given to",
        if item.all_entries {
            "every entry".to_owned()
        } else {
            format!("entries with --federates-with {}", item.trust_domain)
        },
    ));
    pairs
}

fn bundle(bundle: &AcceptedBundle) -> String {
    let mut text = String::new();
    for root in &bundle.roots {
        let pinned = if root.pinned { "named by the link" } else { "not named by the link" };
        text.push_str(&format!("root {} ({pinned})\n", root.sha256));
        text.push_str(&format!("     {}, ends {}\n", root.subject, root.not_after));
    }
    let or_none = |sequence: Option<u64>| sequence.map_or_else(|| "no sequence number".to_owned(), |sequence| format!("sequence {sequence}"));
    // What it says about itself is kept within bounds.
    let every = format_duration(interval(bundle.refresh_hint_s.map(Duration::from_secs)));
    text.push_str(&format!(
        "JWT keys: {}, WIT keys: {}, {}, fetched every {every}\n",
        bundle.jwt_authorities,
        bundle.wit_authorities,
        or_none(bundle.sequence)
    ));
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// What accepting a link came to.
pub(super) fn accepted(accepted: &Accepted) -> String {
    let item = &accepted.relationship;
    format!(
        "{}: we believe the workloads of {}; {}",
        result_word(accepted.result),
        item.trust_domain,
        reach(item)
    )
}

/// What saving a relationship came to.
pub(super) fn saved(saved: &RelationshipSaved) -> String {
    let item = &saved.relationship;
    let state = match item.fetching.status {
        PartnerState::NeverFetched => "its bundle is fetched now: troth federation show ".to_owned() + item.trust_domain.as_str(),
        _ => format!("its bundle: {}", status(item)),
    };
    format!("{}: {} at {}; {state}; {}", result_word(saved.result), item.trust_domain, item.url, reach(item))
}

fn reach(item: &RelationshipView) -> String {
    match (item.all_entries, item.entries) {
        (true, _) => "every entry has its bundle".to_owned(),
        (false, 0) => format!("no entry federates with it yet: troth entry update ID --federates-with {}", item.trust_domain),
        (false, entries) => format!("entries that federate with it: {entries}"),
    }
}

/// What deleting a relationship came to.
pub(super) fn deleted(deleted: &RelationshipDeleted) -> String {
    let partner = &deleted.trust_domain;
    let mut text = format!("deleted the relationship with {partner}");
    text.push_str(if deleted.bundle_deleted {
        "; its bundle is withdrawn from every workload"
    } else {
        "; no bundle of it was held"
    });
    if deleted.dissociated > 0 {
        text.push_str(&format!("; it was taken out of {}", counted(deleted.dissociated, "entry", "entries")));
    }
    let left = deleted.entries.saturating_sub(deleted.dissociated);
    if left > 0 {
        text.push_str(&format!(
            "; {} still {} it",
            counted(left, "entry", "entries"),
            if left == 1 { "names" } else { "name" }
        ));
    }
    text
}

/// What to do with an invitation.
pub(super) fn invited(invite: &Invite) -> String {
    let mut pairs = vec![
        ("trust domain", invite.trust_domain.to_string()),
        ("URL", invite.url.to_string()),
        ("profile", invite.profile.to_string()),
    ];
    if let Some(id) = &invite.endpoint_id {
        pairs.push(("endpoint ID", id.to_string()));
    }
    for root in &invite.root_sha256 {
        pairs.push(("root SHA-256", root.to_string()));
    }
    format!(
        "{}one way: whoever accepts this link believes our workloads, and we believe none of theirs; they run: troth federation accept LINK",
        fields(&pairs)
    )
}

fn status(item: &RelationshipView) -> String {
    match &item.fetching.last_error {
        Some(error) => format!("{} ({})", item.fetching.status, error.code),
        None => item.fetching.status.to_string(),
    }
}

fn entries(item: &RelationshipView) -> String {
    if item.all_entries { "all".to_owned() } else { item.entries.to_string() }
}

fn holds_ours_word(item: &RelationshipView) -> &'static str {
    match item.holds_ours {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

fn result_word(result: BundleResult) -> &'static str {
    match result {
        BundleResult::Created => "created",
        BundleResult::Unchanged => "unchanged",
        BundleResult::Updated => "updated",
    }
}

fn time_or_dash(time: Option<Timestamp>) -> String {
    or_dash(time.map(|time| time.to_string()))
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn accepted(existing: &Value, planned: &Value) -> Accepted {
        let view = |changes: &Value| {
            let mut view = json!({
                "trust_domain": "b.test", "url": "https://b.test/", "profile": "https_spiffe", "endpoint_id": "spiffe://b.test/e", "status": "current",
                "last_success": null, "last_attempt": null, "next_fetch": null, "last_error": null, "sequence": 7, "redirects": true, "all_entries": false,
                "crl_url": null, "entries": 1, "has_bundle": true, "holds_ours": null, "created_at": "2026-11-22T00:00:00Z", "created_by": "local:uid:0"
            });
            let changes = changes.as_object().into_iter().flatten();
            changes.for_each(|(name, value)| view[name] = value.clone());
            view
        };
        let bundle = json!({"roots": [], "jwt_authorities": 0, "wit_authorities": 0, "sequence": 8, "refresh_hint_s": null});
        serde_json::from_value(json!({
            "existing": view(existing), "replaced_roots": [], "relationship": view(planned), "bundle": bundle, "result": "updated", "dry_run": true, "warnings": [], "revision": trust_domains::Revision { epoch: 1, counter: 1 }
        }))
        .unwrap()
    }

    #[test]
    fn what_the_link_says_is_compared_and_not_how_far_the_partner_has_come() {
        let same = accepted(&json!({}), &json!({"sequence": 8, "status": "never_fetched"}));
        assert!(replaced(&same).is_none());
        assert!(acceptance(&same).starts_with("we believe already the workloads of b.test"));
        for change in [
            json!({"url": "https://c.test/"}),
            json!({"endpoint_id": "spiffe://b.test/f"}),
            json!({"profile": "https_web", "endpoint_id": null}),
        ] {
            let other = accepted(&json!({}), &change);
            assert!(replaced(&other).is_some(), "{change}");
            let text = acceptance(&other);
            assert!(text.starts_with("now, with b.test:") && text.contains("with this link instead"), "{text}");
        }
    }

    #[test]
    fn both_directions_are_told_and_what_to_do_for_the_other() {
        let told = |holds: Value| relationship(&accepted(&json!({"holds_ours": holds}), &json!({})).existing.unwrap());
        assert!(!told(json!(true)).contains("invite"));
        for holds in [json!(false), json!(null)] {
            assert!(told(holds.clone()).contains("troth federation invite"), "{holds}");
        }
        assert!(told(json!(null)).contains("we hold its bundle"));
    }

    #[test]
    fn a_partner_without_an_address_of_lists_is_told_to_have_none() {
        let told = |url: Value| relationship(&accepted(&json!({"crl_url": url}), &json!({})).existing.unwrap());
        assert!(told(json!(null)).contains("troth federation update b.test --crl-url URL"));
        assert!(!told(json!("https://b.test/crls.pem")).contains("--crl-url"));
    }
}
