//! What is left after the process or the disk was stopped at any moment: every acknowledged commit, and each commit whole or not at all.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::store::{Item, Key, RecordName};

/// Tells the child where to commit.
const DIRECTORY: &str = "TROTH_TEST_STORM_DIRECTORY";

const ROUNDS: usize = 15;

fn key(name: &str) -> Key {
    Key::authority(&RecordName::new(name).unwrap())
}

/// The commit that makes this revision: it writes three records over, over several of sled's pages, and one new.
fn storm_commit(counter: u64) -> Commit {
    let number = counter.to_be_bytes();
    let value = |len: usize| number.iter().copied().cycle().take(len).collect::<Vec<_>>();
    let commit = Commit::new("storm")
        .put(key("a"), value(10_000))
        .put(key("m"), value(24))
        .put(key("z"), value(6_000));
    (0..counter % 60).fold(commit, |commit, part| commit.put(key(&format!("n{counter:06}-{part:02}")), value(700)))
}

/// Checks that a store holds exactly the commits up to its revision.
fn assert_whole(revision: Revision, items: &[Item]) {
    let counter = revision.counter;
    let expected_new: u64 = (1..=counter).map(|number| number % 60).sum();
    assert_eq!(
        items.iter().filter(|item| item.key.name().starts_with('n')).count() as u64,
        expected_new,
        "at {revision}"
    );
    for name in ["a", "m", "z"] {
        let item = items
            .iter()
            .find(|item| item.key == key(name))
            .unwrap_or_else(|| panic!("{name} is lost at {revision}"));
        assert_eq!(item.modified, counter, "{name} at {revision}");
        assert!(
            item.value.chunks(8).all(|octets| octets == &counter.to_be_bytes()[..octets.len()]),
            "{name} at {revision}"
        );
    }
}

async fn check(directory: &Path, acknowledged: u64) -> u64 {
    let store = SledStore::open(directory, Disk::real()).unwrap();
    let snapshot = store.snapshot(Prefix::ALL).await.unwrap();
    assert!(
        snapshot.revision.counter >= acknowledged,
        "{acknowledged} was acknowledged, {} is there",
        snapshot.revision
    );
    assert_whole(snapshot.revision, &snapshot.items);
    snapshot.revision.counter
}

/// Not a test by itself: the process that is killed.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn storm() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = SledStore::open(Path::new(&directory), Disk::real()).unwrap();
    loop {
        let revision = store.commit(storm_commit(store.revision().counter + 1)).await.unwrap();
        println!("acknowledged {}", revision.counter);
    }
}

struct Storm(Child);

impl Storm {
    fn start(directory: &Path) -> Self {
        let module = module_path!().split_once("::").unwrap().1;
        let name = format!("{module}::storm");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Kills it after so many acknowledgements, and returns the last.
    fn kill_after(mut self, count: usize) -> u64 {
        let mut acknowledged = BufReader::new(self.0.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok()));
        let seen = acknowledged.by_ref().take(count).last().expect("the storm began");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        // What was on its way in the pipe was acknowledged too.
        acknowledged.last().unwrap_or(seen)
    }
}

#[tokio::test]
async fn kill_at_any_moment_loses_nothing_acknowledged_and_leaves_no_half_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = SledStore::create(&path, 1, Disk::real()).unwrap();
    store.commit(storm_commit(1)).await.unwrap();
    drop(store);
    let mut at = 1;
    for round in 0..ROUNDS {
        let acknowledged = Storm::start(&path).kill_after(1 + round * 7 % 23);
        assert!(acknowledged > at);
        at = check(&path, acknowledged).await;
    }
}

/// A log that ends anywhere: what a torn write of the last commits leaves.
#[tokio::test]
async fn a_log_that_was_cut_anywhere_in_its_tail_holds_whole_commits_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = SledStore::create(&path, 1, Disk::real()).unwrap();
    let mut start = 0;
    for counter in 1..=8 {
        store.commit(storm_commit(counter)).await.unwrap();
        if counter == 1 {
            start = end_of(&std::fs::read(path.join("db")).unwrap());
        }
    }
    drop(store);
    let log = std::fs::read(path.join("db")).unwrap();
    let mut counters = std::collections::BTreeSet::new();
    for cut in (start..=end_of(&log)).step_by(2_311) {
        let torn = directory.path().join(format!("torn-{cut}"));
        std::fs::create_dir_all(torn.join("blobs")).unwrap();
        std::fs::copy(path.join("conf"), torn.join("conf")).unwrap();
        let octets: Vec<u8> = log.iter().enumerate().map(|(at, octet)| if at < cut { *octet } else { 0 }).collect();
        std::fs::write(torn.join("db"), octets).unwrap();
        counters.insert(check(&torn, 1).await);
    }
    assert!(counters.len() > 2, "the cuts fell into several commits: {counters:?}");
}

/// Returns where the log ends that has not yet filled sled's first segment.
fn end_of(log: &[u8]) -> usize {
    log.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1)
}
