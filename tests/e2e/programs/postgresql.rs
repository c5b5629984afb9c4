//! PostgreSQL with the configuration of `docs/integrations/postgresql.md`, where the certificate is the login.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::python::python_with;
use tests::steady_load::{Connection, Rotations, SteadyLoad, TlsClient, Way, every};
use tests::wait::until;

use super::{Plan, ROTATIONS, as_user_of_package, spiffe_id};

const PAGE: &str = "integrations/postgresql.md";

/// The user that the package makes.
const OWNER: &str = "postgres";

/// The common name of the client's certificate, and the role of it; and the role that the page's map leads it to.
const ROLES: [&str; 2] = ["app_rw", "owner_of_the_tables"];

/// The DNS name of the server's certificate.
const HOST: &str = "db.example.org";

/// How often `psql` connects: starting it costs more than what it asks.
const PSQL_EVERY: Duration = Duration::from_millis(200);

/// Returns the directory of the newest PostgreSQL that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed (apt-get install postgresql)");
    let mut versions: Vec<PathBuf> = versions.map(|version| version.expect("an entry").path().join("bin")).collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL (apt-get install postgresql)")
}

fn as_owner(program: &str) -> Command {
    let mut command = as_user_of_package(OWNER, path_text(&programs().join(program)));
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command
}

/// `SSLRequest`, and the answer that TLS may begin (PostgreSQL documentation, "Message Formats").
fn ssl_request(tcp: &mut TcpStream) -> std::io::Result<()> {
    tcp.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
    let mut answer = [0];
    tcp.read_exact(&mut answer)?;
    if answer == *b"S" { Ok(()) } else { Err(std::io::Error::other("no TLS here")) }
}

/// Logs in by the certificate alone, and asks for 1.
fn log_in(connection: &mut Connection) -> Result<(), String> {
    let parameters = format!("user\0{}\0database\0postgres\0\0", ROLES[0]);
    let mut startup = u32::try_from(8 + parameters.len()).expect("a short message").to_be_bytes().to_vec();
    startup.extend_from_slice(&[0, 3, 0, 0]);
    startup.extend_from_slice(parameters.as_bytes());
    connection.send(&startup)?;
    let answer = connection.read_until(|octets| ends_with_ready(octets) || octets.first() == Some(&b'E'))?;
    // AuthenticationOk comes first when nothing but the certificate was asked for.
    if answer.starts_with(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]) {
        Ok(())
    } else {
        Err(format!("answered {:?}", String::from_utf8_lossy(&answer)))
    }
}

/// `ReadyForQuery`, idle.
fn ends_with_ready(octets: &[u8]) -> bool {
    octets.ends_with(&[b'Z', 0, 0, 0, 5, b'I'])
}

struct Postgres(Process);

impl Postgres {
    /// Makes a database with the roles of the page, and starts it.
    fn start(folder: &Path, data: &Path, port: u16, settings: &str) -> Self {
        let made = as_owner("initdb")
            .args(["--auth", "trust", "--no-sync", "--no-locale", "--username", ROLES[0], "-D", path_text(data)])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{made:?}");
        let config = data.join("postgresql.conf");
        let before = std::fs::read_to_string(&config).expect("its configuration");
        let place = format!("\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = off\n");
        std::fs::write(&config, before + &place + settings).expect("its configuration");
        for (name, block_name) in [("pg_hba.conf", "pg_hba.conf, with a map"), ("pg_ident.conf", "pg_ident.conf")] {
            let text = block(PAGE, "ini", block_name).replace("10.0.0.0/8", "127.0.0.1/32");
            std::fs::write(data.join(name), text).expect("its rules");
        }
        let mut command = as_owner("postgres");
        command.args(["-D", path_text(data)]);
        Self(Process::start(command, &folder.join("database.log")))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.0.is_running() {
            // What it calls a fast shutdown.
            self.0.signal(Signal::SIGINT);
            let _ = self.0.ended();
        }
    }
}

/// `psql` of a client with the files of a sink, as the page tells to connect.
#[derive(Clone)]
struct Psql {
    port: u16,
    files: PathBuf,
}

impl Psql {
    fn command(&self, role: &str) -> Command {
        // One generation: libpq reads chain and key one after the other.
        let files = self.files.join("..data").canonicalize().expect("the files of the client");
        let connection = format!(
            "host={HOST} hostaddr=127.0.0.1 port={} user={role} dbname=postgres connect_timeout=30 sslmode=verify-full \
             sslrootcert={folder}/bundle.pem sslcert={folder}/svid.pem sslkey={folder}/svid_key.pem sslcrl={folder}/crl.pem",
            self.port,
            folder = path_text(&files)
        );
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", &connection]);
        psql
    }

    fn ask(&self, role: &str) -> Output {
        let mut psql = self.command(role);
        let psql = psql.args(["-c", "select current_user"]).stdin(Stdio::null());
        psql.output().expect("psql starts")
    }

    /// A login with each request.
    fn new_connections(self) -> Way {
        Box::new(move || {
            let output = self.ask(ROLES[0]);
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            if answer.trim_end() == ROLES[0] {
                Ok(None)
            } else {
                Err(format!("{output:?}"))
            }
        })
    }

    /// One session for all requests, which outlives every certificate that it was opened with.
    fn kept_alive(self) -> Way {
        let mut session = Session::start(self.command(ROLES[0]));
        Box::new(move || match session.ask("select 'answer';\n")?.as_str() {
            "answer\n" => Ok(None),
            other => Err(format!("{other:?}")),
        })
    }
}

/// A program that answers each line with one.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self {
            child,
            input,
            output: BufReader::new(output),
        }
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        self.input.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).map_err(|error| error.to_string())?;
        Ok(answer)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An application in Python that logs in by the certificate for each request, with the serials of it that PostgreSQL saw.
#[derive(Clone, Default)]
struct Application(Arc<Mutex<BTreeSet<String>>>);

impl Application {
    /// Starts it on the files of a sink.
    fn start(&self, folder: &Path, files: &Path, port: u16) -> Way {
        std::fs::write(folder.join("connect.py"), block(PAGE, "python", "connect.py")).expect("its module");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/postgresql_logins.py");
        let mut command = Command::new(python_with("psycopg"));
        command.args([script, path_text(folder), path_text(files), &port.to_string(), ROLES[0]]);
        let (mut running, seen) = (Session::start(command), self.clone());
        Box::new(move || {
            let answer = running.ask("\n")?;
            let serial = answer.trim_end();
            if serial.len() != 32 || !serial.bytes().all(|octet| octet.is_ascii_hexdigit()) {
                return Err(answer);
            }
            seen.0.lock().unwrap_or_else(PoisonError::into_inner).insert(serial.to_owned());
            Ok(None)
        })
    }

    fn certificates(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[test]
fn postgresql_rotates_under_load_while_clients_log_in_by_certificates_that_rotate_too() {
    let mut plan = Plan::new();
    let (sink, data, run) = (plan.sink("svid"), plan.directory_of(OWNER, "database"), plan.directory_of(OWNER, "run"));
    let (port, pid_file) = (free_port(), run.join("main.pid"));
    let address = format!("127.0.0.1:{port}");
    plan.documented_sink(
        PAGE,
        &[
            ("/var/lib/postgresql/svid", path_text(&sink)),
            ("/run/postgresql/15-main.pid", path_text(&pid_file)),
            ("127.0.0.1:5432", &address),
        ],
    );
    let files = plan.client();
    let entries: [(&str, &[&str]); 2] = [("/db", &["--dns", HOST]), ("/client", &["--subject-cn", ROLES[0]])];
    let world = plan.start(&entries, &[&files, &sink]);
    let tls = replaced(&block(PAGE, "ini", "postgresql.conf"), &[("/var/lib/postgresql/svid", path_text(&sink))]);
    let settings = format!("external_pid_file = '{}'\n{tls}", path_text(&pid_file));
    let mut postgres = Postgres::start(world.domain.folder(), &data, port, &settings);

    let client = TlsClient::new(&address, &spiffe_id("/db"), &world.bundle())
        .identified_by(&files)
        .after(ssl_request);
    let _ = client.until_answered(log_in);
    let (psql, application) = (Psql { port, files: files.clone() }, Application::default());
    let made = psql.command(ROLES[0]).args(["-c", &format!("create role {} login", ROLES[1])]).output();
    assert!(made.expect("psql starts").status.success());
    let ways = vec![
        client.new_connections(log_in),
        every(PSQL_EVERY, psql.clone().new_connections()),
        psql.clone().kept_alive(),
        application.start(world.domain.folder(), &files, port),
    ];
    let load = SteadyLoad::start(ways);
    let serials = Rotations::of(&sink).each_presented(ROTATIONS, || load.presented());
    until("the rotations of the client", || (application.certificates() > ROTATIONS).then_some(()));
    load.end().without_failure().presented_in_order(&serials);
    assert!(postgres.0.is_running(), "{}", postgres.0.log());

    // The map leads the name to one other role; no name leads to a role that is neither.
    assert_eq!(psql.ask(ROLES[1]).stdout, format!("{}\n", ROLES[1]).as_bytes());
    let refused = psql.ask(OWNER);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("certificate authentication failed"),
        "{refused:?}"
    );
    world.sinks_are_well();
}
