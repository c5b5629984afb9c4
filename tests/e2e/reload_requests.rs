//! Reloads that somebody else does: systemd, asked over a bus of the test's own, and the program itself, asked over HTTP; and the probe that looks whether it helped.

mod systemd;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::domain::{Agent, Domain, path_text};
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;

use self::systemd::Systemd;

/// nginx with the files of a sink.
struct Nginx {
    process: Process,
    address: String,
}

impl Nginx {
    /// Starts it at an address, once the sink has delivered.
    fn start(folder: &Path, sink: &Path, address: &str) -> Self {
        until("the files of the sink", || sink.join("svid.pem").exists().then_some(()));
        let place = folder.join("nginx");
        std::fs::create_dir(&place).expect("a directory");
        let (place, sink) = (path_text(&place), path_text(sink));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
            .concat();
        let server = format!("server {{ listen {address} ssl; ssl_certificate {sink}/svid.pem; ssl_certificate_key {sink}/svid_key.pem; }}");
        let text = format!("daemon off;\npid {place}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{server}\n}}\n");
        let config = format!("{place}/nginx.conf");
        std::fs::write(&config, text).expect("its configuration");
        let mut nginx = Command::new("nginx");
        nginx.args(["-e", "stderr", "-p", place, "-c", &config]).stdin(Stdio::null());
        let nginx = Self {
            process: Process::start(nginx, &folder.join("nginx.log")),
            address: address.to_owned(),
        };
        until("nginx", || presented(&nginx.address));
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only when it is asked.
        if self.process.is_running() {
            let _ = self.process.terminate();
        }
    }
}

/// Returns the serial that openssl reads in a certificate.
fn serial_of(certificate: &str) -> Option<String> {
    let mut openssl = Command::new("openssl");
    openssl
        .args(["x509", "-noout", "-serial"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut openssl = openssl.spawn().expect("openssl starts (apt-get install openssl)");
    // It may end before it has read all: then it says nothing.
    let _cut_short = openssl.stdin.take().expect("a pipe").write_all(certificate.as_bytes());
    let read = openssl.wait_with_output().expect("its output");
    read.status.success().then(|| String::from_utf8_lossy(&read.stdout).trim().to_owned())
}

/// Returns the serial that a service presents.
fn presented(address: &str) -> Option<String> {
    let shown = Command::new("openssl").args(["s_client", "-connect", address]).stdin(Stdio::null()).output();
    serial_of(&String::from_utf8_lossy(&shown.expect("openssl starts (apt-get install openssl)").stdout))
}

/// Returns the serial that a sink has delivered.
fn delivered(sink: &Path) -> Option<String> {
    serial_of(&std::fs::read_to_string(sink.join("svid.pem")).ok()?)
}

/// Waits until the service presents what the sink has delivered, and another than `before`.
fn rotated(nginx: &Nginx, sink: &Path, before: &str) -> String {
    until("the service to present the next SVID", || {
        let (shown, there) = (presented(&nginx.address)?, delivered(sink)?);
        (shown == there && shown != before).then_some(shown)
    })
}

/// A domain whose node n1 has the identity `/web`, ten seconds long, and an agent with this configuration.
fn agent(domain: &Domain, bus: Option<&str>, reload: &str) -> (Agent, std::path::PathBuf, Process) {
    let sink = domain.folder().join("web");
    let config = domain.folder().join("agent.toml");
    let text = format!("[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{}\"\n\n{reload}\n", sink.display());
    std::fs::write(&config, text).expect("a file");
    let mut agent = Agent::new(domain.folder(), "n1");
    agent.launch(Some(&domain.link("n1")));
    agent.ready();
    let _ = agent.process().terminate();
    let mut command = agent.command();
    command.args(["--config", path_text(&config), "--telemetry-listen", "off"]);
    if let Some(bus) = bus {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    }
    let process = Process::start(command, &domain.folder().join("agent.log"));
    // Without --wait: the agent acknowledges the files when their hooks are done, and the service of the hook starts with these files.
    let entry = [
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--parent",
        "n1",
        "--selector",
        "unix:uid:4601",
        "--class",
        "fast",
        "--x509-ttl",
        "10s",
    ];
    let _ = domain.told(&entry);
    (agent, sink, process)
}

fn problems(agent: &Agent) -> String {
    agent.operator(&["health", "agent"]).stdout
}

#[test]
fn systemd_reloads_a_unit_after_each_rotation_and_the_probe_sees_the_new_serial() {
    let domain = Domain::start("unit.test");
    let (address, pid) = (format!("127.0.0.1:{}", free_port()), domain.folder().join("nginx/pid"));
    // What the unit's ExecReload= says. Before nginx is there it fails, and is tried again.
    let units = serde_json::json!({ "web.service": { "exec": ["sh", "-c", format!("kill -HUP $(cat {})", pid.display())] } });
    let systemd = Systemd::start(domain.folder(), &units);
    let hook = format!("[[sink.reload]]\nsystemd_unit = \"web.service\"\nprobe = {{ address = \"{address}\", within = \"5s\" }}");
    let (agent, sink, mut process) = agent(&domain, Some(&systemd.address), &hook);
    let nginx = Nginx::start(domain.folder(), &sink, &address);
    let mut serial = presented(&nginx.address).expect("a certificate");
    for _ in 0..3 {
        serial = rotated(&nginx, &sink, &serial);
    }
    let calls = systemd.calls();
    assert!(
        calls.len() >= 3 && calls.iter().all(|call| call == "ReloadUnit web.service replace"),
        "{calls:?}"
    );
    until("an agent that is well", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
    let _ = process.terminate();
}

#[test]
fn a_unit_that_says_it_reloaded_and_did_not_is_found_out_by_the_probe() {
    let domain = Domain::start("lazy.test");
    let address = format!("127.0.0.1:{}", free_port());
    let systemd = Systemd::start(domain.folder(), &serde_json::json!({ "web.service": {} }));
    let hook = format!("[[sink.reload]]\nsystemd_unit = \"web.service\"\nprobe = {{ address = \"{address}\", within = \"1s\" }}");
    let (agent, sink, mut process) = agent(&domain, Some(&systemd.address), &hook);
    let nginx = Nginx::start(domain.folder(), &sink, &address);
    let before = presented(&nginx.address).expect("a certificate").replace("serial=", "").to_lowercase();
    let told = until("the probe's finding", || {
        let status = agent.operator(&["agent", "status"]).stdout;
        status.contains("presents the certificate").then_some(status)
    });
    assert!(told.to_lowercase().contains(before.trim_start_matches('0')), "{before} {told}");
    let _ = process.terminate();
}

#[test]
fn a_refusal_by_polkit_is_told_with_what_to_do() {
    let domain = Domain::start("polkit.test");
    let refuse = [
        "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
        "Interactive authentication required.",
    ];
    let systemd = Systemd::start(domain.folder(), &serde_json::json!({ "web.service": { "refuse": refuse } }));
    let (agent, _, mut process) = agent(&domain, Some(&systemd.address), "[[sink.reload]]\nsystemd_unit = \"web.service\"");
    let told = until("the refusal", || {
        let problems = problems(&agent);
        problems.contains("web.service").then_some(problems)
    });
    assert!(told.contains("polkit"), "{told}");
    let _ = process.terminate();
}

#[test]
fn a_program_is_asked_over_http_after_each_rotation() {
    let domain = Domain::start("asked.test");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/-/reload", listener.local_addr().expect("its address"));
    let asked = Arc::new(AtomicUsize::new(0));
    // It ends with the test's process.
    std::thread::spawn({
        let asked = asked.clone();
        move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 1_024];
                let read = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let changed = head.lines().find_map(|line| line.strip_prefix("troth-changed: "));
                let is_ours = head.starts_with("POST /-/reload HTTP/1.1") && changed.is_some_and(|changed| changed.split(',').any(|part| part == "svid"));
                let answer: &[u8] = if is_ours {
                    b"HTTP/1.1 204 No Content\r\n\r\n"
                } else {
                    b"HTTP/1.1 400 No\r\n\r\n"
                };
                asked.fetch_add(usize::from(is_ours), Ordering::SeqCst);
                let _ = stream.write_all(answer);
            }
        }
    });
    let (agent, sink, mut process) = agent(&domain, None, &format!("[[sink.reload]]\nhttp = {{ url = \"{url}\" }}"));
    let first = until("the first files", || delivered(&sink));
    until("the second", || delivered(&sink).filter(|now| *now != first));
    until("a request for each", || (asked.load(Ordering::SeqCst) >= 2).then_some(()));
    until("an agent that is well", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
    let _ = process.terminate();
}

#[test]
fn a_command_is_told_all_parts_at_first_then_tokens_or_revocation_lists_alone() {
    let domain = Domain::start("parts.test");
    let told = domain.folder().join("told");
    let command = format!("echo $TROTH_CHANGED >> {}", told.display());
    let config = domain.folder().join("agent.toml");
    let text = format!(
        "[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{}\"\ncrl_reload_interval = \"1s\"\n\n\
         [[sink.jwt]]\nname = \"vault\"\naudiences = [\"https://vault.example\"]\n\n[[sink.reload]]\ncommand = [\"{command}\"]\nshell = true\n",
        domain.folder().join("web").display()
    );
    std::fs::write(&config, text).expect("a file");
    let _agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    let entry = |path: &'static str, life: &'static [&'static str]| {
        let entry = [
            "entry",
            "create",
            "--spiffe-id",
            path,
            "--parent",
            "n1",
            "--selector",
            "unix:uid:4601",
            "--wait",
        ];
        let _ = domain.told(&[&entry[..], life].concat());
    };
    entry("/web", &["--jwt-ttl", "10s"]);
    entry("/other", &[]);
    let lines = || {
        std::fs::read_to_string(&told)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = until("the first run", || lines().first().cloned());
    assert!(first.starts_with("svid,bundle"), "{first}");
    until("a run for a token alone", || lines().contains(&"token".to_owned()).then_some(()));
    let _ = domain.told(&["svid", "revoke", "--spiffe-id", "/other", "--because", "stolen"]);
    // Tokens are renewed every few seconds: one may come with the list.
    let of_list = until("a run for the list", || lines().into_iter().skip(1).find(|line| line.contains("crl")));
    assert!(["crl", "crl,token"].contains(&of_list.as_str()), "{of_list}");
}
