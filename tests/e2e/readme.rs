//! README.md does what it says: each of its command blocks, in order, with its exact text, in one shell and an empty HOME.

use std::path::PathBuf;
use std::time::Duration;

use tests::command::troth_path;
use tests::walk::Walk;

/// The blocks build, show two rotations of a 60 s identity and walk through a deployment.
const LIMIT: Duration = Duration::from_secs(600);

/// Where cargo and rustup keep what they have: HOME is empty.
fn toolchain(name: &str, folder: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from).expect("HOME");
    std::env::var_os(name).map_or_else(|| home().join(folder), PathBuf::from)
}

#[test]
fn every_block_of_the_readme_works_in_order() {
    let mut walk = Walk::of("README.md")
        .with("TROTH_INSIDE_TESTS", "1")
        .with("CARGO_HOME", toolchain("CARGO_HOME", ".cargo"))
        .with("RUSTUP_HOME", toolchain("RUSTUP_HOME", ".rustup"));
    assert!(walk.len() >= 8, "README.md has lost its blocks");
    if let Some(target) = troth_path().ancestors().nth(2) {
        walk = walk.with("CARGO_TARGET_DIR", target);
    }
    let told = walk.succeeds(LIMIT, &[]);
    for expected in [
        "rotation 2 verified: spiffe://quickstart.test/demo",
        "spiffe://prod.example.org/web",
        "URI:spiffe://prod.example.org/web",
        "unix:uid:",
        "issued",
    ] {
        assert!(told.contains(expected), "no {expected:?} in\n{told}");
    }
}
