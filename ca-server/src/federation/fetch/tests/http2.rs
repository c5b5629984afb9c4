//! Endpoints that speak HTTP/2 and want to hurt with its frames.

use std::sync::Arc;
use std::time::Duration;

use platform::tls::TlsIdentity;
use rustls::server::NoClientAuth;
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use trust_domains::problem::Code;

use super::serving::config;
use super::world::{World, web};

/// The types of frames that are sent (RFC 9113 section 6).
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;

/// The first stream of a client.
const REQUEST: u32 = 1;

/// The header block of `:status: 200`: index 8 of the static table (RFC 7541 appendix A).
const STATUS_200: &[u8] = &[0x88];

/// The flag of a header block that is whole.
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// An endpoint that sends its settings and `head`, then `piece` for as long as anybody reads.
async fn flooding(identity: &TlsIdentity, head: Vec<u8>, piece: Vec<u8>) -> (u16, AbortOnDropHandle<()>) {
    let acceptor = TlsAcceptor::from(Arc::new(config(identity, &[&TLS13], Arc::new(NoClientAuth), b"h2")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, head, piece) = (acceptor.clone(), head.clone(), piece.repeat(64));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (reads, mut writes) = tokio::io::split(stream);
                // The request is on its way before anything is answered to it.
                let reading = until_a_request(reads).await;
                let mut written = writes.write_all(&[frame(SETTINGS, 0, 0, &[]), head].concat()).await;
                while written.is_ok() {
                    written = writes.write_all(&piece).await;
                }
                drop(reading);
            });
        }
    };
    (port, AbortOnDropHandle::new(tokio::spawn(accepting)))
}

/// Reads until there is a frame of headers, and goes on reading in the background, so that the client is never held up.
async fn until_a_request(mut reads: impl AsyncRead + Unpin + Send + 'static) -> AbortOnDropHandle<()> {
    let mut preface = [0; 24];
    reads.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        reads.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        reads.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            break;
        }
    }
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut sink = vec![0; 16_384];
        while reads.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    }))
}

#[tokio::test]
async fn floods_of_frames_end_with_the_octets_or_the_time_of_the_fetch() {
    let mut world = World::new();
    world.settings.limits.deadline = Duration::from_secs(20);
    let opened = frame(HEADERS, 0, REQUEST, STATUS_200);
    let answered = frame(HEADERS, END_HEADERS, REQUEST, STATUS_200);
    let floods = [
        ("pings", Vec::new(), frame(PING, 0, 0, &[7; 8])),
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &[])),
        ("updates of windows", Vec::new(), frame(WINDOW_UPDATE, 0, REQUEST, &[0, 0, 0, 1])),
        ("headers that go on", opened, frame(CONTINUATION, 0, REQUEST, &[0x88; 1_000])),
        ("a body in frames without octets", answered.clone(), frame(DATA, 0, REQUEST, &[])),
        ("a body", answered, frame(DATA, 0, REQUEST, &[b'x'; 1_000])),
        ("frames of no known type", Vec::new(), frame(0xfa, 0, 0, &[0; 1_000])),
    ];
    for (what, head, piece) in floods {
        let (port, _accepting) = flooding(&world.ca.host(&["localhost"]), head, piece).await;
        let (code, text) = world.refused(&web(port)).await;
        let ended = [
            Code::EndpointAnswerUnexpected,
            Code::EndpointDocumentTooLarge,
            Code::EndpointTimeout,
            Code::EndpointUnreachable,
        ];
        assert!(ended.contains(&code), "{what}: {code} {text}");
    }
}
