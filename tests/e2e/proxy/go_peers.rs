//! Peers that we did not write, of this trust domain and of a partner's: go-spiffe calls the inbound proxy and serves behind the outbound one, while every
//! certificate is replaced.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tests::domain::{Agent, Domain, path_text};
use tests::go_peers::{GoCaller, GoService};
use tests::wait::PATIENCE;

use super::program::echo;
use super::{CLIENT, Proxy, SERVER, World};

/// Certificates of 10 s are replaced at half of it.
const LIFE: &str = "10s";

/// Each certificate is replaced so often; two at both ends of one connection do so at different moments.
const ROTATIONS: usize = 3;

/// Three take 15 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Each peer is asked that often.
const EVERY: Duration = Duration::from_millis(100);

/// A peer in Go: the agent that gives it its identity, and which that is.
struct Peer<'a> {
    agent: &'a Agent,
    id: String,
}

/// Makes a domain believe another, as operators who carry files do.
fn believes(domain: &Domain, other: &Domain) {
    let file = domain.folder().join("partner.json");
    let bundle = other.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout;
    std::fs::write(&file, bundle).expect("the partner's bundle");
    let _ = domain.told(&["bundle", "set", "--trust-domain", &other.name, path_text(&file), "--wait"]);
}

/// A trust domain with the identities of both proxies and of a peer.
fn world_with_peer() -> World {
    let domain = Domain::start("gophers.test");
    let agent = domain.agent("n1");
    for (path, uid) in [("/server", SERVER), ("/client", CLIENT), ("/go", nix::unistd::getuid().as_raw())] {
        domain.fast_entry("n1", path, uid, LIFE);
    }
    World { domain, agent }
}

/// A partner's trust domain with a peer; both domains believe each other, for these entries.
fn partner_of(world: &World) -> (Domain, Agent) {
    let partner = Domain::start("partner.test");
    let agent = partner.agent("n1");
    partner.fast_entry("n1", "/go", nix::unistd::getuid().as_raw(), LIFE);
    believes(&partner, &world.domain);
    believes(&world.domain, &partner);
    for (domain, path, with) in [
        (&world.domain, "/server", &partner),
        (&world.domain, "/client", &partner),
        (&partner, "/go", &world.domain),
    ] {
        let _ = domain.told(&["entry", "update", path, "--federates-with", &with.name, "--wait"]);
    }
    (partner, agent)
}

/// Says something to a peer through an outbound proxy, and returns the serial of the certificate that the peer saw.
fn presented_to_peer(outbound: &Proxy) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(outbound.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    let serial = answer.trim_end().strip_prefix("hello ");
    serial.map(str::to_owned).ok_or_else(|| std::io::Error::other(format!("answered {answer:?}")))
}

/// Returns the serials of a peer's certificates on connections that ended as they should.
fn shown_by(peer: &Peer<'_>, proxy: &Proxy) -> BTreeSet<String> {
    let records = proxy.records("closed").into_iter().filter(|record| record["peer_id"] == peer.id.as_str());
    records.filter_map(|record| record["peer_serial"].as_str().map(str::to_owned)).collect()
}

#[test]
fn peers_in_go_call_and_are_called_through_rotations_of_both_ends_with_no_failed_request() {
    let world = world_with_peer();
    let (partner, partners_agent) = partner_of(&world);
    let peers = [(&world.agent, world.id("/go")), (&partners_agent, format!("spiffe://{}/go", partner.name))].map(|(agent, id)| Peer { agent, id });
    let allowed = peers.iter().map(|peer| peer.id.as_str()).collect::<Vec<_>>().join(",");

    let inbound = world.inbound(&echo(true).to_string(), &["--allow", &allowed, "--proxy-protocol"]);
    let called: [(SocketAddr, String); 1] = [(inbound.address(), world.id("/server"))];
    let mut callers = peers.each_ref().map(|peer| GoCaller::start(&peer.agent.socket, &peer.id, EVERY, &called));
    callers.iter_mut().for_each(GoCaller::ready);
    let services = peers
        .each_ref()
        .map(|peer| GoService::admitting(&peer.agent.socket, &peer.id, &[world.id("/client")]));
    let outbound = [0, 1].map(|number: usize| world.outbound(&services[number].address().to_string(), &["--allow", &peers[number].id]));

    let (began, mut seen) = (Instant::now(), [BTreeSet::new(), BTreeSet::new()]);
    let is_done = |serials: &BTreeSet<String>| serials.len() > ROTATIONS;
    loop {
        for (proxy, seen) in outbound.iter().zip(&mut seen) {
            seen.insert(presented_to_peer(proxy).expect("no request fails"));
        }
        let shown = |proxies: [&Proxy; 2]| [0, 1].map(|number| shown_by(&peers[number], proxies[number]));
        let (callers, services) = (shown([&inbound; 2]), shown(outbound.each_ref()));
        if [&seen, &callers, &services].into_iter().flatten().all(is_done) && is_done(&inbound.serials()) {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{seen:?} {callers:?} {services:?} {:?}", inbound.serials());
        std::thread::sleep(EVERY);
    }
    for (proxy, seen) in outbound.iter().zip(&seen) {
        let given = proxy.serials();
        assert!(seen.is_subset(&given), "{seen:?} {given:?}");
    }
    for calls in callers.map(GoCaller::end) {
        assert_eq!(calls.asked_again, 0, "the proxy refused and believed again");
        assert!(
            calls.failures.is_empty(),
            "{} of {} failed: {:?}",
            calls.failures.len(),
            calls.asked,
            calls.failures
        );
        assert!(calls.asked > 50, "{} requests are no load", calls.asked);
    }
}
