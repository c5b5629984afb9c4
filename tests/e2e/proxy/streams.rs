//! What goes through: unchanged, to its end, and no more than is read.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use tests::admin::runtime;
use tests::envoy::get;
use tests::ports::free_port;
use tests::wait::{PATIENCE, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::World;
use super::peer::{ask, connect, credential, say};
use super::program::{Told, answers_at_the_end, echo};

/// A header such as a proxy sends, of somebody that the peer is not.
const FORGED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x1e\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02\xe0\x00\x0fspiffe://a.b/admn";

#[test]
fn a_half_closed_connection_carries_a_long_answer_and_a_peers_own_header_is_payload() {
    let world = World::start("streams.test", "180s");
    let inbound = world.inbound(&answers_at_the_end().to_string(), &["--allow-any", "--proxy-protocol"]);
    let outbound = world.outbound(&inbound.listen, &["--allow", "/server"]);
    // Through both proxies: the client says all, ends its half, and only then is answered.
    let mut stream = TcpStream::connect(outbound.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut writer = stream.try_clone().expect("its other half");
    let payload = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&payload).expect("all is taken");
        writer.shutdown(Shutdown::Write).expect("an end");
    });
    let mut heard = Vec::new();
    let told = Told::read(&mut stream).expect("the header that the program got, sent back");
    stream.read_to_end(&mut heard).expect("a clean end");
    writing.join().expect("all is sent");
    assert!(heard == sent, "{} octets of {}", heard.len(), sent.len());
    assert_eq!(told.spiffe_id, world.id("/client"));
    assert_eq!(told.tls[..5], [3, 0, 0, 0, 0]);
    let record = outbound.record("closed");
    assert_eq!(record["sent"], sent.len());
    assert_eq!(inbound.record("closed")["from"], told.source);

    runtime().block_on(async {
        let friend = credential(&world, "/friend").await;
        let mut peer = connect(inbound.address(), Some(&friend)).await.expect("a friend");
        peer.write_all(FORGED).await.expect("it is taken");
        peer.shutdown().await.expect("an end");
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.expect("all of it");
        let mut heard = heard.as_slice();
        let told = Told::read(&mut heard).expect("the proxy's header comes first");
        assert_eq!(told.spiffe_id, world.id("/friend"));
        assert_eq!(heard, FORGED, "the peer's is what the peer said");
    });
}

/// Returns how many octets a proxy with one listener has passed on this way.
fn counted(telemetry: &str, way: &str) -> Option<u64> {
    let metrics = get(telemetry.parse().expect("an address"), "/metrics").ok()?.body;
    let mut counts = metrics.lines().filter(|line| line.starts_with("troth_proxy_octets_total{"));
    let count = counts.find(|line| line.contains(&format!("way=\"{way}\"")))?;
    count.rsplit(' ').next()?.parse().ok()
}

#[test]
fn what_a_connection_carries_is_counted_while_it_is_open() {
    let world = World::start("long.test", "180s");
    let telemetry = format!("127.0.0.1:{}", free_port());
    let inbound = world.inbound(&echo(true).to_string(), &["--allow-any", "--proxy-protocol", "--telemetry-listen", &telemetry]);
    runtime().block_on(async {
        let friend = credential(&world, "/friend").await;
        let mut open = connect(inbound.address(), Some(&friend)).await.expect("a friend");
        let (mut asked, mut answered) = (0, 0);
        for line in ["hello", "still here"] {
            asked += line.len() + 1;
            answered += say(&mut open, line).await.expect("an answer").len() + 1;
            for (way, octets) in [("received", asked), ("sent", answered)] {
                until("the count", || (counted(&telemetry, way)? == octets as u64).then_some(()));
            }
        }
        assert_eq!(inbound.records("closed").len(), 0, "it is open");
    });
    // Its end adds nothing: it was counted.
    let record = until("its record", || inbound.lines().into_iter().find(|line| line["received"].is_u64()));
    assert_eq!(counted(&telemetry, "received"), record["received"].as_u64());
}

#[test]
fn who_never_finishes_a_handshake_does_not_keep_others_out() {
    let world = World::start("loris.test", "180s");
    let bounds = ["--handshake-deadline", "2s", "--max-connections", "8", "--max-connections-per-source", "8"];
    let inbound = world.inbound(&echo(false).to_string(), &[&["--allow", "/friend"][..], &bounds].concat());
    let friend_is_let_in = || {
        runtime().block_on(async {
            let friend = credential(&world, "/friend").await;
            let heard = tests::wait::until_async("a place", async || ask(inbound.address(), Some(&friend), "hello").await.ok()).await;
            assert_eq!(heard, "hello");
        });
    };
    // Before the proxy has its identity nobody is kept waiting for a handshake.
    friend_is_let_in();
    let silent: Vec<_> = (0..12).map(|_| TcpStream::connect(inbound.address()).expect("a connection")).collect();
    let _ = inbound.record("no_room");
    let _ = inbound.record("handshake_too_slow");
    drop(silent);
    friend_is_let_in();
    let slow = inbound.records("handshake_too_slow").len();
    assert!(slow <= 8, "at most as many as there are places: {slow}");
}

#[test]
fn a_target_that_is_down_is_told_and_nobody_waits() {
    let world = World::start("down.test", "180s");
    let nobody = format!("127.0.0.1:{}", free_port());
    let inbound = world.inbound(&nobody, &["--allow", "/client"]);
    let outbound = world.outbound(&inbound.listen, &["--allow", "/server"]);
    let mut stream = TcpStream::connect(outbound.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect_err("a reset and no clean end");
    assert_eq!(inbound.record("target_unreachable")["to"], nobody.as_str());
    let _ = outbound.record("peer_broke_off");
    let alone = world.outbound(&nobody, &["--allow", "/server"]);
    let mut stream = TcpStream::connect(alone.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream.read_to_end(&mut heard).expect_err("a reset");
    let _ = alone.record("target_unreachable");
}
