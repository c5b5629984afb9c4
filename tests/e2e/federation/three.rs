//! Three trust domains that federate with each other: two whose endpoints show their own SVIDs, and one with a certificate of the web.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;
use tests::domain::{Agent, Domain, open_directory, path_text};
use tests::ports::free_port;
use tests::web::Web;

/// The path of each domain's one identity, for whoever runs these tests.
const PATH: &str = "/job";

/// One of them: its server, and a node with one identity.
pub(super) struct Member {
    pub(super) domain: Domain,
    pub(super) agent: Agent,
    pub(super) id: String,
}

impl Member {
    /// Starts a domain that was made, with an identity whose certificates live so long.
    fn start(mut domain: Domain, life: &str) -> Self {
        domain.start_server();
        let agent = domain.agent("n1");
        domain.fast_entry("n1", PATH, nix::unistd::getuid().as_raw(), life);
        let id = format!("spiffe://{}{PATH}", domain.name);
        Self { domain, agent, id }
    }

    /// Believes a partner, by its link, for every entry or for those that name it.
    pub(super) fn accepts(&self, partner: &Self, given: &[&str]) {
        let invite = partner.domain.told(&["federation", "invite"]);
        let link = invite["link"].as_str().expect("a link");
        let accepted = self.domain.told(&[&["federation", "accept", link, "--yes"], given].concat());
        assert_eq!(accepted["relationship"]["trust_domain"], partner.domain.name.as_str(), "{accepted}");
    }

    /// Returns how its relationship with a partner stands.
    pub(super) fn relationship(&self, partner: &Self) -> Value {
        self.domain.told(&["federation", "show", &partner.domain.name])
    }

    /// Fetches a partner's bundle now, which must succeed.
    pub(super) fn refreshes(&self, partner: &Self) {
        let view = self.domain.told(&["federation", "refresh", &partner.domain.name]);
        assert_eq!(view["status"], "current", "{view}");
    }

    /// Returns the roots that it holds of a domain, its own or a partner's.
    pub(super) fn roots_of(&self, whose: &Self) -> BTreeSet<String> {
        let bundle = self.domain.told(&["bundle", "show", "--trust-domain", &whose.domain.name]);
        let keys = bundle["keys"].as_array().expect("keys").iter();
        let roots = keys.filter(|key| key["use"] == "x509-svid");
        roots.map(|key| key["x5c"][0].as_str().expect("a certificate").to_owned()).collect()
    }
}

/// The three. The second has a certificate of the web.
pub(super) struct Trio {
    pub(super) members: [Member; 3],
    _folder: TempDir,
}

impl Trio {
    /// Starts three domains of these names, with a refresh hint and the life of their workloads' certificates, and lets each believe the others.
    pub(super) fn start(names: [&str; 3], hint: &str, life: &str) -> Self {
        Self::start_after(names, hint, life, |_| {})
    }

    /// The same; before the servers run, somebody visits them.
    pub(super) fn start_after(names: [&str; 3], hint: &str, life: &str, visit: impl FnOnce(&[Domain; 3])) -> Self {
        let folder = open_directory();
        let web = Web::issue(folder.path(), "partners");
        let domains = names.map(|name| made(name, hint, &web, name == names[1]));
        visit(&domains);
        let members = domains.map(|domain| Member::start(domain, life));
        let trio = Self { members, _folder: folder };
        trio.federate();
        trio
    }

    /// The first gives its partners' bundles to every entry, the others to an entry that names them.
    fn federate(&self) {
        for (one, partner) in self.pairs() {
            let is_first = std::ptr::eq(one, &self.members[0]);
            one.accepts(partner, if is_first { &["--all-entries"] } else { &[] });
        }
        for member in &self.members[1..] {
            let partners = self.partners_of(member);
            let named = partners.iter().flat_map(|partner| ["--federates-with", partner.domain.name.as_str()]);
            let named: Vec<&str> = named.collect();
            let _ = member.domain.told(&[&["entry", "update", PATH, "--wait"], &named[..]].concat());
        }
    }

    /// Returns the other two.
    pub(super) fn partners_of(&self, member: &Member) -> Vec<&Member> {
        self.members.iter().filter(|other| !std::ptr::eq(*other, member)).collect()
    }

    /// Returns each with each of the others.
    pub(super) fn pairs(&self) -> Vec<(&Member, &Member)> {
        let pairs = self
            .members
            .iter()
            .flat_map(|one| self.partners_of(one).into_iter().map(move |other| (one, other)));
        pairs.collect()
    }
}

/// Makes a domain whose server will have a bundle endpoint on loopback, and fetch from there.
fn made(name: &str, hint: &str, web: &Web, shows_web: bool) -> Domain {
    let mut domain = Domain::init(name);
    if shows_web {
        let _ = web.endpoint(&mut domain);
    } else {
        let address = format!("127.0.0.1:{}", free_port());
        domain.options.extend(["--bundle-listen".to_owned(), address]);
    }
    let fetching = [
        "--federation-allow-loopback",
        "--federation-web-roots",
        path_text(&web.ca),
        "--bundle-refresh-hint",
        hint,
    ];
    domain.options.extend(fetching.map(str::to_owned));
    domain
}
