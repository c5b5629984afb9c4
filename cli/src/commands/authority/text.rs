//! Authorities as people read them.

use trust_domains::TrustDomain;
use trust_domains::plan::authority::{AuthorityId, Phase};
use trust_domains::wire::authorities::{Acknowledged, AuthorityView, ClockAccepted, ReplacementView};

use crate::counted::counted;
use crate::output::table;

/// As much of an id as lists show: 8 octets tell any two apart, and commands take it in place of the whole.
const SHORT: usize = 16;

/// Returns the beginning of an id, as lists show it.
pub(super) fn short(id: &AuthorityId) -> &str {
    id.as_str().get(..SHORT).unwrap_or_else(|| id.as_str())
}

/// Lays out authorities as a table, and below it whatever does not fit.
pub(super) fn list(authorities: &[AuthorityView]) -> String {
    let rows: Vec<[String; 7]> = authorities
        .iter()
        .map(|authority| {
            [
                short(&authority.id).to_owned(),
                authority.kind.to_string(),
                authority.state.to_string(),
                authority.not_before.to_string(),
                authority.not_after.to_string(),
                authority.signed.map_or_else(|| "-".to_owned(), |signed| signed.to_string()),
                authority.acknowledged.as_ref().map_or_else(|| "-".to_owned(), acknowledged),
            ]
        })
        .collect();
    let mut text = table(["ID", "KIND", "STATE", "FROM", "UNTIL", "SIGNED", "ACKNOWLEDGED"], &rows);
    for authority in authorities.iter().filter(|authority| !authority.partners_behind.is_empty()) {
        let partners: Vec<&str> = authority.partners_behind.iter().map(TrustDomain::as_str).collect();
        let how = match authority.state {
            Phase::Revoked => "may still be believed by",
            Phase::Prepared | Phase::Active | Phase::Old | Phase::Tainted => "not yet fetched by",
        };
        text.push_str(&format!("{}: {how} {}\n", short(&authority.id), partners.join(", ")));
    }
    text
}

fn acknowledged(by: &Acknowledged) -> String {
    let nodes = counted(by.nodes, "node", "nodes");
    match by.missing_count {
        0 => format!("{nodes}, all"),
        _ => format!("{nodes}; missing {}", named(&by.missing, by.missing_count)),
    }
}

/// Names nodes, and says how many more there are.
pub(super) fn named(some: &[trust_domains::node::NodeName], count: usize) -> String {
    let names: Vec<&str> = some.iter().map(trust_domains::node::NodeName::as_str).collect();
    match count.saturating_sub(names.len()) {
        0 => names.join(", "),
        more if names.is_empty() => counted(more, "node", "nodes"),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Says what a replacement will do.
pub(super) fn plan(view: &ReplacementView) -> String {
    let ids: Vec<&str> = view.replaces.iter().map(short).collect();
    let why = if view.compromised { ", compromised" } else { "" };
    let mut text = format!("replaces {} {}{why}:\n", view.kind, ids.join(", "));
    for (number, step) in (1..).zip(&view.steps) {
        text.push_str(&format!("  {number}. {}\n", step.text));
    }
    text
}

/// Says how a replacement stands, as its result.
pub(super) fn outcome(view: &ReplacementView) -> String {
    let id = view.id.as_deref().unwrap_or("-");
    let text = match (&view.finished_at, &view.outcome) {
        (Some(at), None) => format!("replacement {id} of {} was finished at {at}", view.kind),
        (Some(at), Some(outcome)) => format!("replacement {id} of {} was finished at {at}: {outcome}", view.kind),
        (None, _) => format!("replacement {id} of {} goes on in the server", view.kind),
    };
    match view.partners_behind.as_slice() {
        [] => text,
        behind => {
            let names: Vec<&str> = behind.iter().map(TrustDomain::as_str).collect();
            format!(
                "{text}; partners that may still believe what was withdrawn; one by https_spiffe needs a new link (troth federation invite): {}",
                names.join(", ")
            )
        }
    }
}

/// Says which time was accepted.
pub(super) fn clock(accepted: &ClockAccepted) -> String {
    match &accepted.released {
        Some(released) => format!("accepted {}; released: {released}", accepted.at),
        None => format!("accepted {}; nothing was held", accepted.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_acknowledged_is_named_and_the_rest_counted() {
        let by = |nodes, missing: &[&str], missing_count| {
            acknowledged(&Acknowledged {
                nodes,
                missing: missing.iter().map(|name| name.parse().unwrap()).collect(),
                missing_count,
            })
        };
        assert_eq!(by(4, &[], 0), "4 nodes, all");
        assert_eq!(by(1, &["web-1"], 1), "1 node; missing web-1");
        assert_eq!(by(0, &["web-1", "web-2"], 5), "0 nodes; missing web-1, web-2 and 3 more");
    }

    #[test]
    fn an_id_is_shown_short_and_a_shorter_one_whole() {
        assert_eq!(short(&"0123456789abcdef0123".parse().unwrap()), "0123456789abcdef");
        assert_eq!(short(&"0a".parse().unwrap()), "0a");
    }
}
