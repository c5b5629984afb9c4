//! `docs/migrate-from-spire.md`, block by block. SPIRE's side is what it left: the file that its command prints, its upstream authority, and an SVID under that.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tests::domain::open_directory;
use tests::ports::free_port;
use tests::walk::Walk;

use super::entries::printed;
use crate::upstream::corporate::Corporate;

const LIMIT: Duration = Duration::from_secs(180);

/// A program that prints what `spire-server entry show -output json` printed, and knows no other words.
fn spire_server(folder: &Path) {
    let program = folder.join("spire-server");
    let text = format!("#!/bin/sh\n[ \"$*\" = 'entry show -output json' ] || exit 2\ncat <<'END'\n{}\nEND\n", printed());
    std::fs::write(&program, text).expect("the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}

#[test]
fn the_move_from_spire_works_as_its_page_says() {
    let folder = open_directory();
    spire_server(folder.path());
    let upstream = Corporate::new(folder.path(), "ca");
    let [legacy, _] = upstream.leaf("legacy", "spiffe://example.org/legacy");
    std::fs::rename(legacy, folder.path().join("legacy.pem")).expect("the old side's SVID");
    let walk = Walk::of("docs/migrate-from-spire.md")
        .with("UPSTREAM", folder.path())
        .with("LISTEN", format!("127.0.0.1:{}", free_port()));
    assert!(walk.len() >= 7, "the page has lost its blocks");
    let told = walk.succeeds(LIMIT, &[folder.path()]);
    for expected in [
        "left out: entry 3 (spiffe://example.org/pods)",
        "the parent spiffe://example.org/hosts/web-1 is the node web-1 here",
        "+ spiffe://example.org/web on spiffe://example.org/troth/agent/join_token/web-1",
        "1 created, 0 unchanged",
        "moved/svid.0.pem: OK",
        "legacy.pem: OK",
        "after/svid.0.pem: OK",
    ] {
        assert!(told.contains(expected), "no {expected:?} in\n{told}");
    }
}
