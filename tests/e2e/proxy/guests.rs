//! A client that we did not write: OpenSSL's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use tests::command::run;
use tests::domain::path_text;

use super::World;
use super::program::echo;

#[test]
fn openssl_is_let_in_over_tls_1_3_without_tickets_and_refused_below() {
    let world = World::start("openssl.test", "180s");
    let inbound = world.inbound(&echo(true).to_string(), &["--allow-any", "--proxy-protocol"]);
    let folder = world.domain.folder().join("fetched");
    let socket = path_text(&world.agent.socket);
    let _ = run(&["svid", "fetch", "x509", "--socket", socket, "--write", path_text(&folder)]).exits(0);
    let file = |name: &str| folder.join(name).display().to_string();
    let talk = |more: &[&str]| {
        let mut client = Command::new("openssl")
            .args(["s_client", "-connect", &inbound.listen, "-verify_return_error", "-ign_eof"])
            .args([
                "-cert",
                &file("svid.0.pem"),
                "-cert_chain",
                &file("svid.0.pem"),
                "-key",
                &file("svid.0.key"),
                "-CAfile",
                &file("bundle.0.pem"),
            ])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts (apt-get install openssl)");
        let mut input = client.stdin.take().expect("a pipe");
        // One that was refused does not take it.
        let _ = input.write_all(b"hello\n");
        // It ends with its input, answered or not: that stays open until the answer is there.
        let mut heard = String::new();
        for line in BufReader::new(client.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
            heard.push_str(&line);
            heard.push('\n');
            if line.starts_with("hello") {
                break;
            }
        }
        let _ = client.kill();
        let _ = client.wait();
        heard
    };
    let heard = talk(&[]);
    assert!(heard.contains(&format!("hello {}", world.id("/"))), "{heard}");
    assert!(heard.contains("TLSv1.3") && !heard.contains("New Session Ticket"), "{heard}");
    let heard = talk(&["-tls1_2"]);
    assert!(!heard.contains("hello"), "{heard}");
    let _ = inbound.record("handshake_failed");
}
