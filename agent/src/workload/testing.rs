//! What tests of the agent's rooms share: real processes that connect to a socket and do as they are told.

use std::io::{BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

const SOCKET: &str = "TROTH_TEST_CHILD_SOCKET";

/// A process of its own: this test binary, in the role of [`child_process`]. Killed when dropped.
pub(crate) struct Workload(Child);

impl Workload {
    /// Starts one that connects to the socket at once.
    pub(crate) fn connecting_to(socket: &Path) -> Self {
        Self::started_by(Command::new(std::env::current_exe().unwrap()), socket)
    }

    /// Starts one by a command that ends up executing this test binary with the arguments it is given.
    pub(crate) fn started_by(mut command: Command, socket: &Path) -> Self {
        command
            .args(["--exact", "workload::testing::child_process", "--nocapture", "--test-threads=1"])
            .env(SOCKET, socket);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Gives it an order: `exec PROGRAM`, `leave` (exit, and leave the socket to a child that ends with it) or `setuid UID`.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    /// Waits until it and every process that has its standard output is gone.
    pub(crate) fn wait_for_all_to_end(&mut self) {
        std::io::copy(self.0.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
        self.0.wait().unwrap();
    }

    /// Waits until the process itself is gone.
    pub(crate) fn wait(&mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

/// Does nothing as a test: it is what [`Workload`] starts.
#[test]
fn child_process() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let connection = UnixStream::connect(socket).unwrap();
    for order in std::io::stdin().lock().lines() {
        let order = order.unwrap();
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("exec", program) => {
                fcntl_setfd(connection.as_fd(), FdFlags::empty()).unwrap();
                panic!("{}", Command::new(program).arg("1000").exec());
            }
            ("leave", _) => {
                Command::new("cat").stdin(std::os::fd::OwnedFd::from(connection)).spawn().unwrap();
                std::process::exit(0);
            }
            ("setuid", uid) => nix::unistd::setuid(uid.parse::<u32>().unwrap().into()).unwrap(),
            (unknown, _) => panic!("no such order: {unknown}"),
        }
    }
}
