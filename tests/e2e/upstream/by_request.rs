//! An offline CA: a request is carried to it, and what it returns is carried back.

use std::path::Path;

use tests::domain::{Domain, open_directory, path_text};

use super::corporate::{Corporate, believes, succeeds};
use super::{Running, count, crosses};

/// Writes a request by the active root.
fn csr(domain: &Domain, folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    let _ = domain.told(&["authority", "csr", "--kind", "x509-root", "--to", path_text(&file)]);
    path_text(&file).to_owned()
}

#[test]
fn an_offline_ca_signs_a_request_and_those_who_trust_it_believe_what_is_issued_then() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let running = Running::of(Domain::start("offline.test"));
    let csr = csr(&running.domain, folder.path(), "root.csr");
    succeeds(&["req", "-verify", "-noout", "-in", &csr]);
    let chain = corporate.sign(&csr, "signed", "", 365);
    let taken = running
        .domain
        .told(&["authority", "cross-sign", "--certificate", path_text(&chain), "--send-cross-certificate"]);
    assert_eq!(
        (&taken["sent"], &taken["dedicated"], &taken["source"]),
        (&true.into(), &false.into(), &"request".into())
    );

    // What is issued from now on has it.
    running.domain.fast_entry("n1", "/later", nix::unistd::getuid().as_raw(), "180s");
    let folder_of = running.domain.folder().join("given");
    let fetch = [
        "svid",
        "fetch",
        "x509",
        "--socket",
        path_text(&running.agent.socket),
        "--write",
        path_text(&folder_of),
    ];
    let fetched = tests::command::run(&[&["--output", "json"][..], &fetch].concat()).exits(0).json();
    let svids = fetched["svids"].as_array().expect("svids");
    let later = svids
        .iter()
        .position(|svid| svid["spiffe_id"] == "spiffe://offline.test/later")
        .expect("the later one");
    let later = folder_of.join(format!("svid.{later}.pem"));
    assert_eq!(count(&later), 3);
    assert!(believes(corporate.certificate(), &later));

    let [cross] = &crosses(&running.domain)[..] else { panic!("not one") };
    assert_eq!(cross["id"], taken["id"]);
    let id = taken["id"].as_str().expect("an id");
    let _ = running.domain.told(&["authority", "upstream", "remove", id]);
    assert_eq!(crosses(&running.domain), [] as [serde_json::Value; 0]);
    assert_eq!(
        running.domain.operator(&["authority", "upstream", "remove", id]).exits(3).problem(),
        "upstream_not_found"
    );
}

#[test]
fn a_returned_certificate_that_is_not_what_was_asked_for_is_refused_with_the_reason() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let (domain, stranger) = (Domain::start("asked.test"), Domain::start("stranger.test"));
    let (own, foreign) = (csr(&domain, folder.path(), "own.csr"), csr(&stranger, folder.path(), "foreign.csr"));
    let no_ca = Corporate::with(
        folder.path(),
        "narrow",
        &["basicConstraints=critical,CA:TRUE,pathlen:1", super::corporate::FIT[1]],
        365,
    );
    let fine = corporate.sign(&own, "fine", "", 365);
    let alone = folder.path().join("fine.cross.pem");
    for (chain, reason) in [
        (corporate.sign(&foreign, "other-key", "", 365), "not of the root's key"),
        (corporate.sign(&own, "short", "", 1), "must last 2d from now"),
        (no_ca.sign(&own, "path", "", 300), "path length"),
        (alone, "came alone"),
        (folder.path().join("own.csr"), "no certificate in PEM"),
    ] {
        let refused = domain.operator(&["authority", "cross-sign", "--certificate", path_text(&chain)]).exits(1);
        assert_eq!(refused.problem(), "upstream_refused", "{}", chain.display());
        assert!(refused.stdout.contains(reason), "{reason}: {}", refused.stdout);
    }
    assert_eq!(crosses(&domain), [] as [serde_json::Value; 0]);
    let _ = domain.told(&["authority", "cross-sign", "--certificate", path_text(&fine)]);
    let usage = domain.operator(&["authority", "csr", "--kind", "jwt"]).exits(2);
    assert_eq!(usage.problem(), "usage");
}
