//! WIT-SVIDs of a whole agent: keys proved to the server, tokens checked before anybody gets them.

use serde_json::json;
use tonic::Streaming;
use trust_domains::wit_svid::UnverifiedWitSvid;

use super::*;
use crate::endpoints::workload_api::messages::{Witsvid, WitsvidRequest, WitsvidResponse};
use crate::wit_svids::testing::{Lie, WIT_LIFE};

struct Serving {
    server: TestServer,
    agent: Running,
    place: Place,
}

impl Serving {
    async fn start() -> Self {
        let (server, place) = (TestServer::start().await, Place::new());
        *server.seen.entries.lock().unwrap() = vec![own_uid_entry()];
        let raw = RawAgentConfig {
            enable: Some(vec!["wit".to_owned()]),
            ..place.raw(Some(&server.link()))
        };
        let agent = place.start(raw, &server);
        agent.until(HealthState::Ready).await;
        agent.until_svid().await;
        Self { server, agent, place }
    }

    async fn open(&self) -> Result<Streaming<WitsvidResponse>, tonic::Status> {
        let mut client = connect(self.place.path("run/workload.sock")).await.unwrap();
        let fetching = tokio::time::timeout(PATIENCE, client.fetch_witsvid(WitsvidRequest::default()));
        Ok(fetching.await.unwrap()?.into_inner())
    }

    async fn fetch(&self) -> Result<Witsvid, tonic::Status> {
        said(&mut self.open().await?).await
    }
}

async fn said(stream: &mut Streaming<WitsvidResponse>) -> Result<Witsvid, tonic::Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("nothing came")?;
    Ok(message.expect("the stream ended").svids.remove(0))
}

#[covers("WIT-16")]
#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_proved_for_all_who_follow_an_entry_rotated_and_kept_while_the_server_is_away() {
    let mut world = Serving::start().await;
    assert!(world.server.seen.wit_keys.lock().unwrap().is_empty(), "nobody asked");
    let mut stream = world.open().await.unwrap();
    let first = said(&mut stream).await.unwrap();
    for _ in 0..20 {
        assert_eq!(world.fetch().await.unwrap(), first);
    }
    assert_eq!(world.server.seen.wit_keys.lock().unwrap().len(), 1);
    let status: AgentStatus = world.agent.admin.get("/v1/agent/status").await.unwrap();
    assert_eq!(status.wit_svids, 1);

    let clock = world.server.clock.clone();
    clock.advance(WIT_LIFE / 2);
    let second = said(&mut stream).await.unwrap();
    assert!(second.wit_svid != first.wit_svid && second.wit_svid_key != first.wit_svid_key);
    let keys = world.server.seen.wit_keys.lock().unwrap().clone();
    assert!(keys.len() == 2 && keys[0] != keys[1], "a new key each time");

    // Nobody is there to answer any more: the shared state is kept only for its clock.
    world.server = TestServer::start().await;
    world.agent.until(HealthState::Degraded).await;
    clock.advance(WIT_LIFE - Duration::from_secs(1));
    assert_eq!(world.fetch().await.unwrap(), second, "valid to its last second");
    clock.advance(Duration::from_secs(1));
    let ended = said(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unavailable, "{ended}");
    assert_eq!(world.fetch().await.unwrap_err().code(), tonic::Code::Unavailable);
    world.agent.end().await.unwrap();
}

#[covers("WIT-03", "WIT-06", "WIT-07", "WIT-08", "WIT-10", "WIT-14", "WIT-23")]
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_what_was_asked_for_reaches_nobody() {
    let world = Serving::start().await;
    let lies: [(&str, Lie); 9] = [
        ("sub", |token| token.claims["sub"] = json!("spiffe://td.example/admin")),
        ("not of trust domain", |token| token.claims["sub"] = json!("spiffe://other.example/a")),
        ("another key", |token| token.claims["cnf"]["jwk"] = other_key()),
        ("bound to no key", |token| token.claims["cnf"] = json!({})),
        ("exp", |token| token.claims["exp"] = json!(token.claims["exp"].as_i64().unwrap() + 60)),
        ("ended", |token| token.claims["exp"] = json!(1_000)),
        ("audience", |token| token.claims["aud"] = json!(["db"])),
        ("typ", |token| token.header["typ"] = json!("JWT")),
        // A key of the same bundle, for other tokens.
        ("key", |token| token.header["kid"] = json!(crate::jwt_svids::testing::KEY_ID)),
    ];
    for (reason, lie) in lies {
        *world.server.seen.wit_lie.lock().unwrap() = Some(lie);
        let refused = world.fetch().await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{reason}");
        assert!(refused.message().contains(reason), "{reason}: {refused}");
        assert!(!refused.message().contains("eyJ"), "no token in what is told: {refused}");
        // Until it is time to ask again.
        world.server.clock.advance(Duration::from_secs(60));
    }
    world.server.seen.wit_lie.lock().unwrap().take();
    let svid = world.fetch().await.unwrap();
    assert_eq!(UnverifiedWitSvid::parse(&svid.wit_svid).unwrap().claims().subject().as_str(), svid.spiffe_id);
    world.agent.end().await.unwrap();
}

fn other_key() -> serde_json::Value {
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_issue_them_is_named_with_what_to_do_and_asked_again_later() {
    let world = Serving::start().await;
    world.server.refuse("/v1/node/issue-wit", Code::WitDisabled);
    for _ in 0..10 {
        let refused = world.fetch().await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        assert!(
            refused.message().contains("wit_disabled") && refused.message().contains("--enable wit"),
            "{refused}"
        );
    }
    let asked = || world.server.calls().iter().filter(|path| *path == "/v1/node/issue-wit").count();
    assert_eq!(asked(), 1, "not for each caller");
    world.server.allow_everything();
    world.server.clock.advance(Duration::from_secs(60));
    assert!(world.fetch().await.is_ok());
    world.agent.end().await.unwrap();
}
