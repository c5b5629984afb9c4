//! As another user than the one that runs the tests.

use std::process::Command;

use tests::domain::Domain;

use super::{folder, left_behind, supervised};

/// A user and a group without a name.
const USER: u32 = 61_234;
const GROUP: u32 = 61_235;

#[test]
fn the_directory_and_its_files_are_of_the_user_who_runs_it_and_the_code_is_the_programs() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let domain = Domain::start("user.test");
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/web", USER, "10s");
    let folder = folder(&domain, "out");
    std::os::unix::fs::chown(&folder, Some(USER), Some(GROUP)).expect("its owner");
    let script = r#"set -e
        stat -c '%a %u %g' "$TROTH_SVID_DIR" > $OUT/directory
        stat -L -c '%a %u %g' "$TROTH_SVID_KEY_FILE" > $OUT/key
        openssl x509 -in "$TROTH_SVID_FILE" -noout -ext subjectAltName > $OUT/name
        openssl pkey -in "$TROTH_SVID_KEY_FILE" -noout && openssl x509 -in "$TROTH_BUNDLE_FILE" -noout
        grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status > $OUT/status
        exit 7"#;
    let inner = supervised(&agent, &folder, &[], script);
    let mut outer = Command::new("setpriv");
    outer.args([
        format!("--reuid={USER}"),
        format!("--regid={GROUP}"),
        "--clear-groups".to_owned(),
        "--".to_owned(),
    ]);
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let output = outer.output().expect("setpriv starts (apt-get install util-linux)");
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the script");
    assert_eq!(text("directory"), format!("700 {USER} {GROUP}\n"));
    assert_eq!(text("key"), format!("600 {USER} {GROUP}\n"));
    assert!(text("name").contains("URI:spiffe://user.test/web"), "{}", text("name"));
    let status = text("status");
    assert!(
        status.contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n")) && status.contains("CapEff:\t0000000000000000"),
        "{status}"
    );
    assert_eq!(left_behind(&folder), 0);
}
