//! Signals, and process 1.

use std::process::Command;

use tests::process::Process;
use tests::wait::until;

use super::{folder, node, start, supervised, written};

/// The signals of which a shell can say that they came.
const SIGNALS: [&str; 16] = [
    "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "TSTP", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
];

/// Real-time signals: the first and the last that a program may use with the GNU C library (signal(7)), and one between.
const REAL_TIME: [&str; 3] = ["34", "35", "64"];

fn traps() -> String {
    let all = SIGNALS.iter().chain(&REAL_TIME);
    all.map(|name| format!("trap 'echo {name} >> $OUT/signals' {name};")).collect()
}

fn each_comes(process: &Process, pid: i32, folder: &std::path::Path) {
    for name in SIGNALS.iter().chain(&REAL_TIME) {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.expect("a shell").success(), "{name}");
        until(&format!("{name}: {}", process.log()), || {
            let came = std::fs::read_to_string(folder.join("signals")).unwrap_or_default();
            came.lines().any(|line| line == *name).then_some(())
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
fn a_real_time_signal_tells_of_new_files_and_one_that_ends_the_program_is_its_code() {
    let (domain, agent) = node("real-time.test");
    let folder = folder(&domain, "out");
    // Orphans that a real-time signal ended are taken in as others are.
    let script = "trap 'echo told >> $OUT/told' 35; echo ready > $OUT/ready; (sh -c 'echo begun > $OUT/orphan; kill -36 $$' &); while :; do sleep 0.05; done";
    let mut process = start(&agent, &folder, &["--reload-signal", "RTMIN+1"], script);
    let _ = written(&folder, "told", |text| text.lines().count() >= 2);
    let _ = written(&folder, "orphan", |text| !text.is_empty());
    until("no zombie", || (zombies(process.pid()) == 0 && process.children().len() == 1).then_some(()));
    let program = process.children()[0];
    let sent = Command::new("/bin/sh").args(["-c", &format!("kill -40 {program}")]).status();
    assert!(sent.expect("a shell").success());
    assert_eq!(process.ended().code(), Some(168), "{}", process.log());
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
        (zombies(first) == 0 && children.split_whitespace().count() == 1).then_some(())
    });
    each_comes(&process, first, &folder);
    std::fs::write(folder.join("end"), "").expect("a file");
    assert_eq!(process.ended().code(), Some(6), "{}", process.log());
}

/// Returns how many children of a process have ended and were not taken in.
fn zombies(pid: i32) -> usize {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    children.split_whitespace().filter(|pid| state(pid).contains(") Z ")).count()
}

fn only_child(pid: i32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("its children");
    children.trim().parse().expect("one child")
}
