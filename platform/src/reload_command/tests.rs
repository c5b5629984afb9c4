//! Real commands, well behaved and not.

use std::path::Path;

use super::start::PATH;
use super::*;

fn shell(text: &str) -> ReloadCommand {
    ReloadCommand::parse(&[text.to_owned()], true).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

async fn perform(command: &ReloadCommand, timeout: Duration) -> Result<(), CommandError> {
    let surroundings = Surroundings {
        variables: vec![("TROTH_SERIAL".to_owned(), "01".into())],
        identity: None,
    };
    command.start(&surroundings)?.finish(timeout).await
}

/// Waits until no process has this number; one that ended and was not reaped still has it.
async fn gone(pid: i32) {
    let gone = async {
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("the process is still there");
}

#[tokio::test]
async fn a_command_has_an_environment_of_its_own_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let _held = std::fs::File::create(directory.path().join("held")).unwrap();
    let text = format!(
        "{{ pwd; /usr/bin/cut -d' ' -f5 /proc/$$/stat; echo $$; /bin/ls -l /proc/self/fd; /usr/bin/env; }} > {}",
        out.display()
    );
    perform(&shell(&text), LONG).await.unwrap();
    let said = std::fs::read_to_string(out).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "/");
    assert_eq!(lines[1], lines[2], "it leads no process group of its own");
    assert!(!said.contains("/held"), "{said}");
    for wanted in [format!("PATH={PATH}"), "TROTH_SERIAL=01".to_owned()] {
        assert!(lines.contains(&wanted.as_str()), "{said}");
    }
    assert!(!said.contains("HOME=") && !said.contains("CARGO"), "{said}");
}

#[tokio::test]
async fn a_command_that_fails_or_is_not_there_says_so() {
    let failed = perform(&shell("exit 7"), LONG).await.unwrap_err();
    assert_eq!(failed.to_string(), "the command /bin/sh failed: exit status: 7");
    let missing = ReloadCommand::parse(&["/nowhere/x".to_owned()], false).unwrap();
    assert!(matches!(perform(&missing, LONG).await, Err(CommandError::Start { .. })));
}

#[tokio::test]
async fn a_command_that_hangs_forks_and_ignores_term_is_killed_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let text = format!(
        "trap '' TERM; /bin/sleep 1000 & (trap '' TERM; while :; do /bin/sleep 1000; done) & echo $$ $! > {}; wait; wait; while :; do /bin/sleep 1000; done",
        pids.display()
    );
    let hook = shell(&text);
    let running = perform(&hook, Duration::from_secs(1));
    let failed = running.await.unwrap_err();
    assert!(matches!(failed, CommandError::TimedOut { .. }), "{failed}");
    let said = std::fs::read_to_string(pids).unwrap();
    for pid in said.split_whitespace() {
        gone(pid.parse().unwrap()).await;
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_those_that_made_sessions_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let pid_list = pids.display();
    // A session and one below it: the inner one ignores TERM, of which its parent ends.
    let inner = format!("trap \"\" TERM; echo $$ >> {pid_list}; while :; do /bin/sleep 1000; done");
    let outer = format!("echo $$ >> {pid_list}; /usr/bin/setsid /bin/sh -c '{inner}' & wait");
    std::fs::write(directory.path().join("outer"), outer).unwrap();
    let text = format!("/usr/bin/setsid /bin/sh {}/outer & echo $$ >> {pid_list}; wait", directory.path().display());
    let hook = shell(&text);
    // Long enough for a machine that stands still while the three start.
    let running = tokio::spawn(async move { perform(&hook, Duration::from_secs(15)).await });
    let failed = running.await.unwrap().unwrap_err();
    assert!(matches!(failed, CommandError::TimedOut { .. }), "{failed}");
    let said = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(said.lines().count(), 3, "{said}");
    for pid in said.split_whitespace() {
        gone(pid.parse().unwrap()).await;
    }
}

#[tokio::test]
async fn output_without_end_holds_up_neither_the_command_nor_the_agent() {
    // A gigabyte.
    perform(&shell("/usr/bin/head -c 1000000000 /dev/zero"), LONG).await.unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_does_not_hold_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let left = directory.path().join("left");
    let hook = shell(&format!("/bin/sleep 1000 & echo $! > {}", left.display()));
    perform(&hook, LONG).await.unwrap();
    let pid: i32 = std::fs::read_to_string(left).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_command_that_is_given_up_takes_its_group_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let hook = shell(&format!("echo $$ > {}; /bin/sleep 1000; true", pid_file.display()));
    let running = tokio::spawn(async move { perform(&hook, LONG).await });
    let begun = async {
        loop {
            let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<i32>() {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let pid = tokio::time::timeout(LONG, begun).await.unwrap();
    running.abort();
    gone(pid).await;
}
