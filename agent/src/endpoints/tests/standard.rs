//! What the standards say of the endpoint as a whole: which services there are, and what every call needs.

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::description::described;
use super::*;
use crate::endpoints::broker_api;

/// Everything that the endpoint serves.
fn descriptors() -> Vec<FileDescriptorSet> {
    let encoded = [
        workload_api::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    encoded.iter().map(|set| FileDescriptorSet::decode(*set).unwrap()).collect()
}

/// The paths of every method of every service.
fn paths() -> BTreeSet<String> {
    let files = descriptors().into_iter().flat_map(|set| set.file);
    let of_file = |file: prost_types::FileDescriptorProto| {
        let prefix = file
            .package
            .filter(|package| !package.is_empty())
            .map(|package| format!("{package}."))
            .unwrap_or_default();
        let services = file.service.into_iter();
        services.flat_map(move |service| {
            let service_path = format!("/{prefix}{}", service.name());
            let methods: Vec<String> = service.method.iter().map(|method| format!("{service_path}/{}", method.name())).collect();
            methods
        })
    };
    files.flat_map(of_file).collect()
}

/// Calls a method with an empty message and returns how it is refused at once.
async fn refusal(channel: &Channel, path: &str, header: Option<&'static str>) -> Option<Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(value) = header {
        request
            .metadata_mut()
            .insert(workload_api::SECURITY_HEADER, AsciiMetadataValue::from_static(value));
    }
    let path: PathAndQuery = path.parse().unwrap();
    client.server_streaming(request, path, ProstCodec::<(), ()>::default()).await.err()
}

#[covers("EP-05")]
#[tokio::test]
async fn without_the_header_no_method_says_anything_not_even_that_it_is_not_there() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let channel = channel(&world.socket).await.unwrap();
    let mut paths = paths();
    for known in [
        "/SpiffeWorkloadAPI/FetchX509SVID",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert!(paths.contains(known), "{known}: {paths:?}");
    }
    let unknown = ["/SpiffeWorkloadAPI/FetchEverything", "/no.such.Service/Method"];
    paths.extend(unknown.map(str::to_owned));
    for path in &paths {
        for header in [None, Some("false"), Some("TRUE"), Some("")] {
            let code = refusal(&channel, path, header).await.map(|status| status.code());
            assert_eq!(code, Some(Code::InvalidArgument), "{path} with {header:?}");
        }
    }
    for path in unknown {
        let code = refusal(&channel, path, Some("true")).await.map(|status| status.code());
        assert_eq!(code, Some(Code::Unimplemented), "{path}");
    }
}

/// The service as the standard has it: methods, then messages, in the order of its file.
const STANDARD: &str = "\
FetchX509SVID(X509SVIDRequest) stream X509SVIDResponse
FetchX509Bundles(X509BundlesRequest) stream X509BundlesResponse
FetchJWTSVID(JWTSVIDRequest) JWTSVIDResponse
FetchJWTBundles(JWTBundlesRequest) stream JWTBundlesResponse
ValidateJWTSVID(ValidateJWTSVIDRequest) ValidateJWTSVIDResponse
FetchWITSVID(WITSVIDRequest) stream WITSVIDResponse
FetchWITBundles(WITBundlesRequest) stream WITBundlesResponse
X509SVIDRequest
X509SVIDResponse: svids 1 repeated .X509SVID, crl 2 repeated bytes, federated_bundles 3 map<string, bytes>
X509SVID: spiffe_id 1 string, x509_svid 2 bytes, x509_svid_key 3 bytes, bundle 4 bytes, hint 5 string
X509BundlesRequest
X509BundlesResponse: crl 1 repeated bytes, bundles 2 map<string, bytes>
JWTSVIDRequest: audience 1 repeated string, spiffe_id 2 string
JWTSVIDResponse: svids 1 repeated .JWTSVID
JWTSVID: spiffe_id 1 string, svid 2 string, hint 3 string
JWTBundlesRequest
JWTBundlesResponse: bundles 1 map<string, bytes>
ValidateJWTSVIDRequest: audience 1 string, svid 2 string
ValidateJWTSVIDResponse: spiffe_id 1 string, claims 2 .google.protobuf.Struct
WITSVIDRequest: spiffe_id 1 string
WITSVIDResponse: svids 1 repeated .WITSVID
WITSVID: spiffe_id 1 string, wit_svid 2 string, wit_svid_key 3 string, hint 4 string
WITBundlesRequest
WITBundlesResponse: bundles 1 map<string, string>
";

#[covers("EP-13", "WAPI-02")]
#[test]
fn the_workload_api_has_the_methods_and_messages_of_the_standard_and_no_others() {
    let (name, lines) = described(workload_api::DESCRIPTORS);
    assert_eq!(name, "SpiffeWorkloadAPI");
    assert_eq!(lines, STANDARD.lines().collect::<Vec<_>>());
}

/// The Broker API as the standard has it, in the same form.
const BROKER_STANDARD: &str = "\
SubscribeToX509SVID(spiffe.broker.SubscribeToX509SVIDRequest) stream spiffe.broker.SubscribeToX509SVIDResponse
SubscribeToX509Bundles(spiffe.broker.SubscribeToX509BundlesRequest) stream spiffe.broker.SubscribeToX509BundlesResponse
FetchJWTSVID(spiffe.broker.FetchJWTSVIDRequest) spiffe.broker.FetchJWTSVIDResponse
SubscribeToJWTBundles(spiffe.broker.SubscribeToJWTBundlesRequest) stream spiffe.broker.SubscribeToJWTBundlesResponse
WorkloadReference: reference 1 .google.protobuf.Any
WorkloadPIDReference: pid 1 int32
KubernetesObjectType: plural 1 string, group 2 string
KubernetesObjectKey: namespace 1 string, name 2 string
KubernetesObjectReference: type 1 .spiffe.broker.KubernetesObjectType, key 2 .spiffe.broker.KubernetesObjectKey, uid 3 string
SubscribeToX509SVIDRequest: reference 1 .spiffe.broker.WorkloadReference
SubscribeToX509SVIDResponse: svids 1 repeated .spiffe.broker.X509SVID, crl 2 repeated bytes, federated_bundles 3 map<string, bytes>
X509SVID: spiffe_id 1 string, x509_svid 2 bytes, x509_svid_key 3 bytes, bundle 4 bytes, hint 5 string
SubscribeToX509BundlesRequest: reference 1 .spiffe.broker.WorkloadReference
SubscribeToX509BundlesResponse: crl 1 repeated bytes, bundles 2 map<string, bytes>
FetchJWTSVIDRequest: reference 1 .spiffe.broker.WorkloadReference, audience 2 repeated string, spiffe_id 3 string
FetchJWTSVIDResponse: svids 1 repeated .spiffe.broker.JWTSVID
JWTSVID: spiffe_id 1 string, svid 2 string, hint 3 string
SubscribeToJWTBundlesRequest: reference 1 .spiffe.broker.WorkloadReference
SubscribeToJWTBundlesResponse: bundles 1 map<string, bytes>
";

#[covers("BRK-02", "BEP-09")]
#[test]
fn the_broker_api_has_the_methods_and_messages_of_the_standard_and_no_others() {
    let (name, lines) = described(broker_api::DESCRIPTORS);
    assert_eq!((name.as_str(), broker_api::SERVICE_NAME), ("spiffe.broker.API", "spiffe.broker.API"));
    assert_eq!(lines, BROKER_STANDARD.lines().collect::<Vec<_>>());
}

#[covers("STB-01")]
#[test]
fn the_revision_of_the_broker_standard_is_in_its_page() {
    let page = include_str!("../../../../docs/broker.md");
    assert!(page.contains(broker_api::REVISION), "{}", broker_api::REVISION);
}

#[covers("EP-13", "EP-14")]
#[tokio::test]
async fn beside_the_workload_api_there_are_health_and_reflection_only() {
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
    let others: Vec<String> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .filter(|name| !name.starts_with("grpc."))
        .collect();
    assert_eq!(others, ["SpiffeWorkloadAPI"]);
}

#[covers("WAPI-10")]
#[tokio::test]
async fn a_hint_that_two_entries_have_goes_to_the_older_one_and_moves_when_that_is_gone() {
    let world = World::new();
    let hinted = |id, at| NodeEntry {
        hint: Some("db".to_owned()),
        ..own(id, at)
    };
    world.entries(1, vec![hinted("younger", 2), hinted("older", 1)]);
    let hints = |response: &X509svidResponse| response.svids.iter().map(|svid| svid.hint.clone()).collect::<Vec<_>>();
    let mut stream = world.svids().await;
    let both = next(&mut stream).await;
    assert_eq!((ids(&both), hints(&both)), (vec!["older", "younger"], vec!["db".to_owned(), String::new()]));
    world.change(2, vec![], &["older"]);
    let one = next(&mut stream).await;
    assert_eq!((ids(&one), hints(&one)), (vec!["younger"], vec!["db".to_owned()]));
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused_and_the_user_still_served() {
    let world = World::new();
    world.entries(1, vec![own("web", 1)]);
    let mut client = world.client().await;
    let padded = |fields: &[(&'static str, usize)]| {
        let mut request = Request::new(X509svidRequest {});
        for (name, length) in fields {
            request.metadata_mut().append(*name, "x".repeat(*length).parse().unwrap());
        }
        request
    };
    let many = [("a", 1); 600];
    for (fields, expected) in [
        (&[("padding", 8 * 1024)][..], None),
        (&[("padding", 15 * 1024)], None),
        (&[("padding", 16 * 1024)], Some(Code::ResourceExhausted)),
        (&[("padding", 10 * 1024), ("more", 10 * 1024)], Some(Code::ResourceExhausted)),
        (&many, Some(Code::ResourceExhausted)),
    ] {
        let refused = client.fetch_x509svid(padded(fields)).await.err().map(|status| status.code());
        assert_eq!(refused, expected, "{} fields", fields.len());
    }
    // What is far more is not even read: the HTTP library refuses it with a status of HTTP.
    let far_more = match client.fetch_x509svid(padded(&[("padding", 100 * 1024)])).await {
        Ok(stream) => stream.into_inner().message().await,
        Err(refused) => Err(refused),
    };
    assert!(far_more.is_err(), "{far_more:?}");
    assert_eq!(ids(&next(&mut world.svids().await).await), ["web"]);
}
