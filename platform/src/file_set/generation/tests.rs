//! Generations on a real disk: swapped under readers, killed in the middle, on a disk that is full.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{OFlags, openat};
use zeroize::Zeroizing;

use super::*;
use crate::file_set::testing::{Sink, names, ownership, set_of};

/// Tells this test binary to play a writer that is killed, in the directory named.
const WRITER: &str = "TROTH_TEST_SINK_WRITER";

/// Tells this test binary that it runs where `full` is a file system of a few pages.
const SMALL_DISK: &str = "TROTH_TEST_SMALL_DISK";

/// The folder of partners' bundles.
const FEDERATED: &str = "federated";

/// The files of every set here: one of a partner among them.
const FILES: [&str; 4] = ["svid.pem", "svid_key.pem", "bundle.pem", "federated/partner.test.pem"];

fn set(number: usize) -> Vec<SetFile> {
    set_of(&FILES, number)
}

fn published(path: &Path, number: usize) -> Result<(), FileSetError> {
    publish(&Directory::open(path)?, &set(number), &ownership())
}

/// Reads the set as the documentation tells readers of several files to; `None` when there is none at this moment.
fn read_set(path: &Path) -> Option<[String; 4]> {
    let current = rustix::fs::open(path.join(CURRENT), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let mut contents = Vec::new();
    for name in FILES {
        let file = openat(&current, name, OFlags::RDONLY, Mode::empty()).ok()?;
        contents.push(std::io::read_to_string(std::fs::File::from(file)).unwrap());
    }
    contents.try_into().ok()
}

#[test]
fn the_layout_is_a_link_to_a_generation_and_links_through_it() {
    let sink = Sink::new();
    published(&sink.path, 7).unwrap();
    assert_eq!(
        names(&sink.path),
        ["..data", "..generation-0000000000000001", "bundle.pem", "federated", "svid.pem", "svid_key.pem"]
    );
    assert_eq!(
        std::fs::read_link(sink.path.join("..data")).unwrap(),
        Path::new("..generation-0000000000000001")
    );
    for name in ["svid.pem", "svid_key.pem", "bundle.pem", FEDERATED] {
        assert_eq!(std::fs::read_link(sink.path.join(name)).unwrap(), Path::new("..data").join(name));
    }
    for name in FILES {
        assert_eq!(std::fs::read_to_string(sink.path.join(name)).unwrap(), "7\n");
    }
    assert!(sink.path.symlink_metadata().unwrap().is_dir());
}

#[test]
fn a_file_that_a_set_need_not_have_has_a_link_only_while_there_is_one() {
    let sink = Sink::new();
    published(&sink.path, 1).unwrap();
    let lists = SetFile {
        name: "crl.pem".parse().unwrap(),
        secret: false,
        content: Zeroizing::new(b"lists\n".to_vec()),
    };
    let with_lists: Vec<SetFile> = set(2).into_iter().chain([lists]).collect();
    publish(&Directory::open(&sink.path).unwrap(), &with_lists, &ownership()).unwrap();
    assert_eq!(std::fs::read_to_string(sink.path.join("crl.pem")).unwrap(), "lists\n");
    published(&sink.path, 3).unwrap();
    assert!(sink.path.join("crl.pem").symlink_metadata().is_err(), "the link is still there");
    publish(&Directory::open(&sink.path).unwrap(), &with_lists, &ownership()).unwrap();
    withdraw(&Directory::open(&sink.path).unwrap()).unwrap();
    assert!(names(&sink.path).is_empty(), "{:?}", names(&sink.path));
}

#[test]
fn modes_and_owner_are_set_again_each_time() {
    let sink = Sink::new();
    let modes = || FILES.map(|name| sink.path.join(name).metadata().unwrap().permissions().mode() & 0o7777);
    for number in 0..2 {
        published(&sink.path, number).unwrap();
        assert_eq!(modes(), [0o644, 0o600, 0o644, 0o644]);
        assert_eq!(sink.path.join(FEDERATED).metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        for name in FILES {
            std::fs::set_permissions(sink.path.join(name), std::fs::Permissions::from_mode(0o666)).unwrap();
        }
    }
    if rustix::process::geteuid().is_root() {
        let given_away = Ownership::resolve(Some("12345"), Some("54321"), "0640".parse().unwrap()).unwrap();
        publish(&Directory::open(&sink.path).unwrap(), &set(2), &given_away).unwrap();
        assert_eq!(modes(), [0o644, 0o640, 0o644, 0o644]);
        for name in FILES {
            let metadata = sink.path.join(name).metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12_345, 54_321));
        }
    }
}

#[test]
fn readers_of_a_thousand_generations_never_see_a_mix() {
    const SWAPS: usize = 1_000;
    let sink = Sink::new();
    let directory = Directory::open(&sink.path).unwrap();
    publish(&directory, &set(0), &ownership()).unwrap();
    let (done, sets) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _reader in 0..2 {
            scope.spawn(|| {
                let mut newest = 0;
                while !done.load(Ordering::Relaxed) {
                    // A reader that was held up for two generations finds its own gone, and begins again.
                    let Some([svid, key, bundle, partner]) = read_set(&sink.path) else { continue };
                    assert!(
                        svid == key && key == bundle && bundle == partner,
                        "a mix: {svid:?} {key:?} {bundle:?} {partner:?}"
                    );
                    let number: usize = svid.trim().parse().unwrap();
                    assert!(number >= newest, "{number} after {newest}");
                    newest = number;
                    sets.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=SWAPS {
            publish(&directory, &set(number), &ownership()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(sets.load(Ordering::Relaxed) > 0, "the readers read nothing");
    assert_eq!(read_set(&sink.path), Some(["1000\n"; 4].map(str::to_owned)));
    let generations = names(&sink.path).into_iter().filter(|name| name.starts_with(Generation::PREFIX)).count();
    assert_eq!(generations, 2, "the current one and the one before");
}

/// Each state that a kill can leave behind, and what readers see in it.
#[test]
fn what_a_crash_leaves_is_removed_and_nothing_else_is() {
    type Crash = fn(&Path);
    let crashes: [(&str, Crash); 6] = [
        ("an empty generation", |path| {
            std::fs::create_dir(path.join("..generation-0000000000000002")).unwrap();
        }),
        ("half a generation", |path| {
            std::fs::create_dir(path.join("..generation-0000000000000002")).unwrap();
            std::fs::write(path.join("..generation-0000000000000002/svid.pem"), "hal").unwrap();
        }),
        ("a link that never became current", |path| {
            std::fs::create_dir(path.join("..generation-0000000000000002")).unwrap();
            symlink("..generation-0000000000000002", path.join("..data-next")).unwrap();
        }),
        ("half a generation, killed in the folder of partners", |path| {
            std::fs::create_dir_all(path.join("..generation-0000000000000002/federated")).unwrap();
            std::fs::write(path.join("..generation-0000000000000002/federated/partner.test.pem"), "hal").unwrap();
        }),
        ("a first generation without its links", |path| {
            for name in ["svid.pem", "svid_key.pem", "bundle.pem", FEDERATED] {
                std::fs::remove_file(path.join(name)).unwrap();
            }
        }),
        ("generations that were to be removed", |path| {
            for name in ["..generation-0000000000000000", "..generation-000000000000beef"] {
                std::fs::create_dir(path.join(name)).unwrap();
                std::fs::write(path.join(name).join("svid_key.pem"), "old").unwrap();
            }
        }),
    ];
    let foreign = [
        "..generation-1",
        "..generation-000000000000000g",
        "..generation-0000000000000003.old",
        "..generation-00000000000000AA",
        "notes.txt",
    ];
    for (name, crash) in crashes {
        let sink = Sink::new();
        published(&sink.path, 1).unwrap();
        for foreign in foreign {
            std::fs::create_dir(sink.path.join(foreign)).unwrap();
        }
        crash(&sink.path);
        assert_eq!(read_set(&sink.path), Some(["1\n"; 4].map(str::to_owned)), "{name}");

        recover(&Directory::open(&sink.path).unwrap()).unwrap();
        let left: Vec<String> = names(&sink.path)
            .into_iter()
            .filter(|left| Generation::parse(left.as_bytes()).is_some() || left == NEXT)
            .collect();
        assert_eq!(left, ["..generation-0000000000000001"], "{name}");
        assert_eq!(read_set(&sink.path), Some(["1\n"; 4].map(str::to_owned)), "{name}");

        published(&sink.path, 2).unwrap();
        for file in FILES {
            assert_eq!(std::fs::read_to_string(sink.path.join(file)).unwrap(), "2\n", "{name}");
        }
        assert!(foreign.iter().all(|foreign| sink.path.join(foreign).is_dir()), "{name}");
    }
}

#[test]
fn a_writer_killed_anywhere_leaves_a_whole_set() {
    if let Some(path) = std::env::var_os(WRITER) {
        let directory = Directory::open(Path::new(&path)).unwrap();
        for number in 1.. {
            publish(&directory, &set(number), &ownership()).unwrap();
        }
    }
    let sink = Sink::new();
    for kill in 0..15 {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer
            .args(["--exact", "file_set::generation::tests::a_writer_killed_anywhere_leaves_a_whole_set"])
            .env(WRITER, &sink.path);
        let mut writer = writer.stdout(Stdio::null()).spawn().unwrap();
        // Where in its work it is killed is left to chance, after it wrote at least one generation of its own.
        let before = std::fs::read_link(sink.path.join(CURRENT)).ok();
        while std::fs::read_link(sink.path.join(CURRENT)).ok() == before {
            std::thread::yield_now();
        }
        for _ in 0..kill * 40 {
            std::thread::yield_now();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let [svid, key, bundle, partner] = read_set(&sink.path).unwrap();
        let same = svid == key && key == bundle && bundle == partner;
        assert!(same && svid.ends_with('\n'), "a mix: {svid:?} {key:?} {bundle:?} {partner:?}");
        recover(&Directory::open(&sink.path).unwrap()).unwrap();
        assert_eq!(generations(&Directory::open(&sink.path).unwrap()).unwrap().len(), 1);
    }
}

/// Runs itself again in a mount namespace of its own, on a file system of 16 pages.
#[test]
fn a_full_disk_keeps_the_set_before() {
    if let Some(path) = std::env::var_os(SMALL_DISK) {
        return on_a_full_disk(Path::new(&path));
    }
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
    let sink = Sink::new();
    let script = r#"mount -t tmpfs -o size=64k,mode=0755 none "$TROTH_TEST_SMALL_DISK" && exec "$@""#;
    let mut inner = Command::new("unshare");
    inner.args(unshare).args(["sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
    inner
        .args(["--exact", "file_set::generation::tests::a_full_disk_keeps_the_set_before", "--nocapture"])
        .env(SMALL_DISK, &sink.path);
    let output = inner.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn on_a_full_disk(path: &Path) {
    let directory = Directory::open(path).unwrap();
    publish(&directory, &set(1), &ownership()).unwrap();
    // The rest of the disk, to the last page.
    let filler = path.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let before = names(path);

    let error = publish(&directory, &set(2), &ownership()).unwrap_err();
    assert!(matches!(error, FileSetError::DiskFull { .. }), "{error:?}");
    assert_eq!(read_set(path), Some(["1\n"; 4].map(str::to_owned)));
    assert_eq!(names(path), before, "nothing of the attempt is left");

    std::fs::remove_file(filler).unwrap();
    publish(&directory, &set(3), &ownership()).unwrap();
    assert_eq!(read_set(path), Some(["3\n"; 4].map(str::to_owned)));
}

#[test]
fn what_the_sink_did_not_make_is_never_replaced() {
    type Obstacle = fn(&Path);
    let obstacles: [(&str, &str, Obstacle); 5] = [
        ("a file", "svid.pem", |path| std::fs::write(path.join("svid.pem"), "mine").unwrap()),
        ("a link elsewhere", "svid_key.pem", |path| {
            symlink("/etc/passwd", path.join("svid_key.pem")).unwrap();
        }),
        ("a directory", "bundle.pem", |path| std::fs::create_dir(path.join("bundle.pem")).unwrap()),
        ("..data is a directory", "..data", |path| std::fs::create_dir(path.join("..data")).unwrap()),
        ("..data leads elsewhere", "..data", |path| symlink("..2026_11_22", path.join("..data")).unwrap()),
    ];
    for (name, blamed, obstacle) in obstacles {
        let sink = Sink::new();
        obstacle(&sink.path);
        let before = names(&sink.path);
        let error = published(&sink.path, 1).unwrap_err();
        assert!(
            matches!(&error, FileSetError::Foreign { path } if *path == sink.path.join(blamed)),
            "{name}: {error}"
        );
        assert_eq!(names(&sink.path), before, "{name}");
    }
}

#[test]
fn a_withdrawn_identity_leaves_an_empty_directory_and_can_come_back() {
    let sink = Sink::new();
    let directory = Directory::open(&sink.path).unwrap();
    withdraw(&directory).unwrap();
    publish(&directory, &set(1), &ownership()).unwrap();
    publish(&directory, &set(2), &ownership()).unwrap();
    std::fs::write(sink.path.join("notes.txt"), "mine").unwrap();
    withdraw(&directory).unwrap();
    assert_eq!(names(&sink.path), ["notes.txt"]);
    publish(&directory, &set(3), &ownership()).unwrap();
    assert_eq!(read_set(&sink.path), Some(["3\n"; 4].map(str::to_owned)));
}

#[test]
fn only_exact_names_are_generations() {
    for (name, number) in [
        ("..generation-0000000000000000", Some(0)),
        ("..generation-ffffffffffffffff", Some(u64::MAX)),
        ("..generation-000000000000002A", None),
    ] {
        assert_eq!(Generation::parse(name.as_bytes()), number.map(Generation), "{name}");
    }
    for name in [
        "..generation-",
        "..generation-1",
        "..generation-+000000000000001",
        "x..generation-0000000000000001",
        "..generation-00000000000000001",
    ] {
        assert_eq!(Generation::parse(name.as_bytes()), None, "{name}");
    }
}
