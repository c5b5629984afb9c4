//! Directories with more in them than a sink's files, and with more rights than their mode tells at first sight.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, chown, fchown};

use super::*;

/// Files of the owner's own.
const FILES: usize = 100_000;

#[test]
fn a_hundred_thousand_files_of_the_owners_in_the_directory_hold_up_nothing_and_stay() {
    let domain = Domain::start("crowd.test");
    let directory = domain.folder().join("sink");
    std::fs::create_dir(&directory).expect("a directory");
    for number in 0..FILES {
        let own = File::create(directory.join(format!("own-{number}"))).expect("a file");
        fchown(&own, Some(OWNER), Some(OWNER)).expect("the owner's");
    }
    chown(&directory, Some(OWNER), Some(OWNER)).expect("the owner's");
    let mut world = World::in_directory(domain);
    let first = world.next_certificate(None);
    world.agent.process().kill_9();
    world.agent.launch(None);
    // A set of the run before, and what a crash left, are looked for by name among all of them.
    let second = world.next_certificate(Some(&first));
    let _third = world.next_certificate(Some(&second));
    assert_eq!(world.agent.operator(&["health", "agent"]).code, 0);
    assert!(
        !world.agent.process().log().contains("did not answer within"),
        "{}",
        world.agent.process().log()
    );
    let own = std::fs::read_dir(&directory).expect("the directory");
    let own = own.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("own-")));
    assert_eq!(own.count(), FILES);
}

/// An entry of an access control list, as the kernel has it (acl(5), linux/posix_acl_xattr.h): a tag, rights, and whom it is about.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry = |(tag, rights, whom): &(u16, u16, u32)| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &whom.to_le_bytes()].concat();
    [2_u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
}

#[test]
fn a_list_that_lets_another_user_write_above_a_sink_is_refused_and_named() {
    const NOBODY: u32 = u32::MAX;
    let (user_object, user, group_object, mask, other) = (1, 2, 4, 0x10, 0x20);
    let domain = Domain::start("list.test");
    let shared = domain.folder().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let entries = [
        (user_object, 7, NOBODY),
        (user, 7, 4_743),
        (group_object, 5, NOBODY),
        (mask, 7, NOBODY),
        (other, 5, NOBODY),
    ];
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&shared, "system.posix_acl_access", &acl(&entries), flags).expect("a file system with access control lists");
    let mut world = World::at(domain, "shared/sink");
    let named = format!("{} can be written by others", shared.display());
    until("the refusal", || world.agent.process().log().contains(&named).then_some(()));
    let log = world.agent.process().log();
    assert!(log.contains("access control list: getfacl shows it"), "{log}");
    assert!(!shared.join("sink").exists());
    rustix::fs::removexattr(&shared, "system.posix_acl_access").expect("the list is taken away");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let _delivered = until("the files", || std::fs::read(shared.join("sink/svid.pem")).ok());
}
