//! Real processes, pid files of friends and of strangers.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::reload::testing::context;

const LONG: Duration = Duration::from_secs(60);

/// A process that ends with its signal.
fn sleeper() -> Child {
    Command::new("/bin/sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap()
}

/// Starts a program that is not below this process; returns its number.
fn orphan(program: &Path) -> i32 {
    let script = "\"$1\" 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let started = Command::new("/bin/sh").args(["-c", script, "sh"]).arg(program).output().unwrap();
    let pid = String::from_utf8(started.stdout).unwrap().trim().parse().unwrap();
    // Its shell is gone, and whoever took it in is above it now.
    assert!(!parent(pid).is_some_and(is_agent));
    pid
}

/// Whether a process is there and no zombie: who took it in may reap it late.
fn is_running(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn by_file(path: &Path) -> SignalHook {
    SignalHook {
        signal: SignalName::Hup,
        target: SignalTarget::PidFile(path.to_owned()),
    }
}

/// Ends a process that must not have had a signal, and checks that it had none.
fn had_none(mut child: Child) {
    assert_eq!(child.try_wait().unwrap(), None, "the process got the signal");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn signals_are_named_and_those_that_only_break_are_none() {
    for name in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"] {
        assert_eq!(name.parse::<SignalName>().unwrap().to_string(), name);
    }
    for wrong in ["KILL", "STOP", "SIGHUP", "hup", "1", "", "SEGV"] {
        assert!(wrong.parse::<SignalName>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_process_of_a_pid_file_gets_the_signal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pid");
    for text in ["{}", " {}\n", "{}\n/var/lib/postgresql\nmore"] {
        let mut child = sleeper();
        std::fs::write(&path, text.replace("{}", &child.id().to_string())).unwrap();
        let sent = by_file(&path).perform(&context(directory.path()), LONG).await.unwrap();
        assert_eq!(sent, Signalled::Processes(1));
        assert_eq!(child.wait().unwrap().signal(), Some(1));
    }
}

#[tokio::test]
async fn a_pid_file_that_is_not_there_yet_or_names_nobody_may_pass() {
    let directory = tempfile::tempdir().unwrap();
    let context = context(directory.path());
    let path = directory.path().join("pid");
    let refused = by_file(&path).perform(&context, LONG).await.unwrap_err();
    assert!(matches!(refused, SignalError::NoPidFile { .. }) && refused.may_pass());
    let mut child = sleeper();
    child.kill().unwrap();
    child.wait().unwrap();
    for text in [
        String::new(),
        "x".to_owned(),
        "-1".to_owned(),
        "0".to_owned(),
        "99999999999".to_owned(),
        child.id().to_string(),
    ] {
        std::fs::write(&path, &text).unwrap();
        let refused = by_file(&path).perform(&context, LONG).await.unwrap_err();
        assert!(refused.may_pass(), "{text:?}: {refused}");
    }
}

#[tokio::test]
async fn a_process_of_another_user_gets_no_signal() {
    let directory = tempfile::tempdir().unwrap();
    let mut context = context(directory.path());
    let path = directory.path().join("pid");
    let child = sleeper();
    std::fs::write(&path, child.id().to_string()).unwrap();
    context.owner.uid += 1;
    if nix::unistd::Uid::effective().is_root() {
        let refused = by_file(&path).perform(&context, LONG).await.unwrap_err();
        assert!(matches!(refused, SignalError::NotOwners { .. }) && !refused.may_pass(), "{refused}");
    }
    had_none(child);
}

#[tokio::test]
async fn a_pid_file_that_others_may_have_put_there_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let child = sleeper();
    let pid = child.id().to_string();
    std::fs::write(at("open"), &pid).unwrap();
    std::fs::set_permissions(at("open"), PermissionsExt::from_mode(0o666)).unwrap();
    std::fs::write(at("huge"), format!("{pid}\n{}", "x".repeat(5_000))).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    symlink("/dev/zero", at("device")).unwrap();
    for name in ["open", "huge", "fifo", "folder", "loop", "device"] {
        let refused = by_file(&at(name)).perform(&context(directory.path()), LONG).await.unwrap_err();
        assert!(matches!(refused, SignalError::Unsafe { .. }), "{name}: {refused}");
    }
    had_none(child);
}

#[tokio::test]
async fn links_of_root_and_the_owner_are_followed_and_those_of_strangers_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut context = context(directory.path());
    let (file, link) = (directory.path().join("pid"), directory.path().join("link"));
    let mut child = sleeper();
    std::fs::write(&file, child.id().to_string()).unwrap();
    symlink("../../../../../../../../../../..".to_owned() + file.to_str().unwrap(), &link).unwrap();
    by_file(&link).perform(&context, LONG).await.unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(1));
    if nix::unistd::Uid::effective().is_root() {
        let child = sleeper();
        std::fs::write(&file, child.id().to_string()).unwrap();
        for (path, stranger) in [(&link, &link), (&file, &file)] {
            std::os::unix::fs::lchown(stranger, Some(12_345), None).unwrap();
            let refused = by_file(path).perform(&context, LONG).await.unwrap_err();
            assert!(matches!(refused, SignalError::Unsafe { .. }), "{refused}");
            std::os::unix::fs::lchown(stranger, Some(0), None).unwrap();
        }
        // The file of the owner is believed, but then the process is the owner's too.
        std::os::unix::fs::lchown(&file, Some(12_345), None).unwrap();
        context.owner.uid = 12_345;
        let refused = by_file(&file).perform(&context, LONG).await.unwrap_err();
        assert!(matches!(refused, SignalError::NotOwners { .. }), "{refused}");
        had_none(child);
    }
}

#[test]
fn a_process_that_ended_is_never_mistaken_for_the_next_with_its_number() {
    let mut child = sleeper();
    let held = Caller::of_pid(i32::try_from(child.id()).unwrap()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(held.signal(SignalName::Hup.signal()), Err(AttestError::Exited)));
}

#[tokio::test]
async fn processes_with_the_selectors_get_the_signal_and_without_any_that_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    // A program of its own, so that no other process of the machine is it.
    let program = directory.path().join("sleeper");
    // By another process: one that this test process starts meanwhile would hold the file open for writing.
    assert!(Command::new("/bin/cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
    let hook = SignalHook {
        signal: SignalName::Usr1,
        target: SignalTarget::Selectors(vec![
            format!("unix:uid:{}", nix::unistd::Uid::effective()).parse().unwrap(),
            format!("unix:path:{}", program.display()).parse().unwrap(),
        ]),
    };
    let context = context(directory.path());
    assert_eq!(hook.perform(&context, LONG).await.unwrap(), Signalled::NotRunning);
    // Not below this process, as services are not below the agent; and one that is, as its own helpers are.
    let (one, two, other) = (orphan(&program), orphan(&program), sleeper());
    let own = Command::new(&program).arg("1000").stdin(Stdio::null()).spawn().unwrap();
    assert_eq!(hook.perform(&context, LONG).await.unwrap(), Signalled::Processes(2));
    for pid in [one, two] {
        let ended = async {
            while is_running(pid) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("the process did not get the signal");
    }
    had_none(own);
    had_none(other);
}
