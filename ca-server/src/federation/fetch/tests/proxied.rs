//! A proxy, where one is configured.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use trust_domains::problem::Code;

use super::super::EndpointTrust;
use super::serving::{Endpoint, ok};
use super::world::{World, target, web};

/// A proxy that answers with this head and then connects everybody to one port of loopback, as its own DNS has it.
async fn proxy(head: &'static str, to: u16) -> (u16, mpsc::UnboundedReceiver<String>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = mpsc::unbounded_channel();
    let serving = async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(client.read_u8().await.unwrap());
            }
            tell.send(String::from_utf8(request).unwrap()).unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            let mut endpoint = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut endpoint).await;
        }
    };
    (port, asked, AbortOnDropHandle::new(tokio::spawn(serving)))
}

#[tokio::test]
async fn a_configured_proxy_is_asked_to_connect_and_tls_goes_through_it_to_the_endpoint() {
    let mut world = World::new();
    let endpoint = Endpoint::start(&world.ca.host(&["partner.invalid"]), |_| ok("the bundle")).await;
    let (port, mut asked, _serving) = proxy("HTTP/1.1 200 Connection established\r\n\r\n", endpoint.port).await;
    world.settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    world.settings.allow_loopback = false;
    let target = target("https://partner.invalid/", EndpointTrust::Web);
    assert_eq!(world.document(&target).await, "the bundle");
    let request = asked.recv().await.unwrap();
    assert!(request.starts_with("CONNECT partner.invalid:443 HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn a_proxy_does_not_vouch_for_the_endpoint_nor_for_addresses_of_this_machine() {
    let mut world = World::new();
    let endpoint = Endpoint::start(&world.ca.host(&["other.invalid"]), |_| ok("a bundle")).await;
    let (port, mut asked, _serving) = proxy("HTTP/1.1 200 OK\r\n\r\n", endpoint.port).await;
    world.settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    world.settings.allow_loopback = false;
    let wrong = world.refused(&target("https://partner.invalid/", EndpointTrust::Web)).await;
    assert_eq!(wrong.0, Code::EndpointUntrusted);
    asked.recv().await.unwrap();
    let own = world.refused(&target("https://127.0.0.1/", EndpointTrust::Web)).await;
    assert_eq!(own.0, Code::EndpointAddressRefused);
    assert!(asked.try_recv().is_err(), "it was not even asked");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_told() {
    let mut world = World::new();
    let endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("a bundle")).await;
    let (port, _asked, serving) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", endpoint.port).await;
    world.settings.proxy = Some(format!("http://127.0.0.1:{port}").parse().unwrap());
    let (code, text) = world.refused(&web(endpoint.port)).await;
    assert_eq!(code, Code::EndpointUnreachable);
    assert!(text.contains("the proxy answered with HTTP status 407"), "{text}");
    drop(serving);
    let (code, text) = world.refused(&web(endpoint.port)).await;
    assert_eq!(code, Code::EndpointUnreachable, "no way around it: {text}");
}
