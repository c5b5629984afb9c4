//! A trust domain under the root that another CA already uses: certificates made by OpenSSL, verifiers that trust that CA alone, and both CAs at once.

mod attackers;
mod by_request;
pub(crate) mod corporate;
mod moving;
mod replaced;
mod verifiers;

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;

use corporate::Corporate;

/// A running trust domain with one workload, whose credentials are in files.
struct Running {
    domain: Domain,
    agent: Agent,
}

impl Running {
    /// Joins a node with one identity, `/web`, for whoever runs these tests.
    fn of(domain: Domain) -> Self {
        let agent = domain.agent("n1");
        domain.fast_entry("n1", "/web", nix::unistd::getuid().as_raw(), "180s");
        Self { domain, agent }
    }

    /// Fetches the workload's credentials into a folder of this name: chain, key and bundle.
    fn fetched(&self, name: &str) -> [PathBuf; 3] {
        let folder = self.domain.folder().join(name);
        let _ = run(&[
            "svid",
            "fetch",
            "x509",
            "--socket",
            path_text(&self.agent.socket),
            "--write",
            path_text(&folder),
        ])
        .exits(0);
        ["svid.0.pem", "svid.0.key", "bundle.0.pem"].map(|file| folder.join(file))
    }
}

/// Returns the cross-certificates of a server.
fn crosses(domain: &Domain) -> Vec<Value> {
    domain.told(&["authority", "upstream", "list"])["items"].as_array().expect("items").clone()
}

/// Returns the options that name an upstream authority's files.
fn files<'a>(corporate: &'a Corporate, more: &[&'a str]) -> Vec<&'a str> {
    let files = ["--upstream-cert", corporate.certificate(), "--upstream-key", corporate.key()];
    [&files[..], more].concat()
}

/// Waits until health tells of a problem that has this text.
fn told_in_health(domain: &Domain, text: &str) {
    until("a problem in health", || {
        let health = domain.operator(&["health", "server"]);
        health.stdout.contains(text).then_some(())
    });
}

/// Counts the certificates of a PEM file.
fn count(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).expect("a PEM file");
    text.matches("BEGIN CERTIFICATE").count()
}
