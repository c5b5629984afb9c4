//! Reload hooks among failures and strangers: commands that fail or never end, pid files that name others, selectors that fit the agent's own processes, and
//! descriptors that nobody shall see.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::until;
use tests::workload::program_as;

/// The owner of the sinks, known to no file of this machine.
const OWNER: u32 = 4_742;

/// New certificates that the sinks get while hooks fail, hang and are refused.
const ROTATIONS: usize = 4;

/// A directory where the owner may write, and others may look.
fn folder_of_the_owner(domain: &Domain) -> PathBuf {
    let folder = domain.folder().join("owners");
    std::fs::create_dir(&folder).expect("a directory");
    chown(&folder, Some(OWNER), Some(OWNER)).expect("its owner");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// A sink of the owner with one hook.
fn sink(domain: &Domain, name: &str, hook: &str) -> String {
    let directory = domain.folder().join(name);
    format!(
        "[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{}\"\nowner = \"{OWNER}\"\ngroup = \"{OWNER}\"\n[[sink.reload]]\n{hook}\n",
        directory.display()
    )
}

fn configuration(domain: &Domain, tables: &[String]) -> PathBuf {
    let file = domain.folder().join("agent.toml");
    std::fs::write(&file, tables.concat()).expect("the agent's configuration");
    file
}

/// Returns what the agent says of the sink in this directory.
fn told(agent: &Agent, directory: &Path) -> Value {
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    let sinks = status["sinks"].as_array().expect("sinks");
    let found = sinks.iter().find(|sink| sink["directory"] == path_text(directory));
    found.unwrap_or_else(|| panic!("no sink in {}: {status}", directory.display())).clone()
}

/// Waits until the hook of a sink tells an error with this in it.
fn tells(agent: &Agent, directory: &Path, expected: &str) {
    let is_told = || {
        told(agent, directory)["hooks"][0]["last_error"]
            .as_str()
            .is_some_and(|error| error.contains(expected))
    };
    until(&format!("{expected:?} of {}", directory.display()), || is_told().then_some(()));
}

/// Returns the numbers of the agent's helpers: those below it that run its own executable, by the name /proc/self/exe.
fn helpers(agent: &mut Agent) -> BTreeSet<i32> {
    let runs_it = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "exe\n");
    agent.process().children().into_iter().filter(runs_it).collect()
}

#[test]
fn a_reload_command_sees_no_descriptor_that_the_agent_was_started_with() {
    let domain = Domain::start("descriptors.test");
    let owners = folder_of_the_owner(&domain);
    let secret = domain.folder().join("of-root-alone");
    std::fs::write(&secret, "secret").expect("a file");
    let list = format!("/bin/ls -l /proc/self/fd > {0}/new && /bin/mv {0}/new {0}/seen", owners.display());
    let table = sink(&domain, "sink", &format!("command = [\"{list}\"]\nshell = true"));
    let config = configuration(&domain, &[table]);
    let mut agent = Agent::new(domain.folder(), "n1");
    agent.options = vec!["--config".to_owned(), path_text(&config).to_owned()];
    let with_one_more = |command: Command| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "file=$1; shift; exec 7<\"$file\"; exec \"$@\"", "sh", path_text(&secret)]);
        shell.arg(command.get_program()).args(command.get_args());
        shell
    };
    agent.launch_by(with_one_more, Some(&domain.link("n1")));
    agent.ready();
    domain.fast_entry("n1", "/web", OWNER, "60s");
    let seen = until("what the command saw", || std::fs::read_to_string(owners.join("seen")).ok());
    let numbers: BTreeSet<&str> = seen
        .lines()
        .filter_map(|line| line.split(" -> ").next()?.split_whitespace().last())
        .filter(|number| number.parse::<u32>().is_ok_and(|number| number > 2))
        .collect();
    // The one of the listing itself.
    assert_eq!(numbers, BTreeSet::from(["3"]), "{seen}");
    assert!(!seen.contains("of-root-alone"), "{seen}");
}

#[test]
fn hooks_that_fail_hang_or_mean_strangers_hold_up_nothing_and_signal_nobody_else() {
    let domain = Domain::start("hooks.test");
    let owners = folder_of_the_owner(&domain);
    let mut strangers = stranger(&domain);
    let ended = ended();
    for (name, pid) in [("stranger.pid", strangers.pid()), ("ended.pid", ended)] {
        let file = owners.join(name);
        std::fs::write(&file, pid.to_string()).expect("a pid file");
        chown(&file, Some(OWNER), Some(OWNER)).expect("its owner");
    }
    // Three of ten runs fail, the first among them.
    let flaky = format!(
        "n=$(/bin/cat {0}/runs || echo 0); n=$((n + 1)); echo $n > {0}/runs; [ $((n % 10)) -gt 2 ] || exit 1; /bin/cp $TROTH_SINK_DIRECTORY/svid.pem {0}/new && /bin/mv {0}/new {0}/presented",
        owners.display()
    );
    let pid_file = |name: &str| format!("signal = \"HUP\"\npid_file = \"{}\"", owners.join(name).display());
    let tables = [
        sink(&domain, "flaky", &format!("command = [\"{flaky}\"]\nshell = true")),
        sink(&domain, "hangs", "command = [\"/bin/sleep\", \"1000\"]\ntimeout = \"1s\""),
        sink(&domain, "stranger", &pid_file("stranger.pid")),
        sink(&domain, "ended", &pid_file("ended.pid")),
        sink(&domain, "meant", &format!("signal = \"USR1\"\nselectors = [\"unix:uid:{OWNER}\"]")),
    ];
    let config = configuration(&domain, &tables);
    let mut agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    let service = service_of_the_owner(&domain, &owners);
    // Not waited for: a node says that it has a change when the hooks are done, or given up.
    let selector = format!("unix:uid:{OWNER}");
    let entry = ["entry", "create", "--spiffe-id", "/web", "--parent", "n1", "--selector", &selector];
    let _ = domain.told(&[&entry[..], &["--class", "fast", "--x509-ttl", "10s"]].concat());

    let all = until("a helper for each sink", || Some(helpers(&mut agent)).filter(|all| all.len() == tables.len()));
    let (flaky, presented) = (domain.folder().join("flaky"), owners.join("presented"));
    let mut certificates = BTreeSet::new();
    until("rotations", || {
        certificates.extend(std::fs::read(&presented).ok());
        (certificates.len() > ROTATIONS).then_some(())
    });
    tells(&agent, &domain.folder().join("hangs"), "/bin/sleep");
    tells(&agent, &domain.folder().join("stranger"), &format!("{}", strangers.pid()));
    tells(&agent, &domain.folder().join("ended"), "ended.pid");
    until("the service to hear of it", || {
        std::fs::read_to_string(owners.join("heard"))
            .is_ok_and(|heard| heard.lines().count() > 1)
            .then_some(())
    });
    assert_eq!(helpers(&mut agent), all, "a signal that is for a service ended helpers");
    assert!(strangers.is_running(), "a process of another user got a signal");

    // No further certificate: what is presented at the end is the newest.
    let _ = domain.told(&["entry", "update", "/web", "--x509-ttl", "180s"]);
    until("the newest certificate to be presented", || {
        let newest = std::fs::read(flaky.join("svid.pem")).ok()?;
        let state = told(&agent, &flaky);
        let is_done = state["hooks"][0]["serial"] == state["serial"] && state["hooks"][0]["last_error"].is_null();
        (is_done && std::fs::read(&presented).ok()? == newest).then_some(())
    });
    let runs: usize = std::fs::read_to_string(owners.join("runs"))
        .expect("a number")
        .trim()
        .parse()
        .expect("a number");
    assert!(runs > certificates.len(), "{runs} runs: none failed");
    drop(service);
}

/// A process of root's.
fn stranger(domain: &Domain) -> Process {
    let mut command = Command::new("/bin/sleep");
    command.arg("1000").stdin(Stdio::null());
    Process::start(command, &domain.folder().join("stranger.log"))
}

/// The number of a process that ended.
fn ended() -> i32 {
    let mut child = Command::new("/bin/true").spawn().expect("a process");
    let pid = i32::try_from(child.id()).expect("its number");
    let _ = child.wait().expect("its end");
    pid
}

/// A service of the owner's that notes each signal, below nobody of the agent's.
fn service_of_the_owner(domain: &Domain, owners: &Path) -> Process {
    let heard = owners.join("heard");
    let mut command = program_as(OWNER, "/bin/sh");
    let script = format!("trap 'echo heard >> {}' USR1; while :; do /bin/sleep 0.1; done", heard.display());
    command.args(["-c", &script]);
    Process::start(command, &domain.folder().join("service.log"))
}
