//! How it begins and ends: without credentials, without an agent, without space, without a program.

use std::time::{Duration, Instant};

use tests::command::Run;
use tests::domain::Domain;

use super::{folder, left_behind, node, start, supervised, written};

#[test]
fn without_an_entry_it_ends_in_time_with_what_the_agent_said() {
    let domain = Domain::start("unentitled.test");
    let agent = domain.agent("n1");
    let folder = folder(&domain, "out");
    let began = Instant::now();
    let ended = Run::of(
        &supervised(&agent, &folder, &["--wait-for", "2s"], "echo started > $OUT/started")
            .output()
            .expect("it runs"),
    )
    .exits(4);
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(ended.stderr.contains("no_entries"), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(!folder.join("started").exists());
    assert_eq!(left_behind(&folder), 0);
}

#[test]
fn codes_are_those_of_the_program_and_hostile_variables_change_nothing() {
    let (domain, agent) = node("codes.test");
    let folder = folder(&domain, "out");
    let code = |script: &str| supervised(&agent, &folder, &[], script).output().expect("it runs").status.code();
    assert_eq!(code("exit 0"), Some(0));
    assert_eq!(code("exit 3"), Some(3));
    assert_eq!(code("kill -9 $$"), Some(137));
    for (program, wanted) in [("/nonexistent/program", 127), ("/etc/passwd", 126)] {
        let mut command = tests::command::troth();
        command.args(["run", "--socket", tests::domain::path_text(&agent.socket), "--", program]);
        let ended = command.env("TMPDIR", &folder).env_remove("XDG_RUNTIME_DIR").output().expect("it runs");
        assert_eq!(ended.status.code(), Some(wanted), "{program}");
        assert!(ended.stdout.is_empty());
    }
    // What is set before is replaced, a directory that is none is passed over, and what is not text is passed on.
    let script = r#"test "$TROTH_SVID_KEY_FILE" != /etc/shadow -a -s "$TROTH_SVID_KEY_FILE" && printf %s "$ODD""#;
    let mut command = supervised(&agent, &folder, &[], script);
    command
        .env("TROTH_SVID_KEY_FILE", "/etc/shadow")
        .env("XDG_RUNTIME_DIR", "../relative")
        .env("TMPDIR", "/nonexistent");
    let odd = std::os::unix::ffi::OsStrExt::as_bytes(std::ffi::OsStr::new("a\u{1}b")).to_vec();
    command.env(
        "ODD",
        <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec([&odd[..], &[0xff]].concat()),
    );
    let ended = command.output().expect("it runs");
    assert_eq!((ended.status.code(), ended.stdout), (Some(0), [&odd[..], &[0xff]].concat()));
    assert_eq!(left_behind(&folder), 0);
}

#[test]
fn without_its_agent_a_program_is_kept_or_stopped_when_its_credentials_end() {
    let (domain, mut agent) = node("expired.test");
    let (kept, stopped) = (folder(&domain, "kept"), folder(&domain, "stopped"));
    let script = "echo started > $OUT/started; while :; do sleep 0.1; done";
    let mut keep = start(&agent, &kept, &["--on-expiry", "keep"], script);
    let mut stop = start(&agent, &stopped, &["--on-expiry", "stop"], script);
    let _ = written(&kept, "started", |text| !text.is_empty());
    let _ = written(&stopped, "started", |text| !text.is_empty());
    agent.process().kill_9();
    assert_eq!(stop.ended().code(), Some(4), "{}", stop.log());
    assert!(stop.log().contains("the credentials have ended"), "{}", stop.log());
    assert_eq!(left_behind(&stopped), 0);
    tests::wait::until("what is said of the one that is kept", || keep.log().contains("keep says").then_some(()));
    assert!(keep.is_running());
    assert!(keep.log().contains("good until they end"), "{}", keep.log());
    // The agent comes back, and the one that was kept goes on.
    let serial = |folder: &std::path::Path| {
        let run = std::fs::read_dir(folder)
            .expect("a folder")
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("troth-run-"));
        std::fs::read(run.expect("its directory").path().join("svid.pem")).expect("a certificate")
    };
    let before = serial(&kept);
    agent.launch(None);
    tests::wait::until("new files", || (serial(&kept) != before).then_some(()));
    assert_eq!(keep.terminate().code(), Some(143), "{}", keep.log());
}

#[test]
fn a_full_disk_is_named_and_two_runs_share_no_directory() {
    let (domain, agent) = node("full.test");
    let folder = folder(&domain, "out");
    // A name in the way is what the disk of a test can be made to be without rights.
    let busy = folder.join("busy");
    let busy_text = tests::domain::path_text(&busy).to_owned();
    let mut first = start(
        &agent,
        &folder,
        &["--write", &busy_text],
        "echo started > $OUT/started; while :; do sleep 0.1; done",
    );
    let _ = written(&folder, "started", |text| !text.is_empty());
    let second = Run::of(&supervised(&agent, &folder, &["--write", &busy_text], "exit 0").output().expect("it runs")).exits(2);
    assert!(second.stderr.contains(&busy_text), "{second:?}");
    assert_eq!(first.terminate().code(), Some(143), "{}", first.log());
    assert!(!busy.exists(), "it made it, and removed it");
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let full = folder.join("full");
    std::fs::create_dir(&full).expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=0700 tmpfs {0} && dd if=/dev/zero of={0}/filler bs=1k count=64 2>/dev/null; exec \"$@\"",
        full.display()
    );
    let inner = supervised(&agent, &folder, &["--wait-for", "2s", "--write", tests::domain::path_text(&full)], "exit 0");
    let mut outer = std::process::Command::new("unshare");
    outer
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let ended = Run::of(&outer.output().expect("it runs")).exits(4);
    assert!(ended.stderr.contains("disk_full"), "{ended:?}");
}
