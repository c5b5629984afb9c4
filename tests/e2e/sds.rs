//! Secret discovery with the agent's own client types and real certificates: what Envoy would be sent.

use std::os::unix::fs::PermissionsExt as _;

use agent::sds_api::client::{SdsClient, connect};
use agent::sds_api::messages::{DeltaDiscoveryRequest, DiscoveryRequest, secret};
use futures_util::future::join_all;
use serde_json::Value;
use tests::admin::runtime;
use tests::domain::{Agent, Domain, path_text};
use tests::sds::{DeltaStream, StateStream, asking, client, leaf_of, names_of, pem_of, secret_of};
use tests::wait::until_async;
use tonic::Code;

/// A node with an entry for whoever runs these tests.
fn domain_with_workload(name: &str, life: &str) -> (Domain, Agent) {
    let domain = Domain::start(name);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", own_uid(), life);
    (domain, agent)
}

fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

#[test]
fn a_stream_follows_rotations_and_ends_with_the_entry() {
    let (domain, agent) = domain_with_workload("stream.test", "10s");
    runtime().block_on(async {
        let mut sds = client(&agent.sds_socket).await;
        let mut stream = StateStream::open(&mut sds, asking(&["default", "ROOTCA"])).await.expect("a stream");
        let mut serials = Vec::new();
        let mut versions = Vec::new();
        while serials.len() < 3 {
            let response = stream.next().await.expect("the stream goes on");
            assert_eq!(names_of(&response), ["ROOTCA", "default"]);
            let leaf = leaf_of(&response);
            assert_eq!(leaf.uri_sans(), ["spiffe://stream.test/job"]);
            serials.push(leaf.serial().to_string());
            versions.push(response.version_info.clone());
            stream.say(DiscoveryRequest {
                version_info: response.version_info,
                response_nonce: response.nonce,
                ..asking(&["default", "ROOTCA"])
            });
        }
        for generations in [&mut serials, &mut versions] {
            generations.sort();
            generations.dedup();
            assert_eq!(generations.len(), 3, "the same was sent twice");
        }
        let _ = domain.told(&["entry", "delete", "/job", "--wait"]);
        loop {
            if let Err(ended) = stream.next().await {
                assert_eq!(ended.code(), Code::PermissionDenied);
                break;
            }
        }
    });
}

/// Takes the next certificate, accepts it as Envoy does, and returns its serial.
async fn accepted(stream: &mut StateStream) -> String {
    let response = stream.next().await.expect("the stream goes on");
    let serial = leaf_of(&response).serial().to_string();
    stream.say(DiscoveryRequest {
        version_info: response.version_info,
        response_nonce: response.nonce,
        ..asking(&["default"])
    });
    serial
}

#[test]
fn one_rotation_reaches_each_of_two_hundred_streams_and_is_issued_once() {
    let (domain, agent) = domain_with_workload("many.test", "20s");
    runtime().block_on(async {
        let mut streams = Vec::new();
        for _ in 0..200 {
            // Each on its own connection, as those of different Envoys are.
            streams.push(
                StateStream::open(&mut client(&agent.sds_socket).await, asking(&["default"]))
                    .await
                    .expect("a stream"),
            );
        }
        let firsts = join_all(streams.iter_mut().map(accepted)).await;
        let second = accepted(&mut streams[0]).await;
        for (stream, first) in streams.iter_mut().skip(1).zip(&firsts[1..]) {
            let serial = accepted(stream).await;
            assert!(serial == second && serial != *first, "{first}, then {serial}, and the others {second}");
        }
        let exported = domain.operator(&["audit", "export"]).exits(0).stdout;
        let records = exported.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let issued = records.filter(|record| record["event"] == "issued" && record["spiffe_id"] == "spiffe://many.test/job");
        assert_eq!(issued.count(), 2, "one certificate, and the one after it");
    });
}

#[test]
fn a_client_of_a_restarted_agent_is_sent_nothing_that_it_has() {
    let (domain, mut agent) = domain_with_workload("restart.test", "180s");
    runtime().block_on(async {
        let mut sds = client(&agent.sds_socket).await;
        let first = sds.fetch_secrets(asking(&["default"])).await.expect("an answer").into_inner();
        let _ = agent.process().terminate();
        agent.launch(None);
        agent.ready();
        let mut sds = client(&agent.sds_socket).await;
        let has = DiscoveryRequest {
            version_info: first.version_info.clone(),
            ..asking(&["default"])
        };
        let mut back = StateStream::open(&mut sds, has).await.expect("a stream");
        let versions = [("default".to_owned(), delta_version(&mut sds, "default").await)];
        let mut delta = DeltaStream::open(
            &mut sds,
            DeltaDiscoveryRequest {
                resource_names_subscribe: vec!["default".to_owned(), "spiffe://restart.test/more".to_owned()],
                initial_resource_versions: versions.into(),
                ..DeltaDiscoveryRequest::default()
            },
        )
        .await
        .expect("a stream");
        let told = delta.next().await.expect("what is not there");
        assert_eq!((told.resources.len(), told.removed_resources.len()), (0, 1));
        // The first thing that comes is a change.
        domain.fast_entry("n1", "/more", own_uid(), "180s");
        let names: Vec<_> = delta
            .next()
            .await
            .expect("a change")
            .resources
            .into_iter()
            .map(|resource| resource.name)
            .collect();
        assert_eq!(names, ["spiffe://restart.test/more"]);
        back.say(asking(&["default", "spiffe://restart.test/more"]));
        let changed = back.next().await.expect("a change");
        assert_eq!(names_of(&changed), ["default", "spiffe://restart.test/more"]);
    });
}

async fn delta_version(sds: &mut SdsClient, name: &str) -> String {
    let asked = DeltaDiscoveryRequest {
        resource_names_subscribe: vec![name.to_owned()],
        ..DeltaDiscoveryRequest::default()
    };
    let mut stream = DeltaStream::open(sds, asked).await.expect("a stream");
    stream.next().await.expect("a resource").resources[0].version.clone()
}

#[test]
fn what_is_fetched_verifies_by_its_own_roots_and_the_key_is_its_own() {
    let (_domain, agent) = domain_with_workload("fetch.test", "180s");
    let response = runtime().block_on(async {
        let mut sds = client(&agent.sds_socket).await;
        sds.fetch_secrets(asking(&["spiffe://fetch.test/job", "spiffe://fetch.test"]))
            .await
            .expect("an answer")
            .into_inner()
    });
    let (mut chain, mut key, mut roots) = (String::new(), String::new(), String::new());
    for resource in &response.resources {
        match secret_of(resource).r#type.expect("contents") {
            secret::Type::TlsCertificate(certificate) => {
                chain = pem_of(certificate.certificate_chain.as_ref());
                key = pem_of(certificate.private_key.as_ref());
            }
            secret::Type::ValidationContext(context) => roots = pem_of(context.trusted_ca.as_ref()),
        }
    }
    let certificates = |pem: &str| {
        pem::parse_many(pem)
            .expect("PEM")
            .into_iter()
            .map(|block| block.into_contents().into())
            .collect::<Vec<_>>()
    };
    let chain = certificates(&chain);
    let key = pem::parse(&key).expect("PEM");
    assert_eq!((chain.len(), key.tag()), (2, "PRIVATE KEY"));
    let mut store = rustls::RootCertStore::empty();
    for root in certificates(&roots) {
        store.add(root).expect("a root");
    }
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(store.into(), platform::tls::provider());
    let verifier = verifier.build().expect("a verifier");
    let now = rustls::pki_types::UnixTime::now();
    let _ = verifier.verify_client_cert(&chain[0], &chain[1..], now).expect("a valid chain");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.into_contents());
    let config = rustls::ServerConfig::builder_with_provider(platform::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3");
    let _ = config
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .expect("chain and key belong together");
}

#[test]
fn the_socket_stands_beside_the_workload_socket_and_the_operator_sees_it() {
    let (_domain, agent) = domain_with_workload("socket.test", "180s");
    let mode = std::fs::metadata(&agent.sds_socket).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o777);
    runtime().block_on(async {
        let mut sds = client(&agent.sds_socket).await;
        let mut stream = StateStream::open(&mut sds, asking(&["default"])).await.expect("a stream");
        let _ = stream.next().await.expect("a secret");
        let status = agent.operator(&["agent", "status"]).exits(0).json();
        assert_eq!((&status["sds_streams"], &status["streams"]), (&1.into(), &0.into()));
        assert_eq!(status["sds_socket"], path_text(&agent.sds_socket));
        drop(stream);
        let _ = until_async("the stream to be gone", async || {
            let status = agent.operator(&["agent", "status"]).exits(0).json();
            (status["sds_streams"] == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn the_socket_is_there_before_the_agent_has_joined() {
    let domain = Domain::init("early.test");
    let mut agent = Agent::new(domain.folder(), "n1");
    let elsewhere = domain.folder().join("envoy.sock");
    agent.options = vec!["--sds-socket".to_owned(), path_text(&elsewhere).to_owned()];
    // A link of a domain that nobody serves now.
    let link = {
        let mut other = Domain::start("early.test");
        let link = other.link("n1");
        let _ = other.server().terminate();
        link
    };
    agent.launch(Some(&link));
    runtime().block_on(async {
        let refused = until_async("an answer", async || {
            let mut sds = connect(elsewhere.clone()).await.ok()?;
            sds.fetch_secrets(asking(&["default"])).await.err()
        })
        .await;
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    });
    assert!(!agent.sds_socket.exists());
}
