//! The attestor against real processes.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance::covers;
use rustix::process::{getegid, geteuid};
use trust_domains::SelectorSet;

use super::testing::Workload;
use super::*;
use crate::svids::WantedFacts;

struct Socket {
    listener: UnixListener,
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl Socket {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        Self {
            listener: UnixListener::bind(&path).unwrap(),
            path,
            directory,
        }
    }

    fn accept(&self) -> (std::os::unix::net::UnixStream, Caller) {
        let (stream, _) = self.listener.accept().unwrap();
        let caller = Caller::of_stream(&stream).unwrap();
        (stream, caller)
    }
}

async fn attest_all(caller: &Caller) -> Result<Attested, AttestError> {
    Attestor::new().unwrap().attest(caller, |_| WantedFacts::ALL).await
}

fn has(attested: &Attested, selector: &str) -> bool {
    attested.selectors.contains(&selector.parse().unwrap())
}

fn reason(attested: &Attested, kind: &str) -> String {
    attested
        .unknown
        .iter()
        .find(|unknown| unknown.kind == kind)
        .map(|unknown| unknown.reason.clone())
        .unwrap_or_default()
}

/// Waits for something that another process is about to do.
fn wait_until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

fn executes(pid: i32, path: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|executed| executed == path)
}

#[covers("EP-10")]
#[tokio::test]
async fn ids_path_hash_and_names_of_a_process_are_proved() {
    let socket = Socket::new();
    let workload = Workload::connecting_to(&socket.path);
    let (_stream, caller) = socket.accept();
    assert_eq!(caller.pid(), workload.pid());
    let attested = attest_all(&caller).await.unwrap();
    let executable = std::env::current_exe().unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &std::fs::read(&executable).unwrap());
    let user = nix::unistd::User::from_uid(geteuid().as_raw().into()).unwrap().unwrap();
    for selector in [
        format!("unix:uid:{}", geteuid().as_raw()),
        format!("unix:gid:{}", getegid().as_raw()),
        format!("unix:user:{}", user.name),
        format!("unix:path:{}", executable.display()),
        format!("unix:sha256:{}", hex::encode(digest)),
    ] {
        assert!(has(&attested, &selector), "{selector}: {:?}", attested.unknown);
    }
    for gid in rustix::process::getgroups().unwrap() {
        assert!(has(&attested, &format!("unix:supplementary_gid:{}", gid.as_raw())));
    }
}

#[tokio::test]
async fn only_what_is_asked_is_read_and_who_asks_sees_the_ids_first() {
    let socket = Socket::new();
    let _workload = Workload::connecting_to(&socket.path);
    let (_stream, caller) = socket.accept();
    let mut seen: Option<SelectorSet> = None;
    let attested = Attestor::new()
        .unwrap()
        .attest(&caller, |ids| {
            seen = Some(ids.clone());
            WantedFacts::default()
        })
        .await
        .unwrap();
    assert_eq!(seen, Some(attested.selectors.clone()));
    assert!(has(&attested, &format!("unix:uid:{}", geteuid().as_raw())));
    assert!(
        attested
            .selectors
            .iter()
            .all(|selector| !selector.value().starts_with("path:") && !selector.value().starts_with("sha256:"))
    );
    assert!(attested.unknown.is_empty(), "what nobody asked for is not unknown: {:?}", attested.unknown);
}

#[tokio::test]
async fn a_process_that_execs_between_accept_and_attest_is_told_to_come_again() {
    let socket = Socket::new();
    let mut workload = Workload::connecting_to(&socket.path);
    let (_stream, caller) = socket.accept();
    workload.order("exec sleep");
    let own = std::env::current_exe().unwrap();
    wait_until(|| !executes(workload.pid(), &own));
    assert!(matches!(attest_all(&caller).await, Err(AttestError::Changed { what }) if what.contains("executable")));
    assert!(caller.check_unchanged().is_err());
}

#[tokio::test]
async fn a_process_that_exits_between_accept_and_attest_is_not_attested_though_its_socket_lives_on() {
    let socket = Socket::new();
    let mut workload = Workload::connecting_to(&socket.path);
    let (stream, caller) = socket.accept();
    workload.order("leave");
    workload.wait();
    assert!(matches!(attest_all(&caller).await, Err(AttestError::Exited)));
    assert!(matches!(Caller::of_stream(&stream), Err(AttestError::Exited)));
    drop(stream);
    workload.wait_for_all_to_end();
}

#[tokio::test]
async fn a_process_that_changes_its_uid_after_it_connected_is_told_to_come_again() {
    if !geteuid().is_root() {
        return;
    }
    let socket = Socket::new();
    let mut workload = Workload::connecting_to(&socket.path);
    let (stream, caller) = socket.accept();
    workload.order("setuid 12345");
    wait_until(|| {
        std::fs::read_to_string(format!("/proc/{}/status", workload.pid()))
            .unwrap()
            .contains("Uid:\t12345\t12345")
    });
    assert!(matches!(attest_all(&caller).await, Err(AttestError::Changed { .. })));
    // Its uid is not the one of the connection either, when that is accepted only now.
    assert!(matches!(Caller::of_stream(&stream), Err(AttestError::Changed { what: "its uid" })));
}

/// In its own user and mount namespace any user can mount its file over `/usr/bin/trusted` and execute it by that name.
#[tokio::test]
async fn a_bind_mount_in_a_user_namespace_does_not_forge_a_path() {
    let unshare = ["--user", "--map-root-user", "--mount"];
    if !Command::new("unshare")
        .args(unshare)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return;
    }
    let socket = Socket::new();
    let (evil, trusted) = (socket.directory.path().join("evil"), socket.directory.path().join("trusted"));
    std::fs::copy(std::env::current_exe().unwrap(), &evil).unwrap();
    std::fs::copy("/bin/true", &trusted).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(unshare)
        .args(["sh", "-c", r#"mount --bind "$1" "$2" && shift && exec "$@""#, "sh"])
        .args([&evil, &trusted]);
    let workload = Workload::started_by(command, &socket.path);
    let (_stream, caller) = socket.accept();
    assert!(executes(workload.pid(), &trusted), "the forged name is what the kernel says");

    let attested = attest_all(&caller).await.unwrap();
    assert!(!has(&attested, &format!("unix:path:{}", trusted.display())));
    assert!(reason(&attested, "unix:path").contains("another mount namespace"), "{:?}", attested.unknown);
    // Its content cannot be forged, and is that of what it really executes.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &std::fs::read(&evil).unwrap());
    assert!(has(&attested, &format!("unix:sha256:{}", hex::encode(digest))));
}

#[tokio::test]
async fn a_path_that_leads_to_another_file_by_now_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut process = Command::new(&program).arg("1000").spawn().unwrap();
    let pid = process.id().cast_signed();
    wait_until(|| executes(pid, &program));
    assert!(has(
        &attest_all(&Caller::of_pid(pid).unwrap()).await.unwrap(),
        &format!("unix:path:{}", program.display())
    ));

    std::fs::remove_file(&program).unwrap();
    std::fs::copy("/bin/true", &program).unwrap();
    let attested = attest_all(&Caller::of_pid(pid).unwrap()).await.unwrap();
    assert!(attested.selectors.iter().all(|selector| !selector.value().starts_with("path:")));
    assert!(reason(&attested, "unix:path").contains("does not lead"), "{:?}", attested.unknown);
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn without_a_pidfd_of_the_kernel_the_process_is_found_by_number_while_its_socket_lives() {
    let socket = Socket::new();
    let mut workload = Workload::connecting_to(&socket.path);
    let (stream, _caller) = socket.accept();
    let pid = rustix::process::Pid::from_raw(workload.pid()).unwrap();
    caller::process_by_number(&stream, pid).unwrap().check_alive().unwrap();
    workload.order("leave");
    workload.wait();
    assert!(
        matches!(caller::process_by_number(&stream, pid), Err(AttestError::Exited)),
        "the number means nobody now"
    );
    // Another process has the number by now, and the caller's end of the socket is closed.
    drop(stream);
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(other);
    assert!(matches!(caller::process_by_number(&one, rustix::process::getpid()), Err(AttestError::Exited)));
}

#[tokio::test]
async fn a_process_that_is_gone_cannot_be_explained() {
    let mut process = Command::new("true").spawn().unwrap();
    let pid = process.id().cast_signed();
    process.wait().unwrap();
    for pid in [pid, 0, -1, i32::MIN] {
        assert!(matches!(Caller::of_pid(pid), Err(AttestError::Exited)), "{pid}");
    }
}
