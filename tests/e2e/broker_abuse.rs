//! Who must not get in to the Broker API, and what a hostile broker costs: bounded memory, and no workload notices.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use agent::broker_api::client::BrokerApiClient;
use agent::broker_api::messages::{SubscribeToJwtBundlesRequest, SubscribeToX509BundlesRequest, SubscribeToX509svidResponse, WorkloadReference};
use conformance::covers;
use rustls::HandshakeKind;
use tests::admin::runtime;
use tests::broker::{Address, Credential, Dialer, EACH_VERSION, Sleeper, Stream, agent_id, dial_with};
use tests::domain::{Agent, Domain, path_text};
use tests::wait::{PATIENCE, until_async};
use tests::workload::{fetch_as, ids};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio_rustls::client::TlsStream;
use tonic::{Code, Request, Status, Streaming};

use super::broker::{WORKLOAD, World, end, next, own_uid, reason, svids_of, token_of};

/// A user whose process gets the number that a workload had.
const IMPOSTOR: u32 = 4_963;

/// The most that an attack here may add to the agent's memory: 1,000 streams, and buffers of connections.
const MOST_ADDED_KB: u64 = 96 * 1024;

/// Tries to get in, and returns how it was refused.
async fn shut_out(dialer: &Dialer, address: &Address) -> String {
    let mut stream = match dialer.dial(address).await {
        Ok(stream) => stream,
        Err(refused) => return refused.to_string(),
    };
    // With TLS 1.3 a client is done before the server has seen its certificate. Who is let in is sent the server's settings.
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an answer");
    match read {
        Ok(0) => "closed".to_owned(),
        Ok(_) => "let in".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

#[covers("BEP-04", "BEP-05")]
#[test]
fn nobody_gets_in_without_a_certificate_that_the_bundle_of_its_own_domain_vouches_for() {
    let world = World::new("door.test");
    let other = Domain::start("other.test");
    let others_agent = other.agent("n1");
    other.fast_entry("n1", "/mesh", own_uid(), "180s");
    let mesh = world.id("/mesh");
    runtime().block_on(async {
        let honest = world.dialer().await;
        let (same_path, _) = Credential::of_workload(&others_agent.socket, "spiffe://other.test/mesh").await;
        let own = honest.credential.clone().expect("a credential");
        let without_its_key = Credential {
            key: Credential::forged(&mesh).key,
            chain: own.chain.clone(),
        };
        let without_its_issuer = Credential {
            chain: own.chain[..1].to_vec(),
            key: own.key.clone_key(),
        };
        for (what, credential) in [
            ("nothing", None),
            ("the same path in another domain", Some(same_path)),
            ("its own signature", Some(Credential::self_signed(&mesh))),
            ("somebody's signature", Some(Credential::forged(&mesh))),
            ("a domain that nobody knows", Some(Credential::forged("spiffe://stranger.test/mesh"))),
            ("a certificate without its key", Some(without_its_key)),
            ("a certificate without its issuer", Some(without_its_issuer)),
        ] {
            for (address, versions) in [(&world.unix, EACH_VERSION[0]), (&world.unix, EACH_VERSION[1]), (&world.tcp, EACH_VERSION[0])] {
                let dialer = Dialer {
                    versions,
                    ..honest.showing(credential.clone())
                };
                let refused = shut_out(&dialer, address).await;
                assert!(refused.contains("alert"), "{what}: {refused}");
            }
        }
        // A broker that expects another agent does not speak to this one: what the agent shows is its node's SVID.
        let mistaken = Dialer {
            expected: agent_id(&others_agent),
            ..honest.clone()
        };
        assert!(mistaken.dial(&world.unix).await.is_err(), "another agent");
        assert_eq!(shut_out(&honest, &world.unix).await, "let in", "the broker itself");
    });
    // Without TLS there is nothing at all.
    let Address::Unix(path) = &world.unix else { panic!("the socket") };
    let mut plain = UnixStream::connect(path).expect("a connection");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("the preface");
    plain.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut answer = Vec::new();
    let _hung_up = plain.read_to_end(&mut answer);
    assert!(answer.len() < 64, "an alert at most");
}

#[covers("BEP-04")]
#[test]
fn no_session_is_ever_resumed() {
    let world = World::new("resumed.test");
    runtime().block_on(async {
        for versions in EACH_VERSION {
            let dialer = Dialer {
                versions,
                ..world.dialer().await
            };
            let config = Arc::new(dialer.config());
            for _ in 0..3 {
                let mut stream = dial_with(Arc::clone(&config), &world.unix).await.expect("a connection");
                // Tickets would come with the first octets.
                let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an answer");
                assert!(read.expect("the settings") > 0);
                assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
            }
        }
    });
}

/// Returns how every method answers about a process.
async fn answers(broker: &mut BrokerApiClient, pid: i32) -> Vec<Status> {
    let reference = || Some(WorkloadReference::of_pid(pid));
    let refused = [
        broker.subscribe_to_x509svid(svids_of(pid)).await.map(drop),
        broker
            .subscribe_to_x509_bundles(SubscribeToX509BundlesRequest { reference: reference() })
            .await
            .map(drop),
        broker
            .subscribe_to_jwt_bundles(SubscribeToJwtBundlesRequest { reference: reference() })
            .await
            .map(drop),
        broker.fetch_jwtsvid(token_of(pid, &["db"], "")).await.map(drop),
    ];
    refused
        .into_iter()
        .map(|answer| answer.err().unwrap_or_else(|| Status::ok("an answer")))
        .collect()
}

#[covers("BRK-11", "BEP-05")]
#[test]
fn who_is_not_on_the_list_is_refused_at_each_call_whether_the_process_exists_or_not() {
    let world = World::with("list.test", "180s", &["--broker-allow", "/mesh/a=pid"]);
    world.domain.fast_entry("n1", "/mesh/a/b", own_uid(), "180s");
    let workload = Sleeper::start(WORKLOAD);
    runtime().block_on(async {
        for path in ["/mesh", "/mesh/a/b"] {
            let dialer = Dialer::of_workload(&world.agent, &world.id(path)).await;
            for address in [&world.unix, &world.tcp] {
                let mut broker = dialer.connect(address).await.expect("a connection");
                for pid in [workload.pid(), i32::MAX, 0] {
                    for status in answers(&mut broker, pid).await {
                        assert_eq!(status.code(), Code::PermissionDenied, "{path}: {status:?}");
                        assert!(status.details().is_empty() && status.message().contains("no broker"), "{status:?}");
                    }
                }
            }
        }
    });
    // Nobody is on the list of an agent that names nobody.
    let world = World::with("nobody.test", "180s", &[]);
    runtime().block_on(async {
        let refused = answers(&mut world.broker().await, workload.pid()).await;
        assert!(refused.iter().all(|status| status.code() == Code::PermissionDenied), "{refused:?}");
    });
    let log = std::fs::read_to_string(world.domain.folder().join("agent-n1.log")).expect("the agent's log");
    assert!(log.contains("the Broker API is served to nobody"), "{log}");
}

#[test]
fn a_message_over_twelve_kib_is_out_of_range_as_the_page_says() {
    let world = World::with("long.test", "180s", &["--broker-allow", "/mesh=pid"]);
    runtime().block_on(async {
        let request = token_of(1, &["a".repeat(13 * 1024).as_str()], "");
        let refused = world.broker().await.fetch_jwtsvid(request).await.map(drop).unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    });
}

async fn stream_of(broker: &mut BrokerApiClient, pid: i32) -> Streaming<SubscribeToX509svidResponse> {
    let mut stream = broker.subscribe_to_x509svid(svids_of(pid)).await.expect("a stream").into_inner();
    next(&mut stream).await.expect("a state");
    stream
}

#[covers("BEP-04")]
#[test]
fn a_connection_ends_with_the_certificate_that_opened_it_and_the_agent_always_shows_its_present_one() {
    let world = World::with_server("life.test", &["--node-ttl", "20s"], "10s", &["--broker-allow", "/mesh=pid"]);
    let workload = Sleeper::start(WORKLOAD);
    runtime().block_on(async {
        let early = world.dialer().await;
        let first_shown = shown_by_agent(&early, &world.unix).await;
        let mut stream = stream_of(&mut early.connect(&world.unix).await.expect("a connection"), workload.pid()).await;
        let ended = end(&mut stream).await;
        assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
        for address in [&world.unix, &world.tcp] {
            let refused = shut_out(&early, address).await;
            assert!(refused.contains("alert"), "an expired certificate: {refused}");
        }
        until_async("the agent's next certificate", async || {
            let broker = world.dialer().await;
            let _answered = stream_of(&mut broker.connect(&world.unix).await.ok()?, workload.pid()).await;
            (shown_by_agent(&broker, &world.unix).await != first_shown).then_some(())
        })
        .await;
    });
}

async fn shown_by_agent(dialer: &Dialer, address: &Address) -> Vec<u8> {
    let stream = dialer.dial(address).await.expect("a connection");
    stream.get_ref().1.peer_certificates().expect("its chain")[0].to_vec()
}

#[covers("BRK-15", "BEP-05", "FED-06")]
#[test]
fn a_broker_of_a_partner_gets_in_while_the_partner_is_trusted_and_only_if_it_is_listed() {
    let partner = Domain::start("partner.test");
    let partners_agent = partner.agent("n1");
    partner.fast_entry("n1", "/mesh", own_uid(), "180s");
    partner.fast_entry("n1", "/else", own_uid(), "180s");
    let world = World::with(
        "host.test",
        "180s",
        &["--broker-allow", "spiffe://partner.test/mesh=pid", "--broker-allow", "/mesh=pid"],
    );
    let workload = Sleeper::start(WORKLOAD);
    runtime().block_on(async {
        let own = world.dialer().await;
        let of_partner = async |path: &str| Credential::of_workload(&partners_agent.socket, &format!("spiffe://partner.test{path}")).await.0;
        let (listed, unlisted) = (own.showing(Some(of_partner("/mesh").await)), own.showing(Some(of_partner("/else").await)));
        assert!(shut_out(&listed, &world.unix).await.contains("alert"), "no bundle of the partner is here");

        let file = world.domain.folder().join("partner.json");
        std::fs::write(&file, partner.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout).expect("the bundle");
        let _ = world
            .domain
            .told(&["bundle", "set", "--trust-domain", "partner.test", path_text(&file), "--wait"]);
        let _ = world.domain.told(&["entry", "update", "/web", "--federates-with", "partner.test", "--wait"]);
        let mut broker = listed.connect(&world.unix).await.expect("the partner is trusted");
        let mut stream = broker.subscribe_to_x509svid(svids_of(workload.pid())).await.expect("a stream").into_inner();
        let update = next(&mut stream).await.expect("a state");
        assert_eq!(update.svids[0].spiffe_id, world.id("/web"));
        assert_eq!(update.federated_bundles.keys().collect::<Vec<_>>(), ["spiffe://partner.test"]);
        let refused = answers(&mut unlisted.connect(&world.unix).await.expect("a connection"), workload.pid()).await;
        assert!(refused.iter().all(|status| status.code() == Code::PermissionDenied), "{refused:?}");

        let mut own_stream = stream_of(&mut own.connect(&world.unix).await.expect("a connection"), workload.pid()).await;
        let _ = world.domain.told(&["bundle", "delete", "--trust-domain", "partner.test", "--force", "--wait"]);
        let ended = end(&mut stream).await;
        assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
        assert!(shut_out(&listed, &world.unix).await.contains("alert"), "the partner is not trusted any more");
        let update = next(&mut own_stream).await.expect("its own broker's stream goes on");
        assert!(update.federated_bundles.is_empty());
    });
}

/// Starts a process that has a number which was somebody else's. Other tests start processes too, so it may take some tries.
fn with_number(pid: i32) -> Option<Sleeper> {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    std::fs::write(LAST, (pid - 1).to_string()).expect("only root may say which number comes next");
    let sleeper = Sleeper::start(IMPOSTOR);
    (sleeper.pid() == pid).then_some(sleeper)
}

#[covers("BRK-05", "BRK-18")]
#[test]
fn a_number_that_is_used_again_never_means_the_process_that_had_it() {
    let world = World::new("again.test");
    world.domain.fast_entry("n1", "/impostor", IMPOSTOR, "180s");
    runtime().block_on(async {
        let mut broker = world.broker().await;
        let workload = Sleeper::start(WORKLOAD);
        let pid = workload.pid();
        let mut stream = stream_of(&mut broker, pid).await;
        drop(workload);
        let impostor = tests::wait::until("the number", || with_number(pid));
        assert_eq!(reason(&end(&mut stream).await), (Code::NotFound, "WORKLOAD_NOT_FOUND".to_owned()));
        let mut stream = broker.subscribe_to_x509svid(svids_of(pid)).await.expect("a stream").into_inner();
        assert_eq!(next(&mut stream).await.expect("a state").svids[0].spiffe_id, world.id("/impostor"));
        let denied = broker
            .fetch_jwtsvid(token_of(pid, &["db"], &world.id("/web")))
            .await
            .expect_err("it is another");
        assert_eq!(denied.code(), Code::PermissionDenied);
        drop(impostor);
        assert_eq!(end(&mut stream).await.code(), Code::NotFound);
    });
}

fn resident_kb(agent: &mut Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process().pid())).expect("a running agent");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Another workload fetches as ever.
fn others_are_served(world: &World) {
    assert_eq!(ids(&fetch_as(WORKLOAD, &world.agent.socket)), [world.id("/web")]);
}

/// Opens a connection from one of the addresses of loopback, and begins a record of TLS that never ends.
fn silent_from(host: u16, to: SocketAddr) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::from_bits(0x7f00_0002 + u32::from(host)), 0));
    let opened = runtime().block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(from)?;
        socket.connect(to).await?.into_std()
    });
    let mut stream = opened.expect("a connection");
    let _hung_up = stream.write_all(&[0x16, 3, 1, 2, 0, 1]);
    stream
}

#[test]
fn garbage_and_handshakes_that_never_end_keep_nobody_else_out() {
    let mut world = World::new("garbage.test");
    let before = resident_kb(&mut world.agent);
    let (Address::Unix(socket), Address::Tcp(address)) = (world.unix.clone(), world.tcp.clone()) else {
        panic!("both")
    };
    for octets in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0xff; 500_000],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0; 500_000],
    ] {
        let mut stream = UnixStream::connect(&socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let _hung_up = stream.write_all(octets);
        let _hung_up = stream.read_to_end(&mut Vec::new());
    }
    // Connections that say nothing, or half a record: more than one source may have.
    let silent: Vec<TcpStream> = (0..400_u16).map(|number| silent_from(number % 250, address)).collect();
    others_are_served(&world);
    runtime().block_on(async {
        let workload = Sleeper::start(WORKLOAD);
        let asked = token_of(workload.pid(), &["db"], "");
        world.broker().await.fetch_jwtsvid(asked).await.expect("the socket has handshakes of its own");
        // The address has its handshakes back once those that never end are over.
        let dialer = world.dialer().await;
        until_async("room for a handshake", async || dialer.connect(&world.tcp).await.ok()).await;
    });
    drop(silent);
    let after = resident_kb(&mut world.agent);
    assert!(after < before + MOST_ADDED_KB, "{before} KB became {after} KB");
}

#[test]
fn a_broker_that_floods_is_held_to_its_share_and_workloads_do_not_notice() {
    /// Twice what one broker may have.
    const STREAMS: usize = 2_000;
    let mut world = World::new("flood.test");
    world.domain.fast_entry("n1", "/other", own_uid(), "180s");
    let workload = Sleeper::start(WORKLOAD);
    let runtime = runtime();
    let before = resident_kb(&mut world.agent);
    let (held, mut broker) = runtime.block_on(async {
        let dialer = world.dialer().await;
        for _ in 0..5 {
            let mut broker = dialer.connect(&world.unix).await.expect("a connection");
            let mut request = Request::new(svids_of(workload.pid()));
            for part in 0..50 {
                let key = tonic::metadata::AsciiMetadataKey::from_bytes(format!("padding-{part}").as_bytes()).expect("a key");
                request.metadata_mut().insert(key, "x".repeat(100_000).parse().expect("text"));
            }
            assert!(broker.subscribe_to_x509svid(request).await.is_err(), "5 MB of metadata");
        }
        let mut broker = dialer.connect(&world.unix).await.expect("a connection");
        let mut request = Request::new(svids_of(workload.pid()));
        request.metadata_mut().insert("padding", "x".repeat(20_000).parse().expect("text"));
        let told = broker.subscribe_to_x509svid(request).await.expect_err("20 KB of metadata");
        assert_eq!(told.code(), Code::ResourceExhausted, "{told:?}");
        let large = token_of(workload.pid(), &["x".repeat(5_000_000).as_str()], "");
        broker.fetch_jwtsvid(large).await.expect_err("a message of 5 MB");

        let mut open = Vec::new();
        let mut refused = 0;
        for number in 0..STREAMS {
            // Some connections, as one has room for a little more than one broker's share.
            if number % 250 == 0 {
                broker = dialer.connect(&world.unix).await.expect("a connection");
            }
            match broker.subscribe_to_x509svid(svids_of(workload.pid())).await {
                Ok(stream) => open.push((broker.clone(), stream.into_inner())),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    refused += 1;
                }
            }
        }
        assert_eq!((open.len(), refused), (1_000, STREAMS - 1_000));
        (open, broker)
    });
    // The share is full: workloads are served, and those of the flooder's own user too.
    others_are_served(&world);
    assert_eq!(ids(&fetch_as(own_uid(), &world.agent.socket)).len(), 2);
    let status = world.agent.operator(&["agent", "status"]).exits(0).json();
    assert_eq!((status["broker_streams"].as_u64(), status["streams"].as_u64()), (Some(1_000), Some(0)));
    let after = resident_kb(&mut world.agent);
    assert!(after < before + MOST_ADDED_KB, "{before} KB became {after} KB");
    // All end with their one process, and the share is free again.
    workload.kill();
    runtime.block_on(async {
        for (_, mut stream) in held {
            assert_eq!(end(&mut stream).await.code(), Code::NotFound);
        }
        let next = Sleeper::start(WORKLOAD);
        until_async("a share", async || broker.subscribe_to_x509svid(svids_of(next.pid())).await.ok()).await;
    });
}

/// Opens connections, and returns those that the agent serves.
async fn opened(dialer: &Dialer, address: &Address, tries: usize) -> Vec<TlsStream<Box<dyn Stream>>> {
    let mut open = Vec::new();
    for _ in 0..tries {
        let Ok(mut stream) = dialer.dial(address).await else { continue };
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await;
        if matches!(read, Ok(Ok(1..))) {
            open.push(stream);
        }
    }
    open
}

#[test]
fn connections_are_bounded_by_identity_and_who_is_no_broker_takes_the_place_of_none() {
    let world = World::new("many.test");
    for path in ["/one", "/two"] {
        world.domain.fast_entry("n1", path, own_uid(), "180s");
    }
    runtime().block_on(async {
        let broker = world.dialer().await;
        let (one, two) = (
            Dialer::of_workload(&world.agent, &world.id("/one")).await,
            Dialer::of_workload(&world.agent, &world.id("/two")).await,
        );
        let strangers = opened(&one, &world.unix, 40).await;
        assert_eq!(strangers.len(), 32);
        assert_eq!(opened(&two, &world.tcp, 5).await.len(), 0, "strangers have few places between them");
        let brokers = opened(&broker, &world.unix, 40).await;
        assert_eq!(brokers.len(), 32);
        drop((strangers, brokers));
        until_async("room", async || broker.connect(&world.tcp).await.ok()).await;
    });
    others_are_served(&world);
}
