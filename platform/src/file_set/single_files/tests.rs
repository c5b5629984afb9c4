//! Single files: what is replaced and in which order, what a crash leaves, what is never touched.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::file_set::testing::{Sink, names, ownership, set_of};
use crate::file_set::{Layout, recover, withdraw};

const FILES: [&str; 4] = ["bundle.pem", "federated/partner.test.pem", "svid.pem", "svid_key.pem"];

fn published(path: &Path, files: &[&str], number: usize) -> Result<(), FileSetError> {
    Layout::SingleFiles.publish(&Directory::open(path)?, &set_of(files, number), &ownership())
}

#[test]
fn each_name_is_a_file_of_its_own_and_changes_with_the_set() {
    let sink = Sink::new();
    for number in 1..4 {
        published(&sink.path, &FILES, number).unwrap();
        for name in FILES {
            let path = sink.path.join(name);
            assert!(path.symlink_metadata().unwrap().is_file(), "{name}");
            assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{number}\n"));
        }
    }
    assert_eq!(names(&sink.path), ["..files", "bundle.pem", "federated", "svid.pem", "svid_key.pem"]);
    published(&sink.path, &["svid.pem", "svid_key.pem"], 4).unwrap();
    assert_eq!(names(&sink.path), ["..files", "svid.pem", "svid_key.pem"], "what the set has no more goes");
    std::fs::write(sink.path.join("notes.txt"), "mine").unwrap();
    withdraw(&Directory::open(&sink.path).unwrap()).unwrap();
    assert_eq!(names(&sink.path), ["notes.txt"]);
}

#[test]
fn what_the_sink_did_not_make_is_never_replaced() {
    type Obstacle = fn(&Path);
    let obstacles: [(&str, &str, Obstacle); 4] = [
        ("a file", "svid.pem", |path| std::fs::write(path.join("svid.pem"), "mine").unwrap()),
        ("a link", "svid_key.pem", |path| symlink("/etc/passwd", path.join("svid_key.pem")).unwrap()),
        ("a directory", "federated", |path| std::fs::create_dir(path.join("federated")).unwrap()),
        ("a list that is none", "..files", |path| {
            std::fs::write(path.join("..files"), "../../etc/passwd\n").unwrap();
        }),
    ];
    for (name, blamed, obstacle) in obstacles {
        let sink = Sink::new();
        obstacle(&sink.path);
        let before = names(&sink.path);
        let error = published(&sink.path, &FILES, 1).unwrap_err();
        assert!(
            matches!(&error, FileSetError::Foreign { path } if *path == sink.path.join(blamed)),
            "{name}: {error}"
        );
        assert_eq!(names(&sink.path), before, "{name}");
    }
}

#[test]
fn what_a_crash_leaves_is_removed_and_nothing_else_is() {
    let sink = Sink::new();
    published(&sink.path, &FILES, 1).unwrap();
    for left in ["..next~0", "..next~17", "federated/..next~1"] {
        std::fs::write(sink.path.join(left), "hal").unwrap();
    }
    for foreign in ["..next~", "..next~01", "..next~x", "x..next~1", "federated/mine"] {
        std::fs::write(sink.path.join(foreign), "mine").unwrap();
    }
    recover(&Directory::open(&sink.path).unwrap()).unwrap();
    let expected = [
        "..files",
        "..next~",
        "..next~01",
        "..next~x",
        "bundle.pem",
        "federated",
        "svid.pem",
        "svid_key.pem",
        "x..next~1",
    ];
    assert_eq!(names(&sink.path), expected);
    assert_eq!(names(&sink.path.join("federated")), ["mine", "partner.test.pem"]);
    published(&sink.path, &FILES, 2).unwrap();
    assert!(FILES.iter().all(|name| sink.read(name).as_deref() == Some("2\n")));
}

/// A crash between the list and the files leaves names on the list that are not there.
#[test]
fn a_list_that_a_crash_left_too_long_does_no_harm() {
    let sink = Sink::new();
    published(&sink.path, &["svid.pem"], 1).unwrap();
    std::fs::write(sink.path.join("..files"), "federated/gone.pem\njwt/never.token\nsvid.pem\n").unwrap();
    recover(&Directory::open(&sink.path).unwrap()).unwrap();
    published(&sink.path, &FILES, 2).unwrap();
    let list = sink.read("..files").unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), FILES);
    withdraw(&Directory::open(&sink.path).unwrap()).unwrap();
    assert!(names(&sink.path).is_empty());
}

#[test]
fn a_directory_goes_from_one_layout_to_the_other_and_back() {
    let sink = Sink::new();
    let directory = Directory::open(&sink.path).unwrap();
    for number in 0..4 {
        let layout = if number % 2 == 0 { Layout::Linked } else { Layout::SingleFiles };
        layout.publish(&directory, &set_of(&FILES, number), &ownership()).unwrap();
        for name in FILES {
            assert_eq!(sink.read(name), Some(format!("{number}\n")), "{layout} {name}");
        }
        let link = sink.path.join("svid.pem").symlink_metadata().unwrap().is_symlink();
        assert_eq!(link, layout == Layout::Linked);
    }
    withdraw(&directory).unwrap();
    assert!(names(&sink.path).is_empty(), "{:?}", names(&sink.path));
}

#[test]
fn a_set_that_cannot_be_written_leaves_the_one_before() {
    let sink = Sink::new();
    published(&sink.path, &FILES, 1).unwrap();
    let mut unwritable = set_of(&FILES, 2);
    // The folder of this file is a file: it fails after others were written.
    unwritable.extend(set_of(&["svid.pem/x"], 2));
    let failed = Layout::SingleFiles.publish(&Directory::open(&sink.path).unwrap(), &unwritable, &ownership());
    assert!(failed.is_err());
    assert!(FILES.iter().all(|name| sink.read(name).as_deref() == Some("1\n")));
    assert_eq!(names(&sink.path), ["..files", "bundle.pem", "federated", "svid.pem", "svid_key.pem"]);
}
