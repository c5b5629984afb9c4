//! HAProxy with the configuration of `docs/integrations/haproxy.md`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::steady_load::{Rotations, TlsClient, http_get, serial_in};

use super::{Plan, World, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/haproxy.md";

/// The user that the package makes.
const OWNER: &str = "haproxy";

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

fn client(world: &World, haproxy: &HaProxy) -> TlsClient {
    TlsClient::new(&haproxy.address, &spiffe_id("/web"), &world.bundle()).identified_by(&world.domain.folder().join("client"))
}

#[test]
fn haproxy_takes_each_new_certificate_over_its_runtime_api_under_load_and_stays_the_same_process() {
    let (world, mut haproxy) = started();
    let client = client(&world, &haproxy);
    let _ = client.until_answered(http_get);
    let ways = vec![client.clone().new_connections(http_get), client.kept_alive(http_get)];
    let mut rotations = Rotations::with({
        let file = haproxy.sink.join("svid_combined.pem");
        move || serial_in(&file)
    });
    rotates_under_load(ways, &mut rotations);
    assert!(haproxy.process.is_running(), "{}", haproxy.process.log());
    world.sinks_are_well();
}
