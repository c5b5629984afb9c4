//! Revocation, from the order to the streams, and back from the nodes.

use platform::client::CallError;
use platform::tls::Connection;
use trust_domains::clock::Clock as _;
use trust_domains::crl::CrlSet;
use trust_domains::plan::authority::{AuthorityId, Phase};
use trust_domains::problem::{Code, Coded};
use trust_domains::revocation::RevocationTarget;
use trust_domains::wire::admin::{Health, NodeView, Page, RevocationView, RevokeRequest, RevokeTarget, Revoked};
use trust_domains::wire::authorities::AuthorityView;
use trust_domains::wire::crls::{CrlsChange, HandedBack, IssuedCrl};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResult, SyncMessage};
use trust_domains::x509::Certificate;
use trust_domains::{EntryId, Serial};

use super::world::{DEADLINE, Key, Node, Stream, World, acknowledge, code, issue};
use crate::config::RawServerConfig;

async fn revoke(world: &World, target: RevokeTarget) -> Result<Revoked, CallError> {
    let request = RevokeRequest {
        target,
        because: Some("a test".to_owned()),
    };
    world.admin.post("/v1/admin/revocations", &request).await
}

async fn rules(world: &World) -> Vec<RevocationView> {
    world.admin.get::<Page<RevocationView>>("/v1/admin/revocations").await.unwrap().items
}

/// Issues one certificate; returns its serial and its issuer.
async fn issued(connection: &Connection, entry: &EntryId) -> (Serial, AuthorityId) {
    let answer = issue(connection, &[(entry.clone(), &Key::new())]).await.unwrap();
    match &answer.results[0] {
        IssueResult::Issued(leaf) => (leaf.serial, issuer(&leaf.leaf)),
        refused => panic!("{refused:?}"),
    }
}

fn issuer(der: &Base64) -> AuthorityId {
    AuthorityId::from_key_id(Certificate::parse(&der.0).unwrap().authority_key_id().unwrap()).unwrap()
}

fn own_serial(node: &Node) -> Serial {
    *Certificate::parse(&node.credential.chain[0].0).unwrap().serial()
}

/// Follows the lists of a stream.
struct Follower {
    stream: Stream,
    held: Option<CrlSet>,
}

impl Follower {
    async fn open(connection: &Connection) -> Self {
        let mut stream = Stream::open(connection, None).await.unwrap();
        let Some(SyncMessage::Snapshot { crls, last: true, .. }) = stream.next().await else {
            panic!("a snapshot in one part")
        };
        let held = crls.map(|crls| CrlSet::read(&crls).unwrap());
        Self { stream, held }
    }

    /// Takes messages until the lists change, and returns the octets of the change.
    async fn changed(&mut self) -> usize {
        loop {
            match self.stream.next().await {
                Some(SyncMessage::Delta { crls: Some(change), .. }) => {
                    self.held = self.held.take().unwrap_or_default().changed(&change).unwrap();
                    return serde_json::to_vec(&change).unwrap().len();
                }
                Some(SyncMessage::Delta { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes messages until the lists revoke this certificate; returns the octets of the change that said so.
    async fn until_revoked(&mut self, serial: &Serial, issuer: &AuthorityId) -> usize {
        loop {
            let octets = self.changed().await;
            if self.held().revokes(issuer, serial) {
                return octets;
            }
        }
    }

    fn held(&self) -> &CrlSet {
        self.held.as_ref().unwrap()
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_on_the_list_of_its_ca_on_every_stream() {
    let world = World::new().await;
    let (node, other) = (world.node("a").await, world.node("b").await);
    let entry = world.entry("/web", "a").await;
    let (connection, elsewhere) = (node.connect(&world).await, other.connect(&world).await);
    let (serial, ca) = issued(&connection, &entry.id).await;
    let (good, _) = issued(&connection, &entry.id).await;
    let (mut here, mut there) = (Follower::open(&connection).await, Follower::open(&elsewhere).await);
    assert!(here.held.is_none(), "nobody has lists where nothing was ever revoked");

    let revoked = revoke(&world, RevokeTarget::Serial(serial)).await.unwrap();
    assert_eq!(revoked.certificates, 1);
    for follower in [&mut here, &mut there] {
        follower.until_revoked(&serial, &ca).await;
        assert!(!follower.held().revokes(&ca, &good));
        let bundle = node.credential.bundle.clone().into();
        assert_eq!(follower.held().roots_without_list(&bundle).count(), 0);
        let lists = (follower.held().len(), follower.held().under(&bundle).len());
        assert_eq!(lists, (2, 2), "one for the root, one for the issuing CA");
    }
    acknowledge(&connection, revoked.revision).await.unwrap();

    let first = here.held().clone();
    revoke(&world, RevokeTarget::Serial(good)).await.unwrap();
    let octets = here.until_revoked(&good, &ca).await;
    assert!(octets < 900, "a change and not the whole: {octets}");
    assert!(here.held().highest_number() > first.highest_number());
    let view: Vec<_> = rules(&world).await.into_iter().map(|rule| (rule.because, rule.actor)).collect();
    let by_operator = |(because, actor): &(Option<String>, String)| because.as_deref() == Some("a test") && actor.starts_with("local:uid:");
    assert!(view.len() == 2 && view.iter().all(by_operator));
}

#[tokio::test]
async fn a_rule_on_an_entry_or_an_identity_concerns_what_was_issued_until_now() {
    let world = World::new().await;
    let node = world.node("a").await;
    let (web, db) = (world.entry("/web", "a").await, world.entry("/db", "a").await);
    let connection = node.connect(&world).await;
    let mut follower = Follower::open(&connection).await;
    let ((one, ca), (two, _)) = (issued(&connection, &web.id).await, issued(&connection, &web.id).await);
    let (of_db, _) = issued(&connection, &db.id).await;

    let revoked = revoke(&world, RevokeTarget::SpiffeId("/web".to_owned())).await.unwrap();
    assert_eq!(revoked.certificates, 2);
    // In the same second: the clock of this test stands still.
    let (next, _) = issued(&connection, &web.id).await;
    follower.until_revoked(&two, &ca).await;
    assert!(follower.held().revokes(&ca, &one));

    assert_eq!(revoke(&world, RevokeTarget::Entry(db.id.to_string())).await.unwrap().certificates, 1);
    follower.until_revoked(&of_db, &ca).await;
    assert!(!follower.held().revokes(&ca, &next), "what is issued afterwards is good");

    let world = world.restarted().await;
    let mut again = Follower::open(&node.connect(&world).await).await;
    assert!(
        [one, two, of_db].iter().all(|serial| again.held().revokes(&ca, serial)),
        "a restart forgets nothing"
    );
    assert!(!again.held().revokes(&ca, &next), "and adds nothing");
    assert!(again.held().highest_number() > follower.held().highest_number(), "no number is used twice");
    let nothing = revoke(&world, RevokeTarget::SpiffeId("/nobody".to_owned())).await.unwrap();
    assert_eq!((nothing.certificates, nothing.rule), (0, None));
    revoke(&world, RevokeTarget::Serial(next)).await.unwrap();
    again.until_revoked(&next, &ca).await;
}

#[tokio::test]
async fn what_was_never_signed_here_or_is_an_authority_is_not_revoked_so() {
    let world = World::new().await;
    let node = world.node("a").await;
    let unknown = RevokeTarget::Serial("01a1b2c3d40102030405060708090a0b".parse().unwrap());
    assert_eq!(code(revoke(&world, unknown).await), Code::CertificateNotFound);
    let ca = *Certificate::parse(&node.credential.chain[1].0).unwrap().serial();
    assert_eq!(code(revoke(&world, RevokeTarget::Serial(ca)).await), Code::InvalidRequest);
    assert_eq!(code(revoke(&world, RevokeTarget::Entry("NO".to_owned())).await), Code::EntryNotFound);
    assert_eq!(code(revoke(&world, RevokeTarget::Node("nobody".to_owned())).await), Code::NodeNotFound);
    let foreign = RevokeTarget::SpiffeId("spiffe://other.example/a".to_owned());
    assert_eq!(code(revoke(&world, foreign).await), Code::InvalidSpiffeId);
    assert!(rules(&world).await.is_empty());
}

#[tokio::test]
async fn a_node_whose_svid_is_revoked_is_served_no_more_and_hears_why() {
    let world = World::new().await;
    let node = world.node("a").await;
    let connection = node.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    stream.snapshot().await;
    revoke(&world, RevokeTarget::Node("a".to_owned())).await.unwrap();
    assert_eq!(stream.end().await, Code::NodeRevoked);
    let world = world.restarted().await;
    let again = node.connect(&world).await;
    assert_eq!(code(node.renew(&again, Key::new()).await.map(|_| ())), Code::NodeRevoked);
    let again = node.connect(&world).await;
    assert_eq!(code(Stream::open(&again, None).await.map(|_| ())), Code::NodeRevoked);
    // With a new link it is somebody again.
    let joined = world.node("a").await;
    Follower::open(&joined.connect(&world).await).await;
}

#[tokio::test]
async fn a_ban_and_an_eviction_revoke_the_svid_of_the_node_and_what_was_issued_through_it() {
    for verb in ["ban", "evict"] {
        let world = World::new().await;
        let (node, watcher) = (world.node("a").await, world.node("watcher").await);
        let (entry, kept) = (world.entry("/web", "a").await, world.entry("/kept", "watcher").await);
        let connection = node.connect(&world).await;
        let (serial, ca) = issued(&connection, &entry.id).await;
        let elsewhere = watcher.connect(&world).await;
        let (other, _) = issued(&elsewhere, &kept.id).await;
        let mut follower = Follower::open(&elsewhere).await;
        let evict = async |verb| -> NodeView { world.admin.post(&format!("/v1/admin/nodes/a/{verb}"), &serde_json::json!({})).await.unwrap() };
        evict(verb).await;
        follower.until_revoked(&serial, &ca).await;
        assert!(follower.held().revokes(&ca, &own_serial(&node)) && !follower.held().revokes(&ca, &other));
        assert!(!follower.held().revokes(&ca, &own_serial(&watcher)));
        let open = rules(&world).await.iter().filter(|rule| rule.before.is_none()).count();
        assert_eq!(open, usize::from(verb == "ban"), "a ban holds for whatever comes, an eviction until now");
        if verb == "ban" {
            evict("evict").await;
        }
        // Whoever joins under the name afterwards is not meant.
        let successor = world.node("a").await;
        let connection = successor.connect(&world).await;
        let (next, _) = issued(&connection, &entry.id).await;
        let (last, _) = issued(&elsewhere, &kept.id).await;
        revoke(&world, RevokeTarget::Serial(last)).await.unwrap();
        follower.until_revoked(&last, &ca).await;
        assert!(!follower.held().revokes(&ca, &next) && !follower.held().revokes(&ca, &own_serial(&successor)));
        assert!(follower.held().revokes(&ca, &serial), "what was revoked stays so");
    }
}

#[tokio::test]
async fn revocations_at_the_same_moment_are_all_kept_and_no_number_comes_twice() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let connection = node.connect(&world).await;
    let mut serials = Vec::new();
    for _ in 0..6 {
        serials.push(issued(&connection, &entry.id).await);
    }
    let mut follower = Follower::open(&connection).await;
    let orders = serials.iter().map(|(serial, _)| revoke(&world, RevokeTarget::Serial(*serial)));
    for revoked in futures_util::future::join_all(orders).await {
        assert_eq!(revoked.unwrap().certificates, 1);
    }
    let mut numbers = Vec::new();
    while !serials
        .iter()
        .all(|(serial, ca)| follower.held.as_ref().is_some_and(|held| held.revokes(ca, serial)))
    {
        follower.changed().await;
        numbers.push(follower.held().highest_number());
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert!(numbers.len() <= 3, "what comes together goes out together: {numbers:?}");
}

#[tokio::test]
async fn an_agent_that_comes_back_gets_what_it_missed() {
    let world = World::new().await;
    let (node, entry) = (world.node("a").await, world.entry("/web", "a").await);
    let connection = node.connect(&world).await;
    let ((one, ca), (two, _)) = (issued(&connection, &entry.id).await, issued(&connection, &entry.id).await);
    let (three, _) = issued(&connection, &entry.id).await;
    let shown = revoke(&world, RevokeTarget::Serial(one)).await.unwrap().revision;
    let held = Follower::open(&connection).await.held.unwrap();
    revoke(&world, RevokeTarget::Serial(two)).await.unwrap();
    let newest = revoke(&world, RevokeTarget::Serial(three)).await.unwrap().revision;
    let mut resumed = Follower {
        stream: Stream::open(&connection, Some(shown)).await.unwrap(),
        held: Some(held),
    };
    resumed.until_revoked(&three, &ca).await;
    assert!(resumed.held().revokes(&ca, &two) && resumed.held().revokes(&ca, &one));

    // Another process of the server has signed anew: patches would not fit.
    let world = world.restarted().await;
    let mut stream = Stream::open(&node.connect(&world).await, Some(newest)).await.unwrap();
    match stream.next().await {
        Some(SyncMessage::Delta {
            crls: Some(CrlsChange::Whole(whole)),
            ..
        }) => assert!(CrlSet::read(&whole).unwrap().revokes(&ca, &three)),
        other => panic!("the whole set was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn with_crl_always_the_empty_set_is_out_from_the_start() {
    let always = RawServerConfig {
        crl: Some("always".to_owned()),
        ..RawServerConfig::default()
    };
    let world = World::with(always).await;
    let node = world.node("a").await;
    let follower = Follower::open(&node.connect(&world).await).await;
    let revoked: usize = follower.held().lists().map(|(_, crl)| crl.len()).sum();
    assert_eq!((follower.held().len(), revoked), (2, 0));
}

#[tokio::test]
async fn a_set_over_the_limit_is_not_sent_and_health_says_so() {
    let small = RawServerConfig {
        crl_max_bytes: Some("4096".to_owned()),
        ..RawServerConfig::default()
    };
    let world = World::with(small).await;
    let (node, entry) = (world.node("a").await, world.entry("/web", "a").await);
    let connection = node.connect(&world).await;
    let keys: Vec<_> = (0..100).map(|_| Key::new()).collect();
    let requests: Vec<_> = keys.iter().map(|key| (entry.id.clone(), key)).collect();
    issue(&connection, &requests).await.unwrap();
    let revoked = revoke(&world, RevokeTarget::Entry(entry.id.to_string())).await.unwrap();
    assert_eq!(revoked.certificates, 100);
    assert!(Follower::open(&connection).await.held.is_none());
    let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
    assert!(health.problems.iter().any(|problem| problem.contains("4096")), "{:?}", health.problems);
}

/// Longer than the looks of the plan that a relief takes.
const RELIEF: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test]
async fn an_issuing_ca_with_a_list_over_the_limit_is_revoked_by_its_root_which_stays() {
    let small = RawServerConfig {
        crl_max_bytes: Some("4096".to_owned()),
        emergency_ack_deadline: Some("1s".to_owned()),
        ..RawServerConfig::default()
    };
    let world = World::with(small).await;
    let (node, entry) = (world.node("a").await, world.entry("/web", "a").await);
    let connection = node.connect(&world).await;
    let (first, full) = issued(&connection, &entry.id).await;
    let mut follower = Follower::open(&connection).await;
    revoke(&world, RevokeTarget::Serial(first)).await.unwrap();
    follower.until_revoked(&first, &full).await;
    let keys: Vec<_> = (0..100).map(|_| Key::new()).collect();
    let requests: Vec<_> = keys.iter().map(|key| (entry.id.clone(), key)).collect();
    issue(&connection, &requests).await.unwrap();
    revoke(&world, RevokeTarget::Entry(entry.id.to_string())).await.unwrap();

    let roots = |lists: &CrlSet| lists.lists().map(|(ca, _)| ca.id().clone()).filter(|id| *id != full).collect::<Vec<_>>();
    let before = roots(follower.held());
    let relieved = async {
        loop {
            follower.changed().await;
            let octets = follower.held().octets();
            assert!(octets <= 4096, "no set over the limit is sent");
            if follower.held().list_of(&full).is_none() {
                return;
            }
            // Until then it says what it said, and is there: a set with a list missing would have good peers refused.
            assert!(follower.held().revokes(&full, &first));
        }
    };
    // The node acknowledges nothing: each wait ends by the clock.
    let passing = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            ticks.tick().await;
            world.clock.advance(std::time::Duration::from_millis(500));
        }
    };
    let relieved = async {
        tokio::select! {
            () = relieved => {}
            () = passing => {}
        }
    };
    tokio::time::timeout(RELIEF, relieved).await.expect("the list of the full one goes");
    let root = before.first().expect("the root has a list");
    let named: Vec<_> = follower.held().list_of(root).expect("the root stays").revoked().collect();
    assert_eq!(named.len(), 1, "the root's list names the issuing CA");
    assert_eq!(follower.held().len(), 2, "the root's, and that of the successor");

    let other = world.node("b").await;
    let (_, successor) = issued(&other.connect(&world).await, &world.entry("/db", "b").await.id).await;
    assert_ne!(successor, full);
    assert!(follower.held().list_of(&successor).is_some());
    let authorities: Page<AuthorityView> = world.admin.get("/v1/admin/authorities").await.unwrap();
    let phases: Vec<_> = authorities
        .items
        .iter()
        .filter(|one| one.id == full || one.id == *root)
        .map(|one| one.state)
        .collect();
    assert!(phases.contains(&Phase::Revoked) && phases.contains(&Phase::Active), "{phases:?}");
}

#[tokio::test]
async fn what_has_ended_leaves_the_lists_and_a_rule_the_store_and_one_of_a_serial_stays_for_the_renewal_grace() {
    let world = World::new().await;
    let node = world.node("a").await;
    let (web, db) = (world.entry("/web", "a").await, world.entry("/db", "a").await);
    let connection = node.connect(&world).await;
    let mut follower = Follower::open(&connection).await;
    let ((one, ca), (two, _)) = (issued(&connection, &web.id).await, issued(&connection, &db.id).await);
    revoke(&world, RevokeTarget::Entry(web.id.to_string())).await.unwrap();
    revoke(&world, RevokeTarget::Serial(two)).await.unwrap();
    follower.until_revoked(&two, &ca).await;
    assert!(follower.held().revokes(&ca, &one));
    let number = follower.held().highest_number();

    let ended = rules(&world).await.iter().map(|rule| rule.until).max().unwrap();
    let (directory, clock) = world.stopped().await;
    clock.advance(clock.now().wall.duration_until(ended) + std::time::Duration::from_secs(120));
    let world = World::started(directory, clock).await;
    let mut follower = Follower::open(&node.connect(&world).await).await;
    while follower.held().revokes(&ca, &two) || follower.held().revokes(&ca, &one) {
        follower.changed().await;
    }
    assert!(follower.held().highest_number() > number, "that is a newer list");
    assert!(
        follower.held().list_of(&ca).is_some_and(trust_domains::crl::Crl::is_empty),
        "the list stays: a set has one for each CA"
    );
    let kept = async {
        loop {
            let rules = rules(&world).await;
            if rules.len() < 2 {
                return rules;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let kept = tokio::time::timeout(RELIEF, kept).await.expect("the rule of the entry goes");
    assert!(
        matches!(&*kept, [rule] if matches!(rule.target, RevocationTarget::Serial { .. })),
        "a node's SVID could be meant, which may be renewed for days after its end: {kept:?}"
    );
}

#[tokio::test]
async fn a_backup_that_is_put_back_un_revokes_nothing() {
    let copies = tempfile::tempdir().unwrap();
    let backup = copies.path().join("backup");
    let world = World::new().await;
    let (node, entry) = (world.node("a").await, world.entry("/web", "a").await);
    let (serial, ca) = issued(&node.connect(&world).await, &entry.id).await;
    let world = world.copied_to(&backup).await;
    revoke(&world, RevokeTarget::Serial(serial)).await.unwrap();
    let newest = Follower::open(&node.connect(&world).await).await.held.unwrap();

    let world = world.with_data_of(&backup).await;
    let connection = node.connect(&world).await;
    let mut follower = Follower::open(&connection).await;
    assert!(follower.held.is_none(), "the old server knows nothing of it");
    let handed = HandedBack { lists: newest.whole().lists };
    connection.post::<()>("/v1/node/crls", &handed, DEADLINE).await.unwrap();
    follower.until_revoked(&serial, &ca).await;
    assert!(follower.held().highest_number() > newest.highest_number());
    let count = rules(&world).await.len();
    connection.post::<()>("/v1/node/crls", &handed, DEADLINE).await.unwrap();
    assert_eq!(rules(&world).await.len(), count, "what is known is not kept twice");
}

#[tokio::test]
async fn no_node_revokes_anything_with_lists_of_its_own() {
    let (world, other) = (World::new().await, World::new().await);
    let (node, theirs) = (world.node("a").await, other.node("a").await);
    let entry = other.entry("/web", "a").await;
    let (serial, _) = issued(&theirs.connect(&other).await, &entry.id).await;
    revoke(&other, RevokeTarget::Serial(serial)).await.unwrap();
    let foreign = Follower::open(&theirs.connect(&other).await).await.held.unwrap().whole().lists;
    let hand_back = async |lists: Vec<IssuedCrl>| {
        let connection = node.connect(&world).await;
        connection
            .post::<()>("/v1/node/crls", &HandedBack { lists }, DEADLINE)
            .await
            .unwrap_err()
            .code()
    };
    assert_eq!(hand_back(foreign.clone()).await, Code::InvalidRequest, "of another trust domain");
    let mut forged = foreign.clone();
    forged[0].crl.0[60] ^= 1;
    assert_eq!(hand_back(forged).await, Code::InvalidRequest);
    let mut cut = foreign;
    cut[0].crl.0.truncate(40);
    assert_eq!(hand_back(cut).await, Code::InvalidRequest);
    // Under the node's own certificate, which chains to the root and is no CA's; and longer than any body.
    let own = |octets| IssuedCrl {
        issuer: node.credential.chain[0].clone(),
        crl: Base64(vec![0x30; octets]),
    };
    assert_eq!(hand_back(vec![own(1_000)]).await, Code::InvalidRequest);
    let huge = node
        .connect(&world)
        .await
        .post::<()>("/v1/node/crls", &HandedBack { lists: vec![own(13 << 20)] }, DEADLINE)
        .await;
    assert!(huge.is_err());
    assert!(rules(&world).await.is_empty());
}
