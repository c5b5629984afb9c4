//! From a new SVID to the end of the reload: how soon the files of a sink are swapped, and how soon its hooks have told the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use trust_domains::EntryId;
use trust_domains::wire::admin::{EntryChange, EntryView};

use super::meter::{Times, millis};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::subject::Effort;
use super::workload_api::{Stream, first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::{Agent, Domain, path_text};
use crate::wait::{PATIENCE, until_within};

/// How exactly the moments of files are known.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// The fewest rotations that percentiles are taken of.
const FEWEST: usize = 20;

/// Lives that alternate: each change of the entry has another certificate issued.
const LIVES_S: [u64; 2] = [3_600, 3_000];

/// The moments of one rotation, since the SVID was issued: seen on a workload's open stream.
#[derive(Debug, Default)]
struct Moments {
    issued: Vec<Duration>,
    swapped: Vec<Duration>,
    signalled: Vec<Duration>,
    commanded: Vec<Duration>,
}

/// Measures rotations one after the other for so many seconds.
pub(super) fn reloads(effort: Effort) -> Figure {
    let runtime = runtime();
    let moments = runtime.block_on(async {
        let mut bench = Bench::start().await;
        let (mut moments, end) = (Moments::default(), Instant::now() + Duration::from_secs(effort.seconds));
        while Instant::now() < end || moments.issued.len() < FEWEST {
            bench.rotate(&mut moments).await;
        }
        moments
    });
    let rotations = moments.issued.len();
    let mut values = Vec::new();
    for (names, times) in [
        (["change → issued, p50", "p99"], moments.issued),
        (["issued → files swapped, p50", "p99"], moments.swapped),
        (["issued → signal received, p50", "p99"], moments.signalled),
        (["issued → command done, p50", "p99"], moments.commanded),
    ] {
        let times = Times::of(times);
        values.push(Value::plain(names[0], millis(times.percentile(50)), "ms"));
        values.push(Value::plain(names[1], millis(times.percentile(99)), "ms"));
    }
    Figure {
        id: "delivery",
        what: "SVID issued → files swapped → reload finished",
        how: format!(
            "{rotations} rotations, one after the other; issued is when a workload's open stream has it; one sink signals this program by its pid file, another runs `touch`"
        ),
        values,
    }
}

/// A node with two sinks of one identity, and this program as the one that is told.
struct Bench {
    admin: UnixHttpClient,
    entry: EntryId,
    stream: Stream,
    hangups: Signal,
    sinks: [PathBuf; 2],
    touched: PathBuf,
    rotations: usize,
    // Ended with the bench.
    _agent: Agent,
    _domain: Domain,
}

impl Bench {
    async fn start() -> Self {
        let hangups = signal(SignalKind::hangup()).expect("a signal handler");
        let domain = Domain::start("load.test");
        let place = |name: &str| domain.folder().join(name);
        let (pid_file, touched, config) = (place("pid"), place("touched"), place("agent.toml"));
        let sinks = [place("signalled"), place("commanded")];
        std::fs::write(&pid_file, std::process::id().to_string()).expect("a pid file");
        let hooks = [
            format!("signal = \"HUP\"\npid_file = {:?}\n", path_text(&pid_file)),
            format!("command = [\"/usr/bin/touch\", {:?}]\n", path_text(&touched)),
        ];
        let sink = |directory: &Path, hook: &str| {
            let directory = path_text(directory);
            format!("[[sink]]\nspiffe_id = \"/web\"\ndirectory = {directory:?}\n\n[[sink.reload]]\n{hook}\n")
        };
        std::fs::write(&config, sink(&sinks[0], &hooks[0]) + &sink(&sinks[1], &hooks[1])).expect("a configuration");
        let agent = domain.agent_with("n1", &["--config", path_text(&config)]);
        let admin = admin(&domain);
        let entry = create(&admin, vec![draft("/web".to_owned(), "n1", own_uid())]).await;
        let stream = first(&agent.socket).await;
        let mut bench = Self {
            entry: entry.into_iter().next().expect("an entry"),
            admin,
            stream,
            hangups,
            sinks,
            touched,
            rotations: 0,
            _agent: agent,
            _domain: domain,
        };
        bench.told().await;
        bench
    }

    /// Waits until both hooks of one delivery have run.
    async fn told(&mut self) {
        tokio::time::timeout(PATIENCE, self.hangups.recv()).await.expect("the signal in time");
        until_within(PATIENCE, LOOK_EVERY, "the command", async || self.touched.exists().then_some(())).await;
        std::fs::remove_file(&self.touched).expect("the file that the command made");
    }

    async fn rotate(&mut self, moments: &mut Moments) {
        let before = self.sinks.each_ref().map(|sink| generation(sink));
        let life = LIVES_S[self.rotations % LIVES_S.len()];
        self.rotations += 1;
        let change = EntryChange {
            x509_ttl_s: Some(life),
            ..EntryChange::default()
        };
        let asked = Instant::now();
        let _: EntryView = self
            .admin
            .patch(&format!("/v1/admin/entries/{}", self.entry), &change)
            .await
            .expect("a changed entry");
        self.stream.next().await.expect("an update");
        let issued = Instant::now();
        let (sinks, touched) = (&self.sinks, &self.touched);
        let swapped = until_within(PATIENCE, LOOK_EVERY, "the files", async || {
            let all = sinks.iter().zip(&before).all(|(sink, before)| generation(sink) != *before);
            all.then(Instant::now)
        });
        let signalled = async {
            let signalled = tokio::time::timeout(PATIENCE, self.hangups.recv()).await;
            signalled.expect("the signal in time");
            Instant::now()
        };
        let commanded = until_within(PATIENCE, LOOK_EVERY, "the command", async || touched.exists().then(Instant::now));
        let (swapped, signalled, commanded) = tokio::join!(swapped, signalled, commanded);
        std::fs::remove_file(&self.touched).expect("the file that the command made");
        moments.issued.push(issued - asked);
        moments.swapped.push(swapped.saturating_duration_since(issued));
        moments.signalled.push(signalled.saturating_duration_since(issued));
        moments.commanded.push(commanded.saturating_duration_since(issued));
    }
}

/// Returns what the sink's link leads to.
fn generation(sink: &Path) -> Option<PathBuf> {
    std::fs::read_link(sink.join("..data")).ok()
}
