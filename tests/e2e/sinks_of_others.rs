//! Sinks whose files are another user's: written by a process of that user's, in a directory where that user changes what it likes.

mod crowds;
mod hanging;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::until;
use tests::workload::program_as;

/// The owner of the sink, known to no file of this machine.
const OWNER: u32 = 4_741;

struct World {
    domain: Domain,
    agent: Agent,
}

impl World {
    /// A node whose sink is the owner's, in a directory that root makes; its identity changes every few seconds.
    fn start(name: &str) -> Self {
        Self::in_directory(Domain::start(name))
    }

    /// The same in a trust domain, and a directory, that may be there.
    fn in_directory(domain: Domain) -> Self {
        Self::at(domain, "sink")
    }

    fn at(domain: Domain, directory: &str) -> Self {
        let config = domain.folder().join("agent.toml");
        let directory = domain.folder().join(directory);
        let table = format!(
            "[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{}\"\nowner = \"{OWNER}\"\ngroup = \"{OWNER}\"\n",
            directory.display()
        );
        std::fs::write(&config, table).expect("the agent's configuration");
        let agent = domain.agent_with("n1", &["--config", path_text(&config)]);
        domain.fast_entry("n1", "/web", OWNER, "10s");
        Self { domain, agent }
    }

    fn sink(&self) -> PathBuf {
        self.domain.folder().join("sink")
    }

    fn certificate(&self) -> Option<Vec<u8>> {
        std::fs::read(self.sink().join("svid.pem")).ok()
    }

    fn next_certificate(&self, than: Option<&[u8]>) -> Vec<u8> {
        until("a new certificate in the sink", || {
            self.certificate().filter(|now| Some(now.as_slice()) != than)
        })
    }

    /// Returns the helper of the sink: the agent's one child.
    fn helper(&mut self) -> Option<i32> {
        self.agent.process().children().first().copied()
    }
}

/// Returns the lines of a process's status by their names.
fn status(pid: i32) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.split_whitespace().map(str::to_owned).collect()))
        .collect()
}

#[test]
fn a_helper_has_its_owners_rights_and_no_others_and_lives_and_dies_with_the_agent() {
    let mut world = World::start("helper.test");
    let first = world.next_certificate(None);
    let helper = world.helper().expect("a helper");
    let told = status(helper);
    let owner = OWNER.to_string();
    for ids in ["Uid", "Gid"] {
        assert_eq!(told[ids], [owner.as_str(); 4], "{ids}");
    }
    assert_eq!(told["Groups"], Vec::<String>::new());
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(told[set], ["0000000000000000"], "{set}");
    }
    assert_eq!((told["NoNewPrivs"][0].as_str(), told["Threads"][0].as_str()), ("1", "1"));
    let open: Vec<String> = std::fs::read_dir(format!("/proc/{helper}/fd"))
        .expect("its descriptors")
        .map(|entry| std::fs::read_link(entry.expect("one").path()).expect("what it is").display().to_string())
        .filter(|target| target != path_text(&world.sink()))
        .collect();
    // The socket twice, as standard input and as what it reads; nothing as standard output; the agent's log.
    let sockets = open.iter().filter(|target| target.starts_with("socket:")).count();
    let logs = open.iter().filter(|target| target.ends_with(".log")).count();
    assert_eq!((open.len(), sockets, logs, open.contains(&"/dev/null".to_owned())), (4, 2, 1, true), "{open:?}");
    assert_eq!(std::fs::read(format!("/proc/{helper}/environ")).expect("its environment"), b"");

    for name in ["svid.pem", "svid_key.pem"] {
        let file = world.sink().join(name).metadata().expect("a file");
        assert_eq!((file.uid(), file.gid()), (OWNER, OWNER), "{name}");
    }
    assert_eq!(world.sink().join("svid_key.pem").metadata().expect("a key").mode() & 0o777, 0o600);
    assert_eq!(world.sink().metadata().expect("the directory").uid(), OWNER);

    kill(Pid::from_raw(helper), Signal::SIGKILL).expect("a helper to kill");
    let second = world.next_certificate(Some(&first));
    let another = until("another helper", || world.helper().filter(|pid| *pid != helper));
    assert_ne!(first, second);
    world.agent.process().kill_9();
    until("the helper's end", || (!Path::new(&format!("/proc/{another}")).exists()).then_some(()));
}

/// What the owner does, over and over: links and other things in the place of whatever the sink has there, as fast as it can.
const SWAPS: &str = r#"
import os, socket, sys
sink, trap = sys.argv[1:3]
os.chdir(sink)
count = 0
def attempt(what, *arguments):
    try: what(*arguments)
    except OSError: pass
def bind(name):
    held = socket.socket(socket.AF_UNIX); held.bind(name); held.close()
while True:
    for name in os.listdir("."):
        if name == "swaps~": continue
        aside = "aside-%d" % (count % 16)
        attempt(os.rename, name, aside)
        kind = count % 6
        if kind == 0: attempt(os.symlink, trap, name)
        elif kind == 1: attempt(os.symlink, trap + "/secret", name)
        elif kind == 2: attempt(os.link, trap + "/secret", name)
        elif kind == 3: attempt(os.mkfifo, name)
        elif kind == 4: attempt(bind, name)
        else: attempt(os.mkdir, name)
        attempt(os.chmod, aside, 0o777)
        count += 1
        if count % 3 == 0:
            for gone in (name, aside):
                attempt(os.unlink, gone); attempt(os.rmdir, gone)
    open("swaps~", "w").write(str(count))
"#;

#[test]
fn an_owner_who_swaps_links_and_directories_at_every_moment_reaches_nothing_of_others_and_stops_nothing() {
    let mut world = World::start("swaps.test");
    let trap = world.domain.folder().join("trap");
    std::fs::create_dir(&trap).expect("a directory of root's");
    std::fs::write(trap.join("secret"), "root's").expect("a file of root's");
    let facts = |path: &Path| {
        let stat = path.metadata().expect("it is there");
        (
            stat.ino(),
            stat.uid(),
            stat.gid(),
            stat.mode(),
            stat.nlink(),
            stat.mtime_nsec(),
            stat.ctime_nsec(),
        )
    };
    let before = (facts(&trap), facts(&trap.join("secret")));
    let first = world.next_certificate(None);

    let mut owner = program_as(OWNER, "/usr/bin/python3");
    owner.args(["-c", SWAPS, path_text(&world.sink()), path_text(&trap)]);
    let mut owner = Process::start(owner, &world.domain.folder().join("owner.log"));
    // Moments of its own choice are what a kill has, too.
    for round in 1..=20 {
        // Thousands in all, some of them between any two kills.
        until("swaps", || {
            let text = std::fs::read_to_string(world.sink().join("swaps~")).ok()?;
            (text.parse::<u32>().ok()? >= round * 250).then_some(())
        });
        if let Some(helper) = world.helper() {
            let _already_gone = kill(Pid::from_raw(helper), Signal::SIGKILL);
        }
        // The agent looks after the sink and answers all the while.
        let status = world.agent.operator(&["agent", "status"]);
        assert_eq!(status.code, 0, "round {round}: {}", status.stderr);
    }
    owner.kill_9();
    assert_eq!((facts(&trap), facts(&trap.join("secret"))), before);
    assert_eq!(std::fs::read_dir(&trap).expect("the trap").count(), 1);
    assert_eq!(std::fs::read_to_string(trap.join("secret")).expect("the trap's file"), "root's");

    // What stays of it is the owner's to clear; then all is as before.
    let clear = format!("cd {} && rm -rf -- * .[!.]* ..?*", world.sink().display());
    let cleared = program_as(OWNER, "sh").args(["-c", &clear]).status();
    assert!(cleared.expect("sh starts").success());
    let _next = world.next_certificate(Some(&first));
}

#[test]
fn a_sink_below_a_directory_that_others_can_write_is_refused_and_the_directory_named() {
    let domain = Domain::start("parents.test");
    let shared = domain.folder().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::os::unix::fs::chown(&shared, Some(OWNER), Some(OWNER)).expect("the owner's");
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o775)).expect("writable by the group");
    let mut world = World::at(domain, "shared/sink");
    let named = format!("{} can be written by others", shared.display());
    until("the refusal", || world.agent.process().log().contains(&named).then_some(()));
    assert!(world.agent.process().log().contains(&format!("chmod go-w {}", shared.display())));
    assert!(!shared.join("sink").exists());
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mended");
    until("the files", || std::fs::read(shared.join("sink/svid.pem")).ok());
}
