//! What operators ask.

use trust_domains::class::CredentialClass;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{
    ApplyAction, ApplyEntries, ApplyOutcome, Count, EntryChange, EntryDraft, EntryResult, EntryView, Health, HealthState, NodeView, Page, TokenRequest,
};
use trust_domains::wire::audit::{AuditEvent, AuditRecord};

use super::world::{World, code, draft};

async fn count(world: &World) -> usize {
    world.admin.get::<Count>("/v1/admin/entries/count").await.unwrap().count
}

#[tokio::test]
async fn an_equal_entry_is_not_created_twice() {
    let world = World::new().await;
    world.node("a").await;
    let first = world.entry("/web", "a").await;
    assert_eq!(first.result, Some(EntryResult::Created));
    let same = EntryDraft {
        spiffe_id: "spiffe://example.org/web".to_owned(),
        ..draft("/web", "spiffe://example.org/troth/agent/join_token/a")
    };
    let again = world.create(vec![same]).await.unwrap();
    assert_eq!((again.entries[0].result, &again.entries[0].id), (Some(EntryResult::Unchanged), &first.id));
    assert_eq!(again.entries[0].revision, first.revision);
    let other = EntryDraft {
        class: Some(CredentialClass::Fast),
        ..draft("/web", "a")
    };
    let refused = world.create(vec![other]).await.unwrap_err();
    assert_eq!(refused.code(), Code::EntryExists);
    assert!(refused.hint().contains(first.id.as_str()));
    let more_selectors = EntryDraft {
        selectors: vec!["unix:uid:1".to_owned()],
        ..draft("/web", "a")
    };
    assert_eq!(world.create(vec![more_selectors]).await.unwrap().entries[0].result, Some(EntryResult::Created));
    assert_eq!(count(&world).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_entries_created_at_the_same_moment_are_one() {
    let world = std::sync::Arc::new(World::new().await);
    world.node("a").await;
    let mut creating = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let world = world.clone();
        creating.spawn(async move { world.entry("/web", "a").await });
    }
    let entries = creating.join_all().await;
    assert!(entries.iter().all(|entry| entry.id == entries[0].id));
    assert_eq!(entries.iter().filter(|entry| entry.result == Some(EntryResult::Created)).count(), 1);
}

#[tokio::test]
async fn a_list_is_checked_whole_before_anything_is_written() {
    let world = World::new().await;
    world.node("a").await;
    let good = || draft("/good", "a");
    let cases = [
        ("a reserved path", draft("/troth/agent/x", "a"), Code::ReservedPath),
        ("a foreign trust domain", draft("spiffe://other.org/web", "a"), Code::InvalidSpiffeId),
        ("an unknown parent", draft("/web", "nobody"), Code::NodeNotFound),
        ("a parent that is no node", draft("/web", "/web"), Code::InvalidRequest),
        (
            "no selector",
            EntryDraft {
                selectors: vec![],
                ..draft("/web", "a")
            },
            Code::InvalidSelector,
        ),
        (
            "a life above its class",
            EntryDraft {
                x509_ttl_s: Some(100_000),
                ..draft("/web", "a")
            },
            Code::ClassExceeded,
        ),
        (
            "the same identity with other fields",
            EntryDraft {
                hint: Some("x".to_owned()),
                ..good()
            },
            Code::InvalidRequest,
        ),
    ];
    for (name, bad, expected) in cases {
        let refused = world.create(vec![good(), draft("/another", "a"), bad]).await.unwrap_err();
        assert_eq!(refused.code(), expected, "{name}: {refused}");
        assert!(refused.to_string().contains("entry 3 of 3"), "{name}: {refused}");
        assert_eq!(count(&world).await, 0, "{name}");
    }
    let created = world.create(vec![good(), good()]).await.unwrap();
    assert_eq!(
        created.entries.iter().map(|entry| entry.result).collect::<Vec<_>>(),
        [Some(EntryResult::Created), Some(EntryResult::Unchanged)]
    );
}

#[tokio::test]
async fn the_only_node_is_the_parent_by_default() {
    let world = World::new().await;
    let orphan = || EntryDraft {
        parent_id: None,
        ..draft("/web", "")
    };
    let none = world.create(vec![orphan()]).await.unwrap_err();
    assert_eq!(none.code(), Code::NodeParentAmbiguous);
    world.node("a").await;
    let created = world.create(vec![orphan()]).await.unwrap();
    assert!(created.entries[0].parent_id.as_str().ends_with("/join_token/a"));
    assert!(
        created.warnings.iter().any(|warning| warning.contains("the only node")),
        "{:?}",
        created.warnings
    );
    world.node("b").await;
    let several = world
        .create(vec![EntryDraft {
            spiffe_id: "/other".to_owned(),
            ..orphan()
        }])
        .await
        .unwrap_err();
    assert_eq!(several.code(), Code::NodeParentAmbiguous);
    assert!(several.to_string().contains("2 nodes: a, b"), "{several}");
}

#[tokio::test]
async fn an_entry_may_wait_for_a_node_that_a_token_announces() {
    let world = World::new().await;
    world.token("soon").await;
    let created = world.create(vec![draft("/web", "soon")]).await.unwrap();
    assert!(
        created.warnings.iter().any(|warning| warning.contains("has not joined yet")),
        "{:?}",
        created.warnings
    );
    let node = world.node("soon").await;
    assert_eq!(created.entries[0].parent_id, node.credential.spiffe_id);
}

#[tokio::test]
async fn entries_are_found_by_id_and_by_identity() {
    let world = World::new().await;
    world.node("a").await;
    let entry = world.entry("/web", "a").await;
    let twin = EntryDraft {
        selectors: vec!["unix:uid:1".to_owned()],
        ..draft("/db", "a")
    };
    world.create(vec![draft("/db", "a"), twin]).await.unwrap();
    for name in [entry.id.as_str(), "spiffe:%2F%2Fexample.org%2Fweb", "%2Fweb"] {
        assert_eq!(
            world.admin.get::<EntryView>(&format!("/v1/admin/entries/{name}")).await.unwrap().id,
            entry.id,
            "{name}"
        );
    }
    assert_eq!(
        code(world.admin.get::<EntryView>("/v1/admin/entries/%2Fdb").await),
        Code::InvalidRequest,
        "two entries give it"
    );
    for name in ["nothing", "%2Fnothing", "UPPER"] {
        assert_eq!(
            code(world.admin.get::<EntryView>(&format!("/v1/admin/entries/{name}")).await),
            Code::EntryNotFound,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_update_keeps_the_rules_of_an_entry() {
    let world = World::new().await;
    world.node("a").await;
    let (web, db) = (world.entry("/web", "a").await, world.entry("/db", "a").await);
    let path = format!("/v1/admin/entries/{}", web.id);
    let patch = async |change: EntryChange| world.admin.patch::<EntryView>(&path, &change).await;
    let changed = patch(EntryChange {
        class: Some(CredentialClass::Fast),
        ..EntryChange::default()
    })
    .await
    .unwrap();
    assert_eq!((changed.result, changed.x509_ttl_s), (Some(EntryResult::Updated), 180));
    assert!(changed.revision.is_after(db.revision));
    assert_eq!(patch(EntryChange::default()).await.unwrap().result, Some(EntryResult::Unchanged));
    assert_eq!(
        code(
            patch(EntryChange {
                spiffe_id: Some("/db".to_owned()),
                ..EntryChange::default()
            })
            .await
        ),
        Code::EntryExists
    );
    assert_eq!(
        code(
            patch(EntryChange {
                x509_ttl_s: Some(9_000),
                ..EntryChange::default()
            })
            .await
        ),
        Code::ClassExceeded
    );
    assert_eq!(
        code(
            patch(EntryChange {
                spiffe_id: Some("/troth/server".to_owned()),
                ..EntryChange::default()
            })
            .await
        ),
        Code::ReservedPath
    );
    assert_eq!(
        world.admin.get::<EntryView>(&path).await.unwrap().revision,
        changed.revision,
        "refused changes change nothing"
    );
}

#[tokio::test]
async fn apply_makes_a_list_true_and_says_what_it_would_do() {
    let world = World::new().await;
    world.node("a").await;
    let (kept, changed, surplus) = (
        world.entry("/kept", "a").await,
        world.entry("/changed", "a").await,
        world.entry("/surplus", "a").await,
    );
    let list = vec![
        draft("/kept", "a"),
        EntryDraft {
            hint: Some("new".to_owned()),
            ..draft("/changed", "a")
        },
        draft("/new", "a"),
    ];
    let apply = async |prune, dry_run| {
        world
            .admin
            .post::<ApplyOutcome>(
                "/v1/admin/entries/apply",
                &ApplyEntries {
                    entries: list.clone(),
                    prune,
                    dry_run,
                },
            )
            .await
            .unwrap()
    };
    let planned = apply(true, true).await;
    assert!(!planned.applied && count(&world).await == 3);
    let steps: Vec<_> = planned
        .steps
        .iter()
        .map(|step| (step.action, step.spiffe_id.path().to_owned(), step.id.clone()))
        .collect();
    assert_eq!(
        steps,
        [
            (ApplyAction::Update, "/changed".to_owned(), Some(changed.id)),
            (ApplyAction::Create, "/new".to_owned(), None),
            (ApplyAction::Delete, "/surplus".to_owned(), Some(surplus.id)),
        ]
    );
    let done = apply(false, false).await;
    assert_eq!(
        (done.steps.len(), done.unchanged, count(&world).await),
        (2, 1, 4),
        "without prune the others stay"
    );
    let pruned = apply(true, false).await;
    assert_eq!((pruned.steps.len(), pruned.unchanged, count(&world).await), (1, 3, 3));
    let again = apply(true, false).await;
    assert_eq!((again.steps.len(), again.revision), (0, pruned.revision), "it is true already");
    assert_eq!(
        world.admin.get::<EntryView>(&format!("/v1/admin/entries/{}", kept.id)).await.unwrap().revision,
        kept.revision
    );
}

#[tokio::test]
async fn lists_come_in_pages_in_a_stable_order() {
    let world = World::new().await;
    world.node("a").await;
    world.node("b").await;
    world
        .create(
            (0..25)
                .map(|number| draft(&format!("/w/{number:02}"), if number % 5 == 0 { "b" } else { "a" }))
                .collect(),
        )
        .await
        .unwrap();
    for (filter, expected) in [("", 25), ("&parent=b", 5), ("&spiffe_id=/w/07", 1), ("&spiffe_id=/w/07&parent=b", 0)] {
        let (mut paths, mut after) = (Vec::new(), String::new());
        loop {
            let page: Page<EntryView> = world.admin.get(&format!("/v1/admin/entries?limit=3{filter}{after}")).await.unwrap();
            assert!(page.items.len() <= 3);
            paths.extend(page.items.iter().map(|entry| entry.spiffe_id.to_string()));
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(paths.len(), expected, "{filter}");
        assert!(paths.is_sorted());
    }
    for query in ["limit=0", "limit=1001", "limit=x", "after=!", "nothing=1"] {
        assert_eq!(
            code(world.admin.get::<Page<EntryView>>(&format!("/v1/admin/entries?{query}")).await),
            Code::InvalidRequest,
            "{query}"
        );
    }
    let nodes: Page<NodeView> = world.admin.get("/v1/admin/nodes?limit=1").await.unwrap();
    assert_eq!((nodes.items[0].name.as_str(), nodes.next.as_deref()), ("a", Some("a")));
    let nodes: Page<NodeView> = world.admin.get("/v1/admin/nodes?limit=1&after=a").await.unwrap();
    assert_eq!((nodes.items[0].name.as_str(), nodes.next), ("b", None));
}

#[tokio::test]
async fn a_join_token_lives_within_its_bounds() {
    let world = World::new().await;
    for (ttl_s, accepted) in [(9, false), (10, true), (7 * 86_400, true), (7 * 86_400 + 1, false)] {
        let outcome = world
            .admin
            .post::<serde_json::Value>("/v1/admin/tokens", &TokenRequest { ttl_s, node_id: None })
            .await;
        assert_eq!(outcome.is_ok(), accepted, "{ttl_s}");
    }
    let token = world.token("a").await;
    assert_eq!(token.link.token.expose(), token.token.expose());
    assert_eq!((token.server_from.as_str(), token.root_sha256.len()), ("listen", 1));
}

#[tokio::test]
async fn the_audit_log_names_who_did_what_and_holds_no_secret() {
    let world = World::new().await;
    let token = world.token("a").await;
    let node = super::world::Node::join(&world, &token, super::world::Key::new())
        .await
        .map_err(|error| error.to_string())
        .unwrap();
    let entry = world.entry("/web", "a").await;
    let used = super::world::Node::join(&world, &token, super::world::Key::new()).await.map(|_| ());
    assert_eq!(code(used), Code::TokenUsed);
    world.admin.post::<NodeView>("/v1/admin/nodes/a/ban", &()).await.unwrap();

    let mut lines = world.admin.lines("/v1/admin/audit").await.unwrap();
    let (mut decisions, mut seqs) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next_line().await.unwrap() {
        let text = String::from_utf8(line.to_vec()).unwrap();
        assert!(!text.contains(token.token.expose()) && !text.contains("unix:uid"), "{text}");
        let record: AuditRecord = serde_json::from_str(&text).unwrap();
        seqs.push(record.seq);
        if let AuditEvent::Decided(decision) = record.event {
            assert_eq!(decision.trace_id.len(), 32);
            decisions.push((decision.action, decision.subject, decision.actor, decision.reason));
        }
    }
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let has = |action: &str, subject: &str, actor: &str| decisions.iter().any(|(a, s, by, _)| a == action && s == subject && by.starts_with(actor));
    assert!(has("token_created", &token.id, "local:uid:"));
    assert!(has("node_attested", node.credential.spiffe_id.as_str(), &format!("token:{}", token.id)));
    assert!(has("entry_created", entry.id.as_str(), "local:uid:"));
    assert!(has("attest_refused", &token.id, "token:"));
    assert!(has("node_banned", node.credential.spiffe_id.as_str(), "local:uid:"));

    let mut tail = world
        .admin
        .lines(&format!("/v1/admin/audit?after={}&follow=true&limit=1", seqs.len()))
        .await
        .unwrap();
    world.token("b").await;
    assert_eq!(tail.next::<AuditRecord>().await.unwrap().unwrap().seq, seqs.len() as u64 + 1);
    assert!(tail.next::<AuditRecord>().await.unwrap().is_none(), "the limit ends it");
}

#[tokio::test]
async fn the_server_says_how_it_is() {
    let world = World::new().await;
    let health: Health = world.admin.get("/v1/admin/health").await.unwrap();
    assert_eq!(health.state, HealthState::Ready, "{:?}", health.problems);
    let bundle: trust_domains::SpiffeBundle = world.admin.get("/v1/admin/bundle").await.unwrap();
    assert_eq!(bundle.bundle().x509_authorities().len(), 1);
}
