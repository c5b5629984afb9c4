use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use trust_domains::clock::Clock;
use trust_domains::crl::CrlSet;
use trust_domains::join_link::RootHash;
use trust_domains::problem::{Code, Coded};
use trust_domains::x509::{Certificate, VerifyError};

use super::testing::{Ca, DEADLINE, TD, World, get_text};
use super::{AcceptLimits, ConnectError, ServerTrust, ServerVerifier, client_config, connect, provider, server_config};
use crate::clock::LONGEST_SLEEP;

#[tokio::test]
async fn both_ends_know_each_other_and_share_an_exporter() {
    let mut world = World::new(AcceptLimits::default()).await;
    let connection = world.connect(Some(&world.ca.node_identity())).await;
    let info = world.ask(&connection).await;
    assert_eq!(
        info.peer.as_ref().unwrap().spiffe_id().as_str(),
        format!("spiffe://{TD}/troth/agent/join_token/web-1")
    );
    assert_eq!(info.exporter, *connection.exporter());
    assert_eq!(info.leaf_der.is_some(), info.peer.is_some());
    assert_eq!(connection.peer_chain().len(), 3, "the root travels along");
    let again = world.ask(&connection).await;
    assert_eq!(again.id, info.id);
    let other = world.connect(None).await;
    let anonymous = world.ask(&other).await;
    assert!(anonymous.peer.is_none() && anonymous.leaf_der.is_none());
    assert_ne!((anonymous.id, anonymous.exporter), (info.id, info.exporter));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_handshake_holds_up_nobody_and_is_dropped() {
    let mut world = World::new(AcceptLimits {
        handshake_deadline: Duration::from_millis(500),
        ..AcceptLimits::default()
    })
    .await;
    let mut slow = Vec::new();
    for start in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        slow.push(stream);
    }
    let connection = world.connect(Some(&world.ca.node_identity())).await;
    world.ask(&connection).await;
    for mut stream in slow {
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut Vec::new()))
            .await
            .expect("dropped at its deadline");
    }
    world.ask(&connection).await;
}

#[tokio::test]
async fn a_connection_ends_with_the_certificate_that_opened_it() {
    let mut world = World::new(AcceptLimits::default()).await;
    let connection = world.connect(Some(&world.ca.node_identity())).await;
    let info = world.ask(&connection).await;
    let stream = tokio::spawn({
        let connection = connection.clone();
        async move { get_text(&connection, "/stream").await }
    });
    world.clock.advance(Duration::from_secs(3_598));
    world.ask(&connection).await;
    assert!(!info.close.is_cancelled());
    world.clock.advance(Duration::from_secs(2));
    // Nobody sleeps over ten seconds without looking at the clock.
    tokio::time::pause();
    tokio::time::advance(LONGEST_SLEEP).await;
    tokio::time::resume();
    info.close.cancelled().await;
    assert_eq!(stream.await.unwrap().unwrap(), "bye");
    assert!(world.clock.now().wall > info.peer.as_ref().unwrap().not_before());
    until_closed(&connection).await;
}

#[tokio::test]
async fn a_connection_ends_when_it_is_told_to() {
    let mut world = World::new(AcceptLimits::default()).await;
    let (banned, other) = (world.connect(Some(&world.ca.node_identity())).await, world.connect(None).await);
    let info = world.ask(&banned).await;
    let stream = tokio::spawn({
        let banned = banned.clone();
        async move { get_text(&banned, "/stream").await }
    });
    world.ask(&banned).await;
    let hanging = tokio::spawn({
        let banned = banned.clone();
        async move { get_text(&banned, "/hang").await }
    });
    world.ask(&banned).await;
    info.close.cancel();
    assert_eq!(stream.await.unwrap().unwrap(), "bye", "streams have a last word");
    hanging.await.unwrap().unwrap_err();
    until_closed(&banned).await;
    world.ask(&other).await;
}

#[tokio::test]
async fn a_connection_without_a_certificate_does_not_last() {
    let mut world = World::new(AcceptLimits {
        anonymous_life: Duration::from_millis(300),
        ..AcceptLimits::default()
    })
    .await;
    let connection = world.connect(None).await;
    world.ask(&connection).await.close.cancelled().await;
    until_closed(&connection).await;
}

#[tokio::test]
async fn shutdown_ends_every_connection() {
    let mut world = World::new(AcceptLimits::default()).await;
    let connection = world.connect(None).await;
    world.ask(&connection).await;
    let _half = TcpStream::connect(world.address).await.unwrap();
    world.shutdown.cancel();
    tokio::time::timeout(DEADLINE, world.server).await.unwrap().unwrap();
    until_closed(&connection).await;
}

#[tokio::test]
async fn sessions_are_never_resumed_even_if_the_client_would() {
    let world = World::new(AcceptLimits::default()).await;
    let mut config = plain_client(&world, &[&rustls::version::TLS13]);
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..3 {
        let mut stream = raw(&world, config.clone()).await.unwrap();
        // HTTP/1.1, as this client names no protocol: an answer means that tickets, if there were any, have arrived.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        let (_, session) = stream.get_ref();
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
        assert_eq!(session.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    }
}

#[tokio::test]
async fn older_tls_is_refused() {
    let world = World::new(AcceptLimits::default()).await;
    raw(&world, Arc::new(plain_client(&world, &[&rustls::version::TLS12]))).await.unwrap_err();
}

#[tokio::test]
async fn only_the_server_of_the_trust_domain_is_believed() {
    let world = World::new(AcceptLimits::default()).await;
    let stranger = Ca::new(TD);
    let day = Duration::from_secs(86_400);
    let cases = [
        (
            "a workload of the trust domain",
            world.ca.identity(&format!("spiffe://{TD}/web"), day),
            Code::ServerIdentityInvalid,
        ),
        ("an agent", world.ca.node_identity(), Code::ServerIdentityInvalid),
        (
            "a path below the server's",
            world.ca.identity(&format!("spiffe://{TD}/troth/server/x"), day),
            Code::ServerIdentityInvalid,
        ),
        (
            "the server of another trust domain",
            world.ca.identity("spiffe://other.example/troth/server", day),
            Code::ServerIdentityInvalid,
        ),
        ("another CA", stranger.server_identity(), Code::ServerIdentityInvalid),
    ];
    for (name, identity, code) in cases {
        world.config.send_replace(server_config(&identity, world.verifier.clone()).unwrap());
        for trust in [ServerTrust::Bundle(world.ca.bundle()), pinned(&[&world.ca.root_der])] {
            let verifier = Arc::new(ServerVerifier::new(trust, world.clock.shared()));
            let error = connect(&world.server_address(), client_config(None, verifier).unwrap(), DEADLINE)
                .await
                .unwrap_err();
            let ConnectError::NotTrusted { source, .. } = &error else {
                panic!("{name}: {error}")
            };
            let expected = if matches!(source, VerifyError::NoPinnedRoot { .. }) {
                Code::RootMismatch
            } else {
                code
            };
            assert_eq!(error.code(), expected, "{name}: {source}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_on_a_list_is_refused_as_soon_as_the_list_is_held() {
    let world = World::new(AcceptLimits::default()).await;
    let (held, lists) = watch::channel(Arc::<CrlSet>::default());
    let verifier = ServerVerifier::new(ServerTrust::Bundle(world.ca.bundle()), world.clock.shared()).with_lists(lists);
    let config = client_config(None, Arc::new(verifier)).unwrap();
    let connection = connect(&world.server_address(), config.clone(), DEADLINE).await.unwrap();
    let serial = *Certificate::parse(&connection.peer_chain()[0]).unwrap().serial();
    held.send_replace(Arc::new(world.ca.revoking(&serial)));
    let refused = connect(&world.server_address(), config.clone(), DEADLINE).await.unwrap_err();
    let ConnectError::NotTrusted { source, .. } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(*source, VerifyError::Revoked { serial });
    held.send_replace(Arc::default());
    connect(&world.server_address(), config, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_joining_agent_believes_a_pinned_root_only() {
    let world = World::new(AcceptLimits::default()).await;
    let other = Ca::new(TD);
    let attempt = async |roots: &[&[u8]]| {
        let verifier = Arc::new(ServerVerifier::new(pinned(roots), world.clock.shared()));
        connect(&world.server_address(), client_config(None, verifier).unwrap(), DEADLINE).await
    };
    attempt(&[&other.root_der, &world.ca.root_der]).await.unwrap();
    assert_eq!(attempt(&[&other.root_der]).await.unwrap_err().code(), Code::RootMismatch);
}

#[tokio::test]
async fn a_client_certificate_that_does_not_verify_is_refused_at_once() {
    let mut world = World::new(AcceptLimits::default()).await;
    let ended = world.ca.identity(&format!("spiffe://{TD}/troth/agent/join_token/old"), Duration::from_secs(1));
    world.clock.advance(Duration::from_secs(5));
    let foreign = Ca::new("other.example").identity("spiffe://other.example/troth/agent/join_token/x", Duration::from_secs(3_600));
    for identity in [ended, foreign, Ca::new(TD).node_identity()] {
        let error = connect(&world.server_address(), client_config(Some(&identity), world.trust()).unwrap(), DEADLINE)
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::CertificateRefused { .. }), "{error:?}");
    }
    let connection = world.connect(Some(&world.ca.node_identity())).await;
    world.ask(&connection).await;
}

#[tokio::test]
async fn new_connections_see_the_certificate_of_today() {
    let world = World::new(AcceptLimits::default()).await;
    let before = world.connect(None).await;
    world
        .config
        .send_replace(server_config(&world.ca.server_identity(), world.verifier.clone()).unwrap());
    let after = world.connect(None).await;
    assert_ne!(before.peer_chain()[0], after.peer_chain()[0]);
    assert_eq!(before.peer_chain()[1..], after.peer_chain()[1..]);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let mut world = World::new(AcceptLimits {
        connections: 1,
        ..AcceptLimits::default()
    })
    .await;
    let held = world.connect(None).await;
    world.ask(&held).await;
    let mut refused = TcpStream::connect(world.address).await.unwrap();
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only_and_is_not_kept() {
    let mut world = World::new(AcceptLimits {
        handshake_deadline: Duration::from_millis(300),
        ..AcceptLimits::default()
    })
    .await;
    let connection = world.connect(Some(&world.ca.node_identity())).await;
    let noise: Vec<u8> = (0..=255_u8).cycle().take(64 * 1024).collect();
    let endless_record = [&b"\x16\x03\x01\xff\xff"[..], &noise].concat();
    let http = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let before = resident_pages();
    for garbage in [noise.repeat(8), endless_record, http, vec![0; 500_000]].iter().cycle().take(400) {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        // The server may close before all is written.
        let _ = stream.write_all(garbage).await;
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
    // About 100 MB came in. Other tests run beside this one, so the bound is wide.
    let grown = resident_pages().saturating_sub(before) * 4_096;
    assert!(grown < 50 << 20, "{grown} bytes are kept");
    for protocol in [&[][..], &[b"h2".to_vec()]] {
        let mut config = plain_client(&world, &[&rustls::version::TLS13]);
        config.alpn_protocols = protocol.to_vec();
        let config = Arc::new(config);
        let giant_head = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat();
        let preface_and_noise = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), noise.clone()].concat();
        for garbage in [&noise, &giant_head, &preface_and_noise] {
            let mut stream = raw(&world, config.clone()).await.unwrap();
            let _ = stream.write_all(garbage).await;
            let mut answer = Vec::new();
            let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
            assert!(answer.len() < 4_096);
        }
    }
    world.ask(&connection).await;
}

#[tokio::test]
async fn a_client_that_asks_nothing_after_its_handshake_is_dropped() {
    let world = World::new(AcceptLimits::default()).await;
    let mut config = plain_client(&world, &[&rustls::version::TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut silent = raw(&world, Arc::new(config)).await.unwrap();
    // The server's first octets: it serves the connection now.
    silent.read_exact(&mut [0; 9]).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    let _ = tokio::time::timeout(DEADLINE, silent.read_to_end(&mut Vec::new()))
        .await
        .expect("dropped at the deadline for a first request");
}

#[tokio::test]
async fn nobody_at_the_address_is_told_apart_from_a_silent_one() {
    let world = World::new(AcceptLimits::default()).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = |address: std::net::SocketAddr| address.to_string().parse().unwrap();
    let tls = client_config(None, world.trust()).unwrap();
    let error = connect(&at(silent.local_addr().unwrap()), tls.clone(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    let gone = silent.local_addr().unwrap();
    drop(silent);
    let error = connect(&at(gone), tls, DEADLINE).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.code(), Code::CannotReach);
}

fn resident_pages() -> usize {
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn pinned(roots: &[&[u8]]) -> ServerTrust {
    ServerTrust::Roots {
        trust_domain: TD.parse().unwrap(),
        roots: roots.iter().map(|root| RootHash::of_der(root)).collect(),
    }
}

fn plain_client(world: &World, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(world.trust())
        .with_no_client_auth()
}

async fn raw(world: &World, config: Arc<ClientConfig>) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(world.address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn until_closed(connection: &super::Connection) {
    tokio::time::timeout(DEADLINE, async {
        while get_text(connection, "/").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection ends");
}
