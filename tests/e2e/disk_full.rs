//! A full disk: what cannot be kept is refused, nothing acknowledged is lost, and work goes on as soon as there is space.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tests::admin::{admin, create, draft, runtime};
use tests::domain::{Domain, path_text};
use tests::wait::until;
use tests::workload::{Watch, fetch_as, ids};
use trust_domains::problem::{Code, Coded as _};

/// The size of the disk, in MiB: twice what must stay free (64 MiB), from which on the server is content, and some.
const SIZE: usize = 140;

/// A disk of its own for a directory; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Moves a directory to a disk of its own, under the same path.
    fn under(directory: &Path) -> Self {
        let moved = directory.with_extension("moved");
        std::fs::rename(directory, &moved).expect("the directory moves");
        std::fs::create_dir(directory).expect("the directory");
        perform(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}m,mode=0700"), "troth-test", path_text(directory)]));
        let disk = Self(directory.to_owned());
        perform(Command::new("cp").arg("-a").arg(moved.join(".")).arg(directory));
        std::fs::remove_dir_all(&moved).expect("the directory as it was");
        disk
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills the disk up to the last octet.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        for length in [1 << 20, 4 << 10, 1] {
            while ballast.write_all(&vec![7; length]).is_ok() {}
        }
    }

    /// Fills the disk until less is free than must be: an octet below 64 MiB is too little.
    fn leave_too_little(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        ballast
            .write_all(&vec![7; (SIZE - 63) << 20])
            .or_else(|_| ballast.set_len(0))
            .expect("the ballast");
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still have files open, and the directory below is removed with its folder.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn perform(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} (mounting takes root)");
}

fn create_by_command(domain: &Domain, path: &str) -> tests::command::Run {
    domain.operator(&["entry", "create", "--spiffe-id", path, "--selector", "unix:uid:59999", "--parent", "n1"])
}

#[test]
fn on_a_full_disk_entries_and_issuing_are_refused_and_go_on_when_there_is_space() {
    let mut domain = Domain::init("full.test");
    let disk = SmallDisk::under(&domain.server_data());
    domain.start_server();
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", 4701, "10s");
    let mut watch = Watch::open(4701, &agent.socket);
    let _ = watch.next();
    let before = domain.listed("spiffe_id");

    disk.leave_too_little();
    let refused = create_by_command(&domain, "/refused");
    assert_eq!((refused.code, refused.problem().as_str()), (1, "disk_full"), "{refused:?}");
    let token = domain.operator(&["token", "create", "--node-id", "n2"]);
    assert_eq!(token.problem(), "disk_full", "{token:?}");
    // No SVID follows the one that is there: nothing is signed that cannot be recorded.
    let exported = || {
        domain
            .operator(&["audit", "export"])
            .exits(0)
            .stdout
            .lines()
            .filter(|line| line.contains("\"issued\""))
            .count()
    };
    let issued = exported();
    assert_ne!(watch.ended(), 0, "with nothing valid left the stream ends");
    assert_ne!(fetch_as(4701, &agent.socket).code, 0);
    assert_eq!(exported(), issued, "something was issued on a full disk");
    let health = until("the server to say that its disk is full", || {
        Some(domain.operator(&["health", "server"])).filter(|health| health.stdout.contains("MiB are free"))
    });
    assert_ne!(health.code, 4, "{health:?}");
    assert_eq!(domain.listed("spiffe_id"), before);

    disk.free();
    let again = until("issuing to go on", || Some(fetch_as(4701, &agent.socket)).filter(|fetched| fetched.code == 0));
    assert_eq!(ids(&again), ["spiffe://full.test/job"]);
    let _ = create_by_command(&domain, "/accepted").exits(0);
    assert_eq!(domain.server().terminate().code(), Some(0));
    domain.start_server();
    let there = domain.listed("spiffe_id");
    assert!(
        there.contains("spiffe://full.test/accepted") && there.is_superset(&before) && !there.contains("spiffe://full.test/refused"),
        "{there:?}"
    );
}

/// Creates entries until one is refused; returns those acknowledged, and the code of the refusal.
async fn storm(client: UnixHttpClient, worker: usize) -> (Vec<String>, Code) {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        match create(&client, vec![draft(format!("/storm/{worker}/{number}"), "n1", 59_999)]).await {
            Ok(created) => acknowledged.extend(created.entries.iter().map(|entry| entry.spiffe_id.to_string())),
            Err(error) => return (acknowledged, error.code()),
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn a_disk_that_fills_to_its_last_octet_in_a_storm_loses_nothing_acknowledged() {
    let runtime = runtime();
    let mut domain = Domain::init("octet.test");
    let disk = SmallDisk::under(&domain.server_data());
    domain.start_server();
    let _ = domain.link("n1");
    let mut acknowledged = BTreeSet::new();
    for round in 0..3_usize {
        let client = admin(&domain, Duration::from_secs(20));
        let start = |worker| runtime.spawn(storm(client.clone(), round * 4 + worker));
        let workers: Vec<_> = (0..4).map(start).collect();
        let created = || domain.told(&["entry", "count"])["count"].as_u64().expect("a count");
        let begun = created();
        until("the storm", || (created() > begun + 20).then_some(()));
        disk.fill();
        for worker in workers {
            let (made, refusal) = runtime.block_on(worker).expect("a worker");
            acknowledged.extend(made);
            assert_eq!(refusal, Code::DiskFull);
        }
        assert_eq!(create_by_command(&domain, &format!("/full/{round}")).problem(), "disk_full");
        assert!(domain.server().is_running(), "{}", domain.server().log());
        assert!(domain.listed("spiffe_id").is_superset(&acknowledged), "round {round}");
        // One that ends now does not start again, and says why; then all is there that it ever acknowledged.
        if round == 1 {
            domain.server().kill_9();
            domain.launch_server();
            assert_eq!(domain.server().ended().code(), Some(1));
            assert!(domain.server().log().contains("(disk_full)"), "{}", domain.server().log());
            disk.free();
            domain.start_server();
            assert!(domain.listed("spiffe_id").is_superset(&acknowledged), "round {round}, after a kill");
        } else {
            disk.free();
        }
        let _ = create_by_command(&domain, &format!("/freed/{round}")).exits(0);
    }
    domain.server().kill_9();
    domain.start_server();
    assert!(domain.listed("spiffe_id").is_superset(&acknowledged));
}
