//! The JDK's HTTPS server with the program and the configuration of `docs/integrations/java.md`: PKCS#12, and JKS.

use std::path::Path;

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::steady_load::{Rotations, TlsClient, http_get};

use super::{Plan, as_user_of_package, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/java.md";

/// Whose the service is: a user of every Debian.
const OWNER: &str = "daemon";

fn start(folder: &Path, source: &str) -> Process {
    let program = folder.join("Service.java");
    std::fs::write(&program, source).expect("its source");
    let mut command = as_user_of_package(OWNER, "java");
    // As small as the service: one of several programs of these tests.
    command.args(["-Xmx96m", "-XX:TieredStopAtLevel=1"]).arg(program).current_dir(folder);
    Process::start(command, &folder.join("java.log"))
}

/// Rotates under load; `others` are the texts in which another format differs.
fn serves_each_new_certificate(others: &[(&str, &str)]) {
    let mut plan = Plan::new();
    let sink = plan.directory_of(OWNER, "svid");
    let address = format!("127.0.0.1:{}", free_port());
    let place = ("/var/lib/web/svid", path_text(&sink));
    let sink_texts: Vec<_> = others.iter().copied().filter(|(old, _)| old.starts_with("formats")).collect();
    let service_texts: Vec<_> = others.iter().copied().filter(|(old, _)| !old.starts_with("formats")).collect();
    let owner = [place, ("owner = \"web\"", "owner = \"daemon\""), ("group = \"web\"", "group = \"daemon\"")];
    plan.documented_sink(PAGE, &[&owner[..], &sink_texts[..]].concat());
    let files = plan.client();
    let port = format!("\"127.0.0.1\", {}", address.rsplit(':').next().expect("a port"));
    let places = [place, ("\"127.0.0.1\", 8443", port.as_str())];
    let source = replaced(&block(PAGE, "java", "Service.java"), &[&places[..], &service_texts[..]].concat());
    let folder = plan.place("java");
    std::fs::create_dir(&folder).expect("a directory");
    let world = plan.start(&[("/web", &[]), ("/client", &[])], &[&files]);
    tests::wait::until("the key store", || sink.join("keystore.password").exists().then_some(()));
    let mut java = start(&folder, &source);

    let client = TlsClient::new(&address, &spiffe_id("/web"), &world.bundle());
    let known = client.clone().identified_by(&files);
    let _ = known.until_answered(http_get);
    assert!(client.ask_once(http_get).is_err(), "a client without a certificate is answered");
    let ways = vec![known.clone().new_connections(http_get), known.kept_alive(http_get)];
    rotates_under_load(ways, &mut Rotations::told_by(&world.agent, &sink));
    assert!(java.is_running(), "{}", java.log());
    world.sinks_are_well();
}

#[test]
fn a_java_service_presents_each_new_certificate_of_a_pkcs12_key_store_under_load() {
    serves_each_new_certificate(&[]);
}

#[test]
fn a_java_service_presents_each_new_certificate_of_a_jks_key_store_under_load() {
    serves_each_new_certificate(&[
        ("formats = [\"pkcs12\"]", "formats = [\"jks\"]"),
        ("keystore.p12", "keystore.jks"),
        ("truststore.p12", "truststore.jks"),
    ]);
}
