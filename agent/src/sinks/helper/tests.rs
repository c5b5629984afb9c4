//! What is said between the agent and a helper; the helper here is a thread with the rights of the test.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use platform::file_set::{Delivery, KeyMode, Layout};
use platform::privilege::Identity;
use rustix::process::{getegid, geteuid};
use trust_domains::delivery::SetFile;
use trust_domains::problem::Coded as _;
use zeroize::Zeroizing;

use super::channel::Channel;
use super::message::Reply;
use super::process::Helper;
use super::serve::Room;
use super::*;

struct World {
    root: tempfile::TempDir,
    helper: Option<Helper>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let identity = Identity {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        };
        let (ours, its) = UnixStream::pair().unwrap();
        let path = root.path().join("sink");
        let room = Room::new(identity, path.clone());
        Self {
            helper: Some(Helper::connected(identity, &path, ours)),
            serving: Some(std::thread::spawn(move || room.serve(&mut Channel::new(its)))),
            root,
        }
    }

    fn helper(&mut self) -> &mut Helper {
        self.helper.as_mut().unwrap()
    }

    fn sink(&self) -> PathBuf {
        self.root.path().join("sink")
    }
}

fn file(name: &str, content: &[u8]) -> SetFile {
    SetFile {
        name: name.parse().unwrap(),
        secret: name.contains("key"),
        content: Zeroizing::new(content.to_vec()),
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_set_crosses_is_looked_after_read_and_withdrawn() {
    let mut world = World::new();
    let large = vec![b'x'; 300_000];
    let files = [file("svid.pem", &large), file("svid_key.pem", b"key"), file("federated/a.pem", b"")];
    let deliver = |world: &mut World| world.helper().deliver(Layout::Linked, KeyMode::default(), &files).unwrap();
    assert_eq!(deliver(&mut world), Delivery::Published);
    assert_eq!(deliver(&mut world), Delivery::Unchanged);
    assert_eq!(read(&world.sink().join("svid.pem")), large);
    assert_eq!(read(&world.sink().join("federated/a.pem")), b"");
    let name = "svid_key.pem".parse().unwrap();
    assert_eq!(world.helper().read(&name).unwrap().as_deref().map(Vec::as_slice), Some(&b"key"[..]));
    world.helper().withdraw().unwrap();
    assert_eq!(world.helper().read(&name).unwrap(), None);
    assert_eq!(std::fs::read_dir(world.sink()).unwrap().count(), 0);
}

#[test]
fn a_failure_is_told_with_its_code_and_its_hint_and_the_next_request_is_served() {
    let mut world = World::new();
    let sink = world.sink();
    std::fs::create_dir(&sink).unwrap();
    std::fs::write(sink.join("svid.pem"), "another's").unwrap();
    let error = world
        .helper()
        .deliver(Layout::Linked, KeyMode::default(), &[file("svid.pem", b"ours")])
        .unwrap_err();
    assert!(matches!(&error, HelperError::Told(_)), "{error:?}");
    assert_eq!(error.code().word(), "config_invalid");
    assert!(
        error.to_string().contains("svid.pem is in the way") && error.hint().contains("move it away"),
        "{error}"
    );
    assert_eq!(read(&sink.join("svid.pem")), b"another's");
    std::fs::remove_file(sink.join("svid.pem")).unwrap();
    world.helper().look().unwrap();
}

#[test]
fn a_helper_ends_with_its_agent() {
    let mut world = World::new();
    world.helper().look().unwrap();
    drop(world.helper.take());
    world.serving.take().unwrap().join().unwrap().unwrap();
}

#[test]
fn a_helper_that_is_gone_or_answers_something_else_is_an_error() {
    let identity = Identity { uid: 1, gid: 1 };
    let (ours, its) = UnixStream::pair().unwrap();
    let mut helper = Helper::connected(identity, Path::new("/d"), ours);
    drop(its);
    assert!(matches!(helper.look(), Err(HelperError::Ended { .. })));

    let (ours, its) = UnixStream::pair().unwrap();
    let mut helper = Helper::connected(identity, Path::new("/d"), ours);
    Channel::new(its).send(&Reply::Found { length: None }, []).unwrap();
    assert!(matches!(helper.look(), Err(HelperError::Ended { .. })));
}
