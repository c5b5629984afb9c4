//! Two trust domains that trust each other by hand, and workloads of one that call those of the other.

mod away;
mod compromised;
mod envoys;
mod hostile;
mod impersonation;
pub(crate) mod impostor;
mod load;
mod rotations;
mod three;

use std::path::{Path, PathBuf};
use std::time::Duration;

use conformance::covers;
use spiffe::X509Source;
use spiffe_rustls::TrustDomainPolicy;
use tests::admin::runtime;
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::{PATIENCE, until};
use tests::workload::{Watch, fetch_as};

use self::impostor::Authority;
use super::mtls_service::{Caller, serve_under, source};

/// A workload user that has an entry without partners.
const ALONE: u32 = 4_701;

const LIMIT: Duration = Duration::from_secs(120);

/// One side: its domain, and a node with one identity for whoever runs these tests.
struct Side {
    domain: Domain,
    agent: Agent,
    id: String,
}

impl Side {
    fn new(name: &str, path: &str, sink: Option<&Path>) -> Self {
        let domain = Domain::start(name);
        let sink = sink.map(|folder| format!("{path}={}", path_text(folder)));
        let options: Vec<&str> = sink.iter().flat_map(|sink| ["--sink", sink]).collect();
        let agent = domain.agent_with("n1", &options);
        domain.fast_entry("n1", path, nix::unistd::getuid().as_raw(), "180s");
        let id = format!("spiffe://{name}{path}");
        Self { domain, agent, id }
    }

    /// Gives the partner what `bundle show` prints here, as an operator would carry it over.
    fn trusts(&self, partner: &Self) {
        let file = self.bundle_file(partner);
        let set = self
            .domain
            .told(&["bundle", "set", "--trust-domain", &partner.domain.name, path_text(&file), "--wait"]);
        assert_eq!(set["trust_domain"], partner.domain.name.as_str());
    }

    fn bundle_file(&self, partner: &Self) -> PathBuf {
        let file = self.domain.folder().join("partner.json");
        let shown = partner.domain.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout;
        std::fs::write(&file, shown).expect("the partner's bundle");
        file
    }

    fn federates_with(&self, partner: &Self) {
        let entry = self.id.as_str();
        let _ = self
            .domain
            .told(&["entry", "update", entry, "--federates-with", &partner.domain.name, "--wait"]);
    }

    fn distrusts(&self, partner: &Self) {
        let _ = self
            .domain
            .told(&["bundle", "delete", "--trust-domain", &partner.domain.name, "--force", "--wait"]);
    }
}

/// Waits until an open source of SVIDs shows a number of roots of a trust domain.
async fn shows_roots(source: &X509Source, trust_domain: &str, expected: usize) {
    let name = trust_domain.try_into().expect("a trust domain");
    let shown = || source.try_bundle_for_trust_domain(&name).map_or(0, |bundle| bundle.authorities().len());
    let mut updates = source.updated();
    let seen = async {
        while shown() != expected {
            updates.changed().await.expect("the source lives");
        }
    };
    let arrived = tokio::time::timeout(PATIENCE, seen).await;
    assert!(arrived.is_ok(), "{} roots of {trust_domain} instead of {expected}", shown());
}

#[test]
fn workloads_of_two_trust_domains_call_each_other_while_each_side_trusts_the_other() {
    let sink = tests::domain::open_directory();
    let service = Side::new("one.test", "/service", Some(sink.path()));
    let caller = Side::new("two.test", "/caller", None);
    service.trusts(&caller);
    caller.trusts(&service);
    let partner_file = sink.path().join("federated/two.test.pem");
    let calls = async {
        let (ours, theirs) = (source(&service.agent).await, source(&caller.agent).await);
        let address = serve_under(ours.clone(), TrustDomainPolicy::AnyInBundleSet, &caller.id).await;
        let call = async || Caller::new(theirs.clone(), address, &service.id).request().await;
        let answered = async || Caller::new(theirs.clone(), address, &service.id).request_until_converted().await;
        call().await.expect_err("the bundles are there, and no entry federates");
        assert!(!partner_file.exists());

        service.federates_with(&caller);
        shows_roots(&ours, "two.test", 1).await;
        call().await.expect_err("the caller does not trust the service yet");
        caller.federates_with(&service);
        shows_roots(&theirs, "one.test", 1).await;
        answered().await.expect("both sides trust each other");
        assert!(partner_file.exists());

        service.distrusts(&caller);
        shows_roots(&ours, "two.test", 0).await;
        call().await.expect_err("the service does not trust the caller's domain any more");
        assert!(!partner_file.exists(), "the wait is over, so the files are in place");
        service.trusts(&caller);
        shows_roots(&ours, "two.test", 1).await;
        answered().await.expect("it does again");
    };
    runtime().block_on(async { tokio::time::timeout(LIMIT, calls).await.expect("an answer in time") });
}

#[test]
fn a_changed_bundle_reaches_open_streams_of_those_who_federate_and_nobody_else() {
    let service = Side::new("three.test", "/service", None);
    let partner = Domain::start("four.test");
    service.domain.fast_entry("n1", "/alone", ALONE, "180s");
    let file = service.domain.folder().join("partner.pem");
    let partners_root = partner.operator(&["bundle", "show", "--format", "pem"]).exits(0).stdout;
    std::fs::write(&file, &partners_root).expect("the partner's roots");
    let set = ["bundle", "set", "--trust-domain", "four.test", "--format", "pem", path_text(&file), "--wait"];
    assert_eq!(service.domain.told(&set)["result"], "created");
    let _ = service.domain.told(&["entry", "update", "/service", "--federates-with", "four.test", "--wait"]);

    let mut alone = Watch::open(ALONE, &service.agent.socket);
    assert_eq!(alone.next()["federates_with"].as_array().map(Vec::len), Some(0));
    let watched = async {
        let open = source(&service.agent).await;
        shows_roots(&open, "four.test", 1).await;
        let own_root = service.domain.operator(&["bundle", "show", "--format", "pem"]).exits(0).stdout;
        std::fs::write(&file, format!("{partners_root}{own_root}")).expect("two roots");
        let told = service.domain.operator(&set).exits(0);
        assert_eq!(told.json()["result"], "updated");
        assert!(told.stderr.contains("names spiffe://three.test, not spiffe://four.test"), "{told:?}");
        shows_roots(&open, "four.test", 2).await;
        shows_roots(&open, "three.test", 1).await;
    };
    runtime().block_on(async { tokio::time::timeout(LIMIT, watched).await.expect("in time") });
    let fetched = fetch_as(ALONE, &service.agent.socket).exits(0).json();
    assert_eq!(fetched["federates_with"].as_array().map(Vec::len), Some(0), "{fetched}");

    // The next that the other stream hears is its own renewed entry, and nothing before that.
    let _ = service.domain.told(&["entry", "update", "/alone", "--hint", "changed", "--wait"]);
    assert_eq!(alone.next()["svids"][0]["hint"], "changed");
}

#[test]
fn partners_are_fetched_into_files_and_vanish_from_them() {
    let service = Side::new("five.test", "/service", None);
    let partner = Side::new("six.test", "/caller", None);
    service.trusts(&partner);
    service.federates_with(&partner);
    let folder = service.domain.folder().join("mine");
    let fetch = |what: &str| {
        let socket = path_text(&service.agent.socket);
        run(&["--output", "json", "svid", "fetch", what, "--socket", socket, "--write", path_text(&folder)])
            .exits(0)
            .json()
    };
    assert_eq!(fetch("x509")["federates_with"][0], "six.test");
    let partners_root = partner.domain.operator(&["bundle", "show", "--format", "pem"]).exits(0).stdout;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    assert_eq!(read("federated/six.test.pem"), Some(partners_root.clone()));
    let bundles = fetch("bundles");
    let names: Vec<_> = bundles["bundles"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| item["trust_domain"].clone())
        .collect();
    assert_eq!(names, ["five.test", "six.test"]);
    assert_eq!(read("six.test.pem"), Some(partners_root));

    let refused = service.domain.operator(&["bundle", "delete", "--trust-domain", "six.test"]).exits(1);
    assert_eq!(refused.problem(), "bundle_in_use");
    let deleted = service
        .domain
        .told(&["bundle", "delete", "--trust-domain", "six.test", "--dissociate", "--wait"]);
    assert_eq!((deleted["entries"].as_u64(), deleted["dissociated"].as_u64()), (Some(1), Some(1)));
    let entry = service.domain.told(&["entry", "show", "/service"]);
    assert_eq!(entry["federates_with"].as_array().map(Vec::len), Some(0), "{entry}");
    until("the bundle to go", || fetch("x509")["federates_with"].as_array()?.is_empty().then_some(()));
    assert_eq!(read("federated/six.test.pem"), None);
}

#[test]
fn an_agent_without_its_server_serves_the_bundles_of_partners() {
    let mut service = Side::new("seven.test", "/service", None);
    let partner = Side::new("eight.test", "/caller", None);
    service.trusts(&partner);
    service.federates_with(&partner);
    service.agent.process().terminate();
    service.domain.server().terminate();
    service.agent.launch(None);
    let socket = service.agent.socket.clone();
    let fetched = until("the restarted agent", || {
        let run = run(&["--output", "json", "svid", "fetch", "x509", "--socket", path_text(&socket)]);
        (run.code == 0).then(|| run.json())
    });
    assert_eq!(fetched["federates_with"][0], "eight.test");
}

#[covers("BUN-10", "FED-06", "WAPI-08")]
#[test]
fn a_partners_root_vouches_for_the_partners_names_and_never_for_ours() {
    let service = Side::new("nine.test", "/service", None);
    let partner = Authority::of("ten.test");
    let file = service.domain.folder().join("partner.pem");
    std::fs::write(&file, partner.pem()).expect("the partner's root");
    let _ = service
        .domain
        .told(&["bundle", "set", "--trust-domain", "ten.test", "--format", "pem", path_text(&file)]);
    service.domain.fast_entry("n1", "/caller", ALONE, "180s");
    let _ = service.domain.told(&["entry", "update", "/service", "--federates-with", "ten.test", "--wait"]);
    let attempts = async {
        let ours = source(&service.agent).await;
        shows_roots(&ours, "ten.test", 1).await;
        let as_partner = serve_under(ours.clone(), TrustDomainPolicy::AnyInBundleSet, "spiffe://ten.test/caller").await;
        assert!(partner.is_admitted_as("spiffe://ten.test/caller", as_partner).await, "the partner's own name");
        let as_ours = serve_under(ours, TrustDomainPolicy::AnyInBundleSet, "spiffe://nine.test/caller").await;
        assert!(
            !partner.is_admitted_as("spiffe://nine.test/caller", as_ours).await,
            "the partner's root vouched for our name"
        );
    };
    runtime().block_on(async { tokio::time::timeout(LIMIT, attempts).await.expect("an answer in time") });
}
