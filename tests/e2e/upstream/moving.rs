//! Both CAs at once, while workloads move: who knows only the old CA, and who has its SVIDs from Troth, talk to each other in both directions.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use conformance::covers;
use tests::domain::{Domain, open_directory, path_text};
use tests::ports::free_port;
use tests::wait::until;

use super::corporate::{Corporate, believes, openssl};
use super::{Running, files};
use crate::outside_clients::run_go;

/// A TLS server of OpenSSL that asks for a client certificate; ended with this value.
struct Service(Child);

impl Service {
    fn start(port: u16, chain: &Path, key: &Path, roots: &str) -> Self {
        let port = port.to_string();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &port, "-cert", path_text(chain), "-cert_chain", path_text(chain)]);
        command.args([
            "-key",
            path_text(key),
            "-CAfile",
            roots,
            "-Verify",
            "4",
            "-verify_return_error",
            "-quiet",
            "-rev",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.expect("openssl starts"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says something over mTLS to a service that says it backwards; whether it did.
fn talks(port: u16, chain: &Path, key: &Path, roots: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-cert",
        path_text(chain),
        "-cert_chain",
        path_text(chain),
    ]);
    command.args(["-key", path_text(key), "-CAfile", roots, "-verify_return_error", "-quiet", "-no_ign_eof"]);
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl starts");
    let mut stdin = client.stdin.take().expect("its input");
    let _ = stdin.write_all(b"olleh\n");
    let mut stdout = client.stdout.take().expect("its output");
    let answered = std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut stdout), &mut line);
        line
    });
    let mut said = false;
    let _ = tests::wait::within(std::time::Duration::from_secs(15), || {
        let is_over = answered.is_finished() || client.try_wait().is_ok_and(|ended| ended.is_some());
        is_over.then_some(())
    });
    let _ = client.kill();
    let _ = client.wait();
    drop(stdin);
    if let Ok(line) = answered.join() {
        said = line.contains("hello");
    }
    said
}

fn listens(port: u16) {
    until("the service", || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
}

#[covers("BUN-01")]
#[test]
fn a_legacy_program_and_a_workload_of_a_dedicated_upstream_talk_in_both_directions() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init_with("moving.test", &files(&corporate, &["--send-cross-certificate", "--upstream-dedicated"]));
    domain.start_server();
    let running = Running::of(domain);
    let [chain, key, bundle] = running.fetched("given");
    let [legacy, legacy_key] = corporate.leaf("legacy", "spiffe://moving.test/legacy");

    // The workload believes the old CA's leaf by its own bundle, as go-spiffe and OpenSSL read it; the legacy program knows nothing but its old root.
    assert_eq!(
        run_go(&["verify", path_text(&legacy), "spiffe://moving.test/legacy", path_text(&bundle)]).code,
        0
    );
    assert!(believes(path_text(&bundle), &legacy) && believes(corporate.certificate(), &chain));
    let (ours, theirs) = (free_port(), free_port());
    let _service = Service::start(ours, &chain, &key, path_text(&bundle));
    let _old_service = Service::start(theirs, &legacy, &legacy_key, corporate.certificate());
    listens(ours);
    listens(theirs);
    assert!(
        talks(ours, &legacy, &legacy_key, corporate.certificate()),
        "the legacy program calls the workload"
    );
    assert!(talks(theirs, &chain, &key, path_text(&bundle)), "the workload calls the legacy program");

    // A stranger's leaf for the same name is nobody's.
    let other = Corporate::new(folder.path(), "other");
    let [forged, forged_key] = other.leaf("forged", "spiffe://moving.test/legacy");
    assert!(!talks(ours, &forged, &forged_key, corporate.certificate()));
    assert!(!openssl(&["verify", "-CAfile", path_text(&bundle), path_text(&forged)]).status.success());
}

#[test]
fn the_root_of_an_authority_that_is_not_dedicated_is_in_no_bundle() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init_with("shared.test", &files(&corporate, &["--send-cross-certificate"]));
    domain.start_server();
    let running = Running::of(domain);
    let [_, _, bundle] = running.fetched("given");
    let [legacy, _] = corporate.leaf("legacy", "spiffe://shared.test/legacy");
    assert_eq!(super::count(&bundle), 1);
    assert!(!believes(path_text(&bundle), &legacy), "its other CAs could mint our IDs");
    assert_ne!(
        run_go(&["verify", path_text(&legacy), "spiffe://shared.test/legacy", path_text(&bundle)]).code,
        0
    );

    // Nor does a join link name it, where it is dedicated.
    let link = running.domain.told(&["token", "create", "--node-id", "n2"]);
    assert_eq!(link["root_sha256"].as_array().map(Vec::len), Some(1));
}
