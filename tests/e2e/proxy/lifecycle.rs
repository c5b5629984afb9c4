//! Start, an agent that is away, and the end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use nix::sys::signal::Signal;
use tests::admin::runtime;
use tests::envoy::get;
use tests::ports::free_port;
use tests::wait::{PATIENCE, until};
use tokio::io::AsyncWriteExt as _;

use super::World;
use super::peer::{ask, connect, credential, is_cut_off, say};
use super::program::{echo, tells_its_end};

#[test]
fn without_an_agent_the_last_credentials_serve_until_they_end_and_new_ones_are_taken_up_at_once() {
    let mut world = World::start("away.test", "10s");
    let telemetry = format!("127.0.0.1:{}", free_port());
    let inbound = world.inbound(&echo(false).to_string(), &["--allow-any", "--telemetry-listen", &telemetry]);
    let telemetry = telemetry.parse().expect("an address");
    let status = || get(telemetry, "/readyz").ok().map(|answer| answer.status);
    until("readiness", || (status() == Some(200)).then_some(()));
    world.agent.process().kill_9();
    until("the end of the credentials", || (status() == Some(503)).then_some(()));
    let mut refused = TcpStream::connect(inbound.address()).expect("it listens all the time");
    refused.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let ended = refused.read(&mut [0; 1]);
    assert!(ended.is_err() || ended.is_ok_and(|octets| octets == 0), "it is closed without a word");
    let _ = inbound.record("no_identity");
    world.agent.launch(None);
    world.agent.ready();
    until("readiness again", || (status() == Some(200)).then_some(()));
    runtime().block_on(async {
        let heard = tests::wait::until_async("an answer", async || {
            let friend = credential(&world, "/friend").await;
            ask(inbound.address(), Some(&friend), "hello").await.ok()
        });
        assert_eq!(heard.await, "hello");
    });
    let metrics = get(telemetry, "/metrics").expect("metrics").body;
    for name in [
        "troth_proxy_connections_total{",
        "why=\"no_identity\"",
        "troth_proxy_octets_total{",
        "troth_proxy_identity_not_after_seconds ",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}

#[test]
fn a_proxy_that_ends_lets_open_connections_finish_as_long_as_it_may() {
    let world = World::start("drain.test", "180s");
    let (of_the_patient, of_the_hasty) = (tells_its_end(), tells_its_end());
    let telemetry = format!("127.0.0.1:{}", free_port());
    let mut patient = world.inbound(&of_the_patient.0.to_string(), &["--allow-any", "--telemetry-listen", &telemetry]);
    let telemetry: SocketAddr = telemetry.parse().expect("an address");
    let mut hasty = world.inbound(&of_the_hasty.0.to_string(), &["--allow-any", "--drain", "1s"]);
    runtime().block_on(async {
        let friend = credential(&world, "/friend").await;
        let mut open = connect(patient.address(), Some(&friend)).await.expect("a friend");
        let mut cut = connect(hasty.address(), Some(&friend)).await.expect("a friend");
        for stream in [&mut open, &mut cut] {
            assert_eq!(say(stream, "before").await.expect("an answer"), "before");
        }
        patient.process.signal(Signal::SIGTERM);
        until("a closed listener", || TcpStream::connect(patient.address()).is_err().then_some(()));
        assert_eq!(say(&mut open, "after").await.expect("an answer"), "after");
        // Who watches sees that it drains, and how much is still open.
        let ready = get(telemetry, "/readyz").expect("an answer");
        assert_eq!((ready.status, ready.body.trim()), (503, "ending"));
        assert_eq!(get(telemetry, "/livez").expect("an answer").status, 200);
        let metrics = get(telemetry, "/metrics").expect("metrics").body;
        assert!(metrics.contains("troth_proxy_open_connections{listener=\"inbound\"} 1\n"), "{metrics}");
        // With the end that TLS has; without it the proxy would have to take it for a cut.
        open.shutdown().await.expect("the peer's end");
        drop(open);
        hasty.process.signal(Signal::SIGTERM);
        assert!(is_cut_off(&mut cut).await);
    });
    // What was cut off must not look whole to the program either.
    assert_eq!(of_the_patient.1.recv_timeout(PATIENCE), Ok(false));
    assert_eq!(of_the_hasty.1.recv_timeout(PATIENCE), Ok(true));
    assert!(patient.process.ended().success() && hasty.process.ended().success());
    assert!(patient.records("drained").is_empty());
    assert_eq!(hasty.records("drained").len(), 1);
}

#[test]
fn a_file_has_listeners_of_both_directions_and_unix_sockets() {
    let world = World::start("whole.test", "180s");
    let folder = world.domain.folder().join("sockets");
    std::fs::create_dir(&folder).expect("a directory");
    std::os::unix::fs::chown(&folder, Some(super::SERVER), Some(super::SERVER)).expect("its owner");
    let (socket, front) = (folder.join("peer.sock"), format!("127.0.0.1:{}", free_port()));
    let socket = socket.display();
    let text = format!(
        "[[listener]]\ndirection = 'inbound'\nlisten = 'unix:{socket}'\ntarget = '{}'\nallow = ['/server']\nproxy_protocol = true\n\
         [[listener]]\ndirection = 'outbound'\nlisten = '{front}'\ntarget = 'unix:{socket}'\nallow = ['/server']\n",
        echo(true)
    );
    let file = world.domain.folder().join("proxy.toml");
    std::fs::write(&file, text).expect("a file");
    let path = file.to_str().expect("a path");
    let _ = tests::command::run(&["config", "check", path]).exits(0);
    let proxy = super::Proxy::start(&world.agent.socket, world.domain.folder(), super::SERVER, &front, &["run", "--config", path]);
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream.write_all(b"hello\n").expect("it is taken");
    let mut heard = vec![0; 6 + world.id("/server").len()];
    stream.read_exact(&mut heard).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&heard), format!("hello {}", world.id("/server")));
}
