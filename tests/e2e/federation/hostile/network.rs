//! A network of the test's own, in which nothing of the machine is reached and addresses such as 169.254.169.254 can be the test's.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tests::wait::within;

/// Says to a test that it runs in its own network already.
const INSIDE: &str = "TROTH_TEST_NETWORK";

/// Longer than any of these tests takes.
const LIMIT: Duration = Duration::from_secs(300);

/// The network of partners: one of the private ranges, where partners live.
const PARTNERS: &str = "10.9.0.1/24";

/// Where clouds have their metadata service.
const METADATA: &str = "169.254.169.254/32";

/// Runs a test in a network and among mounts of its own: this program starts itself once more there, with this one test.
///
/// # Panics
///
/// When the test fails, or the namespaces cannot be made: that needs root, `unshare` (apt-get install util-linux) and `ip` (apt-get install iproute2). It is
/// never skipped.
pub(super) fn in_own_network(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        set_up();
        body();
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let log = folder.path().join("log");
    let output = File::create(&log).expect("a log");
    let mut inside = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "own")
        .stdin(Stdio::null())
        .stderr(output.try_clone().expect("the log twice"))
        .stdout(output)
        .spawn()
        .expect("unshare starts (apt-get install util-linux)");
    let ended = within(LIMIT, || inside.try_wait().expect("its state"));
    if ended.is_none() {
        let _ = inside.kill();
        let _ = inside.wait();
    }
    let log = std::fs::read_to_string(&log).expect("the log");
    let passed = ended.is_some_and(|status| status.success());
    // A name that matches no test would pass, too.
    assert!(
        passed && log.contains("1 passed"),
        "in its own network (which needs root: sudo tests/run e2e): {ended:?}\n{log}"
    );
    // Figures that the test measured.
    print!("{log}");
}

fn set_up() {
    ip(&["link", "set", "lo", "up"]);
    for address in [PARTNERS, METADATA] {
        ip(&["address", "add", address, "dev", "lo"]);
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status();
    assert!(status.expect("ip starts (apt-get install iproute2)").success(), "ip {arguments:?}");
}

/// Puts a file in another's place, for this test and what it starts.
pub(super) fn mount_over(file: &Path, place: &str) {
    let status = Command::new("mount").arg("--bind").arg(file).arg(place).status();
    assert!(status.expect("mount starts").success(), "{place}");
}
