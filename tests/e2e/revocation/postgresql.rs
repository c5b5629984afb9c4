//! PostgreSQL with the configuration of `docs/integrations/postgresql.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::{User, chown};
use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;

use super::gate::{Gate, honours_lists};
use super::{Copied, World};

/// Whoever PostgreSQL runs as: it refuses to be root.
const OWNER: &str = "postgres";

/// The page whose configuration this is.
const PAGE: &str = "integrations/postgresql.md";

/// Where that page has clients.
const NETWORK: &str = "10.0.0.0/8";

struct Postgres {
    process: Process,
    port: u16,
    data: PathBuf,
    log: PathBuf,
    /// The role that was made with the database.
    role: &'static str,
}

/// Returns the directory of the newest PostgreSQL that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed (apt-get install postgresql)");
    let mut versions: Vec<PathBuf> = versions.map(|version| version.expect("an entry").path().join("bin")).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL (apt-get install postgresql)")
}

fn as_owner(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", OWNER, "--regid", OWNER, "--clear-groups", "--"])
        .arg(programs().join(program));
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").stdin(Stdio::null());
    command
}

fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).expect("its configuration");
    std::fs::write(file, before + text).expect("its configuration");
}

impl Postgres {
    fn start(world: &World) -> Self {
        // A password would have to be set first, by the same door.
        let rules = replaced(&block(PAGE, "ini", "pg_hba.conf"), &[("scram-sha-256", "trust"), (NETWORK, "127.0.0.1/32")]);
        Self::start_for(world, OWNER, &rules)
    }

    /// Starts one with a database of this role and these rules of who may connect.
    fn start_for(world: &World, role: &'static str, rules: &str) -> Self {
        let folder = world.domain.folder();
        let (data, log) = (folder.join("database"), folder.join("database.log"));
        std::fs::create_dir(&data).expect("a directory");
        let user = User::from_name(OWNER).expect("the users").expect("the user of the package postgresql");
        chown(&data, Some(user.uid), Some(user.gid)).expect("its owner");
        let made = as_owner("initdb")
            .args(["--auth", "trust", "--no-sync", "--no-locale", "--username", role, "-D", path_text(&data)])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{made:?}");
        let port = free_port();
        let tls = replaced(
            &block(PAGE, "ini", "postgresql.conf"),
            &[("/var/lib/postgresql/svid", path_text(&world.sink("web")))],
        );
        let place = format!("\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n{tls}");
        append(&data.join("postgresql.conf"), &place);
        std::fs::write(data.join("pg_hba.conf"), rules).expect("its rules");
        Self {
            process: Self::run(&data, &log),
            port,
            data,
            log,
            role,
        }
    }

    fn run(data: &Path, log: &Path) -> Process {
        let mut command = as_owner("postgres");
        command.args(["-D", path_text(data)]);
        Process::start(command, log)
    }

    fn ask(&self, client: &Copied) -> Output {
        self.ask_as(client, self.role)
    }

    fn ask_as(&self, client: &Copied, role: &str) -> Output {
        let connection = format!(
            "host=127.0.0.1 port={} user={role} dbname=postgres connect_timeout=10 sslmode=verify-ca sslrootcert={} sslcert={} sslkey={}",
            self.port,
            path_text(&client.bundle()),
            path_text(&client.chain()),
            path_text(&client.key())
        );
        let mut psql = Command::new(programs().join("psql"));
        psql.args([connection.as_str(), "-Atc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()"]);
        psql.stdin(Stdio::null()).output().expect("psql starts")
    }

    fn reloads(&self) -> usize {
        self.process.log().matches("received SIGHUP, reloading").count()
    }
}

impl Gate for Postgres {
    fn admits(&self, client: &Copied) -> bool {
        self.ask(client).stdout == b"t\n"
    }

    fn reload(&mut self) {
        let before = self.reloads();
        self.process.signal(Signal::SIGHUP);
        until("PostgreSQL to reload", || (self.reloads() > before).then_some(()));
    }

    fn restart(&mut self) {
        // SIGINT: what it calls a fast shutdown.
        self.process.signal(Signal::SIGINT);
        let _ = self.process.ended();
        self.process = Self::run(&self.data, &self.log);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_running() {
            self.process.signal(Signal::SIGINT);
            let _ = self.process.ended();
        }
    }
}

#[test]
fn postgresql_refuses_the_revoked_after_a_reload_and_admits_the_others_through_rotation_and_outage() {
    let mut world = World::start(OWNER, &["--crl", "always"]);
    let mut postgres = Postgres::start(&world);
    honours_lists(&mut world, &mut postgres);
    let stolen = Copied {
        folder: world.domain.folder().join("stolen"),
    };
    let said = String::from_utf8_lossy(&postgres.ask(&stolen).stderr).into_owned();
    assert!(said.contains("revoked"), "{said}");
}

#[test]
fn postgresql_takes_the_common_name_of_a_certificate_for_the_role_and_no_certificate_for_another() {
    let world = World::start(OWNER, &["--crl", "always"]);
    let rules = block(PAGE, "ini", "pg_hba.conf, where the certificate is the login");
    let postgres = Postgres::start_for(&world, "app_rw", &replaced(&rules, &[(NETWORK, "127.0.0.1/32")]));
    let nameless = world.copy("nameless");
    let _ = world.domain.told(&["entry", "update", "/client", "--subject-cn", "app_rw", "--wait"]);
    let named = world.copy_after(&nameless, "named");
    until("the login by certificate", || postgres.admits(&named).then_some(()));
    for (client, role) in [(&nameless, "app_rw"), (&named, OWNER)] {
        let refused = postgres.ask_as(client, role);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("certificate authentication failed"),
            "{role}: {said}"
        );
    }
}
