//! The whole agent in this process, against a server in miniature.

use std::path::Path;

use conformance::covers;
use platform::paths::Environment;
use platform::sockets::{BindError, SocketPath};
use platform::unix_http::UnixHttpClient;
use tokio::task::JoinHandle;
use trust_domains::join_link::JoinLink;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{Health, HealthState};
use trust_domains::wire::agent::{AgentStatus, Explanation};

use super::*;
use crate::config::RawAgentConfig;
use crate::endpoints::workload_api::client::connect;
use crate::endpoints::workload_api::messages::JwtsvidRequest;
use crate::jwt_svids::testing::{TOKEN_LIFE, token};
use crate::node::testing::TestServer;
use crate::svids::testing::entry;

mod wit;

const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn raw(&self, link: Option<&JoinLink>) -> RawAgentConfig {
        RawAgentConfig {
            data_dir: Some(self.path("agent")),
            workload_socket: Some(self.path("run/workload.sock")),
            telemetry_listen: Some("off".to_owned()),
            join: link.map(JoinLink::to_link),
            ..RawAgentConfig::default()
        }
    }

    fn start(&self, raw: RawAgentConfig, server: &TestServer) -> Running {
        self.start_with(raw, server.clock.shared())
    }

    fn start_with(&self, raw: RawAgentConfig, clock: SharedClock) -> Running {
        let config = AgentConfig::new(raw, &Environment::default()).unwrap();
        let admin = UnixHttpClient::new(SocketPath::new(Path::new(&self.path("agent/agent-admin.sock"))).unwrap(), PATIENCE);
        let shutdown = CancellationToken::new();
        let life = tokio::spawn(run(config, HandedSockets::default(), clock, shutdown.clone()));
        Running { admin, shutdown, life }
    }
}

struct Running {
    admin: UnixHttpClient,
    shutdown: CancellationToken,
    life: JoinHandle<Result<(), RunError>>,
}

impl Running {
    async fn until(&self, state: HealthState) -> Health {
        for _ in 0..6_000 {
            if let Ok(health) = self.admin.get::<Health>("/v1/agent/health").await
                && health.state == state
            {
                return health;
            }
            assert!(!self.life.is_finished(), "the agent ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {state:?}");
    }

    async fn until_svid(&self) {
        for _ in 0..6_000 {
            if self.admin.get::<AgentStatus>("/v1/agent/status").await.unwrap().svids > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never an SVID");
    }

    async fn end(self) -> Result<(), RunError> {
        self.shutdown.cancel();
        self.ended().await
    }

    async fn ended(self) -> Result<(), RunError> {
        tokio::time::timeout(PATIENCE, self.life).await.expect("it does not end").unwrap()
    }
}

fn own_uid_entry() -> trust_domains::wire::node::NodeEntry {
    let uid = platform::process::effective_uid();
    trust_domains::wire::node::NodeEntry {
        selectors: vec![format!("unix:uid:{uid}").parse().unwrap()],
        ..entry("a", 1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_explains_ends_and_serves_again_without_its_server() {
    let (server, place) = (TestServer::start().await, Place::new());
    *server.seen.entries.lock().unwrap() = vec![own_uid_entry()];
    let agent = place.start(place.raw(Some(&server.link())), &server);
    agent.until(HealthState::Ready).await;
    let status: AgentStatus = agent.admin.get("/v1/agent/status").await.unwrap();
    assert_eq!((status.connected, status.entries), (true, 1));
    let own = format!("/v1/agent/explain?pid={}", std::process::id());
    let explanation: Explanation = agent.admin.get(&own).await.unwrap();
    assert!(explanation.entries[0].matches && explanation.remedy.is_none(), "{explanation:?}");
    agent.until_svid().await;
    agent.end().await.unwrap();

    let clock = server.clock.clone();
    drop(server);
    let agent = place.start_with(place.raw(None), clock.shared());
    let health = agent.until(HealthState::Degraded).await;
    assert!(health.problems[0].contains("no sync stream"), "{health:?}");
    let explanation: Explanation = agent.admin.get(&own).await.unwrap();
    assert!(explanation.identities[0].serial.is_some(), "{explanation:?}");
    agent.end().await.unwrap();
}

#[covers("BEP-01")]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_broker_socket_is_in_the_directory_of_another_by_a_link_does_not_start() {
    let server = TestServer::start().await;
    for (target, beside) in [("run", "workload.sock"), ("sds", "envoy.sock"), ("agent", "agent-admin.sock")] {
        let place = Place::new();
        std::os::unix::fs::symlink(place.path(target), place.path("link")).unwrap();
        let mode_of_run = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        std::fs::create_dir(place.path(target)).unwrap();
        std::fs::set_permissions(place.path(target), mode_of_run).unwrap();
        let raw = RawAgentConfig {
            enable: Some(vec!["broker".to_owned()]),
            sds_socket: Some(place.path("sds/envoy.sock")),
            broker_socket: Some(place.path("link/broker.sock")),
            broker_allow: vec!["/mesh=pid".to_owned()],
            ..place.raw(Some(&server.link()))
        };
        let error = place.start(raw, &server).ended().await.unwrap_err();
        assert!(
            matches!(&error, RunError::Bind(BindError::SharedDirectory { beside: told, .. }) if told.ends_with(beside)),
            "{error:?}"
        );
        assert!(!Path::new(&place.path("link/broker.sock")).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cache_nothing_of_workloads_stays_on_disk() {
    let (server, place) = (TestServer::start().await, Place::new());
    *server.seen.entries.lock().unwrap() = vec![own_uid_entry()];
    let with_cache = place.start(place.raw(Some(&server.link())), &server);
    with_cache.until(HealthState::Ready).await;
    with_cache.until_svid().await;
    with_cache.end().await.unwrap();
    assert!(Path::new(&place.path("agent/cache.sealed")).exists());
    let without = place.start(
        RawAgentConfig {
            no_cache: Some(true),
            ..place.raw(None)
        },
        &server,
    );
    without.until(HealthState::Ready).await;
    without.until_svid().await;
    without.end().await.unwrap();
    assert!(!Path::new(&place.path("agent/cache.sealed")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_forgets_itself_and_ends() {
    let (server, place) = (TestServer::start().await, Place::new());
    let agent = place.start(place.raw(Some(&server.link())), &server);
    agent.until(HealthState::Ready).await;
    let () = agent.admin.post("/v1/agent/leave", &serde_json::json!({})).await.unwrap();
    agent.ended().await.unwrap();
    assert!(server.calls().contains(&"/v1/node/leave".to_owned()));
    for record in ["identity", "joining", "cache"] {
        assert!(!Path::new(&place.path(&format!("agent/{record}.sealed"))).exists(), "{record}");
    }
    let error = place.start(place.raw(None), &server).ended().await.unwrap_err();
    assert_eq!(error.code(), Code::JoinLinkRequired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_refused_ends_the_agent_with_the_servers_reason() {
    let (server, place) = (TestServer::start().await, Place::new());
    server.refuse("/v1/node/attest", Code::TokenExpired);
    let error = place.start(place.raw(Some(&server.link())), &server).ended().await.unwrap_err();
    assert_eq!(error.code(), Code::TokenExpired);
    let raw = RawAgentConfig {
        join: Some("troth://nowhere".to_owned()),
        ..place.raw(None)
    };
    let error = place.start(raw, &server).ended().await.unwrap_err();
    assert_eq!(error.code(), Code::JoinLinkInvalid);
    assert!(!error.to_string().contains("nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workload_socket_is_there_before_the_node_has_joined() {
    let (server, place) = (TestServer::start().await, Place::new());
    server.refuse("/v1/node/attest", Code::Overloaded);
    let agent = place.start(place.raw(Some(&server.link())), &server);
    let health = agent.until(HealthState::Starting).await;
    assert!(Path::new(&place.path("run/workload.sock")).exists(), "{health:?}");
    server.allow_everything();
    agent.until(HealthState::Ready).await;
    agent.end().await.unwrap();
    assert!(!Path::new(&place.path("run/workload.sock")).exists());
}

async fn tokens(socket: &str, audience: &str) -> Result<String, tonic::Status> {
    let request = JwtsvidRequest {
        audience: vec![audience.to_owned()],
        spiffe_id: String::new(),
    };
    let mut client = connect(socket).await.unwrap();
    let fetching = tokio::time::timeout(PATIENCE, client.fetch_jwtsvid(request));
    Ok(fetching.await.unwrap()?.into_inner().svids.remove(0).svid)
}

#[covers("JWT-10", "WAPI-16")]
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_issued_once_for_all_who_ask_and_answered_while_the_server_is_away() {
    let (server, place) = (TestServer::start().await, Place::new());
    *server.seen.entries.lock().unwrap() = vec![own_uid_entry()];
    let agent = place.start(place.raw(Some(&server.link())), &server);
    agent.until(HealthState::Ready).await;
    agent.until_svid().await;
    let socket = place.path("run/workload.sock");
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let socket = socket.clone();
            tokio::spawn(async move { tokens(&socket, "db").await.unwrap() })
        })
        .collect();
    let mut answers = std::collections::BTreeSet::new();
    for caller in callers {
        answers.insert(caller.await.unwrap());
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(*server.seen.tokens.lock().unwrap(), [["db".to_owned()]]);
    let status: AgentStatus = agent.admin.get("/v1/agent/status").await.unwrap();
    assert_eq!(status.jwt_svids, 1);

    let clock = server.clock.clone();
    drop(server);
    agent.until(HealthState::Degraded).await;
    clock.advance(TOKEN_LIFE - Duration::from_secs(1));
    assert_eq!(tokens(&socket, "db").await.unwrap(), answers.pop_first().unwrap());
    assert_eq!(tokens(&socket, "new").await.unwrap_err().code(), tonic::Code::Unavailable);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        tokens(&socket, "db").await.unwrap_err().code(),
        tonic::Code::Unavailable,
        "one that ended is never answered"
    );
    agent.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_what_was_asked_for_reaches_nobody() {
    let (server, place) = (TestServer::start().await, Place::new());
    *server.seen.entries.lock().unwrap() = vec![own_uid_entry()];
    let agent = place.start(place.raw(Some(&server.link())), &server);
    agent.until(HealthState::Ready).await;
    agent.until_svid().await;
    let socket = place.path("run/workload.sock");
    let now = server.clock.now().wall;
    let of = |subject: &str, audience: &str, at| token(subject, &[audience.to_owned()], at);
    for (number, (lie, reason)) in [
        (of("spiffe://td.example/admin", "0", now), "sub"),
        (of("spiffe://td.example/a", "other", now), "not for"),
        (of("spiffe://td.example/a", "2", now - TOKEN_LIFE), "ended"),
        (of("spiffe://td.example/a", "3", now - Duration::from_secs(1)), "exp"),
        (of("spiffe://other.example/a", "4", now), "no bundle"),
        ("a.b.c".to_owned(), "header"),
    ]
    .into_iter()
    .enumerate()
    {
        *server.seen.lie.lock().unwrap() = Some(lie.clone());
        let refused = tokens(&socket, &number.to_string()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{reason}");
        assert!(refused.message().contains(reason) && !refused.message().contains(&lie), "{reason}: {refused}");
    }
    server.seen.lie.lock().unwrap().take();
    assert!(tokens(&socket, "right").await.is_ok());
    agent.end().await.unwrap();
}
