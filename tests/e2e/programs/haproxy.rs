//! HAProxy with the configuration of `docs/integrations/haproxy.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::steady_load::{Rotations, SteadyLoad, TlsClient, http_get, serial_in};
use tests::wait::until;

use super::{Plan, World, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/haproxy.md";

/// The user that the package makes.
const OWNER: &str = "haproxy";

/// The client whose files are stolen and whose certificate is revoked; it lives longer than the test.
const STOLEN: &str = "/robbed";

/// How often the certificate changes before the root does, and after.
const ROTATIONS_AROUND: usize = 2;

struct HaProxy {
    process: Process,
    address: String,
    sink: PathBuf,
}

/// Starts the trust domain of the page, and HAProxy on its sink.
fn started() -> (World, HaProxy) {
    let mut plan = Plan::new();
    let sink = plan.sink("svid");
    let socket = plan.directory_of(OWNER, "run").join("admin.sock");
    let (script, address) = (plan.place("haproxy-svid"), format!("127.0.0.1:{}", free_port()));
    std::fs::write(&script, block(PAGE, "sh", "haproxy-svid SOCKET DIRECTORY")).expect("the script");
    plan.documented_sink(
        PAGE,
        &[
            ("/usr/local/lib/haproxy-svid", path_text(&script)),
            ("/run/haproxy/admin.sock", path_text(&socket)),
            ("/etc/haproxy/svid", path_text(&sink)),
            ("127.0.0.1:8443", &address),
        ],
    );
    let client = plan.client();
    let config = plan.place("haproxy.cfg");
    let text = replaced(
        &block(PAGE, "haproxy", "haproxy.cfg"),
        &[
            ("/run/haproxy/admin.sock", path_text(&socket)),
            ("/etc/haproxy/svid", path_text(&sink)),
            ("0.0.0.0:8443", &address),
        ],
    );
    std::fs::write(&config, text).expect("its configuration");
    let log = plan.place("haproxy.log");
    let world = plan.start(&[("/web", &[]), ("/client", &[])], &[&client, &sink]);
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]).arg(&config).stdin(Stdio::null());
    let process = Process::start(command, &log);
    (world, HaProxy { process, address, sink })
}

/// Ends with its workers.
impl Drop for HaProxy {
    fn drop(&mut self) {
        if self.process.is_running() {
            let _ = self.process.terminate();
        }
    }
}

/// Starts the trust domain of the page, and HAProxy with a master that the agent has reload it; the directory is that of the client to be robbed.
fn started_to_be_reloaded() -> (World, HaProxy, PathBuf) {
    const VARIANT: &str = "where HAProxy is reloaded";
    let mut plan = Plan::new();
    let (sink, socket, script) = (plan.sink("svid"), plan.place("master.sock"), plan.place("haproxy-reload"));
    let address = format!("127.0.0.1:{}", free_port());
    std::fs::write(&script, block(PAGE, "sh", "haproxy-reload SOCKET")).expect("the script");
    plan.config += &replaced(
        &block(PAGE, "toml", &format!("agent.toml, {VARIANT}")),
        &[
            ("/usr/local/lib/haproxy-reload", path_text(&script)),
            ("/run/haproxy-master.sock", path_text(&socket)),
            ("/etc/haproxy/svid", path_text(&sink)),
            ("127.0.0.1:8443", &address),
        ],
    );
    let (client, robbed) = (plan.client(), plan.sink("robbed"));
    plan.config += &format!(
        "\n[[sink]]\nspiffe_id = \"{}\"\ndirectory = \"{}\"\nowner = \"root\"\n",
        spiffe_id(STOLEN),
        path_text(&robbed)
    );
    let config = plan.place("haproxy.cfg");
    let text = replaced(
        &block(PAGE, "haproxy", &format!("haproxy.cfg, {VARIANT}")),
        &[("/etc/haproxy/svid", path_text(&sink)), ("0.0.0.0:8443", &address)],
    );
    std::fs::write(&config, text).expect("its configuration");
    let log = plan.place("haproxy.log");
    let entries: [(&str, &[&str]); 3] = [("/web", &[]), ("/client", &[]), (STOLEN, &["--class", "medium"])];
    let world = plan.start(&entries, &[&client, &sink, &robbed]);
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-W", "-db", "-S", path_text(&socket), "-f"]).arg(&config).stdin(Stdio::null());
    let process = Process::start(command, &log);
    (world, HaProxy { process, address, sink }, robbed)
}

/// Copies what a client has, as a thief would; returns the copy.
fn stolen_from(robbed: &Path) -> PathBuf {
    let copy = robbed.with_file_name("stolen");
    std::fs::create_dir(&copy).expect("a directory");
    for file in ["svid.pem", "svid_key.pem"] {
        std::fs::copy(robbed.join(file), copy.join(file)).expect("a copy");
    }
    copy
}

fn rotations_of(haproxy: &HaProxy) -> Rotations {
    let file = haproxy.sink.join("svid_combined.pem");
    Rotations::with(move || serial_in(&file))
}

/// Returns which issuing CA a serial names: five octets of it.
fn issuer_in(serial: &str) -> Option<String> {
    serial.get(..10).map(str::to_owned)
}

fn client(world: &World, haproxy: &HaProxy) -> TlsClient {
    TlsClient::new(&haproxy.address, &spiffe_id("/web"), &world.bundle()).identified_by(&world.domain.folder().join("client"))
}

#[test]
fn haproxy_takes_each_new_certificate_over_its_runtime_api_under_load_and_stays_the_same_process() {
    let (world, mut haproxy) = started();
    let client = client(&world, &haproxy);
    let _ = client.until_answered(http_get);
    let ways = vec![client.clone().new_connections(http_get), client.kept_alive(http_get)];
    let mut rotations = rotations_of(&haproxy);
    rotates_under_load(ways, &mut rotations);
    assert!(haproxy.process.is_running(), "{}", haproxy.process.log());
    world.sinks_are_well();
}

#[test]
fn haproxy_that_is_reloaded_takes_certificates_roots_and_lists_under_load_and_refuses_the_revoked() {
    let (world, mut haproxy, robbed) = started_to_be_reloaded();
    let client = client(&world, &haproxy);
    let _ = client.until_answered(http_get);
    let thief = client.clone().identified_by(&stolen_from(&robbed));
    let _ = thief.ask_once(http_get).expect("nobody knows of the theft yet");
    let load = SteadyLoad::start(vec![client.clone().new_connections(http_get), client.clone().kept_alive(http_get)]);
    let mut rotations = rotations_of(&haproxy);
    let before = rotations.each_presented(ROTATIONS_AROUND, || load.presented());

    let order = ["authority", "replace", "--kind", "x509-root", "--because", "a drill", "--wait", "2m"];
    let replaced = world.domain.told(&order);
    assert!(replaced["outcome"].is_null(), "{replaced}");
    let issuer = issuer_in(&before[0]);
    let file_of_client = world.domain.folder().join("client").join("svid.pem");
    until("both ends under the new root", || {
        let ends = [load.presented()?, serial_in(&file_of_client)?];
        ends.iter().all(|serial| issuer_in(serial) != issuer).then_some(())
    });
    let serials = rotations.each_presented(before.len() + ROTATIONS_AROUND, || load.presented());

    let serial = serial_in(&robbed.with_file_name("stolen").join("svid.pem")).expect("a certificate");
    let _ = world.domain.told(&["svid", "revoke", "--serial", &serial, "--because", "stolen", "--wait"]);
    // The alert of the list, not of a connection that fell into a gap.
    until("the thief to be refused", || {
        let refused = thief.ask_once(http_get).err()?;
        refused.contains("CertificateRevoked").then_some(())
    });
    load.end().without_failure().presented_in_order(&serials);
    assert!(haproxy.process.is_running(), "the master is the same: {}", haproxy.process.log());
    world.sinks_are_well();

    // A configuration that is not taken is a hook that failed, and the workers of before go on.
    let folder = world.domain.folder();
    let config = folder.join("haproxy.cfg");
    let broken = std::fs::read_to_string(&config).expect("its configuration") + "    no-such-keyword\n";
    std::fs::write(&config, broken).expect("its configuration");
    let told = Command::new("/bin/sh")
        .arg(folder.join("haproxy-reload"))
        .arg(folder.join("master.sock"))
        .output();
    let told = told.expect("the script starts");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && said.contains("the reload failed"), "{told:?}");
    let _ = client.until_answered(http_get);
}
