//! The proxy beside HAProxy: connections and octets, and what each costs, in one run.
//!
//! Both take the same peers in with the same kind of keys: P-256, TLS 1.3 with X25519 and AES-128-GCM, client certificates verified, nothing resumed, to the same plain program.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::meter::{cpu_of, micros};
use super::report::{Figure, Value};
use super::subject::Effort;
use super::workload_api::own_uid;
use crate::admin::runtime;
use crate::broker::Credential;
use crate::command::{run, troth};
use crate::credulous::Credulous;
use crate::domain::{Domain, path_text};
use crate::ports::free_port;
use crate::process::Process;
use crate::wait::until_async;

/// Peers that connect at once.
const PEERS: usize = 8;

/// Connections that carry octets at once.
const STREAMS: usize = 2;

/// What is written or read at a time.
const PART: usize = 64 * 1024;

/// What a peer asks of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ask {
    /// One octet.
    Answer = b'a',
    /// Octets without end.
    Download = b'd',
    /// That it reads without end.
    Upload = b'u',
}

/// What one of the two came to.
struct Measured {
    connections_a_second: f64,
    cpu_us_a_connection: f64,
    download: Throughput,
    upload: Throughput,
}

struct Throughput {
    megabytes_a_second: f64,
    cpu_ms_a_gigabyte: f64,
}

/// Starts the program without TLS.
async fn program() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let asked = stream.read_u8().await?;
    let mut part = vec![0; PART];
    match asked {
        asked if asked == Ask::Download as u8 => loop {
            stream.write_all(&part).await?;
        },
        asked if asked == Ask::Upload as u8 => while stream.read(&mut part).await? > 0 {},
        asked => stream.write_u8(asked).await?,
    }
    stream.shutdown().await
}

/// Returns how a client of both connects: it does not look at the server's name, and verifies what the server signed.
fn connector(credential: Credential) -> TlsConnector {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_client_auth_cert(credential.chain, credential.key)
        .expect("a client configuration");
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

async fn connect(connector: &TlsConnector, address: SocketAddr, ask: Ask) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = connector.connect(ServerName::try_from("web.test").expect("a name"), stream).await?;
    stream.write_u8(ask as u8).await?;
    stream.flush().await?;
    Ok(stream)
}

async fn one_connection(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(connector, address, Ask::Answer).await?;
    stream.read_u8().await?;
    stream.shutdown().await
}

async fn connections(connector: &TlsConnector, address: SocketAddr, seconds: u64) -> f64 {
    let end = Instant::now() + Duration::from_secs(seconds);
    let peers = (0..PEERS).map(|_| async move {
        let mut done = 0_u32;
        while Instant::now() < end {
            one_connection(connector, address).await.expect("a connection");
            done += 1;
        }
        done
    });
    futures_util::future::join_all(peers).await.into_iter().map(f64::from).sum()
}

async fn octets(connector: &TlsConnector, address: SocketAddr, ask: Ask, seconds: u64) -> f64 {
    let through = AtomicU64::new(0);
    let streams = (0..STREAMS).map(|_| async {
        let mut stream = connect(connector, address, ask).await.expect("a connection");
        let mut part = vec![0; PART];
        let carry = async {
            loop {
                let carried = match ask {
                    Ask::Upload => stream.write(&part).await,
                    Ask::Answer | Ask::Download => stream.read(&mut part).await,
                };
                let carried = carried.expect("an open connection");
                through.fetch_add(u64::try_from(carried).expect("a size"), Ordering::Relaxed);
            }
        };
        let _elapsed = tokio::time::timeout(Duration::from_secs(seconds), carry).await;
    });
    futures_util::future::join_all(streams).await;
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let megabytes = through.into_inner() as f64 / 1e6;
    megabytes
}

async fn measure(process: &Process, connector: &TlsConnector, address: SocketAddr, seconds: u64) -> Measured {
    until_async("a first connection", async || one_connection(connector, address).await.ok()).await;
    let each = u32::try_from(seconds).expect("seconds");
    let before = cpu_of(process);
    let done = connections(connector, address, seconds).await;
    let cpu = cpu_of(process) - before;
    let mut throughput = Vec::new();
    for ask in [Ask::Download, Ask::Upload] {
        let before = cpu_of(process);
        let megabytes = octets(connector, address, ask, seconds).await;
        let cpu = cpu_of(process) - before;
        throughput.push(Throughput {
            megabytes_a_second: megabytes / f64::from(each),
            cpu_ms_a_gigabyte: micros(cpu) / megabytes,
        });
    }
    let (upload, download) = (throughput.pop().expect("two"), throughput.pop().expect("two"));
    Measured {
        connections_a_second: done / f64::from(each),
        cpu_us_a_connection: micros(cpu) / done,
        download,
        upload,
    }
}

/// Starts HAProxy with the files of an identity.
fn haproxy(domain: &Domain, socket: &std::path::Path, listen: &str, target: SocketAddr) -> Process {
    let folder = domain.folder().join("haproxy");
    let _ = run(&["svid", "fetch", "x509", "--socket", path_text(socket), "--write", path_text(&folder)]).exits(0);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    std::fs::write(folder.join("both.pem"), read("svid.0.pem") + &read("svid.0.key")).expect("a file");
    let place = path_text(&folder);
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
         frontend peers\n  bind {listen} ssl crt {place}/both.pem ca-file {place}/bundle.0.pem verify required no-tls-tickets ssl-min-ver TLSv1.3\n  default_backend program\n\
         backend program\n  server program {target}\n"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, config).expect("its configuration");
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f", path_text(&file)]).stdin(Stdio::null());
    Process::start(command, &folder.join("log"))
}

fn ours(domain: &Domain, socket: &std::path::Path, listen: &str, target: SocketAddr) -> Process {
    let mut command = troth();
    let target = target.to_string();
    // One line of log a connection is what it does as delivered; it goes to a file.
    command.args([
        "--log-format",
        "json",
        "proxy",
        "inbound",
        "--listen",
        listen,
        "--target",
        &target,
        "--allow-any",
    ]);
    command.args(["--socket", path_text(socket)]);
    Process::start(command, &domain.folder().join("proxy.log"))
}

/// Both, one after the other.
pub(super) fn beside_haproxy(effort: Effort) -> Figure {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/web", own_uid(), "180s");
    let (proxy, other) = runtime.block_on(async {
        let target = program().await;
        let connector = connector(Credential::of_workload(&agent.socket, "spiffe://load.test/web").await.0);
        let [at, beside] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let mut proxy = ours(&domain, &agent.socket, &at, target);
        let measured = measure(&proxy, &connector, at.parse().expect("an address"), effort.seconds).await;
        let _ = proxy.terminate();
        let mut other = haproxy(&domain, &agent.socket, &beside, target);
        let of_other = measure(&other, &connector, beside.parse().expect("an address"), effort.seconds).await;
        let _ = other.terminate();
        (measured, of_other)
    });
    let both = |what: [&'static str; 3], of: fn(&Measured) -> f64, unit: &'static str| {
        let (ours, theirs) = (of(&proxy), of(&other));
        [
            Value::plain(what[0], ours, unit),
            Value::plain(what[1], theirs, unit),
            Value::plain(what[2], ours / theirs, "times"),
        ]
    };
    let values = [
        both(["new connections", "HAProxy", "ratio"], |of| of.connections_a_second, "/s"),
        both(["CPU a connection", "HAProxy", "ratio"], |of| of.cpu_us_a_connection, "us"),
        both(["to the peer", "HAProxy", "ratio"], |of| of.download.megabytes_a_second, "MB/s"),
        both(["CPU of it", "HAProxy", "ratio"], |of| of.download.cpu_ms_a_gigabyte, "ms/GB"),
        both(["from the peer", "HAProxy", "ratio"], |of| of.upload.megabytes_a_second, "MB/s"),
        both(["CPU of it", "HAProxy", "ratio"], |of| of.upload.cpu_ms_a_gigabyte, "ms/GB"),
    ];
    Figure {
        id: "PROXY",
        what: "troth proxy beside HAProxy: mTLS in front of a plain program",
        how: format!(
            "each in turn for {} s a measurement: {PEERS} peers that connect, ask for an octet and go; {STREAMS} connections that carry octets one way; TLS 1.3, X25519, AES-128-GCM, P-256, client certificates verified, no tickets; peers and program run on the same cores",
            effort.seconds
        ),
        values: values.into_iter().flatten().collect(),
    }
}
