//! What every server that verifies its clients goes through.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::domain::path_text;
use tests::wait::until;

use super::{Copied, World, issuer_of};

/// A server that verifies its clients.
pub(super) trait Gate {
    /// Whether it lets this client in now.
    fn admits(&self, client: &Copied) -> bool;

    /// Makes it read its files again; nothing for one that follows by itself.
    fn reload(&mut self);

    /// Starts it anew.
    fn restart(&mut self);
}

/// A revoked client is refused at its next handshake and every other is admitted: with one issuing CA, with two, and without Troth's server.
pub(super) fn honours_lists(world: &mut World, gate: &mut impl Gate) {
    let stolen = world.copy("stolen");
    admitted(gate, &stolen);
    world.revoke(&stolen);
    gate.reload();
    refused(gate, &stolen);
    let fresh = world.copy_after(&stolen, "fresh");
    admitted(gate, &fresh);

    world.replace_issuing_ca();
    world.reissue("50m");
    let next = world.copy_after(&fresh, "next");
    assert_ne!(issuer_of(&next), issuer_of(&fresh), "it is of the same issuing CA");
    gate.reload();
    for client in [&fresh, &next] {
        admitted(gate, client);
    }
    refused(gate, &stolen);
    world.revoke(&fresh);
    gate.reload();
    refused(gate, &fresh);
    admitted(gate, &next);

    world.lose_server();
    gate.restart();
    admitted(gate, &next);
    for client in [&stolen, &fresh] {
        refused(gate, client);
    }
}

pub(super) fn admitted(gate: &impl Gate, client: &Copied) {
    until(&format!("{} to be admitted", client.folder.display()), || gate.admits(client).then_some(()));
}

/// A server that took in its files admits nobody by mistake any more, so once refused is refused.
pub(super) fn refused(gate: &impl Gate, client: &Copied) {
    until(&format!("{} to be refused", client.folder.display()), || (!gate.admits(client)).then_some(()));
    assert!(!gate.admits(client), "{} was refused once and then admitted", client.folder.display());
}

/// Asks for `/` over TLS as this client, and returns whether it was answered with 200.
pub(super) fn is_answered(address: &str, client: &Copied, bundle: &Path) -> bool {
    is_answered_with(address, &client.chain(), &client.key(), bundle)
}

/// The same with the files of a chain and its key.
pub(crate) fn is_answered_with(address: &str, chain: &Path, key: &Path, bundle: &Path) -> bool {
    let mut openssl = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", address, "-tls1_3", "-verify_return_error"])
        .args(["-CAfile", path_text(bundle), "-cert", path_text(chain), "-cert_chain", path_text(chain)])
        .args(["-key", path_text(key)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl starts; install it: tests/run e2e");
    // An error means that it has been refused already.
    let _ = openssl
        .stdin
        .take()
        .expect("its input")
        .write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes());
    let output = openssl.wait_with_output().expect("its output");
    output.stdout.starts_with(b"HTTP/1.1 200")
}
