//! Strangers who mean harm: each has its share of the listener, and everybody else is served.

use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::tests::{DEADLINE, World, write};
use super::{Rate, WebLimits};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: id.example.org\r\n\r\n";

/// Rates that no test reaches.
const FREE: Rate = Rate {
    burst: 100_000,
    per_second: 100_000,
};

/// So many at once, then one a second.
fn few(burst: u32) -> Rate {
    Rate { burst, per_second: 1 }
}

async fn world(limits: WebLimits) -> World {
    let world = World::with(limits).await;
    write(world.directory.path(), "id.example.org");
    world.identity.look().unwrap();
    world
}

/// Reads what comes until the other side ends the connection.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut rest = Vec::new();
    // Whether it is ended politely does not matter here.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("an end in time");
    String::from_utf8(rest).unwrap()
}

/// Reads the head of one answer and, with it, a body that is there already.
async fn answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains("\r\n\r\n") {
            let mut some = [0; 4_096];
            match stream.read(&mut some).await.unwrap() {
                0 => break,
                count => read.extend_from_slice(&some[..count]),
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("an answer in time");
    String::from_utf8(read).unwrap()
}

async fn is_served(world: &World) -> bool {
    let Ok(mut stream) = world.connect(&TLS13).await else { return false };
    stream.write_all(GET).await.unwrap();
    answer(&mut stream).await.starts_with("HTTP/1.1 200")
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again_over_whatever_connections() {
    let world = world(WebLimits {
        source_requests: few(2),
        ..WebLimits::default()
    })
    .await;
    for version in [&TLS12, &TLS13] {
        let asking = async {
            loop {
                let told = asked_elsewhere(&world, version).await;
                match told.starts_with("HTTP/1.1 429") {
                    true => break told,
                    false => assert!(told.starts_with("HTTP/1.1 404"), "{told}"),
                }
            }
        };
        let told = tokio::time::timeout(DEADLINE, asking).await.expect("a refusal");
        for part in ["retry-after: 1\r\n", "trace-id: 4bf92f3577b34da6a3ce929d0e0e4736", "too_many_requests"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    let again = async {
        while !is_served(&world).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.expect("after a pause it is served again");
}

async fn asked_elsewhere(world: &World, version: &'static SupportedProtocolVersion) -> String {
    let mut stream = world.connect(version).await.unwrap();
    let request = "GET /elsewhere HTTP/1.1\r\nhost: x\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn who_connects_too_often_is_dropped_before_the_handshake_costs_anything() {
    let world = world(WebLimits {
        source_connects: few(3),
        ..WebLimits::default()
    })
    .await;
    let mut opened = 0;
    for _ in 0..20 {
        opened += usize::from(world.connect(&TLS13).await.is_ok());
    }
    assert!((3..20).contains(&opened), "{opened}: seconds may have passed");
}

#[tokio::test]
async fn a_client_that_sends_its_handshake_or_its_request_octet_by_octet_is_dropped_in_time() {
    let world = world(WebLimits {
        handshake_deadline: Duration::from_millis(200),
        head_deadline: Duration::from_millis(200),
        life: Duration::from_secs(3_600),
        per_source: 4,
        ..WebLimits::default()
    })
    .await;
    // A handshake that never comes.
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    let read = tokio::time::timeout(DEADLINE, silent.read(&mut [0; 16])).await.expect("an end in time");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    // One that is silent after it, one that dribbles a head without end, and one that does so after a request that was answered.
    let mut quiet = world.connect(&TLS13).await.unwrap();
    assert_eq!(rest(&mut quiet).await, "");
    for begun in [false, true] {
        let (mut reading, mut writing) = tokio::io::split(world.connect(&TLS13).await.unwrap());
        if begun {
            writing.write_all(GET).await.unwrap();
        }
        let dribble = async {
            while writing.write_all(b"x").await.is_ok() && writing.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let mut heard = Vec::new();
        let ended = async { drop(reading.read_to_end(&mut heard).await) };
        let both = async { tokio::join!(dribble, ended) };
        tokio::time::timeout(DEADLINE, both).await.expect("it is dropped");
        assert_eq!(String::from_utf8_lossy(&heard).contains("HTTP/1.1 200"), begun);
    }
    assert!(is_served(&world).await, "every place is free again");
}

#[tokio::test]
async fn heads_without_measure_are_refused() {
    let world = world(WebLimits::default()).await;
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(20_000));
    let header = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\nconnection: close\r\n\r\n", "a".repeat(20_000));
    let headers = format!("GET / HTTP/1.1\r\nhost: x\r\n{}connection: close\r\n\r\n", "x: a\r\n".repeat(200));
    for head in [path, header, headers] {
        let mut stream = world.connect(&TLS13).await.unwrap();
        // It may be refused before it was sent whole.
        let _ = stream.write_all(head.as_bytes()).await;
        let told = rest(&mut stream).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    }
    assert!(is_served(&world).await);
}

#[tokio::test]
async fn a_body_without_end_is_never_read() {
    let world = world(WebLimits {
        source_requests: FREE,
        life: Duration::from_secs(3_600),
        ..WebLimits::default()
    })
    .await;
    for method in ["GET", "POST"] {
        let (mut reading, mut writing) = tokio::io::split(world.connect(&TLS13).await.unwrap());
        let head = format!("{method} / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        writing.write_all(head.as_bytes()).await.unwrap();
        let flood = async {
            let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
            let mut sent = 0_usize;
            while writing.write_all(chunk.as_bytes()).await.is_ok() {
                sent += 1;
                assert!(sent < 1_000, "{method}: 64 MB of a body were taken");
            }
        };
        let mut heard = Vec::new();
        let ended = async { drop(reading.read_to_end(&mut heard).await) };
        let both = async { tokio::join!(flood, ended) };
        tokio::time::timeout(DEADLINE, both).await.expect("the connection is ended");
        assert!(is_served(&world).await);
    }
}

#[tokio::test]
async fn one_who_never_reads_holds_its_own_share_until_the_end_of_the_connection() {
    let world = world(WebLimits {
        per_source: 2,
        life: Duration::from_millis(300),
        ..WebLimits::default()
    })
    .await;
    let mut held = [world.connect(&TLS13).await.unwrap(), world.connect(&TLS13).await.unwrap()];
    for stream in &mut held {
        stream.write_all(&GET.repeat(20)).await.unwrap();
    }
    assert!(world.connect(&TLS13).await.is_err(), "its share is two");
    let freed = async {
        while !is_served(&world).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, freed).await.expect("the connections ended with their life");
}

#[test]
fn a_place_for_all_together_is_left_when_one_source_takes_all_of_its_own() {
    let limits = WebLimits::default();
    assert!(limits.per_source * 8 <= limits.connections, "eight hostile sources leave room for others");
    assert!(limits.source_connects.per_second * 2 <= limits.connects.per_second);
    assert!(
        limits.source_requests.burst <= limits.source_connects.burst,
        "who connects for each request hears 429 before it is dropped"
    );
}
