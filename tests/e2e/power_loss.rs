//! Power loss: every write, rename and sync of a server in a storm is recorded with strace; from what was synced before an acknowledgement, and
//! nothing else or any part of the rest, a server starts with everything that was acknowledged.

mod disk;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ca_server::config::{RawServerConfig, ServerConfig};
use ca_server::server::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use platform::clock::SystemClock;
use platform::paths::Environment;
use platform::sockets::SocketPath;
use platform::unix_http::UnixHttpClient;
use serde_json::Value;
use tests::admin::{admin, runtime};
use tests::command::{run, troth, troth_path};
use tests::domain::{Domain, path_text};
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;
use tokio_util::sync::CancellationToken;
use trust_domains::wire::admin::{CreateEntries, EntriesCreated, EntryChange, EntryDraft, EntryView, MAX_PAGE, Page};

use disk::{Chance, Disk};
use trace::Step;

/// Acknowledgements before which the power fails.
const POWER_LOSSES: usize = 200;

/// At every so many of them a server starts as a process of its own too.
const AS_A_PROCESS: usize = 25;

/// Answers after which the storm is over.
const ANSWERS: usize = 600;

/// Entries made by one call.
const BATCH: usize = 8;

/// The longest answer on an admin socket.
const DEADLINE: Duration = Duration::from_secs(30);

/// Entries by their id, with the version that their hint names.
type Versions = BTreeMap<String, u64>;

/// A server under strace; both end with it.
struct Traced(Process);

impl Traced {
    fn start(domain: &Domain, trace: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "16777216",
            "--seccomp-bpf",
            "-e",
            "signal=none",
            "-e",
            trace::SYSCALLS,
            "-o",
            path_text(trace),
        ]);
        command
            .arg(troth_path())
            .args(["server", "run", "--data-dir", path_text(&domain.server_data()), "--telemetry-listen", "off"]);
        command.args(["--listen", &format!("127.0.0.1:{}", free_port())]).env_remove("TROTH_BIN");
        let mut traced = Self(Process::start(command, &domain.folder().join("server.log")));
        until("the traced server (apt-get install strace)", || {
            assert!(traced.0.is_running(), "{}", traced.0.log());
            (run(&["health", "server", "--data-dir", path_text(&domain.server_data())]).code == 0).then_some(())
        });
        traced
    }

    /// Kills the server; strace, which then has written everything down, ends by itself.
    fn kill_server(&self) {
        let strace = self.0.pid();
        let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.kill_server();
    }
}

fn hint(version: u64) -> String {
    // Long, so that the store's log grows by segments, some of which are freed and written again.
    format!("{version} {}", "x".repeat(700))
}

fn version(hint: Option<&str>) -> u64 {
    hint.and_then(|hint| hint.split(' ').next())
        .and_then(|number| number.parse().ok())
        .expect("a version in the hint")
}

/// Makes entries, and changes some again and again.
async fn storm(client: UnixHttpClient, worker: usize, answers: Arc<AtomicUsize>) {
    for round in 0.. {
        let draft = |number| EntryDraft {
            spiffe_id: format!("/storm/{worker}/{round}/{number}"),
            parent_id: Some("n1".to_owned()),
            selectors: vec!["unix:uid:59999".to_owned()],
            hint: Some(hint(0)),
            ..EntryDraft::default()
        };
        let drafts = CreateEntries {
            entries: (0..BATCH).map(draft).collect(),
        };
        let created: EntriesCreated = client.post("/v1/admin/entries", &drafts).await.expect("entries are made");
        for next in 1..4 {
            if answers.fetch_add(1, Ordering::Relaxed) >= ANSWERS {
                return;
            }
            let change = EntryChange {
                hint: Some(hint(next)),
                ..EntryChange::default()
            };
            let path = format!("/v1/admin/entries/{}", created.entries[round % BATCH].id);
            let _: EntryView = client.patch(&path, &change).await.expect("an entry is changed");
        }
    }
}

/// Returns what an answer of the admin API acknowledges.
fn acknowledged(sent: &[u8]) -> Versions {
    let body = sent.windows(4).position(|window| window == b"\r\n\r\n").map(|end| &sent[end + 4..]);
    let Some(Ok(body)) = body.map(serde_json::from_slice::<Value>) else {
        return Versions::new();
    };
    let entries = body["entries"].as_array().cloned().unwrap_or_else(|| vec![body]);
    let entry = |entry: &Value| Some((entry["id"].as_str()?.to_owned(), version(Some(entry["hint"].as_str()?))));
    entries.iter().filter_map(entry).collect()
}

/// Returns what was acknowledged and is not there, or only as it was before.
fn lost(acknowledged: &Versions, there: &Versions) -> BTreeSet<String> {
    acknowledged
        .iter()
        .filter(|(id, version)| there.get(*id).is_none_or(|found| found < version))
        .map(|(id, _)| id.clone())
        .collect()
}

/// Starts a server in this process from a data directory, and returns its entries.
async fn served(data: &Path) -> Versions {
    let raw = RawServerConfig {
        data_dir: Some(path_text(data).to_owned()),
        listen: Some("127.0.0.1:0".to_owned()),
        telemetry_listen: Some("off".to_owned()),
        ..RawServerConfig::default()
    };
    let config = ServerConfig::new(raw, &Environment::default()).expect("a configuration");
    let shutdown = CancellationToken::new();
    let server = Server::start(config, SystemClock::shared(), shutdown.clone()).await;
    let server = server.unwrap_or_else(|error| panic!("the server does not start from {}: {error:?}", data.display()));
    let client = UnixHttpClient::new(SocketPath::new(server.admin_socket()).expect("a socket path"), DEADLINE);
    let mut there = Versions::new();
    let mut after = String::new();
    loop {
        let page: Page<EntryView> = client.get(&format!("/v1/admin/entries?limit={MAX_PAGE}{after}")).await.expect("a list");
        there.extend(page.items.iter().map(|entry| (entry.id.to_string(), version(entry.hint.as_deref()))));
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    shutdown.cancel();
    server.ended().await;
    there
}

/// Starts the built server from a data directory, and returns its entries.
fn served_by_a_process(data: &Path) -> Versions {
    let mut command = troth();
    command.args([
        "server",
        "run",
        "--data-dir",
        path_text(data),
        "--listen",
        "127.0.0.1:0",
        "--telemetry-listen",
        "off",
    ]);
    let mut server = Process::start(command, &data.with_extension("log"));
    until("the server to start", || {
        assert!(server.is_running(), "the server ended: {}", server.log());
        (run(&["health", "server", "--data-dir", path_text(data)]).code == 0).then_some(())
    });
    let list = run(&["--output", "json", "entry", "list", "--data-dir", path_text(data)]).exits(0).json();
    let items = list["items"].as_array().expect("items");
    items
        .iter()
        .map(|entry| (entry["id"].as_str().expect("an id").to_owned(), version(entry["hint"].as_str())))
        .collect()
}

/// Where crash images are made and started from, one after the other.
struct Images<'a> {
    domain: &'a Domain,
    runtime: &'a tokio::runtime::Runtime,
    made: usize,
}

impl Images<'_> {
    /// Starts a server from what a power loss leaves, and returns its entries.
    fn start(&mut self, disk: &Disk, chance: Option<&mut Chance>, as_a_process: bool) -> Versions {
        self.made += 1;
        let image = self.domain.folder().join(format!("image-{}", self.made));
        disk.leave(&self.domain.server_data(), &image, chance);
        let key = |data: &Path| data.with_file_name(format!("{}.seal.key", data.file_name().and_then(|name| name.to_str()).expect("a name")));
        std::fs::copy(key(&self.domain.server_data()), key(&image)).expect("the key file");
        let there = if as_a_process {
            served_by_a_process(&image)
        } else {
            self.runtime.block_on(served(&image))
        };
        std::fs::remove_dir_all(&image).expect("the image");
        there
    }
}

#[test]
fn a_power_loss_at_any_acknowledgement_loses_nothing_that_was_acknowledged() {
    let runtime = runtime();
    let mut domain = Domain::init("power.test");
    domain.start_server();
    let _ = domain.link("n1");
    assert!(domain.server().terminate().success());

    let before = Disk::of(&domain.server_data());
    let trace_file = domain.folder().join("trace");
    let mut server = Traced::start(&domain, &trace_file);
    let client = admin(&domain, DEADLINE);
    let answers = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..4)
        .map(|worker| runtime.spawn(storm(client.clone(), worker, Arc::clone(&answers))))
        .collect();
    workers.into_iter().for_each(|worker| runtime.block_on(worker).expect("a worker"));
    server.kill_server();
    let _ = server.0.ended();

    let steps = trace::read(&std::fs::read_to_string(&trace_file).expect("the trace"), &domain.server_data());
    let answering: Vec<usize> = (0..steps.len())
        .filter(|at| matches!(&steps[*at], Step::Send(sent) if !acknowledged(sent).is_empty()))
        .collect();
    assert!(answering.len() >= ANSWERS, "{} answers were recorded", answering.len());
    let every = answering.len() / POWER_LOSSES;
    let chosen: BTreeSet<usize> = answering.iter().skip(every - 1).step_by(every).take(POWER_LOSSES).copied().collect();
    assert_eq!(chosen.len(), POWER_LOSSES);

    let mut images = Images {
        domain: &domain,
        runtime: &runtime,
        made: 0,
    };
    let (mut disk, mut never_synced, mut so_far) = (before.clone(), before, Versions::new());
    let mut with_unsynced = 0;
    for (at, step) in steps.iter().enumerate() {
        disk.perform(step);
        if let Step::Send(sent) = step {
            so_far.extend(acknowledged(sent));
        }
        if chosen.contains(&at) {
            let number = images.made;
            with_unsynced += usize::from(disk.unsynced() > 0);
            let there = images.start(&disk, None, number.is_multiple_of(2 * AS_A_PROCESS));
            let lost_here = lost(&so_far, &there);
            assert!(
                lost_here.is_empty(),
                "step {at}: of {} acknowledged entries are lost: {lost_here:?}",
                so_far.len()
            );
            let there = images.start(&disk, Some(&mut Chance::new(at as u64)), false);
            let lost_here = lost(&so_far, &there);
            assert!(
                lost_here.is_empty(),
                "step {at}, with parts of what was not synced: of {} acknowledged entries are lost: {lost_here:?}",
                so_far.len()
            );
        }
    }
    assert!(with_unsynced > 0, "no power loss met anything that was not synced");

    // An image is what was synced and no more: without a single sync nothing of the storm is there.
    steps
        .iter()
        .filter(|step| !matches!(step, Step::SyncEnds { .. }))
        .for_each(|step| never_synced.perform(step));
    let there = images.start(&never_synced, None, false);
    assert_eq!(lost(&so_far, &there).len(), so_far.len());
}
