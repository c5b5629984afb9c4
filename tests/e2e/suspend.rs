//! A machine that sleeps, with a real server and a real agent on it: the clock that goes on in suspend jumps, and the timers of both, which are the kernel's and
//! stand still in suspend, do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent::config::{AgentConfig, RawAgentConfig};
use agent::workload_api::client;
use agent::workload_api::messages::X509svidRequest;
use ca_server::config::{RawServerConfig, ServerConfig};
use ca_server::server::Server;
use platform::clock::SystemClock;
use platform::paths::Environment;
use platform::service_manager::HandedSockets;
use tests::admin::runtime;
use tests::domain::{Domain, path_text};
use tests::wait::until;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, Reading};
use trust_domains::x509::X509Svid;
use trust_domains::{Serial, Timestamp};

/// What the machine has: no timer of these comes due while the test runs, so what is renewed is renewed because a clock was looked at.
const LIVES: [(&str, &str); 3] = [("/middle", "80m"), ("/short", "50m"), ("/long", "90m")];

/// Every certificate is past its half then, and none has ended.
const NAP: Duration = Duration::from_secs(48 * 60);

/// Every certificate has ended then, the node's and the server's too.
const NIGHT: Duration = Duration::from_secs(9 * 3_600);

/// The machine's clocks, put forward by how long it slept. Tokio's timers go by CLOCK_MONOTONIC, which knows nothing of that: as in suspend.
#[derive(Debug, Default)]
struct Sleeper(AtomicU64);

impl Sleeper {
    fn sleep(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Sleeper {
    fn now(&self) -> Reading {
        let slept = Duration::from_secs(self.0.load(Ordering::SeqCst));
        let awake = SystemClock.now();
        Reading {
            wall: awake.wall + slept,
            since_boot: awake.since_boot.saturating_add(slept),
        }
    }
}

/// A server and an agent in this process.
struct Machine {
    clock: Arc<Sleeper>,
    domain: Domain,
    socket: PathBuf,
    runtime: Runtime,
    ending: CancellationToken,
    server: Server,
    agent: JoinHandle<Result<(), agent::run::RunError>>,
}

impl Machine {
    fn start(name: &str) -> Self {
        let (clock, domain, runtime) = (Arc::new(Sleeper::default()), Domain::init(name), runtime());
        let (ending, socket) = (CancellationToken::new(), domain.folder().join("workload.sock"));
        let raw = RawServerConfig {
            data_dir: Some(path_text(&domain.server_data()).to_owned()),
            listen: Some(domain.address.clone()),
            telemetry_listen: Some("off".to_owned()),
            ..RawServerConfig::default()
        };
        let config = ServerConfig::new(raw, &Environment::default()).expect("a configuration");
        let server = runtime.block_on(Server::start(config, clock.clone(), ending.clone())).expect("the server");
        let raw = RawAgentConfig {
            data_dir: Some(path_text(&domain.folder().join("agent")).to_owned()),
            workload_socket: Some(path_text(&socket).to_owned()),
            telemetry_listen: Some("off".to_owned()),
            join: Some(domain.link("n1")),
            ..RawAgentConfig::default()
        };
        let config = AgentConfig::new(raw, &Environment::default()).expect("a configuration");
        let agent = runtime.spawn(agent::run::run(config, HandedSockets::default(), clock.clone(), ending.clone()));
        Self {
            clock,
            domain,
            socket,
            runtime,
            ending,
            server,
            agent,
        }
    }

    /// Makes the entries, in another order than their certificates end in, for whoever runs these tests.
    fn entries(&self) {
        let selector = format!("unix:uid:{}", nix::unistd::getuid());
        until("the node", || {
            let nodes = self.domain.told(&["node", "list"]);
            nodes["items"].as_array().is_some_and(|nodes| !nodes.is_empty()).then_some(())
        });
        for (path, life) in LIVES {
            let entry = ["entry", "create", "--spiffe-id", path, "--parent", "n1", "--selector", &selector];
            let _ = self.domain.told(&[&entry[..], &["--x509-ttl", life, "--wait"]].concat());
        }
    }

    /// Returns the serials that a workload is given now, by SPIFFE ID; none has ended by the machine's clock.
    fn served(&self) -> BTreeMap<String, Serial> {
        let asked_at = self.clock.now().wall;
        let svids = self.runtime.block_on(fetched(&self.socket)).unwrap_or_default();
        for (id, _, end) in &svids {
            assert!(*end >= asked_at, "{id} ended at {end} and was given at {asked_at}");
        }
        svids.into_iter().map(|(id, serial, _)| (id, serial)).collect()
    }

    /// Waits until every certificate is another than these.
    fn renewed(&self, before: &BTreeMap<String, Serial>) -> BTreeMap<String, Serial> {
        until("another certificate of each identity", || {
            let now = self.served();
            let all_new = now.len() == LIVES.len() && now.iter().all(|(id, serial)| before.get(id) != Some(serial));
            all_new.then_some(now)
        })
    }

    /// Returns for whom of the entries certificates were signed, in that order.
    fn issued(&self) -> Vec<String> {
        let exported = self.domain.operator(&["audit", "export"]).exits(0);
        let events = exported.stdout.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let issued = events.filter(|event| event["event"] == "issued");
        let paths = issued.filter_map(|event| Some(event["spiffe_id"].as_str()?.strip_prefix(&format!("spiffe://{}", self.domain.name))?.to_owned()));
        paths.filter(|path| LIVES.iter().any(|(entry, _)| entry == path)).collect()
    }

    fn end(self) {
        self.ending.cancel();
        self.runtime.block_on(async {
            self.agent.await.expect("no panic").expect("the agent ends well");
            self.server.ended().await;
        });
    }
}

/// Returns what a new stream begins with: ID, serial and end of each.
async fn fetched(socket: &Path) -> Option<Vec<(String, Serial, Timestamp)>> {
    let mut client = client::connect(socket).await.ok()?;
    let mut updates = client.fetch_x509svid(X509svidRequest {}).await.ok()?.into_inner();
    let update = updates.message().await.ok()??;
    let svids = update.svids.into_iter().map(|svid| {
        let parsed = X509Svid::from_concatenated_der(&svid.x509_svid).expect("an SVID");
        (svid.spiffe_id, *parsed.leaf().serial(), parsed.leaf().not_after())
    });
    Some(svids.collect())
}

#[test]
fn on_wake_everything_due_is_renewed_at_once_the_least_life_first_and_what_ended_is_never_given() {
    let machine = Machine::start("suspend.test");
    machine.entries();
    let before = until("all certificates", || Some(machine.served()).filter(|served| served.len() == LIVES.len()));

    let count = machine.issued().len();
    machine.clock.sleep(NAP);
    let after_nap = machine.renewed(&before);
    let order = machine.issued().split_off(count);
    assert_eq!(order, ["/short", "/middle", "/long"], "each once, the least life first");

    machine.clock.sleep(NIGHT);
    let after_night = machine.renewed(&after_nap);
    assert!(after_night.values().all(|serial| !before.values().any(|old| old == serial)));
    machine.end();
}
