//! The root of a partner that is believed, and certificates under it for names that are not the partner's: refused by whoever verifies, each in its own way.

use std::net::SocketAddr;
use std::path::Path;

use conformance::covers;
use tests::admin::runtime;
use tests::broker::Dialer;
use tests::command::run;
use tests::domain::{Domain, path_text};
use tests::go_peers::GoService;
use tests::wait::until;
use tokio::io::AsyncReadExt as _;

use super::Side;
use super::impostor::Authority;
use crate::broker::World as BrokerWorld;
use crate::revocation::World as FileWorld;
use crate::revocation::gate::is_answered_with;
use crate::revocation::nginx::Nginx;
use crate::upstream::corporate::openssl;

/// Lets an entry federate with a trust domain whose authority the test has.
fn believes(domain: &Domain, entry: &str, partner: &str) -> Authority {
    let authority = Authority::of(partner);
    let file = domain.folder().join(format!("{partner}.pem"));
    std::fs::write(&file, authority.pem()).expect("the partner's root");
    let _ = domain.told(&["bundle", "set", "--trust-domain", partner, "--format", "pem", path_text(&file)]);
    let _ = domain.told(&["entry", "update", entry, "--federates-with", partner, "--wait"]);
    authority
}

/// Whether OpenSSL believes a certificate by the roots in a file. It knows no SPIFFE IDs.
fn is_believed(roots: &Path, certificate: &Path) -> bool {
    openssl(&["verify", "-CAfile", path_text(roots), path_text(certificate)]).status.success()
}

#[covers("BUN-10", "FED-06")]
#[test]
fn the_go_library_refuses_our_name_under_a_partners_root() {
    let side = Side::new("go-own.test", "/service", None);
    let partner = believes(&side.domain, "/service", "go-partner.test");
    let admitted = ["spiffe://go-partner.test/caller", "spiffe://go-own.test/caller"];
    let service = GoService::admitting(&side.agent.socket, &side.id, &admitted.map(str::to_owned));
    let runtime = runtime();
    let call = |id: &str| runtime.block_on(partner.is_admitted_as(id, service.address()));
    assert!(call(admitted[0]), "the partner's own name");
    assert!(!call(admitted[1]), "our name under the partner's root");
    assert!(!call("spiffe://third.test/caller"), "a name of nobody's");
}

#[test]
fn files_are_of_one_domain_each_and_only_a_file_of_two_lets_one_play_the_other() {
    let side = Side::new("files.test", "/service", None);
    let partner = believes(&side.domain, "/service", "files-partner.test");
    let folder = side.domain.folder().join("fetched");
    let fetch = [
        "svid",
        "fetch",
        "x509",
        "--socket",
        path_text(&side.agent.socket),
        "--write",
        path_text(&folder),
    ];
    let _ = run(&fetch).exits(0);
    let [own, federated] = ["bundle.0.pem", "federated/files-partner.test.pem"].map(|file| folder.join(file));
    let [theirs, _] = partner.files(&folder, "theirs", "spiffe://files-partner.test/caller");
    let [impostor, _] = partner.files(&folder, "impostor", "spiffe://files.test/admin");
    assert!(is_believed(&federated, &theirs));
    for certificate in [&theirs, &impostor] {
        assert!(!is_believed(&own, certificate), "the own file has a root of the partner");
    }
    // Why docs/federation.md says not to: OpenSSL asks for a path to any root, whatever name the certificate has.
    let joined = folder.join("joined.pem");
    let both = [&own, &federated].map(|file| std::fs::read_to_string(file).expect("roots"));
    std::fs::write(&joined, both.concat()).expect("a file");
    assert!(is_believed(&joined, &impostor));
}

#[test]
fn nginx_with_the_file_of_its_own_domain_refuses_our_name_under_a_partners_root() {
    let world = FileWorld::start("root", &["--crl", "always"]);
    let partner = believes(&world.domain, "/web", "nginx-partner.test");
    let (web, client) = (world.sink("web"), world.sink("client"));
    assert!(web.join("federated/nginx-partner.test.pem").exists());
    let nginx = Nginx::start(&world);
    let bundle = web.join("bundle.pem");
    let asks = |chain: &Path, key: &Path| is_answered_with(&nginx.address, chain, key, &bundle);
    until("the client to be answered", || {
        asks(&client.join("svid.pem"), &client.join("svid_key.pem")).then_some(())
    });
    let [impostor, key] = partner.files(world.domain.folder(), "impostor", "spiffe://prod.example.org/client");
    assert!(!asks(&impostor, &key), "our name under the partner's root");
    let [theirs, key] = partner.files(world.domain.folder(), "theirs", "spiffe://nginx-partner.test/client");
    assert!(!asks(&theirs, &key), "it was given its own domain's file alone");
}

#[covers("BEP-05")]
#[test]
fn the_broker_api_refuses_a_brokers_name_under_a_partners_root() {
    let world = BrokerWorld::new("brokered.test");
    let partner = believes(&world.domain, "/mesh", "broker-partner.test");
    runtime().block_on(async {
        let honest = world.dialer().await;
        for address in [&world.unix, &world.tcp] {
            assert!(is_let_in(&honest, address).await, "the broker itself");
            for id in ["spiffe://brokered.test/mesh", "spiffe://broker-partner.test/mesh"] {
                let impostor = honest.showing(Some(partner.credential(id)));
                assert!(!is_let_in(&impostor, address).await, "{id} under the partner's root");
            }
        }
    });
}

/// Whether the server speaks after the handshake: it sends its settings to whom it lets in.
async fn is_let_in(dialer: &Dialer, address: &tests::broker::Address) -> bool {
    let Ok(mut stream) = dialer.dial(address).await else { return false };
    let read = tokio::time::timeout(tests::wait::PATIENCE, stream.read(&mut [0; 64])).await;
    read.expect("an answer").is_ok_and(|octets| octets > 0)
}

#[test]
fn the_servers_own_listener_refuses_a_nodes_name_under_a_partners_root() {
    let side = Side::new("nodes.test", "/service", None);
    let partner = believes(&side.domain, "/service", "nodes-partner.test");
    let address: SocketAddr = side.domain.address.parse().expect("an address");
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let runtime = runtime();
    for id in [
        "spiffe://nodes.test/troth/agent/join_token/n1",
        "spiffe://nodes.test/troth/server",
        "spiffe://nodes-partner.test/troth/agent/join_token/n1",
    ] {
        assert!(!runtime.block_on(partner.is_answered_as(id, address, preface)), "{id} under the partner's root");
    }
}
