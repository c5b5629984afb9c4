//! A set that stays as it shall be, whatever others do to it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::*;
use crate::file_set::testing::{Sink, names, ownership, set_of};

const FILES: [&str; 4] = ["bundle.pem", "federated/partner.test.pem", "svid.pem", "svid_key.pem"];
const LAYOUTS: [Layout; 2] = [Layout::Linked, Layout::SingleFiles];

fn delivered(sink: &Sink, layout: Layout, number: usize) -> Delivery {
    deliver(&Directory::open(&sink.path).unwrap(), layout, &set_of(&FILES, number), &ownership()).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_set_that_is_there_is_not_put_there_again() {
    for layout in LAYOUTS {
        let sink = Sink::new();
        assert_eq!(delivered(&sink, layout, 1), Delivery::Published);
        let inode = sink.path.join("svid.pem").metadata().unwrap().ino();
        assert_eq!(delivered(&sink, layout, 1), Delivery::Unchanged);
        assert_eq!(sink.path.join("svid.pem").metadata().unwrap().ino(), inode, "{layout}");
        assert_eq!(delivered(&sink, layout, 2), Delivery::Published);
    }
}

#[test]
fn a_mode_that_somebody_changed_is_set_again_without_a_swap() {
    for layout in LAYOUTS {
        let sink = Sink::new();
        delivered(&sink, layout, 1);
        let inode = sink.path.join("svid_key.pem").metadata().unwrap().ino();
        for (name, changed, expected) in [("svid_key.pem", 0o644, 0o600), ("svid.pem", 0o600, 0o644), ("federated", 0o700, 0o755)] {
            set_mode(&sink.path.join(name), changed);
            assert_eq!(delivered(&sink, layout, 1), Delivery::Mended, "{layout} {name}");
            assert_eq!(mode(&sink.path.join(name)), expected, "{layout} {name}");
        }
        assert_eq!(delivered(&sink, layout, 1), Delivery::Unchanged);
        assert_eq!(sink.path.join("svid_key.pem").metadata().unwrap().ino(), inode);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(sink.path.join("svid_key.pem"), Some(12_345), None).unwrap();
            assert_eq!(delivered(&sink, layout, 1), Delivery::Mended);
            assert_eq!(sink.path.join("svid_key.pem").metadata().unwrap().uid(), 0);
        }
    }
}

#[test]
fn what_somebody_removed_replaced_or_added_brings_the_whole_set_again() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("a name is gone", |path| std::fs::remove_file(path.join("svid.pem")).unwrap()),
        ("a file is longer", |path| std::fs::write(path.join("bundle.pem"), "1\nmore").unwrap()),
        ("a file is another", |path| std::fs::write(path.join("bundle.pem"), "2\n").unwrap()),
        ("a file is empty", |path| std::fs::write(path.join("svid_key.pem"), "").unwrap()),
        ("a file in a folder is gone", |path| {
            std::fs::remove_file(path.join("federated/partner.test.pem")).unwrap();
        }),
    ];
    for layout in LAYOUTS {
        for (what, change) in changes {
            let sink = Sink::new();
            delivered(&sink, layout, 1);
            change(&sink.path);
            assert_eq!(delivered(&sink, layout, 1), Delivery::Published, "{layout}: {what}");
            assert!(FILES.iter().all(|name| sink.read(name).as_deref() == Some("1\n")), "{layout}: {what}");
            assert_eq!(delivered(&sink, layout, 1), Delivery::Unchanged, "{layout}: {what}");
        }
    }
}

#[test]
fn a_partner_that_is_gone_is_gone_from_the_folder_too() {
    for layout in LAYOUTS {
        let sink = Sink::new();
        let directory = Directory::open(&sink.path).unwrap();
        let with = |names: &[&str]| deliver(&directory, layout, &set_of(names, 1), &ownership()).unwrap();
        with(&["federated/a.pem", "federated/b.pem"]);
        assert_eq!(with(&["federated/a.pem"]), Delivery::Published);
        assert_eq!(names(&sink.path.join("federated")), ["a.pem"], "{layout}");
    }
}

#[test]
fn a_file_of_the_set_is_read_in_either_layout_and_nothing_else_is() {
    for layout in LAYOUTS {
        let sink = Sink::new();
        let directory = Directory::open(&sink.path).unwrap();
        let read_as_text = |name: &str| {
            read(&directory, &name.parse().unwrap())
                .unwrap()
                .map(|content| String::from_utf8(content.to_vec()).unwrap())
        };
        std::fs::write(sink.path.join("mine"), "mine").unwrap();
        assert_eq!(read_as_text("svid.pem"), None);
        deliver(&directory, layout, &set_of(&FILES, 3), &ownership()).unwrap();
        assert_eq!(read_as_text("svid.pem").as_deref(), Some("3\n"), "{layout}");
        assert_eq!(read_as_text("federated/partner.test.pem").as_deref(), Some("3\n"), "{layout}");
        for absent in ["mine", "absent", "federated/absent", "absent/absent"] {
            assert_eq!(read_as_text(absent), None, "{layout} {absent}");
        }
    }
}

#[test]
fn an_emptied_directory_is_filled_again_and_a_withdrawal_is_whole() {
    for layout in LAYOUTS {
        let sink = Sink::new();
        delivered(&sink, layout, 1);
        withdraw(&Directory::open(&sink.path).unwrap()).unwrap();
        assert!(names(&sink.path).is_empty(), "{layout}");
        assert_eq!(delivered(&sink, layout, 1), Delivery::Published);
    }
}
