//! A peer that speaks TLS itself, with any certificate, and believes every server: what is refused is refused by the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use platform::tls::provider;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tests::broker::Credential;
use tests::credulous::Credulous;
use tests::wait::PATIENCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::World;

/// Fetches a certificate of whoever runs these tests.
pub(super) async fn credential(world: &World, path: &str) -> Credential {
    Credential::of_workload(&world.agent.socket, &world.id(path)).await.0
}

/// Connects with a certificate, or without.
pub(super) async fn connect(address: SocketAddr, shown: Option<&Credential>) -> io::Result<TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider())));
    let config = match shown.cloned() {
        Some(Credential { chain, key }) => builder.with_client_auth_cert(chain, key).expect("a client configuration"),
        None => builder.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("service.invalid").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Says a line and returns the answer; an error when the connection is refused or ends.
pub(super) async fn say(stream: &mut TlsStream<TcpStream>, line: &str) -> io::Result<String> {
    let asked = async {
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            answer.push(stream.read_u8().await?);
        }
        Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("an answer or a refusal")
}

/// Connects and says a line.
pub(super) async fn ask(address: SocketAddr, shown: Option<&Credential>, line: &str) -> io::Result<String> {
    let mut stream = connect(address, shown).await?;
    say(&mut stream, line).await
}

/// Waits until the other end ends the connection; returns whether it did without TLS's word for it.
pub(super) async fn is_cut_off(stream: &mut TlsStream<TcpStream>) -> bool {
    let ended = async {
        loop {
            match stream.read(&mut [0; 64]).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("an end")
}
