//! The Broker API with a real broker: what it is given for other processes, and what it is not.

use std::path::PathBuf;
use std::time::Duration;

use agent::broker_api::client::{BrokerApiClient, SecurityHeader};
use agent::broker_api::messages::{
    Any, FetchJwtsvidRequest, SubscribeToJwtBundlesRequest, SubscribeToX509BundlesRequest, SubscribeToX509svidRequest, SubscribeToX509svidResponse,
    WorkloadReference,
};
use conformance::covers;
use tests::admin::runtime;
use tests::broker::{Address, Dialer, EACH_VERSION, Sleeper};
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::PATIENCE;
use tests::workload::{fetch_as, ids};
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;
use trust_domains::x509::{Certificate, split_der};

use crate::outside_clients::run_go;

/// A workload that never asks for itself.
pub(super) const WORKLOAD: u32 = 4_961;

/// A process that nobody made an entry for.
const NOBODY: u32 = 4_962;

pub(super) fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// A trust domain with one node, on which this process is a broker, and the workload has an entry.
pub(super) struct World {
    pub(super) domain: Domain,
    pub(super) agent: Agent,
    pub(super) unix: Address,
    pub(super) tcp: Address,
}

impl World {
    pub(super) fn new(name: &str) -> Self {
        Self::with(name, "180s", &["--broker-allow", "/mesh=pid"])
    }

    /// `life` is that of the broker's SVIDs.
    pub(super) fn with(name: &str, life: &str, options: &[&str]) -> Self {
        Self::with_server(name, &[], life, options)
    }

    pub(super) fn with_server(name: &str, server: &[&str], life: &str, options: &[&str]) -> Self {
        let domain = Domain::start_with(name, server);
        let socket = broker_socket(&domain);
        let common = ["--enable", "broker", "--broker-socket", path_text(&socket), "--broker-listen", "127.0.0.1:0"];
        let agent = domain.agent_with("n1", &[&common[..], options].concat());
        domain.fast_entry("n1", "/mesh", own_uid(), life);
        domain.fast_entry("n1", "/web", WORKLOAD, "180s");
        let tcp = Address::Tcp(served_at(&agent)[1].parse().expect("an address"));
        Self {
            domain,
            agent,
            unix: Address::Unix(socket),
            tcp,
        }
    }

    /// Returns the lines about granted references in the agent's log, which has no token.
    pub(super) fn granted(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.domain.folder().join("agent-n1.log")).expect("the agent's log");
        assert!(!log.contains("eyJ"), "a token: {log}");
        let granted = log.lines().filter(|line| line.contains("a broker's reference was granted"));
        granted.map(str::to_owned).collect()
    }

    pub(super) fn id(&self, path: &str) -> String {
        format!("spiffe://{}{path}", self.domain.name)
    }

    pub(super) async fn dialer(&self) -> Dialer {
        Dialer::of_workload(&self.agent, &self.id("/mesh")).await
    }

    pub(super) async fn broker(&self) -> BrokerApiClient {
        self.dialer().await.connect(&self.unix).await.expect("the agent lets its broker in")
    }
}

/// Returns a socket in a directory of its own.
fn broker_socket(domain: &Domain) -> PathBuf {
    let directory = domain.folder().join("broker");
    std::fs::create_dir_all(&directory).expect("a directory");
    directory.join("broker.sock")
}

fn served_at(agent: &Agent) -> Vec<String> {
    let status = agent.operator(&["agent", "status"]).exits(0).json();
    let addresses = status["broker_addresses"].as_array().expect("addresses").iter();
    addresses.map(|address| address.as_str().expect("text").to_owned()).collect()
}

pub(super) fn svids_of(pid: i32) -> SubscribeToX509svidRequest {
    SubscribeToX509svidRequest {
        reference: Some(WorkloadReference::of_pid(pid)),
    }
}

pub(super) fn token_of(pid: i32, audience: &[&str], spiffe_id: &str) -> FetchJwtsvidRequest {
    FetchJwtsvidRequest {
        reference: Some(WorkloadReference::of_pid(pid)),
        audience: audience.iter().map(|&value| value.to_owned()).collect(),
        spiffe_id: spiffe_id.to_owned(),
    }
}

pub(super) async fn next<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a message in time");
    Ok(message?.expect("an open stream"))
}

/// Waits for the end of a stream.
pub(super) async fn end<M>(stream: &mut Streaming<M>) -> Status {
    loop {
        if let Err(ended) = next(stream).await {
            return ended;
        }
    }
}

/// Returns the code of a refusal with its reason, after looking whose reason it is.
pub(super) fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    if let Some(info) = &info {
        assert_eq!(info.domain, "spiffe.io");
    }
    (status.code(), info.map(|info| info.reason).unwrap_or_default())
}

fn leaf_of(update: &SubscribeToX509svidResponse) -> Certificate {
    let chain = split_der(&update.svids[0].x509_svid).expect("a chain");
    Certificate::parse(&chain[0]).expect("a certificate")
}

#[covers("BEP-02", "BEP-04", "BRK-01", "BRK-05", "BRK-14", "BRK-19", "BRK-22", "BRK-24")]
#[test]
fn a_broker_gets_what_the_workload_would_get_over_each_address_and_version_of_tls() {
    let world = World::new("broker.test");
    let _ = world.domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/own",
        "--parent",
        "n1",
        "--selector",
        &format!("unix:uid:{}", own_uid()),
        "--wait",
    ]);
    let workload = Sleeper::start(WORKLOAD);
    let expected = ids(&fetch_as(WORKLOAD, &world.agent.socket));
    assert_eq!(expected, [world.id("/web")]);
    runtime().block_on(async {
        for address in [&world.unix, &world.tcp] {
            for versions in EACH_VERSION {
                let dialer = Dialer {
                    versions,
                    ..world.dialer().await
                };
                let mut broker = dialer.connect(address).await.expect("a connection");
                let mut svids = broker.subscribe_to_x509svid(svids_of(workload.pid())).await.expect("a stream").into_inner();
                let update = next(&mut svids).await.expect("a state");
                let given: Vec<&str> = update.svids.iter().map(|svid| svid.spiffe_id.as_str()).collect();
                assert_eq!(given, expected, "the workload's, and none of the broker's own");
                assert_eq!(leaf_of(&update).uri_sans(), expected);
                assert!(!update.svids[0].x509_svid_key.is_empty() && !update.svids[0].bundle.is_empty());

                let reference = Some(WorkloadReference::of_pid(workload.pid()));
                let asked = SubscribeToX509BundlesRequest { reference: reference.clone() };
                let mut bundles = broker.subscribe_to_x509_bundles(asked).await.expect("a stream").into_inner();
                let bundles = next(&mut bundles).await.expect("a state").bundles;
                assert_eq!(bundles.keys().collect::<Vec<_>>(), ["spiffe://broker.test"]);
                assert_eq!(bundles["spiffe://broker.test"], update.svids[0].bundle);

                let mut keys = broker
                    .subscribe_to_jwt_bundles(SubscribeToJwtBundlesRequest { reference })
                    .await
                    .expect("a stream")
                    .into_inner();
                let keys = next(&mut keys).await.expect("a state").bundles;
                let keys: serde_json::Value = serde_json::from_slice(&keys["spiffe://broker.test"]).expect("a JWK set");
                assert!(!keys["keys"].as_array().expect("keys").is_empty());
                assert!(
                    keys["keys"].as_array().expect("keys").iter().all(|key| key.get("x5c").is_none()),
                    "keys of tokens only"
                );

                let tokens = broker
                    .fetch_jwtsvid(token_of(workload.pid(), &["db", "cache"], ""))
                    .await
                    .expect("tokens")
                    .into_inner()
                    .svids;
                assert_eq!(tokens.iter().map(|svid| svid.spiffe_id.as_str()).collect::<Vec<_>>(), expected);
                let claims: serde_json::Value = claims_of(&tokens[0].svid);
                assert_eq!(claims["sub"], expected[0].as_str());
                assert_eq!(claims["aud"].as_array().expect("several").len(), 2);
            }
        }
    });
    let granted = world.granted();
    assert_eq!(granted.len(), 16, "a line for each call: {granted:?}");
    for line in granted {
        let pid = format!("pid={}", workload.pid());
        assert!(
            line.contains(&world.id("/mesh")) && line.contains(&pid) && line.contains("entries=") && line.contains("trace="),
            "{line}"
        );
    }
}

fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("claims")
}

#[covers("BRK-04", "BRK-07", "BRK-10", "BRK-16", "BRK-17", "BRK-20", "BRK-24")]
#[test]
fn a_reference_is_checked_before_anything_else_and_each_refusal_says_why() {
    const INVALID: &str = "WORKLOAD_REFERENCE_INVALID";
    const NOT_FOUND: &str = "WORKLOAD_NOT_FOUND";
    const NOT_ENTITLED: &str = "WORKLOAD_NOT_ENTITLED";
    let world = World::new("refused.test");
    let (workload, stranger) = (Sleeper::start(WORKLOAD), Sleeper::start(NOBODY));
    let gone = {
        let short = Sleeper::start(WORKLOAD);
        short.pid()
    };
    let zombie = Sleeper::start(WORKLOAD);
    zombie.kill();
    let any = |type_url: &str| {
        Some(WorkloadReference::of(Any {
            type_url: type_url.to_owned(),
            value: Vec::new(),
        }))
    };
    runtime().block_on(async {
        let mut broker = world.broker().await;
        let pod = "type.googleapis.com/spiffe.broker.KubernetesObjectReference";
        for (reference, expected) in [
            (None, (Code::InvalidArgument, INVALID)),
            (Some(WorkloadReference::default()), (Code::InvalidArgument, INVALID)),
            (any(""), (Code::InvalidArgument, INVALID)),
            (any("type.googleapis.com/example.Job"), (Code::InvalidArgument, INVALID)),
            (any(pod), (Code::InvalidArgument, INVALID)),
            (Some(WorkloadReference::of_pid(0)), (Code::InvalidArgument, INVALID)),
            (Some(WorkloadReference::of_pid(-1)), (Code::InvalidArgument, INVALID)),
            (Some(WorkloadReference::of_pid(i32::MIN)), (Code::InvalidArgument, INVALID)),
            (Some(WorkloadReference::of_pid(i32::MAX)), (Code::NotFound, NOT_FOUND)),
            (Some(WorkloadReference::of_pid(gone)), (Code::NotFound, NOT_FOUND)),
            (Some(WorkloadReference::of_pid(zombie.pid())), (Code::NotFound, NOT_FOUND)),
            (Some(WorkloadReference::of_pid(stranger.pid())), (Code::PermissionDenied, NOT_ENTITLED)),
        ] {
            let expected = (expected.0, expected.1.to_owned());
            let refused = [
                broker
                    .subscribe_to_x509svid(SubscribeToX509svidRequest { reference: reference.clone() })
                    .await
                    .expect_err("a refusal"),
                broker
                    .subscribe_to_x509_bundles(SubscribeToX509BundlesRequest { reference: reference.clone() })
                    .await
                    .expect_err("a refusal"),
                broker
                    .subscribe_to_jwt_bundles(SubscribeToJwtBundlesRequest { reference: reference.clone() })
                    .await
                    .expect_err("a refusal"),
                broker
                    .fetch_jwtsvid(FetchJwtsvidRequest {
                        reference: reference.clone(),
                        audience: vec!["db".to_owned()],
                        spiffe_id: String::new(),
                    })
                    .await
                    .expect_err("a refusal"),
            ];
            for status in refused {
                assert_eq!(reason(&status), expected, "{reference:?}: {status:?}");
            }
        }
        let named = broker
            .subscribe_to_x509svid(SubscribeToX509svidRequest { reference: any(pod) })
            .await
            .expect_err("a refusal");
        assert!(named.message().contains("spiffe.broker.KubernetesObjectReference"), "{named:?}");

        // The reference counts first: what is wrong beside it is not told.
        let both = broker.fetch_jwtsvid(token_of(gone, &[], "no ID")).await.expect_err("a refusal");
        assert_eq!(reason(&both), (Code::NotFound, NOT_FOUND.to_owned()));
        let pid = workload.pid();
        for (request, expected) in [
            (token_of(pid, &[], ""), (Code::InvalidArgument, "")),
            (token_of(pid, &[""], ""), (Code::InvalidArgument, "")),
            (token_of(pid, &["db"], "no ID"), (Code::InvalidArgument, "")),
            (token_of(pid, &["db"], &world.id("/mesh")), (Code::PermissionDenied, NOT_ENTITLED)),
            (token_of(pid, &["db"], &world.id("/we")), (Code::PermissionDenied, NOT_ENTITLED)),
        ] {
            let status = broker.fetch_jwtsvid(request).await.expect_err("a refusal");
            assert_eq!(reason(&status), (expected.0, expected.1.to_owned()), "{status:?}");
        }
        let granted = broker
            .fetch_jwtsvid(token_of(pid, &["db"], &world.id("/web")))
            .await
            .expect("a token")
            .into_inner();
        assert_eq!(granted.svids.len(), 1);
    });
}

#[covers("BRK-18")]
#[test]
fn streams_end_with_the_process_and_no_others_do() {
    let world = World::new("ends.test");
    let (first, second) = (Sleeper::start(WORKLOAD), Sleeper::start(WORKLOAD));
    runtime().block_on(async {
        let mut broker = world.broker().await;
        let mut svids = broker.subscribe_to_x509svid(svids_of(first.pid())).await.expect("a stream").into_inner();
        let reference = Some(WorkloadReference::of_pid(first.pid()));
        let asked = SubscribeToX509BundlesRequest { reference: reference.clone() };
        let mut bundles = broker.subscribe_to_x509_bundles(asked).await.expect("a stream").into_inner();
        let mut keys = broker
            .subscribe_to_jwt_bundles(SubscribeToJwtBundlesRequest { reference })
            .await
            .expect("a stream")
            .into_inner();
        let mut other = broker.subscribe_to_x509svid(svids_of(second.pid())).await.expect("a stream").into_inner();
        next(&mut svids).await.expect("a state");
        next(&mut bundles).await.expect("a state");
        next(&mut keys).await.expect("a state");
        next(&mut other).await.expect("a state");
        // It is a zombie: its number is still its own, and it is gone all the same.
        first.kill();
        let gone = (Code::NotFound, "WORKLOAD_NOT_FOUND".to_owned());
        assert_eq!(reason(&end(&mut svids).await), gone);
        assert_eq!(reason(&end(&mut bundles).await), gone);
        assert_eq!(reason(&end(&mut keys).await), gone);
        let still = tokio::time::timeout(Duration::from_millis(300), other.message()).await;
        assert!(still.is_err(), "the other workload lives, and has no news: {still:?}");
        broker.fetch_jwtsvid(token_of(second.pid(), &["db"], "")).await.expect("the connection goes on");

        let _ = world.domain.told(&["entry", "delete", "/web", "--wait"]);
        assert_eq!(reason(&end(&mut other).await), (Code::PermissionDenied, "WORKLOAD_NOT_ENTITLED".to_owned()));
    });
}

#[covers("BRK-14", "BRK-15")]
#[test]
fn a_stream_follows_rotations_and_a_program_that_was_replaced_is_another_workload() {
    let world = World::new("follows.test");
    world.domain.fast_entry("n1", "/short", NOBODY, "10s");
    let id = NOBODY.to_string();
    // It executes another program when it is told to.
    let mut command = std::process::Command::new("setpriv");
    command.args([
        "--reuid",
        &id,
        "--regid",
        &id,
        "--clear-groups",
        "--",
        "sh",
        "-c",
        "echo ready; read _; exec sleep 1000",
    ]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    {
        use std::io::{BufRead as _, BufReader};
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its word");
    }
    let pid = i32::try_from(child.id()).expect("a process id");
    runtime().block_on(async {
        let mut broker = world.broker().await;
        let mut svids = broker.subscribe_to_x509svid(svids_of(pid)).await.expect("a stream").into_inner();
        let mut serials = Vec::new();
        for _ in 0..3 {
            let update = next(&mut svids).await.expect("a state");
            assert_eq!(update.svids.len(), 1);
            serials.push(leaf_of(&update).serial().to_string());
        }
        serials.dedup();
        assert_eq!(serials.len(), 3, "each message is news");
        assert_eq!(world.granted().len(), 1, "a renewal grants nothing new");
        drop(child.stdin.take());
        assert_eq!(end(&mut svids).await.code(), Code::Unavailable, "at the next message");
        let mut svids = broker.subscribe_to_x509svid(svids_of(pid)).await.expect("it is referred to anew").into_inner();
        next(&mut svids).await.expect("a state");
    });
    let _ = child.kill();
    let _ = child.wait();
}

#[covers("BEP-03")]
#[test]
fn no_method_answers_without_the_security_header() {
    let world = World::new("header.test");
    let workload = Sleeper::start(WORKLOAD);
    runtime().block_on(async {
        let channel = world.dialer().await.channel(&world.unix).await.expect("a channel");
        let methods =
            ["SubscribeToX509SVID", "SubscribeToX509Bundles", "FetchJWTSVID", "SubscribeToJWTBundles"].map(|method| format!("/spiffe.broker.API/{method}"));
        let others = [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/nobody.Knows/This",
        ];
        for path in methods.iter().map(String::as_str).chain(others) {
            for header in [
                None,
                Some(("broker.spiffe.io", "True")),
                Some(("broker.spiffe.io", "")),
                Some(("workload.spiffe.io", "true")),
            ] {
                assert_eq!(called(&channel, path, header, workload.pid()).await, Code::InvalidArgument, "{path} {header:?}");
            }
            let answered = called(&channel, path, Some(("broker.spiffe.io", "true")), workload.pid()).await;
            assert_ne!(answered, Code::InvalidArgument, "{path}");
        }
    });
}

/// Calls a method with the reference of a process as its message, and returns the code of the answer's head; `Ok` where a stream began.
async fn called(channel: &tonic::transport::Channel, path: &str, header: Option<(&'static str, &'static str)>, pid: i32) -> Code {
    use prost::Message as _;
    let message = token_of(pid, &["db"], "").encode_to_vec();
    let message: bytes::Bytes = [&[0][..], &u32::try_from(message.len()).expect("short").to_be_bytes(), &message]
        .concat()
        .into();
    let body = tonic::body::Body::new(http_body_util::Full::new(message));
    let mut request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let mut channel = channel.clone();
    let response = tower::ServiceExt::ready(&mut channel).await.expect("ready");
    let response = tower::Service::call(response, request.body(body).expect("a request")).await.expect("an answer");
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

#[covers("BRK-19", "BRK-15")]
#[test]
fn identities_come_in_the_order_of_the_workload_api_and_a_hint_is_unique() {
    let world = World::new("order.test");
    for path in ["/zebra", "/ant", "/cat"] {
        let selector = format!("unix:uid:{WORKLOAD}");
        let entry = ["entry", "create", "--spiffe-id", path, "--parent", "n1", "--selector", &selector];
        let _ = world.domain.told(&[&entry[..], &["--hint", "internal", "--wait"]].concat());
    }
    let fetched = fetch_as(WORKLOAD, &world.agent.socket);
    let expected = ids(&fetched);
    assert_eq!(expected.len(), 4);
    let workload = Sleeper::start(WORKLOAD);
    runtime().block_on(async {
        let mut broker = world.broker().await;
        let mut stream = broker.subscribe_to_x509svid(svids_of(workload.pid())).await.expect("a stream").into_inner();
        let update = next(&mut stream).await.expect("a state");
        let x509: Vec<_> = update.svids.into_iter().map(|svid| (svid.spiffe_id, svid.hint)).collect();
        let tokens = broker
            .fetch_jwtsvid(token_of(workload.pid(), &["db"], ""))
            .await
            .expect("tokens")
            .into_inner()
            .svids;
        let tokens: Vec<_> = tokens.into_iter().map(|svid| (svid.spiffe_id, svid.hint)).collect();
        for given in [x509, tokens] {
            let first_hinted = given.iter().position(|(id, _)| *id != world.id("/web"));
            let hinted: Vec<_> = given.iter().map(|(_, hint)| hint == "internal").collect();
            assert_eq!(hinted.iter().position(|hinted| *hinted), first_hinted, "the first that has it keeps it");
            assert_eq!(hinted.iter().filter(|hinted| **hinted).count(), 1);
            assert_eq!(given.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);
        }
    });
}

#[covers("BEP-09")]
#[test]
fn reflection_shows_the_broker_api_and_no_service_of_our_own() {
    let world = World::new("shown.test");
    runtime().block_on(async {
        let channel = world.dialer().await.channel(&world.unix).await.expect("a channel");
        let mut client = ServerReflectionClient::with_interceptor(channel, SecurityHeader);
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = client
            .server_reflection_info(tokio_stream::iter([question]))
            .await
            .expect("a stream")
            .into_inner();
        let answer = next(&mut answers).await.expect("an answer");
        let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
            panic!("no list")
        };
        let names = services.service.into_iter().map(|service| service.name);
        let others: Vec<String> = names.filter(|name| !name.starts_with("grpc.")).collect();
        assert_eq!(others, ["spiffe.broker.API"]);
    });
}

#[covers("STB-01")]
#[test]
fn it_is_off_unless_switched_on_and_its_options_alone_are_refused() {
    let domain = Domain::start("off.test");
    let socket = broker_socket(&domain);
    let agent = domain.agent("n1");
    assert!(served_at(&agent).is_empty(), "nothing is served");
    assert!(!socket.exists());
    let at = ["agent", "run", "--data-dir", "/nonexistent"];
    for option in [
        ["--broker-socket", path_text(&socket)],
        ["--broker-listen", "127.0.0.1:0"],
        ["--broker-allow", "/mesh=pid"],
    ] {
        let refused = run(&[&at[..], &option].concat()).exits(2);
        assert!(refused.stderr.contains("--enable broker"), "{refused:?}");
    }
    let refused = run(&[&at[..], &["--enable", "broker"]].concat()).exits(2);
    assert!(refused.stderr.contains("--broker-socket PATH or --broker-listen ADDR"), "{refused:?}");
}

// BEP-03, BEP-04: a broker that is not ours, with the public messages of the standard and go-spiffe's mutual TLS.
#[covers("BEP-02", "BEP-03", "BEP-04", "BRK-01", "BRK-19")]
#[test]
fn a_broker_in_go_verifies_the_agent_and_gets_the_identity_of_another_process() {
    let world = World::new("go-broker.test");
    let workload = Sleeper::start(WORKLOAD);
    let Address::Unix(socket) = &world.unix else { panic!("a Unix socket") };
    let (own, agent, web) = (world.id("/mesh"), world.id("/troth/agent/join_token/n1"), world.id("/web"));
    let pid = workload.pid().to_string();
    let arguments = ["broker", path_text(&world.agent.socket), &own, path_text(socket), &agent, &pid, &web];
    assert_eq!(run_go(&arguments).exits(0).json()["spiffe_id"], web);

    let other = world.id("/troth/agent/join_token/n2");
    let misled = ["broker", path_text(&world.agent.socket), &own, path_text(socket), &other, &pid, &web];
    assert_ne!(run_go(&misled).code, 0, "another agent than is expected");
}
