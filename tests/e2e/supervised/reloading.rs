//! `--reload-command`: told what changed, tried again until it succeeds, and never left running.

use std::process::Command;

use tests::command::Run;
use tests::process::Process;
use tests::wait::until;

use super::{folder, node, start, supervised, written};

/// Returns whether a process is gone, or as good as: nobody may be there to reap it.
fn is_gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| status.contains("State:\tZ"))
}

#[test]
fn a_command_is_told_what_changed_is_tried_until_it_succeeds_and_runs_at_each_rotation() {
    let (domain, agent) = node("command.test");
    let folder = folder(&domain, "out");
    let out = folder.display();
    // The first two runs fail. Orphans end meanwhile, which the supervisor takes in: the command's own end is not lost among them.
    let command = format!(
        r#"(true &); echo "$TROTH_CHANGED $TROTH_SERIAL $TROTH_PID $TROTH_SPIFFE_ID" >> {out}/told; /usr/bin/env > {out}/env; pwd > {out}/where
        test $(/usr/bin/wc -l < {out}/told) -gt 2 && kill -HUP $TROTH_PID"#
    );
    let script = "trap 'openssl x509 -in $TROTH_SVID_FILE -noout -serial >> $OUT/read' HUP; echo $$ > $OUT/pid; while :; do sleep 0.1; (sleep 0.05 &); done";
    let options = ["--spiffe-id", "/web", "--reload-shell", "--reload-command", &command];
    let mut process = start(&agent, &folder, &options, script);
    let read = written(&folder, "read", |text| text.lines().count() >= 3);
    let told = written(&folder, "told", |text| text.lines().count() >= 5);
    let pid = written(&folder, "pid", |text| text.ends_with('\n'));
    let told: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
    for line in &told {
        assert!(line[0].split(',').any(|part| part == "svid"), "{told:?}");
        assert_eq!((line[2], line[3]), (pid.trim(), "spiffe://command.test/web"), "{told:?}");
    }
    let serials: Vec<String> = read.lines().map(|line| line.trim_start_matches("serial=").to_lowercase()).collect();
    for (read, told) in serials.iter().zip(told.iter().skip(2)) {
        assert_eq!(*read, told[1].to_lowercase(), "{serials:?} {told:?}");
    }
    assert!(process.log().contains("the reload command failed"), "{}", process.log());
    let environment = written(&folder, "env", |text| !text.is_empty());
    let has = |name: &str| environment.lines().any(|line| line.starts_with(&format!("{name}=")));
    for name in [
        "PATH",
        "SPIFFE_ENDPOINT_SOCKET",
        "TROTH_BUNDLE_FILE",
        "TROTH_SVID_DIR",
        "TROTH_SVID_FILE",
        "TROTH_SVID_KEY_FILE",
    ] {
        assert!(has(name), "{name}: {environment}");
    }
    assert!(!has("OUT") && !has("TMPDIR") && !has("HOME"), "{environment}");
    assert_eq!(written(&folder, "where", |text| !text.is_empty()), "/\n");
    assert_eq!(process.terminate().code(), Some(143), "{}", process.log());
}

#[test]
fn a_command_that_hangs_is_killed_with_what_it_started_and_nothing_of_it_outlives_the_program() {
    let (domain, agent) = node("hanging.test");
    let (short, long) = (folder(&domain, "short"), folder(&domain, "long"));
    let hang = |folder: &std::path::Path| {
        let pids = folder.join("pids");
        format!(
            "/bin/sh -c 'trap \"\" TERM; echo $$ >> {}; while :; do /bin/sleep 1000; done' & wait",
            pids.display()
        )
    };
    let script = "while :; do sleep 0.1; done";
    let (command, command_of_long) = (hang(&short), hang(&long));
    let options = ["--reload-shell", "--reload-timeout", "1s", "--reload-command", &command];
    let mut killed = start(&agent, &short, &options, script);
    let options = ["--reload-shell", "--reload-timeout", "5m", "--reload-command", &command_of_long];
    let mut running = start(&agent, &long, &options, script);
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let pid = first(&written(&short, "pids", |text| text.ends_with('\n')));
    until("the end of what hangs", || is_gone(&pid).then_some(()));
    until("what is said of it", || killed.log().contains("did not end within 1s").then_some(()));
    let pid = first(&written(&long, "pids", |text| text.ends_with('\n')));
    assert!(!is_gone(&pid), "its time is not over");
    assert_eq!(running.terminate().code(), Some(143), "{}", running.log());
    until("the end of what ran when the program ended", || is_gone(&pid).then_some(()));
    assert_eq!(killed.terminate().code(), Some(143), "{}", killed.log());
}

#[test]
fn descriptors_that_were_inherited_reach_the_program_and_not_the_command() {
    let (domain, agent) = node("inherited.test");
    let folder = folder(&domain, "out");
    let theirs = folder.join("theirs");
    std::fs::write(&theirs, "of the program").expect("a file");
    let list = format!("/bin/ls -l /proc/self/fd > {0}/new && /bin/mv {0}/new {0}/seen", folder.display());
    let options = ["--reload-shell", "--reload-command", &list];
    let inner = supervised(&agent, &folder, &options, "cat <&7 > $OUT/read; while :; do sleep 0.1; done");
    let mut outer = Command::new("/bin/sh");
    outer.args(["-c", "file=$1; shift; exec 7<\"$file\"; exec \"$@\"", "sh"]).arg(&theirs);
    outer.arg(inner.get_program()).args(inner.get_args());
    outer.env("TMPDIR", &folder).env_remove("XDG_RUNTIME_DIR").env("OUT", &folder);
    let mut process = Process::start(outer, &folder.join("log"));
    assert_eq!(written(&folder, "read", |text| !text.is_empty()), "of the program");
    let seen = written(&folder, "seen", |text| !text.is_empty());
    assert!(!seen.contains("theirs") && !seen.contains(" 7 ->"), "{seen}");
    assert_eq!(process.terminate().code(), Some(143), "{}", process.log());
}

#[test]
fn options_that_make_no_reload_and_identities_that_nobody_has_are_refused() {
    let (domain, agent) = node("refused.test");
    let folder = folder(&domain, "out");
    let refused = |options: &[&str], code| {
        Run::of(&supervised(&agent, &folder, options, "exit 0").output().expect("it runs"))
            .exits(code)
            .stderr
    };
    for (options, wanted) in [
        (&["--reload-command", "nginx -s reload"][..], "absolute path"),
        (&["--reload-command", "/bin/echo 'open"], "quote"),
        (&["--reload-command", "/bin/true", "--restart"], "--restart"),
        (&["--reload-command", "/bin/true", "--reload-signal", "HUP"], "--reload-signal"),
        (&["--reload-command", "/bin/true", "--reload-timeout", "1h"], "at most 5m"),
        (&["--reload-shell"], "--reload-command"),
        (&["--spiffe-id", "web"], "web"),
    ] {
        let said = refused(options, 2);
        assert!(said.contains(wanted), "{options:?}: {said}");
    }
    let said = refused(&["--spiffe-id", "/nobody", "--wait-for", "1s"], 4);
    assert!(said.contains("/nobody") && said.contains("spiffe://refused.test/web"), "{said}");
}
