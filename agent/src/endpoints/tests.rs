//! The endpoint over real sockets, with clients that speak gRPC.

mod description;
mod federated;

use std::collections::HashMap;
use std::time::Duration;

use conformance::covers;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use trust_domains::wire::node::NodeEntry;

use super::testing::{World, own, with_selectors};
use super::workload_api::client::{SecurityHeader, SpiffeWorkloadApiClient, WorkloadApiClient, channel, connect};
use super::workload_api::messages::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, WitBundlesRequest, WitsvidRequest, X509BundlesRequest, X509svidRequest, X509svidResponse,
};
use super::*;
use crate::svids::testing::{TTL, bundle, delta};
use crate::workload::testing::Workload;

mod jwt;
mod standard;
mod wit;

impl World {
    async fn client(&self) -> WorkloadApiClient {
        connect(&self.socket).await.unwrap()
    }

    async fn svids(&self) -> Streaming<X509svidResponse> {
        self.client().await.fetch_x509svid(X509svidRequest {}).await.unwrap().into_inner()
    }

    async fn refused(&self) -> tonic::Status {
        self.client().await.fetch_x509svid(X509svidRequest {}).await.unwrap_err()
    }
}

fn ids(response: &X509svidResponse) -> Vec<&str> {
    response
        .svids
        .iter()
        .map(|svid| svid.spiffe_id.strip_prefix("spiffe://td.example/").unwrap())
        .collect()
}

/// Returns the next message; one that never comes fails the test instead of holding it up.
async fn next(stream: &mut Streaming<X509svidResponse>) -> X509svidResponse {
    tokio::time::timeout(Duration::from_secs(60), stream.message()).await.unwrap().unwrap().unwrap()
}

#[covers("EP-05")]
#[tokio::test]
async fn every_method_of_every_service_needs_the_security_header() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let channel = channel(&world.socket).await.unwrap();
    for value in [None, Some("false"), Some("True")] {
        fn request<T>(message: T, value: Option<&'static str>) -> Request<T> {
            let mut request = Request::new(message);
            if let Some(value) = value {
                request
                    .metadata_mut()
                    .insert(workload_api::SECURITY_HEADER, AsciiMetadataValue::from_static(value));
            }
            request
        }
        let mut client = SpiffeWorkloadApiClient::new(channel.clone());
        let asked: Vec<ServerReflectionRequest> = vec![];
        let refusals = [
            client.fetch_x509svid(request(X509svidRequest {}, value)).await.err(),
            client.fetch_x509_bundles(request(X509BundlesRequest {}, value)).await.err(),
            client.fetch_jwtsvid(request(jwt::wanted("db"), value)).await.err(),
            client.fetch_jwt_bundles(request(JwtBundlesRequest {}, value)).await.err(),
            client.validate_jwtsvid(request(jwt::presented("a.b.c"), value)).await.err(),
            client.fetch_witsvid(request(WitsvidRequest::default(), value)).await.err(),
            client.fetch_wit_bundles(request(WitBundlesRequest {}, value)).await.err(),
            HealthClient::new(channel.clone())
                .check(request(HealthCheckRequest::default(), value))
                .await
                .err(),
            ServerReflectionClient::new(channel.clone())
                .server_reflection_info(request(tokio_stream::iter(asked), value))
                .await
                .err(),
        ];
        for (method, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(
                refusal.map(|status| status.code()),
                Some(Code::InvalidArgument),
                "method {method} with {value:?}"
            );
        }
    }
}

#[covers("EP-11")]
#[tokio::test]
async fn a_starting_agent_is_unavailable_and_says_so_to_health_checks() {
    let world = World::new();
    assert_eq!(world.refused().await.code(), Code::Unavailable);
    let mut health = HealthClient::with_interceptor(channel(&world.socket).await.unwrap(), SecurityHeader);
    let mut watched = health
        .watch(HealthCheckRequest {
            service: workload_api::SERVICE_NAME.to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    world.entries(1, vec![own("web", 1)]);
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(ids(&next(&mut world.svids().await).await), ["web"]);
}

#[covers("EP-11", "WAPI-11")]
#[tokio::test]
async fn a_process_without_an_entry_is_told_what_its_operator_can_ask_and_nothing_else() {
    let world = World::new();
    world.entries(1, vec![with_selectors("secret", 1, &["unix:uid:4000000"])]);
    let text = format!(
        "no entry of this node matches this process; on the node, as its operator: troth explain --pid {}",
        std::process::id()
    );
    for refused in [
        world.refused().await,
        world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap_err(),
    ] {
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, text.as_str()));
    }
}

#[covers("EP-06", "WAPI-05", "WAPI-09", "WAPI-10", "WAPI-15", "WAPI-23")]
#[tokio::test]
async fn all_identities_come_at_once_in_a_stable_order_with_chain_key_and_bundle() {
    let world = World::new();
    let hinted = |id, at, hint: &str| NodeEntry {
        hint: Some(hint.to_owned()),
        ..own(id, at)
    };
    world.entries(
        1,
        vec![
            hinted("third", 3, "db"),
            own("first", 1),
            hinted("second", 2, "db"),
            with_selectors("foreign", 0, &["unix:uid:4000000"]),
        ],
    );
    let response = next(&mut world.svids().await).await;
    assert_eq!(ids(&response), ["first", "second", "third"]);
    assert_eq!(
        response.svids.iter().map(|svid| svid.hint.as_str()).collect::<Vec<_>>(),
        ["", "db", ""],
        "a hint is given once"
    );
    for svid in &response.svids {
        assert_eq!((&svid.x509_svid[..], &svid.x509_svid_key[..]), (&b"leafissuer"[..], &b"key"[..]));
        assert_eq!(svid.bundle, bundle().x509_der_concat());
    }
    assert!(response.crl.is_empty() && response.federated_bundles.is_empty());
    assert!(!format!("{response:?}").contains("key"), "no key in Debug");
}

#[covers("WAPI-04", "WAPI-05", "WAPI-09", "WAPI-11")]
#[tokio::test]
async fn an_open_stream_is_pushed_each_change_whole() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.svids().await;
    assert_eq!(ids(&next(&mut stream).await), ["web"]);
    world.change(2, vec![own("db", 2)], &[]);
    assert_eq!(ids(&next(&mut stream).await), ["web", "db"]);
    world.change(3, vec![with_selectors("foreign", 1, &["unix:uid:4000000"])], &["web"]);
    assert_eq!(ids(&next(&mut stream).await), ["db"]);
    world.clock.advance(TTL / 2);
    assert!(world.issue() > 0, "a renewal is due");
    assert_eq!(ids(&next(&mut stream).await), ["db"]);
    world.change(4, vec![], &["db"]);
    let ended = stream.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::PermissionDenied);
}

#[covers("FED-10", "WAPI-05", "WAPI-14")]
#[tokio::test]
async fn bundles_are_by_trust_domain_id_and_no_renewal_sends_them_again() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut bundles = world.client().await.fetch_x509_bundles(X509BundlesRequest {}).await.unwrap().into_inner();
    let first = bundles.message().await.unwrap().unwrap();
    assert_eq!(
        first.bundles,
        HashMap::from([("spiffe://td.example".to_owned(), bundle().x509_der_concat().into())])
    );
    let mut svids = world.svids().await;
    next(&mut svids).await;
    world.clock.advance(TTL / 2);
    world.issue();
    next(&mut svids).await;
    // What comes next on the other stream is the new bundle, not the old one again.
    let empty = trust_domains::TrustBundle::new("td.example".parse().unwrap());
    world.cache.apply(crate::svids::Update {
        bundle: Some(empty),
        federated: None,
        ..delta(2, vec![], &[])
    });
    assert_eq!(
        bundles.message().await.unwrap().unwrap().bundles,
        HashMap::from([("spiffe://td.example".to_owned(), bytes::Bytes::new())])
    );
}

#[tokio::test]
async fn an_entry_that_asks_for_more_about_the_process_reaches_its_open_stream() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.svids().await;
    assert_eq!(ids(&next(&mut stream).await), ["web"]);
    let path = format!("unix:path:{}", std::env::current_exe().unwrap().display());
    world.change(
        2,
        vec![
            with_selectors("by-path", 2, &[&path]),
            with_selectors("by-another", 3, &["unix:path:/usr/bin/another"]),
        ],
        &[],
    );
    assert_eq!(ids(&next(&mut stream).await), ["web", "by-path"]);
    // Replaced in one commit by one that asks for yet more: the stream goes on.
    world.change(
        3,
        vec![
            with_selectors("by-user", 4, &["unix:user:root"]),
            with_selectors("by-group", 5, &[&path, "unix:group:root"]),
        ],
        &["web", "by-path"],
    );
    if rustix::process::geteuid().is_root() {
        assert_eq!(ids(&next(&mut stream).await), ["by-user", "by-group"]);
    }
}

#[covers("WAPI-20")]
#[tokio::test]
async fn profiles_that_are_not_served_are_unimplemented() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut client = world.client().await;
    let refusals = [
        client.fetch_witsvid(WitsvidRequest::default()).await.err(),
        client.fetch_wit_bundles(WitBundlesRequest {}).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.map(|status| status.code()), Some(Code::Unimplemented));
    }
}

#[tokio::test]
async fn a_user_with_all_its_streams_open_gets_no_more_until_one_ends() {
    let world = World::with_streams_per_uid(3);
    world.entries(1, vec![own("web", 1)]);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = world.svids().await;
        next(&mut stream).await;
        streams.push(stream);
    }
    assert_eq!(world.endpoints.open_streams().workload_api, 3);
    assert_eq!(world.refused().await.code(), Code::ResourceExhausted);
    streams.pop();
    while world.endpoints.open_streams().workload_api == 3 {
        tokio::task::yield_now().await;
    }
    next(&mut world.svids().await).await;
}

#[covers("EP-14")]
#[tokio::test]
async fn reflection_names_the_services() {
    let world = World::new();
    let mut client = ServerReflectionClient::with_interceptor(channel(&world.socket).await.unwrap(), SecurityHeader);
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::iter([question])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(services)) = answers.message().await.unwrap().unwrap().message_response else {
        panic!("no list")
    };
    let names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    for service in ["SpiffeWorkloadAPI", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|name| name == service), "{service}: {names:?}");
    }
}

#[covers("EP-11")]
#[tokio::test]
async fn a_stopping_agent_ends_streams_and_then_returns() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.svids().await;
    next(&mut stream).await;
    world.stopping.cancel();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    world.serving.await.unwrap();
    assert!(connect(&world.socket).await.is_err());
}

#[covers("EP-11")]
#[tokio::test]
async fn when_a_node_is_taken_out_streams_are_denied_even_if_the_agent_ends_at_once() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.svids().await;
    next(&mut stream).await;
    world.cache.withdraw("the server has banned this node");
    assert_eq!(world.refused().await.code(), Code::PermissionDenied);
    world.stopping.cancel();
    let denied = stream.message().await.unwrap_err();
    assert_eq!((denied.code(), denied.message()), (Code::PermissionDenied, "the server has banned this node"));
    world.serving.await.unwrap();
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.svids().await;
    next(&mut stream).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0xff; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut connection = UnixStream::connect(&world.socket).await.unwrap();
        // It may be hung up on before it has said everything.
        let _hung_up = connection.write_all(garbage).await;
        let _hung_up = connection.read_to_end(&mut Vec::new()).await;
    }
    world.change(2, vec![own("db", 2)], &[]);
    assert_eq!(ids(&next(&mut stream).await), ["web", "db"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let world = World::new();
    let mut silent = UnixStream::connect(&world.socket).await.unwrap();
    // The server's own settings, then the end.
    tokio::time::timeout(Duration::from_secs(3_600), silent.read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_left_to_a_child_by_a_process_that_ended_serves_nobody() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut workload = Workload::connecting_to(&world.socket);
    workload.order("leave");
    // Closed at once if the process was gone when it was accepted, else when it has said nothing for too long or the agent stops.
    tokio::task::spawn_blocking({
        let stopping = world.stopping.clone();
        move || {
            workload.wait();
            stopping.cancel();
            workload.wait_for_all_to_end();
        }
    })
    .await
    .unwrap();
    world.serving.await.unwrap();
}
