//! What ends a connection that is open.

use tests::admin::runtime;

use super::World;
use super::peer::{connect, credential, is_cut_off, say};
use super::program::echo;
use super::refusals::believes;

#[test]
fn revocation_a_root_that_left_and_the_end_of_a_certificate_close_what_is_open() {
    let world = World::start("endings.test", "180s");
    let partner = believes(&world.domain, "guests.test");
    let inbound = world.inbound(&echo(false).to_string(), &["--allow-any", "--allow", "spiffe://guests.test"]);
    let address = inbound.address();
    runtime().block_on(async {
        let (friend, stranger) = (credential(&world, "/friend").await, credential(&world, "/stranger").await);
        let guest = partner.credential("spiffe://guests.test/one");
        let mut open = Vec::new();
        for shown in [&friend, &stranger, &guest] {
            let mut stream = connect(address, Some(shown)).await.expect("it is let in");
            assert_eq!(say(&mut stream, "before").await.expect("an answer"), "before");
            open.push(stream);
        }
        let [of_friend, of_stranger, of_guest] = &mut open[..] else { panic!("three") };

        let _ = world
            .domain
            .told(&["svid", "revoke", "--spiffe-id", "/friend", "--because", "stolen", "--wait"]);
        assert!(is_cut_off(of_friend).await, "without a word, so that nobody takes it for the end");
        assert_eq!(inbound.record("revoked")["peer_id"], world.id("/friend"));
        let again = async { say(&mut connect(address, Some(&friend)).await?, "again").await };
        again.await.expect_err("a revoked certificate opens nothing");

        let _ = world.domain.told(&["bundle", "delete", "--trust-domain", "guests.test", "--force", "--wait"]);
        assert!(is_cut_off(of_guest).await);
        assert_eq!(inbound.record("no_longer_trusted")["peer_id"], "spiffe://guests.test/one");

        assert_eq!(say(of_stranger, "after").await.expect("an answer"), "after", "who is not concerned goes on");
    });
}

#[test]
fn a_connection_ends_with_the_certificate_that_opened_it_and_with_the_proxys_entry() {
    let world = World::start("lives.test", "180s");
    let _ = world.domain.told(&["entry", "update", "/friend", "--x509-ttl", "10s", "--wait"]);
    let inbound = world.inbound(&echo(false).to_string(), &["--allow-any"]);
    runtime().block_on(async {
        // A certificate of the old life may be on the stream still.
        let friend = tests::wait::until_async("a short life", async || {
            let shown = credential(&world, "/friend").await;
            let leaf = trust_domains::x509::Certificate::parse(&shown.chain[0]).expect("a certificate");
            (leaf.not_before().duration_until(leaf.not_after()).as_secs() <= 30).then_some(shown)
        })
        .await;
        let mut short = connect(inbound.address(), Some(&friend)).await.expect("it is let in");
        assert_eq!(say(&mut short, "before").await.expect("an answer"), "before");
        assert!(is_cut_off(&mut short).await);
        assert_eq!(inbound.record("certificate_ended")["peer_id"], world.id("/friend"));

        let stranger = credential(&world, "/stranger").await;
        let mut open = connect(inbound.address(), Some(&stranger)).await.expect("it is let in");
        assert_eq!(say(&mut open, "before").await.expect("an answer"), "before");
        let _ = world.domain.told(&["entry", "delete", "/server"]);
        assert!(is_cut_off(&mut open).await);
        let _ = inbound.record("identity_withdrawn");
        let again = async { say(&mut connect(inbound.address(), Some(&stranger)).await?, "again").await };
        again.await.expect_err("there is nothing to show");
        let _ = inbound.record("no_identity");
    });
}
