//! OpenSSL, webpki and go-spiffe, each with the upstream root alone and with ours alone, on what every way of delivery gives.

use std::path::Path;
use std::time::Duration;

use conformance::covers;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use tests::domain::{Domain, open_directory, path_text};
use tests::wait::until;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::corporate::{Corporate, believes, openssl};
use super::{Running, count, files};
use crate::outside_clients::run_go;

fn ders(file: &str) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(file).expect("a PEM file");
    certificates.map(|certificate| certificate.expect("a certificate")).collect()
}

fn webpki_believes(root: &str, chain: &Path) -> bool {
    let (roots, chain) = (ders(root), ders(path_text(chain)));
    let anchors: Vec<_> = roots.iter().map(|root| anchor_from_trusted_cert(root).expect("an anchor")).collect();
    let leaf = EndEntityCert::try_from(&chain[0]).expect("a leaf");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &chain[1..], now, KeyUsage::server_auth(), None, None)
        .is_ok()
}

fn go_believes(root: &str, chain: &Path, id: &str) -> bool {
    run_go(&["verify", path_text(chain), id, root]).code == 0
}

#[covers("X509-16", "WAPI-05")]
#[test]
fn openssl_webpki_and_go_believe_a_leaf_by_the_upstream_root_alone_and_by_ours_alone() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init_with("under.test", &files(&corporate, &["--send-cross-certificate"]));
    domain.start_server();
    let running = Running::of(domain);
    let [chain, _, bundle] = running.fetched("given");
    assert_eq!((count(&chain), count(&bundle)), (3, 1), "leaf, issuing CA, cross-certificate; our root alone");

    let without = folder.path().join("without.pem");
    let text = std::fs::read_to_string(&chain).expect("the chain");
    let end = "-----END CERTIFICATE-----\n";
    let two: String = text.split_inclusive(end).take(2).collect();
    std::fs::write(&without, two).expect("a file");

    let id = "spiffe://under.test/web";
    let other = Corporate::new(folder.path(), "other");
    for (root, with_cross, without_cross) in [
        (corporate.certificate(), true, false),
        (path_text(&bundle), true, true),
        (other.certificate(), false, false),
    ] {
        for (chain, expected) in [(&chain, with_cross), (&without, without_cross)] {
            let verdicts = [believes(root, chain), webpki_believes(root, chain), go_believes(root, chain, id)];
            assert_eq!(verdicts, [expected; 3], "OpenSSL, webpki, Go by {root} on {}", chain.display());
        }
    }
}

#[test]
fn the_server_and_files_show_the_cross_certificate_too() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init("shown.test");
    domain.options = files(&corporate, &["--send-cross-certificate"]).into_iter().map(str::to_owned).collect();
    domain.start_server();
    // The node's listener: it begins with the files that the configuration names, and its own SVID has the chain from the start.
    let shown = openssl(&[
        "s_client",
        "-connect",
        &domain.address,
        "-CAfile",
        corporate.certificate(),
        "-verify_return_error",
    ]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("Verify return code: 0 (ok)") || text.contains("Verification: OK"), "{text}");

    let target = domain.folder().join("written");
    let sink = format!("/web={}", path_text(&target));
    let mut agent = domain.agent_with("n1", &["--sink", &sink]);
    domain.fast_entry("n1", "/web", nix::unistd::getuid().as_raw(), "180s");
    let chain = target.join("svid.pem");
    until("the written chain", || (chain.exists() && count(&chain) == 3).then_some(()));
    assert!(believes(corporate.certificate(), &chain));

    // Without the server a restarted agent shows the same, from its cache.
    let _ = agent.process().terminate();
    domain.server().kill_9();
    agent.launch(None);
    until("the chain of the restarted agent", || {
        let fetched = tests::workload::fetch_as(nix::unistd::getuid().as_raw(), &agent.socket);
        (fetched.code == 0).then_some(())
    });
    let again = domain.folder().join("again");
    let _ = tests::command::run(&["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(&again)]).exits(0);
    assert_eq!(count(&again.join("svid.0.pem")), 3);
}
