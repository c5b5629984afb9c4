//! Why a process gets what it gets.

use trust_domains::wire::agent::{EntryMatch, Explanation, IdentityNow, UnknownSelector};
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Selector, SelectorSet, SpiffeId};

use super::Admin;
use crate::svids::{EntryReport, WantedFacts};
use crate::workload::{AttestError, Attested, Caller};

/// The longest name that a remedy proposes.
const LONGEST_NAME: usize = 40;

impl Admin {
    /// Looks at a process as if it had called, with every fact there is, and compares it with every entry of this node.
    pub(super) async fn explain(&self, pid: i32) -> Result<Explanation, AttestError> {
        let caller = Caller::of_pid(pid)?;
        let attested = self.attestor.attest(&caller, |_| WantedFacts::ALL).await?;
        let mut entries: Vec<EntryMatch> = self.cache.entries().iter().map(|entry| compare(entry, &attested)).collect();
        for entry in entries.iter_mut().filter(|entry| entry.matches) {
            entry.partners = self.cache.partners_of(&entry.id);
        }
        let entitled = entries.iter().filter(|entry| entry.matches).filter_map(|entry| self.cache.report(&entry.id));
        let identities: Vec<IdentityNow> = entitled.map(|report| identity_now(&report)).collect();
        let node = self.standing.identity.borrow().as_ref().map(|identity| identity.spiffe_id.clone());
        let remedy = identities.is_empty().then(|| remedy(&attested.selectors, node.as_ref()));
        Ok(Explanation {
            pid,
            selectors: attested.selectors.to_vec(),
            unknown: attested.unknown,
            entries,
            identities,
            remedy,
        })
    }
}

/// Sorts the selectors of an entry into those that the process has, lacks, and may have.
fn compare(entry: &NodeEntry, attested: &Attested) -> EntryMatch {
    let (mut matched, mut missing, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for selector in &entry.selectors {
        let place = match () {
            () if attested.selectors.contains(selector) => &mut matched,
            () if is_unknown(selector, &attested.unknown) => &mut unknown,
            () => &mut missing,
        };
        place.push(selector.clone());
    }
    let matches = !matched.is_empty() && missing.is_empty() && unknown.is_empty();
    EntryMatch {
        id: entry.id.clone(),
        spiffe_id: entry.spiffe_id.clone(),
        class: entry.class,
        matches,
        matched,
        missing,
        unknown,
        partners: Vec::new(),
    }
}

fn is_unknown(selector: &Selector, unknown: &[UnknownSelector]) -> bool {
    let fact = selector.value().split(':').next().unwrap_or_default();
    unknown.iter().any(|unread| unread.kind.split_once(':') == Some((selector.kind(), fact)))
}

fn identity_now(report: &EntryReport) -> IdentityNow {
    let svid = report.svid.as_ref();
    IdentityNow {
        spiffe_id: report.entry.spiffe_id.clone(),
        serial: svid.map(|svid| svid.serial),
        issued_at: svid.map(|svid| svid.issued_at),
        expires_at: svid.map(|svid| svid.expires_at),
        next_renewal: svid.map(|svid| svid.next_renewal),
    }
}

/// Returns the one command that would give the process an identity: an entry for its user on this node.
fn remedy(selectors: &SelectorSet, node: Option<&SpiffeId>) -> String {
    let value = |fact: &str| {
        selectors
            .iter()
            .filter(|selector| selector.kind() == "unix")
            .find_map(|selector| selector.value().strip_prefix(fact))
    };
    let name: String = value("path:")
        .and_then(|path| path.rsplit('/').next())
        .map(|name| {
            name.chars()
                .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
                .take(LONGEST_NAME)
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .unwrap_or_else(|| "my-workload".to_owned());
    let parent = node
        .and_then(|node| node.path().rsplit('/').next())
        .map(|name| format!(" --parent {name}"))
        .unwrap_or_default();
    let selector = value("uid:").map_or_else(|| "unix:uid:UID".to_owned(), |uid| format!("unix:uid:{uid}"));
    format!("troth entry create --spiffe-id /{name}{parent} --selector {selector}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svids::testing::entry;

    fn attested(selectors: &[&str], unknown: &[&str]) -> Attested {
        Attested {
            selectors: selectors.iter().map(|selector| selector.parse().unwrap()).collect(),
            unknown: unknown
                .iter()
                .map(|kind| UnknownSelector {
                    kind: (*kind).to_owned(),
                    reason: "not permitted".to_owned(),
                })
                .collect(),
        }
    }

    fn entry_for(selectors: &[&str]) -> NodeEntry {
        NodeEntry {
            selectors: selectors.iter().map(|selector| selector.parse().unwrap()).collect(),
            ..entry("a", 1)
        }
    }

    #[test]
    fn a_near_miss_shows_what_was_lacking_and_what_could_not_be_read() {
        let process = attested(&["unix:uid:1000", "unix:gid:100"], &["unix:sha256"]);
        let near = compare(&entry_for(&["unix:uid:1000", "unix:gid:101", "unix:sha256:aa"]), &process);
        assert!(!near.matches);
        assert_eq!([near.matched.len(), near.missing.len(), near.unknown.len()], [1, 1, 1]);
        assert_eq!(near.missing[0].as_str(), "unix:gid:101");
        assert!(compare(&entry_for(&["unix:uid:1000", "unix:gid:100"]), &process).matches);
        assert!(!compare(&entry_for(&[]), &process).matches, "an entry that asks for nothing gives nothing");
    }

    #[test]
    fn the_remedy_is_one_command_that_needs_no_quotes() {
        let process = attested(&["unix:uid:1000", "unix:path:/opt/my app/we$b;rm"], &[]);
        let node = "spiffe://td.example/troth/agent/join_token/web-1".parse().unwrap();
        assert_eq!(
            remedy(&process.selectors, Some(&node)),
            "troth entry create --spiffe-id /webrm --parent web-1 --selector unix:uid:1000"
        );
        assert_eq!(
            remedy(&SelectorSet::default(), None),
            "troth entry create --spiffe-id /my-workload --selector unix:uid:UID"
        );
    }
}
