//! The service over real sockets, with a client that speaks gRPC.

use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::super::sds_api::client::{SdsClient, SecretDiscoveryServiceClient, connect};
use super::super::sds_api::messages::{
    Any, DataSource, DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Secret, SpiffeCertValidatorConfig, data_source, secret,
};
use super::super::sds_api::{SECRET_TYPE, SERVICE_NAME, SPIFFE_VALIDATOR, SPIFFE_VALIDATOR_TYPE};
use super::super::testing::{World, own, with_selectors};
use super::super::workload_api;
use super::interest::MAX_NAMES;
use crate::svids::Update;
use crate::svids::testing::{bundle, delta};

const PATIENCE: Duration = Duration::from_secs(60);

fn asking(names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        resource_names: names.iter().map(|&name| name.to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

fn secret_of(resource: &Any) -> Secret {
    assert_eq!(resource.type_url, SECRET_TYPE);
    Secret::decode(resource.value.clone()).unwrap()
}

fn names(response: &DiscoveryResponse) -> Vec<String> {
    response.resources.iter().map(|resource| secret_of(resource).name).collect()
}

fn octets(source: Option<&DataSource>) -> Bytes {
    match source.unwrap().specifier.clone().unwrap() {
        data_source::Specifier::InlineBytes(octets) => octets,
    }
}

/// A stream and the way to speak on it.
struct Open<Q, A> {
    requests: UnboundedSender<Q>,
    responses: Streaming<A>,
}

impl<Q, A> Open<Q, A> {
    fn ask(&self, request: Q) {
        self.requests.send(request).unwrap_or_else(|_| panic!("the stream has ended"));
    }

    async fn next(&mut self) -> A {
        self.end_or_next().await.unwrap().unwrap()
    }

    async fn end_or_next(&mut self) -> Result<Option<A>, Status> {
        tokio::time::timeout(PATIENCE, self.responses.message()).await.unwrap()
    }
}

impl World {
    async fn sds(&self) -> SdsClient {
        connect(&self.sds_socket).await.unwrap()
    }

    async fn open(&self, first: DiscoveryRequest) -> Result<Open<DiscoveryRequest, DiscoveryResponse>, Status> {
        let (requests, stream) = unbounded_channel();
        requests.send(first).unwrap();
        let responses = self.sds().await.stream_secrets(UnboundedReceiverStream::new(stream)).await?.into_inner();
        Ok(Open { requests, responses })
    }

    async fn open_delta(&self, first: DeltaDiscoveryRequest) -> Open<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
        let (requests, stream) = unbounded_channel();
        requests.send(first).unwrap();
        let responses = self.sds().await.delta_secrets(UnboundedReceiverStream::new(stream)).await.unwrap();
        Open {
            requests,
            responses: responses.into_inner(),
        }
    }

    async fn fetch(&self, names: &[&str]) -> Result<DiscoveryResponse, Status> {
        Ok(self.sds().await.fetch_secrets(asking(names)).await?.into_inner())
    }
}

#[tokio::test]
async fn every_secret_is_what_envoy_expects_under_its_name() {
    let world = World::new();
    world.entries(1, vec![own("db", 2), own("web", 1)]);
    let roots = bundle().to_pem();
    for (name, identity) in [
        ("default", true),
        ("spiffe://td.example/db", true),
        ("ROOTCA", false),
        ("spiffe://td.example", false),
    ] {
        let response = world.fetch(&[name]).await.unwrap();
        assert_eq!(
            (response.type_url.as_str(), response.resources.len(), response.version_info.len()),
            (SECRET_TYPE, 1, 32)
        );
        let found = secret_of(&response.resources[0]);
        assert_eq!(found.name, name);
        match found.r#type.unwrap() {
            secret::Type::TlsCertificate(certificate) if identity => {
                let chain = octets(certificate.certificate_chain.as_ref());
                assert_eq!(
                    chain
                        .as_ref()
                        .split(|octet| *octet == b'-')
                        .filter(|part| *part == b"BEGIN CERTIFICATE")
                        .count(),
                    2
                );
                assert!(octets(certificate.private_key.as_ref()).starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
            }
            secret::Type::ValidationContext(context) if !identity => {
                assert_eq!(octets(context.trusted_ca.as_ref()), roots);
                assert!(context.custom_validator_config.is_none());
            }
            _ => panic!("{name} is of another kind"),
        }
    }
    let all = secret_of(&world.fetch(&["ALL"]).await.unwrap().resources[0]);
    let Some(secret::Type::ValidationContext(context)) = all.r#type else {
        panic!("no validation context")
    };
    let validator = context.custom_validator_config.unwrap();
    let config = validator.typed_config.unwrap();
    assert_eq!((validator.name.as_str(), config.type_url.as_str()), (SPIFFE_VALIDATOR, SPIFFE_VALIDATOR_TYPE));
    let config = SpiffeCertValidatorConfig::decode(config.value).unwrap();
    assert_eq!((config.trust_domains.len(), config.trust_domains[0].name.as_str()), (1, "td.example"));
    assert_eq!(octets(config.trust_domains[0].trust_bundle.as_ref()), roots);
    assert!(context.trusted_ca.is_none());
}

#[tokio::test]
async fn the_default_is_the_identity_of_the_oldest_entry_and_no_names_are_everything() {
    let world = World::new();
    world.entries(1, vec![own("a-new", 3), own("z-old", 1), with_selectors("foreign", 0, &["unix:uid:4000000"])]);
    let default = world.fetch(&["default"]).await.unwrap();
    assert_eq!(default.version_info.len(), 32);
    assert_eq!(default.resources.len(), 1);
    let everything = names(&world.fetch(&[]).await.unwrap());
    assert_eq!(everything, ["spiffe://td.example", "spiffe://td.example/a-new", "spiffe://td.example/z-old"]);
    let explained = world.fetch(&["default", "spiffe://td.example/z-old"]).await.unwrap();
    let contents: Vec<_> = explained.resources.iter().map(|resource| secret_of(resource).r#type).collect();
    assert!(contents[0] == contents[1], "the default is another identity");
}

#[tokio::test]
async fn a_starting_agent_is_unavailable_and_a_process_without_an_entry_is_denied() {
    let world = World::new();
    assert_eq!(world.fetch(&["default"]).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(
        world.open(asking(&["default"])).await.err().map(|status| status.code()),
        Some(Code::Unavailable)
    );
    world.entries(1, vec![with_selectors("secret", 1, &["unix:uid:4000000"])]);
    for refused in [
        world.fetch(&[]).await.err(),
        world.open(asking(&[])).await.err(),
        world.sds().await.delta_secrets(tokio_stream::empty()).await.err(),
    ] {
        let refused = refused.unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().starts_with("no entry of this node matches this process"), "{refused}");
    }
}

#[tokio::test]
async fn a_name_that_the_process_has_no_right_to_is_never_answered_with_something_else() {
    let world = World::new();
    world.entries(1, vec![own("web", 1), with_selectors("foreign", 2, &["unix:uid:4000000"])]);
    for foreign in ["spiffe://td.example/foreign", "spiffe://td.example/nobody", "spiffe://other.example", "rootca"] {
        let refused = world.fetch(&["default", foreign]).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{foreign}");
        let mut stream = world.open(asking(&["default", foreign])).await.unwrap();
        assert_eq!(names(&stream.next().await), ["default"], "{foreign}");
        let mut delta = world
            .open_delta(DeltaDiscoveryRequest {
                resource_names_subscribe: vec![foreign.to_owned()],
                ..DeltaDiscoveryRequest::default()
            })
            .await;
        let told = delta.next().await;
        assert_eq!((told.resources.len(), told.removed_resources), (0, vec![foreign.to_owned()]));
    }
    // A stream that waits for a name has it once there is an entry.
    let mut waiting = world.open(asking(&["spiffe://td.example/later"])).await.unwrap();
    let mut other = world.open(asking(&["default"])).await.unwrap();
    other.next().await;
    world.change(2, vec![own("later", 3)], &[]);
    assert_eq!(names(&waiting.next().await), ["spiffe://td.example/later"]);
}

#[tokio::test]
async fn a_stream_is_pushed_changes_of_what_it_asks_for_and_nothing_again() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.open(asking(&["ROOTCA", "spiffe://td.example/db"])).await.unwrap();
    let first = stream.next().await;
    assert_eq!(names(&first), ["ROOTCA"]);
    let answer = |response: &DiscoveryResponse| DiscoveryRequest {
        version_info: response.version_info.clone(),
        response_nonce: response.nonce.clone(),
        type_url: SECRET_TYPE.to_owned(),
        ..asking(&["ROOTCA", "spiffe://td.example/db"])
    };
    stream.ask(answer(&first));
    world.change(2, vec![own("other", 2)], &[]);
    world.change(3, vec![own("db", 3)], &[]);
    let second = stream.next().await;
    assert_eq!(names(&second), ["ROOTCA", "spiffe://td.example/db"]);
    assert_ne!((&second.version_info, &second.nonce), (&first.version_info, &first.nonce));
    stream.ask(DiscoveryRequest {
        error_detail: Some(super::super::sds_api::messages::Status {
            code: 3,
            message: "no".repeat(10_000),
        }),
        version_info: first.version_info.clone(),
        ..answer(&second)
    });
    world.change(4, vec![], &["db"]);
    world.cache.apply(Update {
        bundle: Some(bundle().with_x509_authority(&other_root()).unwrap()),
        ..delta(5, vec![], &[])
    });
    let third = stream.next().await;
    assert_eq!(names(&third), ["ROOTCA"], "neither what was rejected again nor what is gone");
    // Who comes back with what it has is sent nothing until something changes.
    let mut back = world
        .open(DiscoveryRequest {
            version_info: third.version_info.clone(),
            ..answer(&third)
        })
        .await
        .unwrap();
    world.change(6, vec![own("db", 7)], &[]);
    assert_eq!(names(&back.next().await), ["ROOTCA", "spiffe://td.example/db"]);
    world.change(7, vec![], &["web", "other", "db"]);
    loop {
        match back.end_or_next().await {
            Ok(Some(_)) => {}
            ended => break assert_eq!(ended.unwrap_err().code(), Code::PermissionDenied),
        }
    }
}

fn other_root() -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://td.example".try_into().unwrap())];
    params.self_signed(&key).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_delta_stream_is_told_each_change_alone() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.open_delta(DeltaDiscoveryRequest::default()).await;
    let told = |response: &DeltaDiscoveryResponse| response.resources.iter().map(|resource| resource.name.clone()).collect::<Vec<_>>();
    let first = stream.next().await;
    assert_eq!(told(&first), ["spiffe://td.example", "spiffe://td.example/web"]);
    for resource in &first.resources {
        assert_eq!(secret_of(resource.resource.as_ref().unwrap()).name, resource.name);
    }
    world.change(2, vec![own("db", 2)], &[]);
    assert_eq!(told(&stream.next().await), ["spiffe://td.example/db"]);
    world.change(3, vec![], &["web"]);
    let removed = stream.next().await;
    assert_eq!(
        (told(&removed).len(), removed.removed_resources),
        (0, vec!["spiffe://td.example/web".to_owned()])
    );
    stream.ask(DeltaDiscoveryRequest {
        resource_names_subscribe: vec!["default".to_owned()],
        ..DeltaDiscoveryRequest::default()
    });
    assert_eq!(told(&stream.next().await), ["default"]);
    let has = first
        .resources
        .iter()
        .map(|resource| (resource.name.clone(), resource.version.clone()))
        .collect();
    let mut back = world
        .open_delta(DeltaDiscoveryRequest {
            initial_resource_versions: has,
            ..DeltaDiscoveryRequest::default()
        })
        .await;
    let missed = back.next().await;
    assert_eq!(
        (told(&missed), missed.removed_resources),
        (vec!["spiffe://td.example/db".to_owned()], vec!["spiffe://td.example/web".to_owned()])
    );
}

#[tokio::test]
async fn the_client_ends_the_stream_when_it_says_no_more() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.open(asking(&["default"])).await.unwrap();
    stream.next().await;
    drop(stream.requests);
    assert!(tokio::time::timeout(PATIENCE, stream.responses.message()).await.unwrap().unwrap().is_none());
}

#[tokio::test]
async fn too_many_names_too_long_requests_and_other_types_are_refused() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let code = |request: DiscoveryRequest| {
        let world = &world;
        async move {
            match world.open(request).await {
                Ok(mut stream) => stream.end_or_next().await.err().map(|status| status.code()),
                Err(status) => Some(status.code()),
            }
        }
    };
    let many = |count: usize| DiscoveryRequest {
        resource_names: (0..count)
            .map(|number| format!("spiffe://td.example/{number}"))
            .chain(["default".to_owned()])
            .collect(),
        ..DiscoveryRequest::default()
    };
    assert_eq!(code(many(MAX_NAMES - 1)).await, None);
    assert_eq!(code(many(MAX_NAMES)).await, Some(Code::ResourceExhausted));
    assert_eq!(code(many(100_000)).await, Some(Code::ResourceExhausted));
    assert_eq!(code(asking(&[&"x".repeat(5_000_000)])).await, Some(Code::ResourceExhausted));
    assert_eq!(code(asking(&[&"x".repeat(200_000)])).await, Some(Code::ResourceExhausted));
    let of_type = |type_url: &str| DiscoveryRequest {
        type_url: type_url.to_owned(),
        ..asking(&["default"])
    };
    assert_eq!(code(of_type(SECRET_TYPE)).await, None);
    assert_eq!(
        code(of_type("type.googleapis.com/envoy.config.cluster.v3.Cluster")).await,
        Some(Code::InvalidArgument)
    );
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    for (length, accepted) in [(8 * 1024, true), (17 * 1024, false)] {
        let mut request = Request::new(asking(&["default"]));
        request.metadata_mut().insert("padding", "x".repeat(length).parse().unwrap());
        assert_eq!(world.sds().await.fetch_secrets(request).await.is_ok(), accepted, "{length}");
    }
}

#[tokio::test]
async fn a_users_streams_of_both_services_share_one_limit() {
    let world = World::with_streams_per_uid(3);
    world.entries(1, vec![own("web", 1)]);
    let mut workload = workload_api::client::connect(&world.socket).await.unwrap();
    let _svids = workload.fetch_x509svid(workload_api::messages::X509svidRequest {}).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = world.open(asking(&["default"])).await.unwrap();
        stream.next().await;
        streams.push(stream);
    }
    let open = world.endpoints.open_streams();
    assert_eq!((open.workload_api, open.sds), (1, 2));
    assert_eq!(world.fetch(&["default"]).await.unwrap_err().code(), Code::ResourceExhausted);
    let refused = workload.fetch_x509svid(workload_api::messages::X509svidRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    streams.pop();
    while world.endpoints.open_streams().sds == 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&world.fetch(&["default"]).await.unwrap()), ["default"]);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_sent_the_newest_state_when_it_does() {
    /// Less than one response.
    const WINDOW: u32 = 256;
    const CHANGES: u64 = 200;
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let socket = world.sds_socket.clone();
    let connector = tower::service_fn(move |_address| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut client = SecretDiscoveryServiceClient::new(endpoint.connect_with_connector(connector).await.unwrap());
    let (requests, stream) = unbounded_channel();
    requests.send(DiscoveryRequest::default()).unwrap();
    let mut slow = Open {
        requests,
        responses: client.stream_secrets(UnboundedReceiverStream::new(stream)).await.unwrap().into_inner(),
    };
    let mut quick = world.open(DiscoveryRequest::default()).await.unwrap();
    for change in 2..=CHANGES {
        world.change(change, vec![own(&format!("e{change}"), change)], &[]);
        // The other stream keeps up.
        while names(&quick.next().await).len() < usize::try_from(change).unwrap() + 1 {}
    }
    let mut responses = 0;
    loop {
        responses += 1;
        if names(&slow.next().await).len() == usize::try_from(CHANGES).unwrap() + 1 {
            break;
        }
    }
    assert!(responses <= 3, "{responses} states were kept for it");
}

#[tokio::test]
async fn health_and_reflection_are_there_without_a_header() {
    let world = World::new();
    let channel = workload_api::client::channel(&world.sds_socket).await.unwrap();
    let asked = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    let mut watched = HealthClient::new(channel.clone()).watch(asked).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    world.entries(1, vec![own("web", 1)]);
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let question = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let questions = [
        question(MessageRequest::ListServices(String::new())),
        question(MessageRequest::FileContainingSymbol(
            "envoy.extensions.transport_sockets.tls.v3.Secret".to_owned(),
        )),
    ];
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::iter(questions))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(services)) = answers.message().await.unwrap().unwrap().message_response else {
        panic!("no list")
    };
    assert!(services.service.iter().any(|service| service.name == SERVICE_NAME));
    let described = answers.message().await.unwrap().unwrap().message_response;
    assert!(matches!(described, Some(MessageResponse::FileDescriptorResponse(_))), "{described:?}");
}

#[tokio::test]
async fn what_is_sent_shows_no_key() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let response = world.fetch(&["default"]).await.unwrap();
    let shown = format!("{response:?} {:?}", secret_of(&response.resources[0]));
    assert!(
        shown.contains("default") && !shown.contains("PRIVATE") && !shown.contains("45, 45, 45"),
        "{shown}"
    );
}
