//! An agent with the rights of its unit and of the drop-in for files of other users, and with no others.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use tests::domain::{Domain, open_directory, path_text};
use tests::process::Process;
use tests::wait::until;
use tests::workload::program_as;

use super::rights::{shipped, with_rights_of};

/// The user that the agent runs as, and the owner of the sink; no file of this machine knows them.
const AGENT: u32 = 4_733;
const OWNER: u32 = 4_734;

fn directory_of(parent: &Path, name: &str, user: u32) -> std::path::PathBuf {
    let directory = parent.join(name);
    std::fs::create_dir(&directory).expect("a directory");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    chown(&directory, Some(user), Some(user)).expect("its owner");
    directory
}

#[test]
fn an_agent_that_is_not_root_writes_for_another_user_and_reloads_its_programs_under_the_filter_of_its_unit() {
    let domain = Domain::start("dropin.test");
    let folder = open_directory();
    let own = directory_of(folder.path(), "agent", AGENT);
    let sink = directory_of(folder.path(), "sink", OWNER);
    let link = domain.link_file("n1");
    chown(&link, Some(AGENT), Some(AGENT)).expect("a file of the agent's");

    // A program of the owner's that counts the signals it gets, and has its number in a file.
    let (pid_file, counted) = (sink.join("pid"), sink.join("counted"));
    let mut program = program_as(OWNER, "/bin/sh");
    program.args(["-c", "echo $$ >pid; trap 'echo x >>counted' HUP; while :; do sleep 0.05; done"]);
    program.current_dir(&sink);
    let _program = Process::start(program, &domain.folder().join("program.log"));
    until("the program", || pid_file.metadata().ok().filter(|file| file.len() > 0));

    let config = own.join("agent.toml");
    let table = format!(
        "[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{0}/svid\"\nowner = \"{OWNER}\"\ngroup = \"{OWNER}\"\n\
         [[sink.reload]]\nsignal = \"HUP\"\npid_file = \"{0}/pid\"\n[[sink.reload]]\ncommand = [\"/usr/bin/touch\", \"{0}/told\"]\n",
        sink.display()
    );
    std::fs::write(&config, table).expect("the configuration");
    let units = ["troth-agent.service", "troth-agent.service.d/sinks-of-others.conf"].map(|unit| shipped().join(unit));
    let mut agent = with_rights_of(&units, AGENT);
    agent.args(["agent", "run", "--telemetry-listen", "off", "--config", path_text(&config)]);
    agent.args(["--data-dir", path_text(&own.join("data")), "--join-file", path_text(&link)]);
    agent.args(["--workload-socket", path_text(&own.join("workload.sock"))]);
    let mut agent = Process::start(agent, &domain.folder().join("agent.log"));
    until("the node", || (domain.told(&["node", "list"])["items"][0]["connected"] == true).then_some(()));
    domain.fast_entry("n1", "/web", OWNER, "10s");

    let confined = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("its status");
    assert!(confined.contains("Seccomp:\t2"), "the agent runs under the filter: {confined}");
    let read = || std::fs::read(sink.join("svid/svid.pem")).ok();
    let first = until("the files", read);
    until("a rotation", || read().filter(|now| *now != first));
    let key = sink.join("svid/svid_key.pem").metadata().expect("a key");
    assert_eq!((key.uid(), key.gid(), key.mode() & 0o777), (OWNER, OWNER, 0o600));
    until("a signal", || counted.metadata().ok());
    let told = until("a command", || sink.join("told").metadata().ok());
    assert_eq!(told.uid(), OWNER);
    let helper = agent.children().first().copied().expect("a helper");
    let status = std::fs::read_to_string(format!("/proc/{helper}/status")).expect("the helper's status");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    // One that hangs belongs to another user.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper), nix::sys::signal::Signal::SIGSTOP).expect("a helper to stop");
    assert!(agent.terminate().success(), "{}", agent.log());
    until("the helper's end", || (!Path::new(&format!("/proc/{helper}")).exists()).then_some(()));
}
