//! The bundles of partners: what operators may set, and which node is given which.

use http::Method;
use platform::client::CallError;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use trust_domains::bundle::MAX_BUNDLE_BYTES;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{EntryChange, EntryDeleted, EntryDraft, EntryView, Page, WaitOutcome, WaitRequest};
use trust_domains::wire::audit::{AuditEvent, AuditRecord};
use trust_domains::wire::bundles::{BundleDeleted, BundleFormat, BundleOrigin, BundleResult, BundleSet, BundleView, SetBundle};
use trust_domains::wire::node::SyncMessage;
use trust_domains::{Revision, SpiffeBundle, TrustBundle, TrustDomain};

use super::world::{Stream, World, acknowledge, code, draft};

/// A bundle of a trust domain with one root: another each time.
fn bundle(trust_domain: &str) -> TrustBundle {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into().unwrap())];
    let root = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    TrustBundle::new(trust_domain.parse().unwrap()).with_x509_authority(root.der()).unwrap()
}

async fn put(world: &World, trust_domain: &str, format: BundleFormat, document: String) -> Result<BundleSet, CallError> {
    let path = format!("/v1/admin/bundles/{trust_domain}");
    world.admin.call(Method::PUT, &path, Some(&SetBundle { format, document })).await
}

async fn set(world: &World, bundle: &TrustBundle) -> Result<BundleSet, CallError> {
    put(world, bundle.trust_domain().as_str(), BundleFormat::Spiffe, bundle.to_spiffe_json()).await
}

async fn delete(world: &World, trust_domain: &str, entries: &str) -> Result<BundleDeleted, CallError> {
    world.admin.delete(&format!("/v1/admin/bundles/{trust_domain}?entries={entries}")).await
}

async fn show(world: &World, trust_domain: &str) -> Result<TrustBundle, CallError> {
    let shown: SpiffeBundle = world.admin.get(&format!("/v1/admin/bundles/{trust_domain}")).await?;
    Ok(shown.into_bundle())
}

async fn listed(world: &World) -> Vec<BundleView> {
    world.admin.get::<Page<BundleView>>("/v1/admin/bundles").await.unwrap().items
}

fn federating(path: &str, node: &str, partners: &[&str]) -> EntryDraft {
    EntryDraft {
        federates_with: names(partners),
        ..draft(path, node)
    }
}

fn names(partners: &[&str]) -> Vec<TrustDomain> {
    partners.iter().map(|partner| partner.parse().unwrap()).collect()
}

async fn create(world: &World, draft: EntryDraft) -> EntryView {
    world.create(vec![draft]).await.unwrap().entries.remove(0)
}

/// Expects a delta; returns its revision and the bundles of partners in it.
async fn given(stream: &mut Stream) -> (Revision, Option<Vec<TrustBundle>>) {
    match stream.next().await {
        Some(SyncMessage::Delta { revision, federated, .. }) => {
            let bundles = federated.map(|bundles| bundles.into_iter().map(SpiffeBundle::into_bundle).collect());
            (revision, bundles)
        }
        other => panic!("a delta was expected, not {other:?}"),
    }
}

/// Expects a snapshot; returns its revision and the bundles of partners in it.
async fn given_at_start(stream: &mut Stream) -> (Revision, Vec<TrustBundle>) {
    match stream.next().await {
        Some(SyncMessage::Snapshot { revision, federated, .. }) => (revision, federated.into_iter().map(SpiffeBundle::into_bundle).collect()),
        other => panic!("a snapshot was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_partners_bundle_is_set_shown_replaced_and_deleted_and_the_journal_has_it() {
    let world = World::new().await;
    let (one, two) = (bundle("partner.test").with_sequence(7), bundle("partner.test").with_sequence(8));
    let created = set(&world, &one).await.unwrap();
    assert_eq!((created.result, created.bundle.source), (BundleResult::Created, BundleOrigin::Manual));
    assert_eq!((created.bundle.sequence, created.bundle.entries), (Some(7), Some(0)));
    assert!(created.skipped.is_empty() && created.warnings.is_empty(), "{created:?}");
    assert_eq!(show(&world, "partner.test").await.unwrap(), one);

    let again = set(&world, &one).await.unwrap();
    assert_eq!((again.result, again.bundle.set_at), (BundleResult::Unchanged, created.bundle.set_at));
    assert_eq!(set(&world, &two).await.unwrap().result, BundleResult::Updated);
    assert_eq!(code(set(&world, &one).await), Code::BundleOutdated, "FED-05");
    assert_eq!(show(&world, "partner.test").await.unwrap(), two, "what was refused changed nothing");

    let world = world.restarted().await;
    assert_eq!(show(&world, "partner.test").await.unwrap(), two);
    let list = listed(&world).await;
    assert_eq!(
        list.iter().map(|item| item.trust_domain.as_str()).collect::<Vec<_>>(),
        ["example.org", "partner.test"]
    );
    assert_eq!(list[0].source, BundleOrigin::Own);
    assert!(list[1].set_by.as_deref().is_some_and(|by| by.starts_with("local:uid:")), "{list:?}");
    let first: Page<BundleView> = world.admin.get("/v1/admin/bundles?limit=1").await.unwrap();
    assert_eq!((first.items.len(), first.next.as_deref()), (1, Some("example.org")));
    let rest: Page<BundleView> = world.admin.get("/v1/admin/bundles?limit=1&after=example.org").await.unwrap();
    assert_eq!((rest.items[0].trust_domain.as_str(), rest.next), ("partner.test", None));

    delete(&world, "partner.test", "refuse").await.unwrap();
    assert_eq!(code(show(&world, "partner.test").await), Code::BundleNotFound);
    assert_eq!(code(delete(&world, "partner.test", "refuse").await), Code::BundleNotFound);
    assert_eq!(code(delete(&world, "partner.test", "keep").await), Code::BundleNotFound);
    assert_eq!(code(delete(&world, "partner.test", "dissociate").await), Code::BundleNotFound);

    let mut journal = world.admin.lines("/v1/admin/audit").await.unwrap();
    let mut decisions = Vec::new();
    while let Some(record) = journal.next::<AuditRecord>().await.unwrap() {
        if let AuditEvent::Decided(decision) = record.event
            && decision.subject == "partner.test"
        {
            decisions.push((decision.action, decision.reason.unwrap_or_default()));
        }
    }
    let expected = [
        ("bundle_set", "by hand, sequence 7: 1 X.509, 0 JWT and 0 WIT authorities"),
        ("bundle_set", "by hand, sequence 8: 1 X.509, 0 JWT and 0 WIT authorities"),
        ("bundle_deleted", ""),
    ];
    assert_eq!(decisions, expected.map(|(action, reason)| (action.to_owned(), reason.to_owned())));
}

#[tokio::test]
async fn what_is_no_bundle_of_a_partner_is_refused_with_its_reason() {
    let world = World::new().await;
    let own: SpiffeBundle = world.admin.get("/v1/admin/bundle").await.unwrap();
    assert_eq!(show(&world, "example.org").await.unwrap(), *own.bundle());
    assert_eq!(code(set(&world, &bundle("example.org")).await), Code::BundleOwn);
    assert_eq!(code(delete(&world, "example.org", "keep").await), Code::BundleOwn);
    assert_eq!(
        code(put(&world, "Partner.test", BundleFormat::Spiffe, "{}".to_owned()).await),
        Code::InvalidTrustDomain
    );
    for (name, format, document) in [
        ("no JSON", BundleFormat::Spiffe, "-----BEGIN".to_owned()),
        ("BUN-05: no keys", BundleFormat::Spiffe, r#"{"spiffe_sequence":1}"#.to_owned()),
        ("no PEM", BundleFormat::Pem, bundle("partner.test").to_spiffe_json()),
        ("too large", BundleFormat::Spiffe, format!("{{\"keys\":[]{}}}", " ".repeat(MAX_BUNDLE_BYTES))),
    ] {
        let refused = put(&world, "partner.test", format, document).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest, "{name}");
        assert_ne!(refused.hint(), Code::InvalidRequest.facts().hint, "{name} has a hint of its own");
    }
    let larger = " ".repeat(4 * MAX_BUNDLE_BYTES);
    assert_eq!(code(put(&world, "partner.test", BundleFormat::Spiffe, larger).await), Code::BodyTooLarge);
    assert_eq!(listed(&world).await.len(), 1, "nothing was stored");
}

#[tokio::test]
async fn what_was_passed_over_and_what_is_probably_wrong_is_told() {
    let world = World::new().await;
    let root = bundle("partner.test");
    let mut document: serde_json::Value = serde_json::from_str(&root.to_spiffe_json()).unwrap();
    document["keys"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({ "use": "of-tomorrow", "kty": "EC" }));
    let answer = put(&world, "partner.test", BundleFormat::Spiffe, document.to_string()).await.unwrap();
    assert_eq!(answer.bundle.x509_authorities, 1, "BUN-06: the others stand");
    assert_eq!((answer.skipped[0].position, answer.skipped[0].reason.as_str()), (1, "use is not known"));

    let pem = put(&world, "partner.test", BundleFormat::Pem, root.to_pem()).await.unwrap();
    assert_eq!(pem.result, BundleResult::Unchanged, "the same keys");
    let foreign = put(&world, "other.test", BundleFormat::Pem, root.to_pem()).await.unwrap();
    assert!(
        foreign.warnings[0].contains("names spiffe://partner.test, not spiffe://other.test"),
        "{foreign:?}"
    );

    let empty = TrustBundle::new("partner.test".parse().unwrap());
    let answer = set(&world, &empty).await.unwrap();
    assert_eq!(
        (answer.result, answer.bundle.x509_authorities),
        (BundleResult::Updated, 0),
        "BUN-07: trust nothing is a word"
    );
    assert!(answer.warnings[0].contains("nothing of partner.test is trusted"), "{answer:?}");
    assert!(show(&world, "partner.test").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bundle_that_entries_need_is_deleted_only_when_asked_how() {
    let world = World::new().await;
    world.node("a").await;
    set(&world, &bundle("partner.test")).await.unwrap();
    let entry = create(&world, federating("/web", "a", &["other.test", "partner.test"])).await;
    create(&world, federating("/job", "a", &["partner.test"])).await;
    let refused = delete(&world, "partner.test", "refuse").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.to_string().contains("2 entries federate with partner.test")),
        (Code::BundleInUse, true),
        "{refused}"
    );
    assert!(
        refused.hint().contains("--dissociate") && refused.hint().contains("--force"),
        "{}",
        refused.hint()
    );

    let kept = delete(&world, "partner.test", "keep").await.unwrap();
    assert_eq!((kept.entries, kept.dissociated, kept.nodes.len()), (2, 0, 1));
    let shown: EntryView = world.admin.get(&format!("/v1/admin/entries/{}", entry.id)).await.unwrap();
    assert_eq!(shown.federates_with, names(&["other.test", "partner.test"]));

    // What a failure in between would leave: the entries, and no bundle.
    let done = delete(&world, "partner.test", "dissociate").await.unwrap();
    assert_eq!((done.entries, done.dissociated), (2, 2));
    let shown: EntryView = world.admin.get(&format!("/v1/admin/entries/{}", entry.id)).await.unwrap();
    assert_eq!(shown.federates_with, names(&["other.test"]));
    set(&world, &bundle("other.test")).await.unwrap();
    assert_eq!(delete(&world, "other.test", "dissociate").await.unwrap().dissociated, 1);
    assert!(listed(&world).await.len() == 1);
}

#[tokio::test]
async fn an_entry_may_name_a_partner_whose_bundle_is_not_there_yet() {
    let world = World::new().await;
    world.node("a").await;
    set(&world, &bundle("here.test")).await.unwrap();
    let created = world.create(vec![federating("/web", "a", &["here.test", "missing.test"])]).await.unwrap();
    let awaited: Vec<_> = created.warnings.iter().filter(|warning| warning.contains("there is no bundle of")).collect();
    assert!(awaited.len() == 1 && awaited[0].contains("missing.test"), "{awaited:?}");
    let id = created.entries[0].id.clone();
    assert_eq!(created.entries[0].federates_with, names(&["here.test", "missing.test"]));
    assert_eq!(
        code(world.create(vec![federating("/web", "a", &["here.test"])]).await),
        Code::EntryExists,
        "federates_with differs"
    );
    let change = EntryChange {
        federates_with: Some(Vec::new()),
        ..EntryChange::default()
    };
    let changed: EntryView = world.admin.patch(&format!("/v1/admin/entries/{id}"), &change).await.unwrap();
    assert!(changed.federates_with.is_empty());
    assert_eq!(code(world.create(vec![federating("/own", "a", &["example.org"])]).await), Code::InvalidRequest);
}

#[tokio::test]
async fn a_node_is_given_exactly_the_bundles_that_its_entries_federate_with() {
    let world = World::new().await;
    let (one, other) = (world.node("one").await, world.node("other").await);
    let (first, second) = (bundle("first.test"), bundle("second.test"));
    set(&world, &first).await.unwrap();
    create(&world, federating("/web", "one", &["first.test", "second.test"])).await;
    let mut stream = Stream::open(&one.connect(&world).await, None).await.unwrap();
    let mut silent = Stream::open(&other.connect(&world).await, None).await.unwrap();
    assert_eq!(
        given_at_start(&mut stream).await.1,
        std::slice::from_ref(&first),
        "what there is of what it needs"
    );
    assert!(given_at_start(&mut silent).await.1.is_empty(), "another node needs none");

    let answer = set(&world, &second).await.unwrap();
    assert_eq!(answer.nodes.len(), 1, "{answer:?}");
    assert_eq!(given(&mut stream).await, (answer.revision, Some(vec![first.clone(), second.clone()])));
    let newer = bundle("first.test");
    let answer = set(&world, &newer).await.unwrap();
    assert_eq!(given(&mut stream).await, (answer.revision, Some(vec![newer.clone(), second.clone()])));

    // The need of a node changes with its entries, and so does what it is given, in the same message.
    let job = create(&world, federating("/job", "other", &["second.test"])).await;
    assert_eq!(
        given(&mut silent).await,
        (job.revision, Some(vec![second.clone()])),
        "and nothing of what concerned the other node before"
    );
    let more = create(&world, federating("/more", "other", &["second.test"])).await;
    assert_eq!(given(&mut silent).await, (more.revision, None), "it has that one already");
    for (id, expected) in [(&job.id, None), (&more.id, Some(Vec::new()))] {
        let gone: EntryDeleted = world.admin.delete(&format!("/v1/admin/entries/{id}")).await.unwrap();
        assert_eq!(given(&mut silent).await, (gone.revision, expected), "only with the last entry it is withdrawn");
    }
    let gone = delete(&world, "second.test", "keep").await.unwrap();
    assert_eq!(given(&mut stream).await, (gone.revision, Some(vec![newer])));
    set(&world, &second).await.unwrap();
    let last = world.entry("/last", "other").await;
    assert_eq!(
        given(&mut silent).await,
        (last.revision, None),
        "the node without a need heard nothing in between"
    );
}

#[tokio::test]
async fn an_entry_that_moves_takes_its_bundles_along() {
    let world = World::new().await;
    let (from, to) = (world.node("from").await, world.node("to").await);
    let partner = bundle("partner.test");
    set(&world, &partner).await.unwrap();
    let entry = create(&world, federating("/web", "from", &["partner.test"])).await;
    let mut left = Stream::open(&from.connect(&world).await, None).await.unwrap();
    let mut joined = Stream::open(&to.connect(&world).await, None).await.unwrap();
    assert_eq!(given_at_start(&mut left).await.1, std::slice::from_ref(&partner));
    assert!(given_at_start(&mut joined).await.1.is_empty());
    let change = EntryChange {
        parent_id: Some("to".to_owned()),
        ..EntryChange::default()
    };
    let moved: EntryView = world.admin.patch(&format!("/v1/admin/entries/{}", entry.id), &change).await.unwrap();
    assert_eq!(given(&mut left).await, (moved.revision, Some(Vec::new())));
    assert_eq!(given(&mut joined).await, (moved.revision, Some(vec![partner])));
}

#[tokio::test]
async fn a_stream_that_resumes_misses_no_change_of_a_bundle() {
    let world = World::new().await;
    let node = world.node("a").await;
    let entry = create(&world, federating("/web", "a", &["partner.test"])).await;
    let mut stream = Stream::open(&node.connect(&world).await, None).await.unwrap();
    let (shown, none) = given_at_start(&mut stream).await;
    assert!(none.is_empty());
    drop(stream);

    let resumed_after = async |world: &World, shown| Stream::open(&node.connect(world).await, Some(shown)).await.unwrap();
    let partner = bundle("partner.test");
    set(&world, &partner).await.unwrap();
    set(&world, &bundle("unrelated.test")).await.unwrap();
    let (shown, missed) = given(&mut resumed_after(&world, shown).await).await;
    assert_eq!(missed, Some(vec![partner.clone()]), "a bundle was set meanwhile");
    set(&world, &bundle("unrelated.test")).await.unwrap();
    let message = resumed_after(&world, shown).await.next().await;
    assert!(matches!(message, Some(SyncMessage::Current { .. })), "nothing of its own changed: {message:?}");

    delete(&world, "partner.test", "keep").await.unwrap();
    let (shown, missed) = given(&mut resumed_after(&world, shown).await).await;
    assert_eq!(missed, Some(Vec::new()), "a bundle was deleted meanwhile");
    set(&world, &partner).await.unwrap();
    let (shown, _) = given(&mut resumed_after(&world, shown).await).await;
    world.admin.delete::<EntryDeleted>(&format!("/v1/admin/entries/{}", entry.id)).await.unwrap();
    let (shown, missed) = given(&mut resumed_after(&world, shown).await).await;
    assert_eq!(missed, Some(Vec::new()), "the last entry that needed it went meanwhile");
    create(&world, federating("/web", "a", &["partner.test"])).await;
    let (_, missed) = given(&mut resumed_after(&world, shown).await).await;
    assert_eq!(missed, Some(vec![partner.clone()]), "an entry that needs it came meanwhile");

    let world = world.restarted().await;
    match resumed_after(&world, shown).await.next().await {
        Some(SyncMessage::Snapshot { federated, .. }) => assert_eq!(*federated[0].bundle(), partner),
        other => panic!("a new process does not remember what changed before it, so a snapshot was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_writer_can_wait_until_the_nodes_that_need_a_bundle_have_it() {
    let world = World::new().await;
    let (one, other) = (world.node("one").await, world.node("other").await);
    create(&world, federating("/web", "one", &["partner.test"])).await;
    let connection = one.connect(&world).await;
    let mut stream = Stream::open(&connection, None).await.unwrap();
    let mut silent = Stream::open(&other.connect(&world).await, None).await.unwrap();
    silent.snapshot().await;
    acknowledge(&connection, stream.snapshot().await.0).await.unwrap();
    let answer = set(&world, &bundle("partner.test")).await.unwrap();
    assert_eq!(answer.nodes, std::slice::from_ref(&one.credential.spiffe_id));
    let wait = |timeout_s| WaitRequest {
        revision: answer.revision,
        nodes: answer.nodes.clone(),
        timeout_s,
    };
    let late: WaitOutcome = world.admin.post("/v1/admin/wait", &wait(0)).await.unwrap();
    assert_eq!((late.missing.len(), late.acknowledged.len()), (1, 0));
    acknowledge(&connection, given(&mut stream).await.0).await.unwrap();
    let done: WaitOutcome = world.admin.post("/v1/admin/wait", &wait(20)).await.unwrap();
    assert_eq!((done.missing.len(), done.acknowledged.len()), (0, 1));
}
