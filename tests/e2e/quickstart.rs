//! `troth quickstart` as a person types it first.

use std::process::Command;

use tests::command::{Run, troth, troth_path};
use tests::domain::{open_directory, path_text};

fn quickstart(home: &std::path::Path, arguments: &[&str]) -> Run {
    let output = troth().arg("quickstart").args(arguments).env("HOME", home).current_dir(home).output();
    Run::of(&output.expect("troth starts"))
}

#[test]
fn it_shows_a_verified_rotation_goes_on_and_is_removed() {
    let home = open_directory();
    let first = quickstart(home.path(), &["--rotations", "1"]).exits(0);
    assert!(first.stdout.contains("rotation 1 verified: spiffe://quickstart.test/demo"), "{first:?}");
    assert!(first.stderr.contains("troth quickstart --remove"), "{first:?}");
    let left: Vec<_> = std::fs::read_dir(home.path())
        .expect("the home")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, [".local"], "it wrote beside its own directory");

    // The same trust domain goes on.
    let second = quickstart(home.path(), &["--rotations", "1", "--trust-domain", "other.test"]).exits(0);
    assert!(second.stdout.contains("going on with quickstart.test"), "{second:?}");

    let environment = quickstart(home.path(), &["--env"]).exits(0).stdout;
    let shell = Command::new("sh")
        .arg("-c")
        .arg(format!("{environment}\ncommand -v troth; echo $SPIFFE_ENDPOINT_SOCKET"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output();
    let told = String::from_utf8(shell.expect("a shell").stdout).expect("text");
    assert!(told.starts_with(path_text(&troth_path())), "{told}");
    assert!(told.contains("unix:///"), "{told}");

    let _ = quickstart(home.path(), &["--remove"]).exits(0);
    assert!(!home.path().join(".local/state/troth/quickstart").exists());
}
