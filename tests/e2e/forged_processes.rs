//! Processes that want to look like a trusted program: each gets what it is entitled to itself, or nothing.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use agent::workload_api::client::{SecurityHeader, SpiffeWorkloadApiClient};
use agent::workload_api::messages::X509svidRequest;
use conformance::covers;
use hyper_util::rt::TokioIo;
use tests::command::{Run, troth_path};
use tests::domain::{Agent, Domain, path_text};
use tests::wait::{PATIENCE, within};
use tests::workload::ids;
use tonic::transport::Endpoint;

/// Tells a child process its role.
const ROLE: &str = "TROTH_TEST_ROLE";

/// Tells a child process where the socket is.
const SOCKET: &str = "TROTH_TEST_SOCKET";

/// Tells a child process which program is trusted.
const TRUSTED: &str = "TROTH_TEST_TRUSTED";

/// Tells the heir of a connection who opened it.
const OPENER: &str = "TROTH_TEST_OPENER";

/// What the heir of a connection prints before what it was told.
const TOLD: &str = "told: ";

/// An agent with an entry for one program by its path alone.
struct World {
    domain: Domain,
    agent: Agent,
    trusted: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let domain = Domain::start(name);
        let agent = domain.agent("n1");
        let trusted = domain.folder().join("trusted");
        std::fs::copy(troth_path(), &trusted).expect("a copy of the program");
        let selector = format!("unix:path:{}", path_text(&trusted));
        let _ = domain.told(&["entry", "create", "--spiffe-id", "/trusted", "--selector", &selector, "--wait"]);
        Self { domain, agent, trusted }
    }

    fn id(&self) -> String {
        format!("spiffe://{}/trusted", self.domain.name)
    }

    /// Starts this test binary in a role of its own.
    fn child(&self, role: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
        command
            .args(["--exact", "forged_processes::child", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role);
        command
            .env(SOCKET, &self.agent.socket)
            .env(TRUSTED, &self.trusted)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("a child")
    }
}

fn fetch(program: &mut Command, socket: &Path) -> Run {
    program
        .args(["--output", "json", "svid", "fetch", "x509", "--socket", path_text(socket)])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Run::of(&program.stdin(Stdio::null()).output().expect("the program starts"))
}

#[test]
fn a_bind_mount_in_a_user_namespace_forges_no_path() {
    let world = World::new("mounted.test");
    let socket = &world.agent.socket;
    let user = ["--reuid", "4901", "--regid", "4901", "--clear-groups", "--"];
    assert_eq!(
        ids(&fetch(Command::new("setpriv").args(user).arg(&world.trusted), socket)),
        [world.id()],
        "the trusted program itself"
    );

    // The attacker's own program, for which nobody made an entry.
    let own = world.domain.folder().join("own");
    std::fs::copy(troth_path(), &own).expect("a copy of the program");
    let denied = fetch(Command::new("setpriv").args(user).arg(&own), socket);
    assert_eq!(denied.problem(), "no_entries", "{denied:?}");

    // The same program, mounted over the path of the trusted one: the kernel itself now says that path.
    let script = r#"set -e; mount --bind "$1" "$2"; cmp -s "$1" "$2"; trusted=$2; shift 2; exec "$trusted" "$@""#;
    let mut forged = Command::new("setpriv");
    forged
        .args(user)
        .args(["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script, "sh"])
        .args([&own, &world.trusted]);
    let forged = fetch(&mut forged, socket);
    assert_eq!(forged.problem(), "no_entries", "{forged:?}");
    // Nor with the trusted file itself, as long as its mounts are not the agent's: anything could be on any other path there.
    let mut elsewhere = Command::new("setpriv");
    elsewhere
        .args(user)
        .args(["unshare", "--user", "--map-root-user", "--mount", "--"])
        .arg(&world.trusted);
    let elsewhere = fetch(&mut elsewhere, socket);
    assert_eq!(elsewhere.problem(), "no_entries", "{elsewhere:?}");
}

#[covers("EP-10")]
#[test]
fn a_process_that_executes_a_trusted_program_after_it_connected_gets_nothing() {
    let world = World::new("execs.test");
    assert_eq!(
        ids(&fetch(&mut Command::new(&world.trusted), &world.agent.socket)),
        [world.id()],
        "the trusted program itself"
    );
    let told = told(world.child("exec"));
    assert!(told.starts_with("Unavailable") || told.starts_with("closed"), "{told}");
}

#[test]
fn a_process_that_exits_after_it_connected_leaves_its_child_nothing() {
    let world = World::new("exits.test");
    let told = told(world.child("exit"));
    assert!(told.starts_with("Unavailable") || told.starts_with("closed"), "{told}");
}

/// Waits for a child and its heir, and returns what the heir was told.
fn told(child: Child) -> String {
    let Output { stdout, stderr, .. } = child.wait_with_output().expect("its end");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    let told = stdout
        .lines()
        .find_map(|line| line.split_once(TOLD))
        .unwrap_or_else(|| panic!("nothing was told: {stdout}\n{stderr}"));
    told.1.to_owned()
}

/// Not a test by itself: the processes that are started above.
#[test]
#[ignore = "run by the tests above, in processes of their own"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        "exec" | "exit" => {
            let connection = accepted_connection();
            let mut heir = Command::new(std::env::current_exe().expect("the path of this test"));
            heir.args(std::env::args_os().skip(1))
                .env(ROLE, format!("heir-{role}"))
                .env(OPENER, std::process::id().to_string());
            heir.stdin(OwnedFd::from(connection));
            if role == "exit" {
                let _ = heir.spawn().expect("an heir");
                std::process::exit(0);
            }
            #[expect(clippy::zombie_processes, reason = "this process becomes another program, which its parent ends")]
            let _ = heir.spawn().expect("an heir");
            // The trusted program: it runs for as long as it takes, and its path is right in every way.
            let trusted = std::env::var_os(TRUSTED).expect("a path");
            let socket = std::env::var_os(SOCKET).expect("a path");
            let mut watch = Command::new(trusted);
            watch
                .args([OsStr::new("svid"), OsStr::new("watch"), OsStr::new("--socket"), &socket])
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            panic!("{}", watch.exec());
        }
        "heir-exec" => inherit(|opener| executes(opener).is_some_and(|path| Some(path.as_os_str()) == std::env::var_os(TRUSTED).as_deref())),
        "heir-exit" => inherit(|opener| executes(opener).is_none()),
        other => panic!("no such role: {other}"),
    }
}

fn executes(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Connects, and waits until the agent has accepted: it speaks first then.
fn accepted_connection() -> UnixStream {
    let stream = UnixStream::connect(std::env::var_os(SOCKET).expect("a path")).expect("a connection");
    let mut ready = [rustix::event::PollFd::new(&stream, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut ready, Some(&patience)), Ok(1), "the agent says nothing");
    stream
}

/// Calls on the connection that its opener left, once that is as the attacker wants it.
fn inherit(is_ready: impl Fn(i32) -> bool) {
    let opener: i32 = std::env::var(OPENER).expect("a process").parse().expect("its number");
    let changed = within(PATIENCE, || is_ready(opener).then_some(()));
    assert!(changed.is_some(), "the opener stays as it was: {:?}", executes(opener));
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().expect("the connection"));
    stream.set_nonblocking(true).expect("the mode");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let told = runtime.block_on(async { tokio::time::timeout(PATIENCE, call(stream)).await.expect("an answer in time") });
    println!("\n{TOLD}{told}");
    // The trusted program has done its part.
    if executes(opener).is_some() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(opener), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Fetches over a connection that is open, and says what came of it.
async fn call(stream: UnixStream) -> String {
    let mut stream = Some(TokioIo::new(tokio::net::UnixStream::from_std(stream).expect("a stream")));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected));
        async move { stream }
    });
    let channel = match Endpoint::from_static("http://localhost").connect_with_connector(connector).await {
        Ok(channel) => channel,
        Err(error) => return format!("closed: {error:?}"),
    };
    let mut client = SpiffeWorkloadApiClient::with_interceptor(channel, SecurityHeader);
    let answer = async { client.fetch_x509svid(X509svidRequest {}).await?.into_inner().message().await };
    match answer.await {
        Ok(update) => format!("identities: {update:?}"),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}
