//! Signals, and process 1.

use std::process::Command;

use tests::process::Process;
use tests::wait::until;

use super::{folder, node, start, supervised, written};

/// The signals of which a shell can say that they came.
const SIGNALS: [&str; 16] = [
    "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "TSTP", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
];

fn traps() -> String {
    SIGNALS.map(|name| format!("trap 'echo {name} >> $OUT/signals' {name};")).concat()
}

fn each_comes(process: &Process, pid: i32, folder: &std::path::Path) {
    for name in SIGNALS {
        let number: nix::sys::signal::Signal = format!("SIG{name}").parse().expect("a signal");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), number).expect("it is there");
        until(&format!("{name}: {}", process.log()), || {
            let came = std::fs::read_to_string(folder.join("signals")).unwrap_or_default();
            came.lines().any(|line| line == name).then_some(())
        });
    }
}

#[test]
fn each_signal_is_passed_on() {
    let (domain, agent) = node("signalled.test");
    let folder = folder(&domain, "out");
    let script = format!("{} echo ready > $OUT/ready; while test ! -e $OUT/end; do sleep 0.05; done; exit 5", traps());
    let mut process = start(&agent, &folder, &[], &script);
    let _ = written(&folder, "ready", |text| !text.is_empty());
    each_comes(&process, process.pid(), &folder);
    std::fs::write(folder.join("end"), "").expect("a file");
    assert_eq!(process.ended().code(), Some(5), "{}", process.log());
}

#[test]
fn as_process_1_it_takes_each_signal_and_leaves_no_zombie_of_thousands() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (domain, agent) = node("first.test");
    let folder = folder(&domain, "out");
    // Each inner shell ends before its child, which becomes one of process 1.
    let script = format!(
        "{} i=0; while test $i -lt 2000; do (sleep 0.01 & ) ; i=$((i+1)); done; wait; echo $$ > $OUT/pid; echo ready > $OUT/ready; while test ! -e $OUT/end; do sleep 0.05; done; exit 6",
        traps()
    );
    let inner = supervised(&agent, &folder, &[], &script);
    let mut outer = Command::new("unshare");
    outer
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let mut process = Process::start(outer, &folder.join("log"));
    let _ = written(&folder, "ready", |text| !text.is_empty());
    let first = only_child(process.pid());
    until("no zombie", || {
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).expect("its children");
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let zombies = children.split_whitespace().filter(|pid| state(pid).contains(") Z ")).count();
        (zombies == 0 && children.split_whitespace().count() == 1).then_some(())
    });
    each_comes(&process, first, &folder);
    std::fs::write(folder.join("end"), "").expect("a file");
    assert_eq!(process.ended().code(), Some(6), "{}", process.log());
}

fn only_child(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    children.trim().parse().expect("one child")
}
