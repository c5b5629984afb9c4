//! The units of `packaging/systemd`.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::command::{Run, troth_path};
use tests::docs::text;
use tests::domain::{Domain, open_directory, path_text};
use tests::process::Process;
use tests::wait::until;
use tests::workload::{ids, program_as};

use super::rights::{shipped, with_rights_of};

/// The user that the agent runs as, known to no file of this machine.
const AGENT: u32 = 4_731;

/// A workload of another user.
const WORKLOAD: u32 = 4_732;

const UNITS: [&str; 5] = [
    "troth-agent-sds.socket",
    "troth-agent.service",
    "troth-agent.socket",
    "troth-proxy@.service",
    "troth-server.service",
];

/// Copies the units, with the binary of this build in the place of the installed one.
fn units() -> TempDir {
    let folder = open_directory();
    for unit in UNITS {
        let text = std::fs::read_to_string(shipped().join(unit)).expect("a unit");
        let text = text.replace("/usr/local/bin/troth", path_text(&troth_path()));
        std::fs::write(folder.path().join(unit), text).expect("its copy");
    }
    folder
}

fn systemd_analyze(arguments: &[&str], folder: &Path) -> Run {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    Run::of(&output.expect("systemd-analyze starts (apt-get install systemd)"))
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let folder = units();
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(UNITS);
    let verified = systemd_analyze(&arguments, folder.path()).exits(0);
    let about_ours: Vec<&str> = verified.stderr.lines().filter(|line| line.contains("troth")).collect();
    assert_eq!(about_ours, Vec::<&str>::new());
}

/// The exposure of what a row of the page begins with, in tenths: what systemd's threshold counts in.
fn stated_exposure(unit: &str) -> String {
    let page = text("systemd.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| {unit} |"))).expect("a row of the unit");
    let stated = row.split('|').nth(2).expect("its exposure").trim();
    stated.replace('.', "")
}

#[test]
fn the_exposure_of_each_service_is_no_more_than_the_page_says() {
    let folder = units();
    for unit in ["troth-server.service", "troth-agent.service", "troth-proxy@.service"] {
        assert_exposure(unit, &format!("`{unit}`"), folder.path());
    }
}

/// The drop-in of an agent that writes files for other users.
const SINKS_OF_OTHERS: &str = "troth-agent.service.d/sinks-of-others.conf";

#[test]
fn an_agent_with_sinks_of_others_is_no_more_exposed_than_the_page_says_and_may_do_what_a_helper_needs() {
    let folder = units();
    let drop_in = folder.path().join(SINKS_OF_OTHERS);
    std::fs::create_dir(drop_in.parent().expect("its folder")).expect("a folder");
    std::fs::copy(shipped().join(SINKS_OF_OTHERS), &drop_in).expect("the drop-in");
    let verified = systemd_analyze(&["verify", "--man=no", "troth-agent.service"], folder.path()).exits(0);
    let about_ours: Vec<&str> = verified.stderr.lines().filter(|line| line.contains("troth")).collect();
    assert_eq!(about_ours, Vec::<&str>::new());
    assert_exposure("troth-agent.service", "`troth-agent.service` with `sinks-of-others.conf`", folder.path());

    let rights = systemd_analyze(&["security", "--offline=yes", "--threshold=100", "troth-agent.service"], folder.path())
        .exits(0)
        .stdout;
    for withheld in ["CAP_SYS_ADMIN", "CAP_(CHOWN|FSETID|SETFCAP)", "CAP_(DAC_*|FOWNER|IPC_OWNER)"] {
        let row = rights.lines().find(|line| line.contains(withheld)).expect("a row of the capability");
        assert!(!row.contains('\u{2717}'), "{row}");
    }
}

/// Checks that a unit is as exposed as its row says, and no less.
fn assert_exposure(unit: &str, row: &str, folder: &Path) {
    let rated = |threshold: &str| systemd_analyze(&["security", "--offline=yes", &format!("--threshold={threshold}"), unit], folder);
    let stated: u32 = stated_exposure(row).parse().expect("a number");
    let _ = rated(&stated.to_string()).exits(0);
    assert_ne!(rated(&(stated - 1).to_string()).code, 0, "{unit} is less exposed than the page says: tell it");
}

#[test]
fn an_agent_with_the_rights_of_its_unit_proves_what_programs_of_other_users_run() {
    let domain = Domain::start("units.test");
    let run = open_directory();
    let (data, socket) = (run.path().join("data"), run.path().join("workload.sock"));
    std::os::unix::fs::chown(run.path(), Some(AGENT), Some(AGENT)).expect("a directory of the agent's");
    let link = domain.link_file("n1");
    std::os::unix::fs::chown(&link, Some(AGENT), Some(AGENT)).expect("a file of the agent's");

    let mut agent = with_rights_of(&[shipped().join("troth-agent.service")], AGENT);
    agent.args(["agent", "run", "--telemetry-listen", "off"]);
    agent.args([
        "--data-dir",
        path_text(&data),
        "--workload-socket",
        path_text(&socket),
        "--join-file",
        path_text(&link),
    ]);
    let mut agent = Process::start(agent, &domain.folder().join("unit-agent.log"));
    until("the node", || is_connected(&domain).then_some(()));

    let binary = path_text(&troth_path()).to_owned();
    let canonical = std::fs::canonicalize(&binary).expect("the binary's path");
    let selector = format!("unix:path:{}", canonical.display());
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/by-path", "--selector", &selector, "--wait"]);
    let output = program_as(WORKLOAD, path_text(&canonical))
        .env_clear()
        .args(["--output", "json", "svid", "fetch", "x509", "--socket", path_text(&socket)])
        .output();
    let fetched = Run::of(&output.expect("setpriv starts (apt-get install util-linux)"));
    assert_eq!(ids(&fetched), ["spiffe://units.test/by-path"], "{}", agent.log());
    assert!(!agent.log().contains("cannot prove a selector"), "{}", agent.log());
    assert!(agent.terminate().success());
}

fn is_connected(domain: &Domain) -> bool {
    let nodes = domain.told(&["node", "list"]);
    nodes["items"]
        .as_array()
        .is_some_and(|items| items.iter().any(|node| node["connected"] == true))
}
