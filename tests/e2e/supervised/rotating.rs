//! Files that change under a program.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tests::wait::{until, within};
use trust_domains::x509::X509Svid;

use super::{folder, left_behind, node, start, supervised, written};

/// How many rotations are seen.
const ROTATIONS: usize = 10;

/// Reads the set that is in place, in its generation, and checks it; returns the serial of its certificate.
fn checked(directory: &Path) -> Option<String> {
    // A generation is there until the one after the next: a reader that is slower begins anew.
    let generation = std::fs::canonicalize(directory.join("..data")).ok()?;
    let read = |name: &str| std::fs::read(generation.join(name)).ok();
    let (chain, key, bundle) = (read("svid.pem")?, read("svid_key.pem")?, read("bundle.pem")?);
    let svid = X509Svid::from_pem(&chain).expect("a chain");
    let trust_domain = svid.spiffe_id().trust_domain();
    let bundle = trust_domains::bundle::ParsedBundle::parse_pem(&trust_domain, &bundle).expect("a bundle").bundle;
    let now = trust_domains::Clock::now(&platform::clock::SystemClock).wall;
    trust_domains::x509::verify_svid(svid.chain(), &bundle, now).expect("a chain that verifies now");
    let key = rcgen::KeyPair::from_pem(std::str::from_utf8(&key).expect("text")).expect("a key");
    assert!(svid.leaf().spki().ends_with(key.public_key_raw()), "the key is the certificate's");
    Some(svid.leaf().serial().to_string())
}

fn directory_of(folder: &Path) -> PathBuf {
    PathBuf::from(written(folder, "directory", |text| text.ends_with('\n')).trim())
}

#[test]
fn a_script_reads_ten_rotations_steadily_and_is_told_of_each_while_another_restarts() {
    let (domain, agent) = node("rotated.test");
    let (told, restarted) = (folder(&domain, "told"), folder(&domain, "restarted"));
    let script = r#"trap 'echo told >> $OUT/told' HUP; echo "$TROTH_SVID_DIR" > $OUT/directory; test -r "$TROTH_SVID_FILE" -a -r "$TROTH_SVID_KEY_FILE" -a -r "$TROTH_BUNDLE_FILE" || exit 9
        test -s $TROTH_JWT_VAULT_FILE || exit 8; echo "$SPIFFE_ENDPOINT_SOCKET" > $OUT/endpoint; while :; do sleep 0.1; done"#;
    let mut one = start(&agent, &told, &["--reload-signal", "HUP", "--jwt", "vault=https://vault.example"], script);
    // It ignores TERM: only the end of the grace ends it. What it holds at each start is written down.
    let script = r#"trap '' TERM; echo "$TROTH_SVID_DIR" > $OUT/directory; cat $TROTH_SVID_COMBINED_FILE > $OUT/held.$$; echo start >> $OUT/starts; while :; do sleep 0.1; done"#;
    let mut other = start(&agent, &restarted, &["--restart", "--grace", "1s", "--format", "pem-combined"], script);

    let directory = directory_of(&told);
    let facts = directory.metadata().expect("its directory");
    assert_eq!((facts.permissions().mode() & 0o7777, facts.uid()), (0o700, nix::unistd::getuid().as_raw()));
    let key = std::fs::metadata(directory.join("svid_key.pem")).expect("a key");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let endpoint = written(&told, "endpoint", |text| text.ends_with('\n'));
    assert_eq!(endpoint.trim(), format!("unix://{}", agent.socket.display()));

    let mut serials = BTreeSet::new();
    let seen = within(std::time::Duration::from_secs(100), || {
        assert!(one.is_running() && other.is_running(), "{} {}", one.log(), other.log());
        serials.extend(checked(&directory));
        (serials.len() > ROTATIONS).then_some(())
    });
    assert!(seen.is_some(), "{} serials", serials.len());
    let lines = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default().lines().count();
    until("a signal for each rotation", || (lines(&told, "told") >= ROTATIONS).then_some(()));
    until("a start for most rotations", || (lines(&restarted, "starts") >= ROTATIONS / 2).then_some(()));
    let held: BTreeSet<Vec<u8>> = std::fs::read_dir(&restarted)
        .expect("a folder")
        .filter_map(|entry| entry.ok().filter(|entry| entry.file_name().to_string_lossy().starts_with("held.")))
        .map(|entry| std::fs::read(entry.path()).expect("what a start held"))
        .collect();
    assert!(held.len() >= ROTATIONS / 2, "each start holds new credentials: {}", held.len());

    assert_eq!(one.terminate().code(), Some(143), "{}", one.log());
    other.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(other.is_running(), "it ignores TERM");
    other.kill_9();
    assert_eq!((left_behind(&told), left_behind(&restarted)), (0, 1), "what was killed could not tidy up");
    assert_eq!(one.log(), "", "nothing was printed");

    // The next run of the same user removes what was left.
    let next = supervised(&agent, &restarted, &[], "exit 7").output().expect("it runs");
    assert_eq!((next.status.code(), left_behind(&restarted)), (Some(7), 0));
    let orphan = std::fs::read_dir(&restarted).expect("a folder").count();
    assert!(orphan > 0);
    kill_programs(&restarted);
}

/// Ends the program whose supervisor was killed: it goes on by itself.
fn kill_programs(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("held.").and_then(|pid| pid.parse().ok());
        let Some(pid) = pid else { continue };
        let is_ours = std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            let wanted = format!("OUT={}", folder.display()).into_bytes();
            environ.split(|octet| *octet == 0).any(|variable| variable == wanted)
        });
        if is_ours {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
