//! The server is away for several rotations, and comes back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent::workload_api::client;
use agent::workload_api::messages::{X509svidRequest, X509svidResponse};
use tests::domain::{Agent, Domain};
use tests::wait::{PATIENCE, until, until_async};
use tests::workload::{Watch, fetch_as, ids};
use tonic::{Code, Status, Streaming};
use trust_domains::Timestamp;
use trust_domains::x509::X509Svid;

/// How long the server is away: the life of three SVIDs.
const AWAY: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Timestamp::from_unix(i64::try_from(since.as_secs()).expect("a time of these days"))
}

async fn stream(agent: &Agent) -> Result<Streaming<X509svidResponse>, Status> {
    let mut client = client::connect(&agent.socket).await.expect("the agent answers");
    Ok(client.fetch_x509svid(X509svidRequest {}).await?.into_inner())
}

/// Returns when the one SVID of an update ends; it has not when the update comes.
fn end_of(update: &X509svidResponse) -> Timestamp {
    let [svid] = &update.svids[..] else {
        panic!("one SVID was expected: {update:?}")
    };
    let end = X509Svid::from_concatenated_der(&svid.x509_svid).expect("an SVID").leaf().not_after();
    assert!(end > now(), "an SVID that ended at {end} was sent");
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_an_svid_is_served_until_it_ends_and_again_when_it_is_back() {
    let mut domain = Domain::start("outage.test");
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/short", nix::unistd::getuid().as_raw(), "10s");
    domain.fast_entry("n1", "/long", 4601, "3m");
    let mut long = Watch::open(4601, &agent.socket);
    let _ = long.next();
    let mut short = stream(&agent).await.expect("a stream");
    let mut end = end_of(&short.message().await.expect("an update").expect("a first one"));

    domain.server().kill_9();
    let gone = tokio::time::Instant::now();
    let mut again = stream(&agent).await.expect("a second stream, while the SVID is valid");
    assert!(end_of(&again.message().await.expect("an update").expect("a first one")) >= end);
    // What was on its way when the server was killed may still come; then nothing but the end, which is that of the SVID.
    let status = loop {
        match tokio::time::timeout(PATIENCE, short.message()).await.expect("the stream ends in time") {
            Ok(Some(update)) => end = end_of(&update),
            Ok(None) => panic!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // The agent counts whole seconds from before it asked: it may be one second early, and is never late.
    assert!(now() + Duration::from_secs(1) >= end, "the stream ended at {} and its SVID at {end}", now());

    // For the rest of the outage: Unavailable for whoever has nothing valid, all as ever for whoever has.
    while gone.elapsed() < AWAY {
        let refused = match stream(&agent).await {
            Ok(mut stream) => stream.message().await.expect_err("nothing valid is left"),
            Err(status) => status,
        };
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert_eq!(ids(&fetch_as(4601, &agent.socket)), ["spiffe://outage.test/long"]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    domain.start_server();
    let (mut short, update) = until_async("a new SVID after the outage", async || {
        let mut stream = stream(&agent).await.ok()?;
        let update = stream.message().await.ok()??;
        Some((stream, update))
    })
    .await;
    let first = end_of(&update);
    let rotated = tokio::time::timeout(PATIENCE, short.message())
        .await
        .expect("a rotation")
        .expect("an update")
        .expect("a next one");
    assert!(end_of(&rotated) > first, "rotation goes on");
    // The other stream lived through all of it.
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/more", "--selector", "unix:uid:4601", "--parent", "n1"]);
    let _ = long.until(|update| update["svids"].as_array().is_some_and(|svids| svids.len() == 2));
    until("the agent to be well", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
}
