//! A node against a server in miniature: joining, being served, renewing, being refused.

mod new_roots;

use std::sync::Arc;
use std::time::Duration;

use platform::sealing::KeySourceSpec;
use platform::telemetry::{HealthHandle, Metrics};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::join_link::{JoinLink, RootHash};
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::node::{NodeEntry, SyncMessage};
use trust_domains::{SelectorSet, TrustBundle};

use super::testing::{NODE_TTL, TD, TestServer};
use super::{Admission, JoinError, Membership, MembershipEnded, NodeIdentity, Record, SealedRecords, Standing, join};
use crate::issuing::{Upstream, keep_fresh};
use crate::metrics::AgentMetrics;
use crate::svids::testing::{entry, revision};
use crate::svids::{Issuing, SvidCache, Unserved};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn records(&self) -> Arc<SealedRecords> {
        let data = self.dir.path().join("agent");
        platform::files::ensure_private_dir(&data, 0o700).unwrap();
        Arc::new(SealedRecords::open(&data, &KeySourceSpec::File(self.dir.path().join("key"))).unwrap())
    }
}

async fn join_by(link: &JoinLink, disk: &Disk, server: &TestServer) -> Result<(NodeIdentity, TrustBundle), JoinError> {
    join(&Admission::Link(link.clone()), &disk.records(), &server.clock.shared(), Jitter::NONE).await
}

#[tokio::test]
async fn a_link_makes_an_identity_that_survives_a_restart() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let (joined, bundle) = join_by(&server.link(), &disk, &server).await.unwrap();
    assert_eq!(joined.spiffe_id.as_str(), "spiffe://td.example/troth/agent/join_token/web-1");
    let (read, read_bundle) = NodeIdentity::load(&disk.records(), server.clock.now(), Jitter::NONE).unwrap().unwrap();
    assert_eq!(
        (read.key.public(), &read.chain, read.server.to_string()),
        (joined.key.public(), &joined.chain, server.link().server.to_string())
    );
    assert_eq!(read_bundle, bundle);
    assert!(disk.records().read(Record::Joining).unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_the_pinned_root() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let link = server.link_with(TD, vec![RootHash::of_der(b"another root")]);
    let error = join_by(&link, &disk, &server).await.unwrap_err();
    assert_eq!(error.code(), Code::RootMismatch, "{error:?}");
    assert!(!error.is_passing());
    assert_eq!(server.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_sent_to_a_workload_that_poses_as_the_server() {
    for impostor in [
        "spiffe://td.example/web",
        "spiffe://td.example/troth/agent/join_token/web-1",
        "spiffe://td.example/troth/server/x",
    ] {
        let (server, disk) = (TestServer::start_as(impostor).await, Disk::new());
        let error = join_by(&server.link(), &disk, &server).await.unwrap_err();
        assert_eq!(error.code(), Code::ServerIdentityInvalid, "{impostor}: {error:?}");
        assert_eq!(server.calls(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn nothing_is_sent_to_the_server_of_another_trust_domain() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let link = server.link_with("other.example", server.link().roots().to_vec());
    let error = join_by(&link, &disk, &server).await.unwrap_err();
    assert_eq!(error.code(), Code::ServerIdentityInvalid, "{error:?}");
    assert_eq!(server.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.lose_answers.lock().unwrap() = 1;
    let error = join_by(&server.link(), &disk, &server).await.unwrap_err();
    assert!(error.is_passing(), "{error:?}");
    join_by(&server.link(), &disk, &server).await.unwrap();
    let keys = server.seen.attested.lock().unwrap().clone();
    assert_eq!((keys.len(), keys[0]), (2, keys[1]));
}

#[tokio::test]
async fn a_refused_token_is_final_and_says_which() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    server.refuse("/v1/node/attest", Code::TokenUsed);
    let error = join_by(&server.link(), &disk, &server).await.unwrap_err();
    assert_eq!((error.code(), error.is_passing()), (Code::TokenUsed, false));
}

/// A member in the making: everything but sockets.
struct Member {
    cache: SvidCache,
    standing: Standing,
    health: HealthHandle,
    stop: CancellationToken,
    life: JoinHandle<Result<(), MembershipEnded>>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until there is something to return, asking every 10 ms: what is asked about tells nobody that it changed.
async fn until<T>(what: &str, ready: impl Fn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ready() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

impl Member {
    fn start(disk: &Disk, clock: &SharedClock, link: Option<JoinLink>) -> Self {
        let (cache, standing, health, stop) = (
            SvidCache::new(clock.clone()),
            Standing::new(),
            HealthHandle::starting(),
            CancellationToken::new(),
        );
        let records = disk.records();
        let issuing = Issuing::new(cache.clone(), Arc::new(AgentMetrics::new(&Metrics::default())));
        tokio::spawn(keep_fresh(issuing, Upstream::new(&standing, &cache, clock), stop.clone()));
        let sealed = NodeIdentity::load(&records, clock.now(), Jitter::NONE).unwrap();
        let membership = Membership {
            records,
            clock: clock.clone(),
            cache: cache.clone(),
            standing: standing.clone(),
            health: health.clone(),
            link: link.map(Admission::Link),
            trouble: watch::Sender::new(None),
        };
        let life = tokio::spawn(membership.run(sealed, stop.clone()));
        Self {
            cache,
            standing,
            health,
            stop,
            life,
        }
    }

    async fn until_synced(&self, counter: u64) {
        let mut shown = self.cache.shown();
        let synced = shown.wait_for(|shown| shown.is_some_and(|shown| shown.counter >= counter));
        tokio::time::timeout(PATIENCE, synced).await.expect("never synced").unwrap();
    }

    async fn until_refused(&self) -> String {
        self.until_told("refuses").await
    }

    /// Waits until health says something with this part, and returns all of it.
    async fn until_told(&self, part: &str) -> String {
        let told = || self.health.snapshot().problems.into_iter().find(|problem| problem.contains(part));
        until(part, told).await
    }

    /// Waits until the server's refusal has ended the membership.
    async fn ended(&mut self) -> MembershipEnded {
        soon(&mut self.life).await.unwrap().unwrap_err()
    }
}

fn user() -> SelectorSet {
    ["unix:uid:1000".parse().unwrap()].into_iter().collect()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it took too long")
}

#[tokio::test]
async fn an_entry_becomes_an_svid_that_is_pushed_acknowledged_and_renewed() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.entries.lock().unwrap() = vec![entry("a", 1)];
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    let mut subscription = member.cache.subscribe(user());
    let first = soon(subscription.next()).await.unwrap();
    assert_eq!(first.svids[0].spiffe_id.path(), "/a");
    soon(server.seen.acks.subscribe().wait_for(|ack| *ack == Some(revision(1)))).await.unwrap();

    server.seen.entries.lock().unwrap().push(entry("b", 2));
    server
        .say(&SyncMessage::Delta {
            revision: revision(2),
            upserted: vec![entry("b", 2)],
            removed: Vec::new(),
            bundle: None,
            federated: None,
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: None,
            crls: None,
        })
        .await;
    assert_eq!(soon(subscription.next()).await.unwrap().svids.len(), 2);
    soon(server.seen.acks.subscribe().wait_for(|ack| *ack == Some(revision(2)))).await.unwrap();

    server.clock.advance(Duration::from_secs(entry("a", 1).x509_ttl_s / 2));
    member.cache.retry_now();
    let mut renewed = soon(subscription.next()).await.unwrap();
    while renewed.svids[0].serial == first.svids[0].serial {
        renewed = soon(subscription.next()).await.unwrap();
    }
    assert_ne!(renewed.svids[0].key_pkcs8, first.svids[0].key_pkcs8, "each has a key of its own");
}

#[tokio::test]
async fn a_lost_stream_resumes_after_the_commit_that_is_shown() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    *server.seen.revision.lock().unwrap() = 4;
    server.hang_up();
    member.until_synced(4).await;
    assert_eq!(*server.seen.resumed.lock().unwrap(), ["", "epoch=0000000000000001&after=1"]);
}

#[tokio::test]
async fn a_stream_that_makes_no_sense_is_given_up_for_a_snapshot() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    *server.seen.revision.lock().unwrap() = 3;
    let other = trust_domains::Revision { epoch: 9, counter: 9 };
    server
        .say(&SyncMessage::Delta {
            revision: other,
            upserted: Vec::new(),
            removed: Vec::new(),
            bundle: None,
            federated: None,
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: None,
            crls: None,
        })
        .await;
    member.until_synced(3).await;
    assert_eq!(*server.seen.resumed.lock().unwrap(), ["", ""]);
}

#[tokio::test]
async fn the_node_renews_itself_with_a_new_key_and_goes_on_with_it() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    let first = server.seen.synced.lock().unwrap()[0];
    let mut identity = member.standing.identity.subscribe();
    server.clock.advance(NODE_TTL / 2);
    let renewed = identity.wait_for(|identity| identity.as_ref().is_some_and(|identity| identity.key.public().hash() != first));
    let renewed = soon(renewed).await.unwrap().as_ref().unwrap().key.public().hash();
    let (on_disk, _) = NodeIdentity::load(&disk.records(), server.clock.now(), Jitter::NONE).unwrap().unwrap();
    assert_eq!(on_disk.key.public().hash(), renewed, "on disk before it is used");
    let is_used = || (server.seen.synced.lock().unwrap().last() == Some(&renewed)).then_some(());
    let used = tokio::time::timeout(Duration::from_secs(10), until("a use of the new key", is_used)).await;
    used.expect("the new key was never used");
}

#[tokio::test]
async fn a_node_whose_svid_is_good_for_a_renewal_only_renews_at_once_and_is_not_refused() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    let first = server.seen.synced.lock().unwrap()[0];
    let mut identity = member.standing.identity.subscribe();
    server.refuse("/v1/node/sync", Code::NodeIssuerTainted);
    server.hang_up();
    let renewed = identity.wait_for(|identity| identity.as_ref().is_some_and(|identity| identity.key.public().hash() != first));
    soon(renewed).await.unwrap();
    assert!(member.standing.client.borrow().is_some(), "its identity was not given up");
    server.allow_everything();
    *server.seen.revision.lock().unwrap() = 2;
    member.until_synced(2).await;
    assert_ne!(server.seen.synced.lock().unwrap().last(), Some(&first));
}

#[tokio::test]
async fn a_node_whose_svid_ended_while_it_was_off_renews_without_a_link() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    join_by(&server.link(), &disk, &server).await.unwrap();
    server.clock.advance(NODE_TTL * 3);
    let member = Member::start(&disk, &server.clock.shared(), None);
    member.until_synced(1).await;
    assert!(server.calls().contains(&"/v1/node/renew-expired".to_owned()));
}

#[tokio::test]
async fn a_sealed_identity_wins_over_a_link_until_it_is_refused_for_good() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    join_by(&server.link(), &disk, &server).await.unwrap();
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    assert_eq!(server.seen.attested.lock().unwrap().len(), 1, "the link was not used");

    server.refuse_everything_with(Code::NodeUnknown);
    server.hang_up();
    until("a second sync", || (server.seen.synced.lock().unwrap().len() > 1).then_some(())).await;
    assert_eq!(server.seen.attested.lock().unwrap().len(), 2, "the link was used");
    assert_eq!(server.seen.synced.lock().unwrap().len(), 2, "it is a member again");
    assert!(!member.life.is_finished());
}

#[tokio::test]
async fn a_ban_withdraws_everything_deletes_what_was_kept_and_ends_and_no_link_overrides_it() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.entries.lock().unwrap() = vec![entry("a", 1)];
    join_by(&server.link(), &disk, &server).await.unwrap();
    let mut member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    let mut subscription = member.cache.subscribe(user());
    soon(subscription.next()).await.unwrap();
    server.refuse_everything_with(Code::NodeBanned);
    server.hang_up();
    assert!(matches!(member.ended().await, MembershipEnded::Banned { .. }));
    let unserved = soon(subscription.next()).await.unwrap_err();
    assert!(
        matches!(&unserved, Unserved::Withdrawn { reason } if reason.contains("banned")) && unserved.is_denied(),
        "{unserved:?}"
    );
    assert_eq!(server.seen.attested.lock().unwrap().len(), 1);
    assert!(disk.records().read(Record::Identity).unwrap().is_none());
}

#[tokio::test]
async fn an_evicted_node_without_a_link_withdraws_everything_and_ends() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.entries.lock().unwrap() = vec![entry("a", 1)];
    join_by(&server.link(), &disk, &server).await.unwrap();
    let mut member = Member::start(&disk, &server.clock.shared(), None);
    member.until_synced(1).await;
    soon(member.cache.subscribe(user()).next()).await.unwrap();
    server.refuse_everything_with(Code::NodeUnknown);
    server.hang_up();
    let ended = member.ended().await;
    assert!(matches!(ended, MembershipEnded::Evicted { .. }), "{ended:?}");
    assert!(soon(member.cache.subscribe(user()).next()).await.unwrap_err().is_denied());
    assert!(disk.records().read(Record::Identity).unwrap().is_none());
}

#[tokio::test]
async fn an_evicted_node_whose_link_is_refused_too_ends() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    join_by(&server.link(), &disk, &server).await.unwrap();
    let mut member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    server.refuse_everything_with(Code::NodeUnknown);
    server.refuse("/v1/node/attest", Code::TokenUsed);
    server.hang_up();
    assert!(matches!(member.ended().await, MembershipEnded::Evicted { .. }));
}

#[tokio::test]
async fn a_node_whose_identity_ended_for_good_says_what_to_do_and_serves_on() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.entries.lock().unwrap() = vec![entry("a", 1)];
    join_by(&server.link(), &disk, &server).await.unwrap();
    let member = Member::start(&disk, &server.clock.shared(), None);
    member.until_synced(1).await;
    soon(member.cache.subscribe(user()).next()).await.unwrap();
    server.refuse_everything_with(Code::NodeExpired);
    server.hang_up();
    let problem = member.until_refused().await;
    assert!(problem.contains("troth token create"), "{problem}");
    soon(member.cache.subscribe(user()).next()).await.unwrap();
}

#[tokio::test]
async fn an_svid_of_another_identity_than_the_entrys_is_not_passed_on() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    *server.seen.entries.lock().unwrap() = vec![entry("a", 1)];
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    // The server issues for what the entry is by its own record; the agent was told something else.
    server.seen.entries.lock().unwrap()[0].spiffe_id = "spiffe://td.example/other".parse().unwrap();
    let told = NodeEntry {
        x509_ttl_s: 60,
        revision: revision(2),
        ..entry("a", 1)
    };
    server
        .say(&SyncMessage::Delta {
            revision: revision(2),
            upserted: vec![told],
            removed: Vec::new(),
            bundle: None,
            federated: None,
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: None,
            crls: None,
        })
        .await;
    soon(server.seen.acks.subscribe().wait_for(|ack| *ack == Some(revision(2)))).await.unwrap();
    let report = member.cache.report(&"a".parse().unwrap()).unwrap();
    assert!(report.last_error.is_some_and(|error| error.contains("/other")));
    assert!(report.svid.is_none_or(|svid| svid.spiffe_id.path() == "/a"));
}
