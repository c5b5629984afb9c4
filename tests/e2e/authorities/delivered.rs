//! What an emergency leaves behind in files, and on a node whose agent was killed meanwhile.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::domain::{Domain, path_text};
use tests::wait::until;
use trust_domains::bundle::ParsedBundle;
use trust_domains::x509::{Certificate, X509Svid, verify_svid};

use super::{Running, bundle, id_of, node_with_identity, replace, running_step};

/// Whether OpenSSL believes the SVID of a folder by the roots and the lists of another, with a list of every CA of the chain.
fn believed(svid: &Path, by: &Path) -> bool {
    let (chain, roots, lists) = (svid.join("svid.pem"), by.join("bundle.pem"), by.join("crl.pem"));
    let chain = path_text(&chain);
    let verify = ["verify", "-crl_check_all", "-CAfile", path_text(&roots), "-CRLfile", path_text(&lists)];
    let output = Command::new("openssl")
        .args(verify)
        .args(["-untrusted", chain, chain])
        .output()
        .expect("openssl");
    output.status.success()
}

#[test]
fn the_files_of_a_sink_are_of_the_new_authority_when_the_emergency_is_over() {
    let domain = Domain::start_with("files.test", &["--crl", "always"]);
    let folder = domain.folder().join("svid");
    let sink = format!("spiffe://files.test/job={}", folder.display());
    let _agent = domain.agent_with("n1", &["--sink", &sink]);
    domain.fast_entry("n1", "/job", nix::unistd::getuid().as_raw(), "180s");
    until("the files", || folder.join("crl.pem").exists().then_some(()));
    let stolen = domain.folder().join("stolen");
    std::fs::create_dir(&stolen).expect("a directory");
    for file in ["svid.pem", "bundle.pem", "crl.pem"] {
        std::fs::copy(folder.join(file), stolen.join(file)).expect("a copy");
    }
    assert!(believed(&stolen, &stolen), "before");

    let _ = domain.operator(&replace("x509-issuing", &["--compromised"])).exits(0);
    // Nothing is waited for here: the command did.
    let text = std::fs::read(folder.join("bundle.pem")).expect("the bundle");
    let roots = ParsedBundle::parse_pem(&"files.test".parse().expect("a trust domain"), &text)
        .expect("roots")
        .bundle;
    let ids: Vec<_> = roots
        .x509_authorities()
        .iter()
        .map(|root| Certificate::parse(root.der()).expect("a root").subject_key_id().map(hex::encode))
        .collect();
    assert_eq!(ids, [Some(id_of(&domain, "x509-root", "active"))]);
    assert!(believed(&folder, &folder), "the files are not of one generation");
    assert!(!believed(&stolen, &folder), "what the old one signed");
    let served: Vec<_> = bundle(&domain).x509_authorities().iter().map(|root| root.der().to_vec()).collect();
    let filed: Vec<_> = roots.x509_authorities().iter().map(|root| root.der().to_vec()).collect();
    assert_eq!(filed, served);
}

#[test]
fn an_agent_that_is_killed_in_the_middle_of_an_emergency_replaces_when_it_starts_again() {
    let domain = Domain::start_with("agent-killed.test", &["--emergency-ack-deadline", "10m"]);
    let folder = domain.folder().join("svid");
    let mut agent = node_with_identity(&domain, "n1", "/job");
    let old = id_of(&domain, "x509-root", "active");
    agent.process().signal(Signal::SIGSTOP);
    let watching = Running::start(&domain, &replace("x509-issuing", &["--compromised"]));
    let _ = until("a replacement that waits", || running_step(&domain).filter(|step| step == "acknowledge"));
    agent.process().kill_9();
    agent.launch(None);
    let done = watching.ended().exits(0).json();
    assert!(done["finished_at"].is_string() && done["outcome"].is_null(), "{done}");
    assert_ne!(id_of(&domain, "x509-root", "active"), old);
    agent.ready();
    let fetch = ["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(&folder)];
    let _ = tests::command::run(&fetch).exits(0);
    let svid = X509Svid::from_pem(&std::fs::read(folder.join("svid.0.pem")).expect("the file")).expect("an SVID");
    verify_svid(svid.chain(), &bundle(&domain), svid.leaf().not_before()).expect("it is of the new authority");
}
