//! Certificates with names for clients that know no SPIFFE: DNS names and the common name of the subject.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::ports::free_port;
use tests::wait::until;

fn fetched(agent: &Agent, folder: &Path) {
    let _ = run(&["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(folder)]).exits(0);
}

/// A TLS server of OpenSSL, ended with the test.
struct TlsServer {
    process: Child,
    address: String,
}

impl TlsServer {
    fn start(folder: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let file = |name: &str| folder.join(name).display().to_string();
        let process = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &address,
                "-cert",
                &file("svid.0.pem"),
                "-cert_chain",
                &file("svid.0.pem"),
                "-key",
                &file("svid.0.key"),
                "-quiet",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        Self { process, address }
    }

    /// Connects as a client that knows the root and a host name, and nothing of SPIFFE.
    fn is_believed_as(&self, name: &str, bundle: &Path) -> bool {
        let client = [
            "s_client",
            "-connect",
            &self.address,
            "-verify_hostname",
            name,
            "-verify_return_error",
            "-CAfile",
            path_text(bundle),
            "-x509_strict",
        ];
        let output = Command::new("openssl").args(client).stdin(Stdio::null()).output().expect("openssl");
        output.status.success()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_client_that_knows_only_host_names_believes_the_dns_names_of_the_entry_and_no_others() {
    let domain = Domain::start_with("names.test", &["--allow-dns", "example.org"]);
    let agent = domain.agent("n1");
    let selector = format!("unix:uid:{}", nix::unistd::getuid());
    let create = ["entry", "create", "--spiffe-id", "/db", "--selector", &selector];
    let foreign = [&create[..], &["--dns", "db.example.net"]].concat();
    assert_eq!(domain.operator(&foreign).exits(1).problem(), "dns_not_allowed");
    let hidden = [&create[..], &["--subject-cn", "db.example.net"]].concat();
    assert_eq!(domain.operator(&hidden).exits(1).problem(), "dns_not_allowed", "a common name that is a host's");
    let entry = domain.told(
        &[
            &create[..],
            &["--dns", "db.example.org", "--dns", "*.db.example.org", "--subject-cn", "postgres", "--wait"],
        ]
        .concat(),
    );
    assert_eq!(entry["dns_names"], serde_json::json!(["db.example.org", "*.db.example.org"]));

    let folder: PathBuf = domain.folder().join("given");
    fetched(&agent, &folder);
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-subject", "-in", path_text(&folder.join("svid.0.pem"))])
        .output()
        .expect("openssl");
    assert!(String::from_utf8_lossy(&text.stdout).contains("postgres"), "{text:?}");
    let _ = run(&["svid", "lint", path_text(&folder.join("svid.0.pem"))]).exits(0);
    let server = TlsServer::start(&folder);
    let bundle = folder.join("bundle.0.pem");
    until("the TLS server", || server.is_believed_as("db.example.org", &bundle).then_some(()));
    assert!(server.is_believed_as("replica.db.example.org", &bundle));
    for other in ["example.org", "db.example.net", "a.b.db.example.org", "names.test"] {
        assert!(!server.is_believed_as(other, &bundle), "{other}");
    }

    // A name that is taken away is gone from the next certificate, which comes at once.
    let _ = domain.told(&["entry", "update", "/db", "--no-dns", "--wait"]);
    fetched(&agent, &folder);
    let server = TlsServer::start(&folder);
    until("the TLS server", || std::net::TcpStream::connect(&server.address).ok());
    assert!(!server.is_believed_as("db.example.org", &bundle));
}
