//! A hostile process on the secret discovery socket: it costs the agent bounded memory, and others are served all the while.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use agent::sds_api::client::SecretDiscoveryServiceClient;
use agent::sds_api::messages::DiscoveryRequest;
use tests::admin::runtime;
use tests::domain::{Agent, Domain};
use tests::sds::{StateStream, asking, client, names_of};
use tests::wait::PATIENCE;
use tests::workload::{fetch_as, ids};
use tonic::{Code, Request};

/// Another user, who is to notice nothing.
const OTHER: u32 = 4_951;

/// The most that an attack here may add to the agent's memory: the limits of one user allow for more (docs/operations.md), what is tried here must not.
const MOST_ADDED_KB: u64 = 96 * 1024;

fn victim(name: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/attacker", nix::unistd::getuid().as_raw(), "180s");
    domain.fast_entry("n1", "/other", OTHER, "180s");
    (domain, agent)
}

fn others_are_served(domain: &Domain, agent: &Agent) {
    assert_eq!(ids(&fetch_as(OTHER, &agent.socket)), [format!("spiffe://{}/other", domain.name)]);
}

fn resident_kb(agent: &mut Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process().pid())).expect("a running agent");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Says octets on a connection and waits until the agent hangs up, or stays silent for a while.
fn say(socket: &Path, octets: &[u8]) {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a limit");
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a limit");
    let _hung_up = stream.write_all(octets);
    let _hung_up = stream.read_to_end(&mut Vec::new());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Returns an HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn garbage_and_floods_of_frames_end_their_own_connection_only() {
    let (domain, mut agent) = victim("garbage.test");
    let before = resident_kb(&mut agent);
    // A field that is never indexed: `x: ` and 1,000 octets (RFC 7541 section 6.2.2), in frames that never end the block.
    let field = [&[0, 1, b'x', 0x7f, 0xe9, 0x06][..], &[b'y'; 1_000]].concat();
    let continued = frame(9, 0, 1, &field.repeat(16));
    let flood = [PREFACE, &frame(1, 0, 1, &field), &continued.repeat(400)].concat();
    let pings = [PREFACE, &frame(6, 0, 0, &[0; 8]).repeat(100_000)].concat();
    let resets: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [frame(1, 4, stream, &[0x83, 0x86, 0x84, 0x41, 1, b'x']), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let resets = [PREFACE, &resets].concat();
    for octets in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 100_000], PREFACE, &flood, &pings, &resets] {
        say(&agent.sds_socket, octets);
        others_are_served(&domain, &agent);
    }
    let after = resident_kb(&mut agent);
    assert!(after < before + MOST_ADDED_KB, "{before} KB became {after} KB");
}

#[test]
fn what_is_too_large_is_refused_and_forgotten() {
    let (domain, mut agent) = victim("large.test");
    let before = resident_kb(&mut agent);
    runtime().block_on(async {
        for _ in 0..10 {
            let mut sds = client(&agent.sds_socket).await;
            let mut request = Request::new(asking(&["default"]));
            for part in 0..50 {
                let key = tonic::metadata::AsciiMetadataKey::from_bytes(format!("padding-{part}").as_bytes()).expect("a key");
                request.metadata_mut().insert(key, "x".repeat(100_000).parse().expect("text"));
            }
            assert!(sds.fetch_secrets(request).await.is_err(), "5 MB of metadata");
        }
        let mut sds = client(&agent.sds_socket).await;
        for names in [
            vec!["x".repeat(5_000_000)],
            (0..10_000).map(|number| format!("spiffe://large.test/{number}")).collect(),
            vec![String::from("x"); 500_000],
        ] {
            let asked = DiscoveryRequest {
                resource_names: names,
                ..DiscoveryRequest::default()
            };
            let mut stream = StateStream::open(&mut sds, asked).await.expect("a stream");
            assert_eq!(stream.next().await.expect_err("a refusal").code(), Code::ResourceExhausted);
        }
    });
    others_are_served(&domain, &agent);
    let after = resident_kb(&mut agent);
    assert!(after < before + MOST_ADDED_KB, "{before} KB became {after} KB");
}

#[test]
fn thousands_of_streams_that_nobody_reads_hold_little_and_leave_room_for_others() {
    /// Twice what one user may have.
    const STREAMS: usize = 2_000;
    /// Less than a response.
    const WINDOW: u32 = 512;
    let (domain, mut agent) = victim("slow.test");
    platform::process::raise_open_file_limit().expect("two files a stream");
    // It lives as long as its connections are to.
    let runtime = runtime();
    let before = resident_kb(&mut agent);
    let (mut open, refused) = runtime.block_on(async {
        let socket = agent.sds_socket.clone();
        let connector = tower::service_fn(move |_address| {
            let socket = socket.clone();
            async move { tokio::net::UnixStream::connect(socket).await.map(hyper_util::rt::TokioIo::new) }
        });
        let endpoint = tonic::transport::Endpoint::from_static("http://localhost")
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..STREAMS {
            // A connection each: what is not read fills it.
            let channel = endpoint.connect_with_connector(connector.clone()).await;
            let Ok(channel) = channel else {
                refused += 1;
                continue;
            };
            let mut slow = SecretDiscoveryServiceClient::new(channel);
            match tokio::time::timeout(PATIENCE, StateStream::open(&mut slow, DiscoveryRequest::default()))
                .await
                .expect("an answer")
            {
                Ok(stream) => open.push((slow, stream)),
                Err(_) => refused += 1,
            }
        }
        (open, refused)
    });
    assert_eq!((open.len(), refused), (1_000, STREAMS - 1_000));
    // Rotations and new entries, none of which is read.
    for number in 0..10 {
        domain.fast_entry("n1", &format!("/more/{number}"), nix::unistd::getuid().as_raw(), "10s");
        others_are_served(&domain, &agent);
    }
    let after = resident_kb(&mut agent);
    assert!(after < before + MOST_ADDED_KB, "{before} KB became {after} KB");
    // Who reads at last has the newest state within a few responses.
    runtime.block_on(async {
        let (_, stream) = open.first_mut().expect("a stream");
        let newest = format!("spiffe://{}/more/9", domain.name);
        let mut responses = 0;
        while !names_of(&stream.next().await.expect("a response")).contains(&newest) {
            responses += 1;
            assert!(responses < 10, "old states were kept for it");
        }
    });
}
