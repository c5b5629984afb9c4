//! Who is let in, and who is not.

use tests::admin::runtime;
use tests::broker::Credential;
use tests::command::run;
use tests::domain::{Domain, path_text};

use super::World;
use super::peer::{ask, credential};
use super::program::echo;
use crate::federation::impostor::Authority;

/// Lets the entries of the proxies federate with a trust domain whose authority the test has.
pub(super) fn believes(domain: &Domain, partner: &str) -> Authority {
    let authority = Authority::of(partner);
    let file = domain.folder().join(format!("{partner}.pem"));
    std::fs::write(&file, authority.pem()).expect("the partner's root");
    let _ = domain.told(&["bundle", "set", "--trust-domain", partner, "--format", "pem", path_text(&file)]);
    let _ = domain.told(&["entry", "update", "/server", "--federates-with", partner, "--wait"]);
    authority
}

#[test]
fn each_peer_is_believed_under_its_own_domain_and_let_in_if_it_is_wanted() {
    let world = World::start("refusals.test", "180s");
    let partner = believes(&world.domain, "guests.test");
    let inbound = world.inbound(&echo(true).to_string(), &["--allow", "/friend,spiffe://guests.test/api/*", "--proxy-protocol"]);
    let address = inbound.address();
    runtime().block_on(async {
        let (friend, stranger) = (credential(&world, "/friend").await, credential(&world, "/stranger").await);
        let heard = ask(address, Some(&friend), "hello").await.expect("a friend");
        assert!(heard.starts_with(&format!("hello {} ", world.id("/friend"))), "{heard}");
        let guest = partner.credential("spiffe://guests.test/api/one");
        let heard = ask(address, Some(&guest), "hello").await.expect("a guest");
        assert!(heard.starts_with("hello spiffe://guests.test/api/one "), "{heard}");

        ask(address, Some(&stranger), "hello").await.expect_err("not on the list");
        let record = inbound.record("peer_not_allowed");
        assert_eq!(
            record["detail"],
            format!("{} is not on the allow-list (peer_not_allowed)", world.id("/stranger"))
        );
        assert_eq!(record["peer_id"], world.id("/stranger"), "it is proved");
        assert!(record["peer_serial"].is_string());
        ask(address, None, "hello").await.expect_err("no certificate");
        let _ = inbound.record("handshake_failed");
        let unproved = [
            ("our name under the partner's root", partner.credential(&world.id("/friend"))),
            ("the partner's name under nobody's root", Credential::forged("spiffe://guests.test/api/one")),
            ("our name under nobody's root", Credential::forged(&world.id("/friend"))),
            ("our name, signed by itself", Credential::self_signed(&world.id("/friend"))),
        ];
        for (what, shown) in &unproved {
            ask(address, Some(shown), "hello").await.expect_err(what);
        }
        let other = partner.credential("spiffe://guests.test/apis");
        ask(address, Some(&other), "hello").await.expect_err("the partner's, and not below /api");
        let third = partner.credential("spiffe://third.test/api/one");
        ask(address, Some(&third), "hello")
            .await
            .expect_err("a third domain's name under the partner's root");
        tests::wait::until("all records", || (inbound.records("peer_unproved").len() == unproved.len()).then_some(()));
        tests::wait::until("both refusals", || (inbound.records("peer_not_allowed").len() == 3).then_some(()));
        let third = inbound.records("peer_not_allowed").pop().expect("the last of them");
        assert!(
            third["detail"]
                .as_str()
                .is_some_and(|told| told.contains("no rule of the allow-list is about third.test")),
            "{third}"
        );
        assert!(third["peer_id"].is_null(), "it is not proved: {third}");
    });
}

#[test]
fn a_program_is_not_connected_to_a_server_that_is_not_wanted() {
    let world = World::start("servers.test", "180s");
    let inbound = world.inbound(&echo(false).to_string(), &["--allow-any", "--spiffe-id", "/server"]);
    let client = world.id("/client");
    let outbound = world.outbound(&inbound.listen, &["--allow", "/somebody-else", "--spiffe-id", &client]);
    let mut stream = std::net::TcpStream::connect(outbound.address()).expect("a connection");
    let mut heard = Vec::new();
    let ended = std::io::Read::read_to_end(&mut stream, &mut heard);
    assert!(ended.is_err() && heard.is_empty(), "a reset, and no answer");
    assert_eq!(outbound.record("peer_not_allowed")["sent"], 0);
}

#[test]
fn without_an_allow_list_or_with_an_open_plain_side_nothing_starts() {
    let start = |arguments: &[&str]| {
        let refused = run(&[&["--output", "json", "proxy"], arguments].concat()).exits(2);
        let hint = refused.json()["hint"].as_str().unwrap_or_default().to_owned();
        assert!(hint.contains("troth proxy inbound --help") && !hint.contains("config check"), "{hint}");
        refused.problem()
    };
    assert_eq!(start(&["inbound", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1"]), "config_invalid");
    assert_eq!(
        start(&["inbound", "--listen", "127.0.0.1:0", "--target", "192.0.2.1:1", "--allow-any"]),
        "config_invalid"
    );
    assert_eq!(
        start(&["outbound", "--listen", "0.0.0.0:0", "--target", "a:1", "--allow", "/a"]),
        "config_invalid"
    );
    assert_eq!(
        start(&["inbound", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1", "--allow", "*"]),
        "config_invalid"
    );
}
