//! java-spiffe on an open stream through every state of an emergency, one step at a time; and a thief whom it believes before and not after.

use std::path::Path;

use tests::domain::{Domain, path_text};
use tests::wait::until;
use trust_domains::x509::to_pem;

use super::thief::steal_and_forge;
use super::{authorities, bundle, id_of};
use crate::outside_clients::run_java;

const ID: &str = "spiffe://java-states.test/job";

/// Generations that the client verifies while the steps are taken: lives of ten seconds, and what a taint has replaced.
const GENERATIONS: &str = "6";

/// Whether java-spiffe believes the chain in a file by the roots that the server publishes now.
fn believes(domain: &Domain, chain: &Path) -> bool {
    let roots = domain.folder().join("roots.pem");
    std::fs::write(&roots, bundle(domain).to_pem()).expect("a file");
    run_java(&["verify", path_text(chain), ID, path_text(&roots)]).code == 0
}

#[test]
fn the_java_client_verifies_every_update_from_prepare_to_revoke_and_refuses_the_thief_in_the_end() {
    let mut domain = Domain::init("java-states.test");
    let forged = steal_and_forge(&domain, ID);
    let stolen = domain.folder().join("stolen.pem");
    let text: String = forged.chain.iter().map(|certificate| to_pem(certificate)).collect();
    std::fs::write(&stolen, text).expect("a file");
    domain.start_server();
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), "10s");
    assert!(believes(&domain, &stolen), "a thief with the issuing key is believed");
    let socket = path_text(&agent.socket).to_owned();
    let watching = std::thread::spawn(move || run_java(&["x509", &socket, ID, GENERATIONS]));

    let old = id_of(&domain, "x509-root", "active");
    let because = ["--because", "the disk was copied"];
    let prepared = domain.told(&[&["authority", "prepare", "--kind", "x509-root"], &because[..]].concat());
    let new = prepared["id"].as_str().expect("an id").to_owned();
    let _ = domain.told(&[&["authority", "activate", &new], &because[..]].concat());
    until("the new root to be active", || {
        let roots = authorities(&domain, "x509-root");
        roots.iter().any(|root| root["id"] == *new && root["state"] == "active").then_some(())
    });
    assert!(believes(&domain, &stolen), "both roots are in the bundle");
    let _ = domain
        .operator(&[&["authority", "taint", &old], &because[..], &["--wait", "2m"]].concat())
        .exits(0);
    let _ = domain
        .operator(&[&["authority", "revoke", &old], &because[..], &["--wait", "2m"]].concat())
        .exits(0);
    assert!(!believes(&domain, &stolen), "the root above the stolen key is out of the bundle");
    let watched = watching.join().expect("a client").exits(0);
    assert_eq!(watched.stdout.lines().count(), 7, "{watched:?}");
    let _ = run_java(&["x509", path_text(&agent.socket), ID, "1"]).exits(0);
}
