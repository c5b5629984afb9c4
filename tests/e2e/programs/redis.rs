//! Redis with the configuration of `docs/integrations/redis.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::steady_load::{Connection, Rotations, TlsClient, Way, every};

use super::{Plan, as_user_of_package, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/redis.md";

/// The user that the package makes.
const OWNER: &str = "redis";

/// How often the program `redis-cli` asks: starting it costs more than what it asks.
const REDIS_CLI_EVERY: Duration = Duration::from_millis(200);

/// Asks once more for the same connection (RESP).
fn ping(connection: &mut Connection) -> Result<(), String> {
    connection.send(b"PING\r\n")?;
    let answer = connection.read_until(|octets| octets.ends_with(b"\r\n"))?;
    (answer == b"+PONG\r\n")
        .then_some(())
        .ok_or_else(|| format!("answered {:?}", String::from_utf8_lossy(&answer)))
}

/// The client that everybody has, on a connection of its own; who serves is not its business.
fn redis_cli(port: u16, files: PathBuf) -> Way {
    Box::new(move || {
        let files = files.join("..data").canonicalize().map_err(|error| error.to_string())?;
        let file = |name: &str| files.join(name);
        let output = Command::new("redis-cli")
            .args(["-e", "-p", &port.to_string(), "--tls", "--cacert"])
            .arg(file("bundle.pem"))
            .arg("--cert")
            .arg(file("svid.pem"))
            .arg("--key")
            .arg(file("svid_key.pem"))
            .arg("PING")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.stdout == b"PONG\n" { Ok(None) } else { Err(format!("{output:?}")) }
    })
}

fn start(config: &Path, log: &Path) -> Process {
    let mut command = as_user_of_package(OWNER, "/usr/bin/redis-server");
    command.arg(config);
    Process::start(command, log)
}

#[test]
fn redis_takes_each_new_certificate_by_config_set_under_load() {
    let mut plan = Plan::new();
    let (sink, run) = (plan.directory_of(OWNER, "svid"), plan.directory_of(OWNER, "run"));
    let (port, socket) = (free_port(), run.join("redis.sock"));
    let address = format!("127.0.0.1:{port}");
    let places = [("/run/redis/redis-server.sock", path_text(&socket)), ("/var/lib/redis/svid", path_text(&sink))];
    plan.documented_sink(PAGE, &[&places[..], &[("127.0.0.1:6379", &address)]].concat());
    let files = plan.client();
    let config = plan.place("redis.conf");
    let text = replaced(
        &block(PAGE, "ini", "redis.conf"),
        &[&places[..], &[("tls-port 6379", &format!("tls-port {port}"))]].concat(),
    );
    // Nothing of a test is worth a file.
    std::fs::write(&config, format!("{text}save \"\"\ndir {}\n", path_text(&run))).expect("its configuration");
    let log = plan.place("redis.log");
    let world = plan.start(&[("/cache", &[]), ("/client", &[])], &[&files, &sink]);
    let mut redis = start(&config, &log);

    let client = TlsClient::new(&address, &spiffe_id("/cache"), &world.bundle());
    assert!(client.ask_once(ping).is_err(), "a client without a certificate is answered");
    let client = client.identified_by(&files);
    let _ = client.until_answered(ping);
    let ways = vec![
        client.clone().new_connections(ping),
        client.kept_alive(ping),
        every(REDIS_CLI_EVERY, redis_cli(port, files)),
    ];
    rotates_under_load(ways, &mut Rotations::of(&sink));
    assert!(redis.is_running(), "{}", redis.log());
    world.sinks_are_well();
}
