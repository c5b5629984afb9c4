//! A trust domain as operators run one: a server and agents, each a process with a directory of its own.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Run, run, troth};
use crate::ports::free_port;
use crate::process::Process;
use crate::wait::until;

/// A directory that every user may enter and only this one may write: workloads of other users reach the sockets in it.
///
/// # Panics
///
/// When it cannot be made.
#[must_use]
pub fn open_directory() -> TempDir {
    let folder = tempfile::Builder::new().prefix("troth-").tempdir_in("/tmp").expect("a temporary directory");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// A trust domain with its server.
#[derive(Debug)]
pub struct Domain {
    /// The trust domain's name.
    pub name: String,
    /// The server's address.
    pub address: String,
    /// Options of `server run` beside the directory, the address and telemetry.
    pub options: Vec<String>,
    /// What the server has in its environment.
    pub environment: Vec<(String, PathBuf)>,
    server: Option<Process>,
    folder: TempDir,
}

impl Domain {
    /// Makes a trust domain without starting its server.
    ///
    /// # Panics
    ///
    /// When `server init` fails.
    #[must_use]
    pub fn init(name: &str) -> Self {
        Self::init_with(name, &[])
    }

    /// Makes a trust domain with more options; its server does not run.
    #[must_use]
    pub fn init_with(name: &str, options: &[&str]) -> Self {
        Self::init_among(name, options, Vec::new())
    }

    /// Makes a trust domain with more options and with these in the environment, now and when its server runs.
    #[must_use]
    pub fn init_among(name: &str, options: &[&str], environment: Vec<(String, PathBuf)>) -> Self {
        Self::init_in(open_directory(), name, &[&["--no-recovery"], options].concat(), environment)
    }

    /// Makes a trust domain whose backups open with the recovery key in [`recovery_key_file`](Self::recovery_key_file); its server does not run.
    #[must_use]
    pub fn init_recoverable(name: &str) -> Self {
        Self::init_recoverable_among(name, &[], Vec::new())
    }

    /// The same with more options and with these in the environment.
    #[must_use]
    pub fn init_recoverable_among(name: &str, options: &[&str], environment: Vec<(String, PathBuf)>) -> Self {
        let folder = open_directory();
        let recovery = folder.path().join("recovery.key");
        let options = [&["--recovery-key-file", path_text(&recovery)], options].concat();
        Self::init_in(folder, name, &options, environment)
    }

    fn init_in(folder: TempDir, name: &str, options: &[&str], environment: Vec<(String, PathBuf)>) -> Self {
        let data = folder.path().join("server");
        let init = ["server", "init", "--trust-domain", name, "--data-dir", path_text(&data)];
        let made = troth().args(init).args(options).envs(environment.clone()).output();
        let _ = Run::of(&made.expect("troth starts")).exits(0);
        Self {
            name: name.to_owned(),
            address: format!("127.0.0.1:{}", free_port()),
            options: Vec::new(),
            environment,
            server: None,
            folder,
        }
    }

    /// Makes a trust domain and starts its server.
    #[must_use]
    pub fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    /// Makes a trust domain and starts its server with more options.
    #[must_use]
    pub fn start_with(name: &str, options: &[&str]) -> Self {
        let mut domain = Self::init(name);
        domain.options = options.iter().map(|&option| option.to_owned()).collect();
        domain.start_server();
        domain
    }

    /// Starts the server, and waits until it is ready.
    pub fn start_server(&mut self) {
        self.launch_server();
        self.server_ready();
    }

    /// Returns the command that runs the server in its directory, at its address; where telemetry goes is left to the caller.
    #[must_use]
    pub fn server_command(&self) -> Command {
        let mut command = troth();
        command.args(["server", "run", "--data-dir", path_text(&self.server_data()), "--listen", &self.address]);
        command.envs(self.environment.clone());
        command
    }

    /// Starts the server without waiting.
    pub fn launch_server(&mut self) {
        let mut command = self.server_command();
        command.args(["--telemetry-listen", "off"]);
        command.args(&self.options);
        self.server = Some(Process::start(command, &self.folder.path().join("server.log")));
    }

    /// Waits until the server is ready.
    ///
    /// # Panics
    ///
    /// When it is not in time.
    pub fn server_ready(&mut self) {
        let data = self.server_data();
        until("the server", || {
            let server = self.server.as_mut().expect("a started server");
            assert!(server.is_running(), "the server ended: {}", server.log());
            (run(&["health", "server", "--data-dir", path_text(&data)]).code == 0).then_some(())
        });
    }

    /// Returns the server's process.
    ///
    /// # Panics
    ///
    /// When it was not started.
    pub fn server(&mut self) -> &mut Process {
        self.server.as_mut().expect("a started server")
    }

    /// Returns the server's data directory.
    #[must_use]
    pub fn server_data(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    /// Returns the file of the recovery key of a trust domain that has one.
    #[must_use]
    pub fn recovery_key_file(&self) -> PathBuf {
        self.folder.path().join("recovery.key")
    }

    /// Returns the directory of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs an operator's command on the server; the answer is JSON.
    #[must_use]
    pub fn operator(&self, arguments: &[&str]) -> Run {
        let data = self.server_data();
        let mut all = vec!["--output", "json"];
        all.extend_from_slice(arguments);
        all.extend(["--data-dir", path_text(&data)]);
        run(&all)
    }

    /// Runs an operator's command that must succeed, and returns its document.
    #[must_use]
    pub fn told(&self, arguments: &[&str]) -> Value {
        self.operator(arguments).exits(0).json()
    }

    /// Makes an entry of class `fast` for a uid on a node, whose SVIDs live so long, and waits until the node shows it.
    pub fn fast_entry(&self, node: &str, path: &str, uid: u32, life: &str) {
        let selector = format!("unix:uid:{uid}");
        let entry = ["entry", "create", "--spiffe-id", path, "--parent", node, "--selector", &selector];
        let _ = self.told(&[&entry[..], &["--class", "fast", "--x509-ttl", life, "--wait"]].concat());
    }

    /// Returns one field of every entry.
    ///
    /// # Panics
    ///
    /// When an entry has no such text.
    #[must_use]
    pub fn listed(&self, field: &str) -> BTreeSet<String> {
        let list = self.told(&["entry", "list"]);
        let entries = list["items"].as_array().expect("items").iter();
        entries.map(|entry| entry[field].as_str().expect("a text").to_owned()).collect()
    }

    /// Makes a join link for a node of this name.
    ///
    /// # Panics
    ///
    /// When the document has no link.
    #[must_use]
    pub fn link(&self, node: &str) -> String {
        self.told(&["token", "create", "--node-id", node])["link"].as_str().expect("a link").to_owned()
    }

    /// Makes a join link for a node of this name, in a file that only its owner may read.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn link_file(&self, node: &str) -> PathBuf {
        let file = self.folder().join(format!("join-{node}"));
        std::fs::write(&file, self.link(node)).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
        file
    }

    /// Joins a node of this name and waits until its agent is ready.
    #[must_use]
    pub fn agent(&self, node: &str) -> Agent {
        self.agent_with(node, &[])
    }

    /// Joins a node with more options of `agent run`.
    #[must_use]
    pub fn agent_with(&self, node: &str, options: &[&str]) -> Agent {
        let mut agent = Agent::new(self.folder.path(), node);
        agent.options = options.iter().map(|&option| option.to_owned()).collect();
        agent.launch(Some(&self.link(node)));
        agent.ready();
        agent
    }
}

/// An agent with its directory.
#[derive(Debug)]
pub struct Agent {
    /// Its data directory.
    pub data: PathBuf,
    /// The Workload API socket.
    pub socket: PathBuf,
    /// The secret discovery socket.
    pub sds_socket: PathBuf,
    /// Options of `agent run` beside the directories and telemetry.
    pub options: Vec<String>,
    log: PathBuf,
    process: Option<Process>,
}

impl Agent {
    /// Chooses places for an agent in a folder, without starting it.
    #[must_use]
    pub fn new(folder: &Path, node: &str) -> Self {
        Self {
            data: folder.join(format!("agent-{node}")),
            socket: folder.join(format!("{node}.sock")),
            sds_socket: folder.join(format!("{node}.sds.sock")),
            options: Vec::new(),
            log: folder.join(format!("agent-{node}.log")),
            process: None,
        }
    }

    /// Returns the command that runs it in its places; where telemetry goes is left to the caller.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = troth();
        command.args([
            "agent",
            "run",
            "--data-dir",
            path_text(&self.data),
            "--workload-socket",
            path_text(&self.socket),
        ]);
        command
    }

    /// Starts it, with a join link given on standard input.
    pub fn launch(&mut self, link: Option<&str>) {
        self.launch_by(|command| command, link);
    }

    /// Starts it as [`Agent::launch`] does, by a command made of its own.
    pub fn launch_by(&mut self, wrapped: impl FnOnce(Command) -> Command, link: Option<&str>) {
        let mut command = wrapped(self.command());
        command.args(["--telemetry-listen", "off"]);
        command.args(&self.options);
        if link.is_some() {
            command.args(["--join", "-"]).stdin(Stdio::piped());
        }
        let mut process = Process::start(command, &self.log);
        if let Some(link) = link {
            process.give(link);
        }
        self.process = Some(process);
    }

    /// Waits until it is attested and synced.
    ///
    /// # Panics
    ///
    /// When it is not in time.
    pub fn ready(&mut self) {
        let data = self.data.clone();
        until("the agent", || {
            let process = self.process();
            assert!(process.is_running(), "the agent ended: {}", process.log());
            (run(&["health", "agent", "--data-dir", path_text(&data)]).code == 0).then_some(())
        });
    }

    /// Returns its process.
    ///
    /// # Panics
    ///
    /// When it was not started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a started agent")
    }

    /// Runs a command of the node's operator; the answer is JSON.
    #[must_use]
    pub fn operator(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["--output", "json"];
        all.extend_from_slice(arguments);
        all.extend(["--data-dir", path_text(&self.data)]);
        run(&all)
    }
}

/// Returns a path as text.
///
/// # Panics
///
/// When it is not UTF-8; the tests' own paths are.
#[must_use]
pub fn path_text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
