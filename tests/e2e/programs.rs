//! Programs that have never heard of SPIFFE, on the files of a sink: each runs the configuration of its page in `docs/integrations` through ten rotations
//! of its certificate, under load, with no failed request, and presents each of them.

mod envoy;
mod haproxy;
mod java;
mod nginx;
mod nodejs;
mod postgresql;
mod redis;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, chown};
use tests::docs::{block, replaced};
use tests::domain::{Agent, Domain, path_text};
use tests::steady_load::{Rotations, SteadyLoad, Way};
use tests::wait::until;

/// The name of the trust domain in the pages.
const TRUST_DOMAIN: &str = "prod.example.org";

/// The life of the certificates: each is replaced after half of it.
const LIFE: &str = "10s";

/// How often the certificate of each program changes.
const ROTATIONS: usize = 10;

/// Of the services' entries: nobody runs as them, the sinks need no process.
const SERVICE_UID: u32 = 5_201;
const CLIENT_UID: u32 = 5_202;

/// A trust domain, not started yet, with the sinks of its node.
struct Plan {
    domain: Domain,
    config: String,
}

impl Plan {
    fn new() -> Self {
        let mut domain = Domain::init(TRUST_DOMAIN);
        domain.options = ["--crl", "always", "--allow-dns", "example.org"].map(str::to_owned).to_vec();
        Self { domain, config: String::new() }
    }

    /// Returns a place in the folder of the test.
    fn place(&self, name: &str) -> PathBuf {
        self.domain.folder().join(name)
    }

    /// Makes a directory of a user: where a program has its sockets and its data.
    fn directory_of(&self, user: &str, name: &str) -> PathBuf {
        let directory = self.place(name);
        std::fs::create_dir(&directory).expect("a directory");
        let user = User::from_name(user)
            .expect("the users")
            .expect("the user of the program's package (tests/run e2e)");
        chown(&directory, Some(user.uid), Some(user.gid)).expect("its owner");
        directory
    }

    /// Chooses the directory of a program's sink. The agent makes it: one that is another's it refuses as long as it writes as itself.
    fn sink(&self, name: &str) -> PathBuf {
        self.place(name)
    }

    /// Adds the sinks of a page, with other texts in place of some.
    fn documented_sink(&mut self, page: &str, replacements: &[(&str, &str)]) {
        self.config += &replaced(&block(page, "toml", "agent.toml"), replacements);
    }

    /// Adds the sink of the client of the program that is tested; returns its directory.
    fn client(&mut self) -> PathBuf {
        let directory = self.place("client");
        self.config += &format!(
            "\n[[sink]]\nspiffe_id = \"spiffe://{TRUST_DOMAIN}/client\"\ndirectory = \"{}\"\nowner = \"root\"\ngroup = \"root\"\n",
            path_text(&directory)
        );
        directory
    }

    /// Starts server and agent, makes entries, short-lived unless they say a class, and waits until their files are there.
    fn start(mut self, entries: &[(&str, &[&str])], sinks: &[&Path]) -> World {
        self.domain.start_server();
        let config = self.place("agent.toml");
        std::fs::write(&config, &self.config).expect("the agent's configuration");
        let agent = self.domain.agent_with("n1", &["--config", path_text(&config)]);
        for (path, options) in entries {
            let uid = if *path == "/client" { CLIENT_UID } else { SERVICE_UID };
            let selector = format!("unix:uid:{uid}");
            let entry = ["entry", "create", "--spiffe-id", path, "--selector", &selector];
            let short: &[&str] = if options.contains(&"--class") {
                &[]
            } else {
                &["--class", "fast", "--x509-ttl", LIFE]
            };
            let _ = self.domain.told(&[&entry[..], short, options].concat());
        }
        for sink in sinks {
            until("the files of a sink", || sink.join("bundle.pem").exists().then_some(()));
        }
        World { domain: self.domain, agent }
    }
}

/// A trust domain whose node delivers files.
struct World {
    domain: Domain,
    agent: Agent,
}

impl World {
    /// Returns the roots that clients believe.
    fn bundle(&self) -> PathBuf {
        self.domain.folder().join("client").join("bundle.pem")
    }

    /// Waits until each sink of the agent is at rest: delivered, and its hooks done without an error.
    fn sinks_are_well(&self) {
        until("every sink to be well", || {
            let status = self.agent.operator(&["agent", "status"]);
            let status = (status.code == 0).then(|| status.json())?;
            let sinks = status["sinks"].as_array()?;
            sinks.iter().all(|sink| sink["last_error"].is_null()).then_some(())
        });
    }
}

/// Keeps a load on a program until each of ten further certificates of its sink was presented; nothing may fail.
fn rotates_under_load(ways: Vec<Way>, rotations: &mut Rotations) {
    let load = SteadyLoad::start(ways);
    let serials = rotations.each_presented(ROTATIONS, || load.presented());
    load.end().without_failure().presented_in_order(&serials);
}

/// Returns a command that runs a program as the user that its package made.
fn as_user_of_package(user: &str, program: &str) -> Command {
    let of_package = User::from_name(user)
        .expect("the users")
        .expect("the user of the program's package (tests/run e2e)");
    let (uid, gid) = (of_package.uid.to_string(), of_package.gid.to_string());
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &uid, "--regid", &gid, "--clear-groups", "--", program])
        .stdin(Stdio::null());
    command
}

fn spiffe_id(path: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}{path}")
}
