//! Partners' endpoints that answer as they please.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How a slow endpoint spaces its octets.
const SLOWLY: Duration = Duration::from_millis(200);

/// How an endpoint answers.
#[derive(Clone)]
pub(super) enum Answer {
    /// With a document.
    Document(String),
    /// With a body that does not end.
    Endless,
    /// With a redirect.
    Moved(String),
    /// An octet at a time.
    Slow,
}

/// What an endpoint does: how it answers who asks for its bundle, told how many asked before; and for its Bundle Map.
pub(super) struct Conduct {
    pub(super) bundle: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    pub(super) map: Option<Answer>,
}

/// An endpoint on port 443 of an address; it ends with the runtime.
pub(super) struct Endpoint(Arc<Mutex<Vec<Instant>>>);

impl Endpoint {
    pub(super) fn serve(runtime: &Runtime, address: Ipv4Addr, tls: Arc<ServerConfig>, conduct: Conduct) -> Self {
        let listener = runtime.block_on(TcpListener::bind((address, 443))).expect("its port");
        let endpoint = Self(Arc::default());
        let (asked, acceptor, conduct) = (Arc::clone(&endpoint.0), TlsAcceptor::from(tls), Arc::new(conduct));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (asked, acceptor, conduct) = (Arc::clone(&asked), acceptor.clone(), Arc::clone(&conduct));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = serve(stream, &asked, &conduct).await;
                    }
                });
            }
        });
        endpoint
    }

    /// Returns when its bundle was asked for.
    pub(super) fn asked(&self) -> Vec<Instant> {
        self.0.lock().expect("the list").clone()
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, asked: &Mutex<Vec<Instant>>, conduct: &Conduct) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let answer = if head.starts_with(b"GET /bundle-map ") {
        conduct.map.clone()
    } else {
        let before = {
            let mut asked = asked.lock().expect("the list");
            asked.push(Instant::now());
            asked.len() - 1
        };
        Some((conduct.bundle)(before))
    };
    match answer {
        Some(Answer::Document(text)) => {
            stream
                .write_all(with_length("200 OK\r\ncontent-type: application/json", &text).as_bytes())
                .await?
        }
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"keys\":[").await?;
            loop {
                stream.write_all(&[b'{'; 4_096]).await?;
            }
        }
        Some(Answer::Moved(location)) => {
            stream
                .write_all(with_length(&format!("302 Found\r\nlocation: {location}"), "").as_bytes())
                .await?
        }
        Some(Answer::Slow) => {
            for octet in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
                stream.write_u8(*octet).await?;
                stream.flush().await?;
                tokio::time::sleep(SLOWLY).await;
            }
        }
        None => stream.write_all(with_length("404 Not Found", "").as_bytes()).await?,
    }
    stream.shutdown().await?;
    // Until the other end has read it: a reset would take it away.
    stream.read_u8().await.map(|_| ())
}

fn with_length(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
