//! Trust domains that federate: two servers that serve and fetch, each with its own clock.

use std::time::Duration;

use conformance::covers;
use http::Method;
use platform::client::CallError;
use trust_domains::federation::{FederationLink, PartnerState};
use trust_domains::join_link::RootHash;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{EntriesCreated, EntryDraft, EntryView, Health, HealthState, Page};
use trust_domains::wire::audit::{AuditEvent, AuditRecord, Decision};
use trust_domains::wire::authorities::PrepareRequest;
use trust_domains::wire::bundles::{BundleFormat, BundleOrigin, BundleResult, BundleSet, BundleView, SetBundle};
use trust_domains::wire::federation::{
    AcceptLink, Accepted, CreateRelationship, FederationChanges, Invite, RelationshipDeleted, RelationshipSaved, RelationshipView, UpdateRelationship,
};
use trust_domains::wire::node::SyncMessage;
use trust_domains::{SpiffeBundle, TrustBundle, TrustDomain};

use super::world::{Stream, World, acknowledge, code, draft, until};
use crate::config::RawServerConfig;

/// Options of a server that partners on this machine fetch from, and that fetches from them.
pub(super) fn options() -> RawServerConfig {
    RawServerConfig {
        bundle_listen: Some("127.0.0.1:0".to_owned()),
        federation_allow_loopback: Some(true),
        ..RawServerConfig::default()
    }
}

/// A server of this trust domain.
pub(super) async fn domain(name: &str) -> World {
    World::named(name, tempfile::tempdir().unwrap()).await.restarted_with(options()).await
}

pub(super) async fn invite(world: &World) -> Invite {
    world.admin.get("/v1/admin/federation-invite").await.unwrap()
}

pub(super) fn accepting(link: &FederationLink) -> AcceptLink {
    AcceptLink {
        link: link.clone(),
        replace: false,
        dry_run: false,
        all_entries: false,
        crl_url: None,
    }
}

pub(super) async fn accept(world: &World, request: &AcceptLink) -> Result<Accepted, CallError> {
    world.admin.post("/v1/admin/federation-accept", request).await
}

pub(super) async fn create(world: &World, request: &CreateRelationship) -> Result<RelationshipSaved, CallError> {
    world.admin.post("/v1/admin/federation", request).await
}

pub(super) async fn update(world: &World, partner: &str, request: &UpdateRelationship) -> Result<RelationshipSaved, CallError> {
    world.admin.call(Method::PUT, &format!("/v1/admin/federation/{partner}"), Some(request)).await
}

pub(super) async fn show(world: &World, partner: &str) -> Result<RelationshipView, CallError> {
    world.admin.get(&format!("/v1/admin/federation/{partner}")).await
}

pub(super) async fn refresh(world: &World, partner: &str) -> RelationshipView {
    world.admin.post(&format!("/v1/admin/federation/{partner}/refresh"), &()).await.unwrap()
}

pub(super) async fn delete(world: &World, partner: &str, query: &str) -> Result<RelationshipDeleted, CallError> {
    world.admin.delete(&format!("/v1/admin/federation/{partner}{query}")).await
}

/// The bundle that a server holds of a trust domain, or its own.
pub(super) async fn held(world: &World, trust_domain: &str) -> Option<TrustBundle> {
    let bundle: Result<SpiffeBundle, CallError> = world.admin.get(&format!("/v1/admin/bundles/{trust_domain}")).await;
    bundle.ok().map(SpiffeBundle::into_bundle)
}

/// The decisions about a trust domain, the oldest first.
pub(super) async fn decisions(world: &World, about: &str) -> Vec<Decision> {
    let mut lines = world.admin.lines("/v1/admin/audit?limit=100000").await.unwrap();
    let mut decisions = Vec::new();
    while let Some(record) = lines.next::<AuditRecord>().await.unwrap() {
        if let AuditEvent::Decided(decision) = record.event
            && decision.subject == about
        {
            decisions.push(decision);
        }
    }
    decisions
}

fn actions(decisions: &[Decision]) -> Vec<&str> {
    decisions.iter().map(|decision| decision.action.as_str()).collect()
}

/// What a partner would configure by hand.
async fn by_hand(partner: &World) -> CreateRelationship {
    let invite = invite(partner).await;
    CreateRelationship {
        bootstrap: Some(SetBundle {
            format: BundleFormat::Spiffe,
            document: held(partner, invite.trust_domain.as_str()).await.unwrap().to_spiffe_json(),
        }),
        trust_domain: invite.trust_domain,
        url: invite.url,
        profile: invite.profile,
        endpoint_id: invite.endpoint_id,
        redirects: true,
        all_entries: false,
        crl_url: None,
    }
}

/// Publishes another key: the bundle changes.
async fn change_bundle(world: &World) {
    let request = serde_json::json!({ "kind": "jwt", "because": "a test" });
    let request: PrepareRequest = serde_json::from_value(request).unwrap();
    let _: serde_json::Value = world.admin.post("/v1/admin/authorities/prepare", &request).await.unwrap();
}

#[covers("FED-09", "FED-11")]
#[tokio::test]
async fn a_link_is_looked_at_accepted_once_and_all_of_it_recorded() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let invite = invite(&one).await;
    assert_eq!((invite.trust_domain.as_str(), invite.root_sha256.len()), ("one.test", 1));
    assert_eq!(invite.endpoint_id.as_ref().unwrap().to_string(), "spiffe://one.test/troth/server");
    assert!(invite.warnings.is_empty(), "{:?}", invite.warnings);

    let preview = AcceptLink {
        dry_run: true,
        ..accepting(&invite.link)
    };
    let shown = accept(&two, &preview).await.unwrap();
    assert_eq!((shown.existing.as_ref(), shown.result, shown.dry_run), (None, BundleResult::Created, true));
    assert_eq!(shown.bundle.roots[0].sha256, invite.root_sha256[0]);
    assert!(shown.bundle.roots[0].pinned && shown.bundle.jwt_authorities == 1);
    assert_eq!(code(show(&two, "one.test").await), Code::FederationNotFound, "nothing is kept");
    assert!(held(&two, "one.test").await.is_none());

    let accepted = accept(&two, &accepting(&invite.link)).await.unwrap();
    assert_eq!(
        (accepted.result, accepted.relationship.fetching.status),
        (BundleResult::Created, PartnerState::Current)
    );
    assert_eq!(held(&two, "one.test").await.unwrap(), held(&one, "one.test").await.unwrap());
    let again = accept(&two, &accepting(&invite.link)).await.unwrap();
    assert_eq!((again.result, again.existing.is_some()), (BundleResult::Unchanged, true));
    assert!(show(&one, "two.test").await.is_err(), "one-way by nature");

    let recorded = decisions(&two, "one.test").await;
    assert_eq!(actions(&recorded), ["federation_accepted"]);
    let reason = recorded[0].reason.as_deref().unwrap();
    assert!(
        reason.contains(&invite.root_sha256[0].to_string()) && reason.contains(invite.url.as_str()),
        "{reason}"
    );
    assert!(recorded[0].actor.starts_with("local:uid:"), "{recorded:?}");
}

#[tokio::test]
async fn a_link_is_refused_where_nothing_behind_it_is_what_it_pins() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let good = invite(&one).await.link;
    let other_root = RootHash::of_der(b"another root");
    let wrong = |trust_domain: &str, roots: Vec<RootHash>| {
        let name: TrustDomain = trust_domain.parse().unwrap();
        FederationLink::new(name, good.url().clone(), good.profile().clone(), roots).unwrap()
    };
    let cases = [
        ("another root", wrong("one.test", vec![other_root]), Code::EndpointUntrusted),
        (
            "an endpoint of another domain, unknown here",
            wrong("three.test", good.roots().to_vec()),
            Code::FederationSourceMissing,
        ),
    ];
    for (name, link, expected) in cases {
        for dry_run in [true, false] {
            let request = AcceptLink { dry_run, ..accepting(&link) };
            assert_eq!(code(accept(&two, &request).await), expected, "{name}");
        }
    }
    assert_eq!(code(accept(&one, &accepting(&good)).await), Code::FederationOwn);
    assert_eq!(code(create(&one, &by_hand(&one).await).await), Code::FederationOwn);
    let listed: Page<RelationshipView> = two.admin.get("/v1/admin/federation").await.unwrap();
    assert!(listed.items.is_empty());
    let plain = World::new().await;
    assert_eq!(code(plain.admin.get::<Invite>("/v1/admin/federation-invite").await), Code::FederationNoEndpoint);
}

#[covers("FED-04", "FED-05", "FED-25")]
#[tokio::test]
async fn a_partners_new_keys_are_fetched_on_its_hint_and_over_restarts() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let saved = create(&two, &by_hand(&one).await).await.unwrap();
    assert_eq!(saved.result, BundleResult::Created);
    until(async || (show(&two, "one.test").await.unwrap().fetching.status == PartnerState::Current).then_some(())).await;
    let before = held(&two, "one.test").await.unwrap();
    assert_eq!(create(&two, &by_hand(&one).await).await.unwrap().result, BundleResult::Unchanged);

    change_bundle(&one).await;
    assert_eq!(held(&two, "one.test").await.unwrap(), before, "not before it is due");
    two.clock.advance(Duration::from_secs(300));
    let after = until(async || held(&two, "one.test").await.filter(|bundle| *bundle != before)).await;
    assert!(after.sequence() > before.sequence(), "{after:?}");
    assert_eq!(after, held(&one, "one.test").await.unwrap());

    let two = two.restarted_with(options()).await;
    let shown = show(&two, "one.test").await.unwrap();
    assert_eq!(
        shown.fetching.status,
        PartnerState::Current,
        "a success of before the restart counts: {shown:?}"
    );
    assert_eq!(held(&two, "one.test").await.unwrap(), after);
    let recorded = decisions(&two, "one.test").await;
    assert_eq!(actions(&recorded), ["federation_created", "federation_bundle_taken", "federation_bundle_taken"]);
    assert_eq!(recorded[1].actor, "server");
    let list: Page<BundleView> = two.admin.get("/v1/admin/bundles").await.unwrap();
    assert_eq!(list.items[1].source, BundleOrigin::Federation);
}

#[covers("FED-20", "FED-21")]
#[tokio::test]
async fn what_is_set_up_differs_from_what_there_is_only_by_an_update() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let good = by_hand(&one).await;
    let without = CreateRelationship {
        bootstrap: None,
        ..good.clone()
    };
    assert_eq!(code(create(&two, &without).await), Code::FederationSourceMissing, "FED-19");
    create(&two, &good).await.unwrap();
    let other = CreateRelationship {
        redirects: false,
        ..good.clone()
    };
    let refused = create(&two, &other).await.unwrap_err();
    assert_eq!(refused.code(), Code::FederationExists);
    assert!(refused.to_string().contains("redirects"), "{refused}");
    assert!(refused.hint().contains("troth federation update one.test"), "{}", refused.hint());
    let change = UpdateRelationship {
        redirects: Some(false),
        ..UpdateRelationship::default()
    };
    let updated = update(&two, "one.test", &change).await.unwrap();
    assert_eq!((updated.result, updated.relationship.redirects), (BundleResult::Updated, false));
    assert_eq!(update(&two, "one.test", &change).await.unwrap().result, BundleResult::Unchanged);
    assert_eq!(code(update(&two, "three.test", &change).await), Code::FederationNotFound);

    // A link that says something else takes a word more, and shows both.
    let all = AcceptLink {
        all_entries: true,
        ..accepting(&invite(&one).await.link)
    };
    assert_eq!(code(accept(&two, &all).await), Code::FederationExists);
    let preview = AcceptLink { dry_run: true, ..all.clone() };
    let shown = accept(&two, &preview).await.unwrap();
    assert_eq!((shown.existing.unwrap().all_entries, shown.relationship.all_entries), (false, true));
    assert_eq!(shown.result, BundleResult::Updated);
    let replaced = accept(&two, &AcceptLink { replace: true, ..all }).await.unwrap();
    assert!(replaced.relationship.all_entries && !replaced.relationship.redirects, "{replaced:?}");
}

fn federating(path: &str, node: &str, partners: &[&str]) -> EntryDraft {
    EntryDraft {
        federates_with: partners.iter().map(|partner| partner.parse().unwrap()).collect(),
        ..draft(path, node)
    }
}

/// The names of the partners whose bundles a message brings, and of those that every entry has.
fn told(message: Option<SyncMessage>) -> (Vec<String>, Vec<String>) {
    let (federated, given_to_all) = match message {
        Some(SyncMessage::Snapshot { federated, given_to_all, .. }) => (federated, given_to_all),
        Some(SyncMessage::Delta {
            federated: Some(federated),
            given_to_all,
            ..
        }) => (federated, given_to_all),
        other => panic!("bundles were expected, not {other:?}"),
    };
    let names = federated.iter().map(|bundle| bundle.trust_domain().to_string());
    (names.collect(), given_to_all.iter().map(ToString::to_string).collect())
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn ending_a_relationship_withdraws_its_bundle_at_once_and_entries_keep_its_name() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let node = two.node("a").await;
    let parent = node.credential.spiffe_id.to_string();
    let created: EntriesCreated = two.create(vec![federating("/web", &parent, &["one.test"])]).await.unwrap();
    let warned = |warning: &String| warning.contains("there is no bundle of one.test yet");
    assert!(created.warnings.iter().any(warned), "{:?}", created.warnings);
    let connection = node.connect(&two).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    assert_eq!(told(stream.next().await), (vec![], vec![]));

    accept(&two, &accepting(&invite(&one).await.link)).await.unwrap();
    assert_eq!(told(stream.next().await), (names(&["one.test"]), vec![]));
    assert_eq!(
        code(two.admin.delete::<serde_json::Value>("/v1/admin/bundles/one.test?entries=keep").await),
        Code::FederationExists
    );
    assert_eq!(code(delete(&two, "one.test", "?entries=refuse").await), Code::BundleInUse);

    let deleted = delete(&two, "one.test", "").await.unwrap();
    assert_eq!((deleted.bundle_deleted, deleted.entries, deleted.dissociated), (true, 1, 0));
    assert_eq!(deleted.nodes, std::slice::from_ref(&node.credential.spiffe_id));
    assert_eq!(told(stream.next().await), (vec![], vec![]));
    acknowledge(&connection, deleted.revision).await.unwrap();
    assert!(held(&two, "one.test").await.is_none() && show(&two, "one.test").await.is_err());
    let entry: EntryView = two.admin.get(&format!("/v1/admin/entries/{}", created.entries[0].id)).await.unwrap();
    assert_eq!(entry.federates_with.len(), 1, "it is kept");
    assert_eq!(code(delete(&two, "one.test", "").await), Code::FederationNotFound);
    let gone = delete(&two, "one.test", "?entries=dissociate").await.unwrap();
    assert_eq!((gone.bundle_deleted, gone.dissociated), (false, 1));

    two.clock.advance(Duration::from_secs(3_600));
    let recorded = decisions(&two, "one.test").await;
    assert_eq!(actions(&recorded).last(), Some(&"federation_deleted"), "nothing is fetched any more");
}

#[tokio::test]
async fn a_partner_of_all_entries_is_given_to_every_node_and_taken_from_every_node() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let node = two.node("a").await;
    two.entry("/web", node.credential.spiffe_id.as_ref()).await;
    let connection = node.connect(&two).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    assert_eq!(told(stream.next().await), (vec![], vec![]));
    let request = AcceptLink {
        all_entries: true,
        ..accepting(&invite(&one).await.link)
    };
    let accepted = accept(&two, &request).await.unwrap();
    assert_eq!(accepted.relationship.entries, 1, "every entry counts");
    let everyones = (names(&["one.test"]), names(&["one.test"]));
    assert_eq!(told(stream.next().await), everyones);
    let at = two.admin.get::<Page<RelationshipView>>("/v1/admin/federation").await.unwrap();
    assert!(at.items[0].all_entries && at.items[0].has_bundle);
    let shown = created_revision(&two, node.credential.spiffe_id.as_ref()).await;
    drop(stream);

    // What was missed while away is told at the resumption: that it is every entry's no longer.
    let change = UpdateRelationship {
        all_entries: Some(false),
        ..UpdateRelationship::default()
    };
    let updated = update(&two, "one.test", &change).await.unwrap();
    assert_eq!((updated.nodes.len(), updated.relationship.entries), (1, 0));
    let mut stream = Stream::open(&connection, Some(shown)).await.unwrap();
    assert_eq!(told(stream.next().await), (vec![], vec![]));
    let change = UpdateRelationship {
        all_entries: Some(true),
        ..UpdateRelationship::default()
    };
    update(&two, "one.test", &change).await.unwrap();
    assert_eq!(told(stream.next().await), everyones);
    let two = two.restarted_with(options()).await;
    let connection = node.connect(&two).await;
    assert_eq!(told(Stream::open(&connection, None).await.unwrap().next().await), everyones);
    delete(&two, "one.test", "").await.unwrap();
    assert_eq!(told(Stream::open(&connection, None).await.unwrap().next().await), (vec![], vec![]));
}

/// The revision after one more entry.
async fn created_revision(world: &World, parent: &str) -> trust_domains::Revision {
    world.entry("/other", parent).await.revision
}

#[covers("FED-05")]
#[tokio::test]
async fn a_bundle_set_by_hand_counts_until_the_next_fetch_and_says_so() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    accept(&two, &accepting(&invite(&one).await.link)).await.unwrap();
    let fetched = held(&two, "one.test").await.unwrap();
    let mine = TrustBundle::new("one.test".parse().unwrap());
    let mine = fetched
        .x509_authorities()
        .iter()
        .fold(mine, |bundle, root| bundle.with_x509_authority(root.der()).unwrap());
    let request = SetBundle {
        format: BundleFormat::Spiffe,
        document: mine.to_spiffe_json(),
    };
    let set: BundleSet = two.admin.call(Method::PUT, "/v1/admin/bundles/one.test", Some(&request)).await.unwrap();
    assert!(
        set.warnings.iter().any(|warning| warning.contains("until the next fetch")),
        "{:?}",
        set.warnings
    );
    assert_eq!(held(&two, "one.test").await.unwrap().jwt_authorities().len(), 0);
    let refreshed = refresh(&two, "one.test").await;
    assert_eq!(refreshed.fetching.status, PartnerState::Current);
    assert_eq!(held(&two, "one.test").await.unwrap(), fetched, "the tag of before was not believed");
}

#[tokio::test]
async fn changes_are_told_as_they_happen_and_from_the_start_to_who_knows_nothing() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let changes = async |since: u64| -> FederationChanges { two.admin.get(&format!("/v1/admin/federation-changes?since={since}")).await.unwrap() };
    let start = changes(0).await;
    assert!(start.items.is_empty() && start.since > 0);
    let link = invite(&one).await.link;
    let (told, accepted) = tokio::join!(changes(start.since), async { accept(&two, &accepting(&link)).await.unwrap() });
    assert_eq!(accepted.result, BundleResult::Created);
    assert_eq!(told.items[0].trust_domain.as_str(), "one.test");
    let newest = changes(0).await;
    assert_eq!((newest.items.len(), newest.deleted.len()), (1, 0));
    let (told, _) = tokio::join!(changes(newest.since), async { delete(&two, "one.test", "").await.unwrap() });
    assert_eq!(
        (told.items.len(), told.deleted.iter().map(TrustDomain::as_str).collect::<Vec<_>>()),
        (0, vec!["one.test"])
    );
}

#[tokio::test]
async fn a_partner_that_is_gone_costs_nothing_but_its_news() {
    let (one, two) = (domain("one.test").await, domain("two.test").await);
    let node = two.node("a").await;
    accept(&two, &accepting(&invite(&one).await.link)).await.unwrap();
    let fetched = held(&two, "one.test").await.unwrap();
    drop(one.stopped().await);
    let shown = refresh(&two, "one.test").await;
    assert_eq!(shown.fetching.status, PartnerState::Unreachable);
    assert_eq!(shown.fetching.last_error.as_ref().unwrap().code, "endpoint_unreachable");
    assert!(shown.fetching.next_fetch > shown.fetching.last_attempt && shown.fetching.last_success.is_some());
    assert_eq!(held(&two, "one.test").await.unwrap(), fetched, "the last good bundle stays");
    let entry = federating("/web", node.credential.spiffe_id.as_ref(), &["one.test", "never.test"]);
    assert_eq!(two.create(vec![entry]).await.unwrap().entries.len(), 1);
    let health: Health = two.admin.get("/v1/admin/health").await.unwrap();
    assert_eq!(health.state, HealthState::Ready, "nobody here can do anything about it: {health:?}");
    let recorded = decisions(&two, "one.test").await;
    assert_eq!(actions(&recorded), ["federation_accepted", "federation_fetch_failed"]);
}
