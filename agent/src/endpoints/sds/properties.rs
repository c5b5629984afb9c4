//! Properties of both forms of a stream, against clients that follow the protocol in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::sds_api::messages::{DeltaDiscoveryRequest, DiscoveryRequest, Status};
use super::catalog::{Catalog, Sent, Version};
use super::delta::Delta;
use super::exchange::Push;
use super::state_of_the_world::StateOfTheWorld;

/// Names that exist now and then; the last is a second name, sent on request only.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "default"];

/// Something that happens on a stream.
#[derive(Debug, Clone)]
enum Event {
    /// What the process is entitled to changes.
    Change(BTreeMap<usize, u8>),
    /// The client wants these names from now on.
    Want(BTreeSet<usize>),
    /// The client reads the next response and takes it, or does not.
    Answer { accepts: bool },
    /// The client repeats its last request.
    Repeat,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => prop::collection::btree_map(0..NAMES.len(), 0..3_u8, 0..=NAMES.len()).prop_map(Event::Change),
        2 => prop::collection::btree_set(0..NAMES.len(), 1..=NAMES.len()).prop_map(Event::Want),
        4 => any::<bool>().prop_map(|accepts| Event::Answer { accepts }),
        1 => Just(Event::Repeat),
    ];
    prop::collection::vec(event, 0..40)
}

fn catalog(resources: &BTreeMap<usize, u8>) -> Catalog {
    let mut catalog = Catalog::default();
    for (&name, version) in resources {
        let sent = if NAMES[name] == "default" { Sent::OnRequest } else { Sent::ToAll };
        catalog.add(NAMES[name], Version::claimed(&version.to_string()), sent);
    }
    catalog
}

fn texts(names: &BTreeSet<usize>) -> BTreeSet<String> {
    names.iter().map(|&name| NAMES[name].to_owned()).collect()
}

/// Returns what a stream may hold of the catalog.
fn entitled(wanted: &BTreeSet<String>, catalog: &Catalog) -> BTreeMap<String, Version> {
    catalog
        .iter()
        .filter(|(name, _)| wanted.contains(*name))
        .map(|(name, version)| (name.to_owned(), version.clone()))
        .collect()
}

fn rejection(accepts: bool) -> Option<Status> {
    (!accepts).then(|| Status {
        code: 3,
        message: "no".to_owned(),
    })
}

/// Checks what holds of every response.
fn check(push: &Push, wanted: &BTreeSet<String>, catalog: &Catalog) {
    for (name, version) in &push.resources {
        assert!(wanted.contains(name), "{name} was not asked for");
        assert_eq!(catalog.version(name), Some(version), "{name} is not the newest");
    }
    for name in &push.removed {
        assert!(catalog.version(name).is_none(), "{name} is there");
    }
    assert!(!push.resources.is_empty() || !push.removed.is_empty(), "an empty response");
}

proptest! {
    /// Whatever happens, a client that reads has in the end what it is entitled to, is sent nothing else, and nothing twice in a row.
    #[test]
    fn a_state_of_the_world_client_converges(events in events()) {
        let (mut stream, mut now) = (StateOfTheWorld::default(), Catalog::default());
        let (mut wanted, mut last, mut held) = (texts(&BTreeSet::from([0])), None::<Push>, BTreeMap::new());
        let request = |wanted: &BTreeSet<String>, last: &Option<Push>| DiscoveryRequest {
            resource_names: wanted.iter().cloned().collect(),
            response_nonce: last.as_ref().map(|push| push.nonce.clone()).unwrap_or_default(),
            ..DiscoveryRequest::default()
        };
        stream.hear(request(&wanted, &last)).unwrap();
        for event in events.into_iter().chain([Event::Answer { accepts: true }]) {
            match event {
                Event::Change(resources) => now = catalog(&resources),
                Event::Want(names) => {
                    wanted = texts(&names);
                    held.retain(|name, _| wanted.contains(name));
                    stream.hear(request(&wanted, &last)).unwrap();
                }
                Event::Repeat => drop(stream.hear(request(&wanted, &last)).unwrap()),
                Event::Answer { accepts } => {
                    let Some(push) = stream.push(&now) else { continue };
                    check(&push, &wanted, &now);
                    let all: BTreeMap<_, _> = push.resources.iter().cloned().collect();
                    prop_assert_eq!(&all, &entitled(&wanted, &now), "whole");
                    prop_assert!(stream.push(&now).is_none(), "at once again");
                    held.extend(all);
                    last = Some(push);
                    stream.hear(DiscoveryRequest { error_detail: rejection(accepts), ..request(&wanted, &last) }).unwrap();
                    prop_assert!(stream.push(&now).is_none(), "after its answer again: {}", accepts);
                }
            }
        }
        for (name, version) in entitled(&wanted, &now) {
            prop_assert_eq!(held.get(&name), Some(&version));
        }
    }

    /// A delta client holds exactly what it is entitled to once it read everything, whether it wants names or everything.
    #[test]
    fn a_delta_client_converges(events in events(), everything in any::<bool>()) {
        let (mut stream, mut now) = (Delta::default(), Catalog::default());
        let (mut named, mut last, mut held) = (BTreeSet::new(), None::<Push>, BTreeMap::new());
        let first = if everything { vec!["*".to_owned()] } else { vec!["a".to_owned()] };
        if !everything {
            named.insert("a".to_owned());
        }
        stream.hear(DeltaDiscoveryRequest { resource_names_subscribe: first, ..DeltaDiscoveryRequest::default() }).unwrap();
        let wanted = |named: &BTreeSet<String>, now: &Catalog| -> BTreeSet<String> {
            let with_all = now.iter().filter(|(name, _)| everything && now.is_sent_to_all(name)).map(|(name, _)| name.to_owned());
            named.iter().cloned().chain(with_all).collect()
        };
        for event in events.into_iter().chain([Event::Answer { accepts: true }]) {
            match event {
                Event::Change(resources) => now = catalog(&resources),
                Event::Want(names) => {
                    let names = texts(&names);
                    let left: Vec<_> = named.difference(&names).cloned().collect();
                    if !everything {
                        held.retain(|name, _| !left.contains(name));
                    }
                    stream.hear(DeltaDiscoveryRequest {
                        resource_names_subscribe: names.difference(&named).cloned().collect(),
                        resource_names_unsubscribe: left,
                        ..DeltaDiscoveryRequest::default()
                    }).unwrap();
                    named = names;
                }
                Event::Repeat => drop(stream.hear(DeltaDiscoveryRequest {
                    response_nonce: last.as_ref().map(|push: &Push| push.nonce.clone()).unwrap_or_default(),
                    ..DeltaDiscoveryRequest::default()
                }).unwrap()),
                Event::Answer { accepts } => {
                    let Some(push) = stream.push(&now) else { continue };
                    for (name, version) in &push.resources {
                        prop_assert!(wanted(&named, &now).contains(name), "{} was not asked for", name);
                        prop_assert_eq!(now.version(name), Some(version));
                    }
                    prop_assert!(push.removed.iter().all(|name| !entitled(&wanted(&named, &now), &now).contains_key(name)));
                    prop_assert!(!push.resources.is_empty() || !push.removed.is_empty());
                    prop_assert!(stream.push(&now).is_none(), "at once again");
                    held.extend(push.resources.iter().cloned());
                    held.retain(|name, _| !push.removed.contains(name));
                    let answer = DeltaDiscoveryRequest { response_nonce: push.nonce.clone(), error_detail: rejection(accepts), ..DeltaDiscoveryRequest::default() };
                    stream.hear(answer).unwrap();
                    prop_assert!(stream.push(&now).is_none(), "after its answer again: {}", accepts);
                    last = Some(push);
                }
            }
        }
        prop_assert_eq!(held, entitled(&wanted(&named, &now), &now));
    }

    /// A client that comes back with what it was sent last is sent nothing, and what differs otherwise.
    #[test]
    fn coming_back_costs_only_what_changed(before in prop::collection::btree_map(0..NAMES.len(), 0..3_u8, 1..=NAMES.len()),
                                           after in prop::collection::btree_map(0..NAMES.len(), 0..3_u8, 0..=NAMES.len())) {
        let (before, after) = (catalog(&before), catalog(&after));
        let names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
        let mut first = StateOfTheWorld::default();
        first.hear(DiscoveryRequest { resource_names: names.clone(), ..DiscoveryRequest::default() }).unwrap();
        let pushed = first.push(&before).unwrap();
        let mut second = StateOfTheWorld::default();
        second.hear(DiscoveryRequest { resource_names: names.clone(), version_info: pushed.version.to_string(), ..DiscoveryRequest::default() }).unwrap();
        prop_assert!(second.push(&before).is_none());
        let had: BTreeMap<_, _> = pushed.resources.into_iter().collect();
        let mut delta = Delta::default();
        delta.hear(DeltaDiscoveryRequest {
            resource_names_subscribe: names.clone(),
            initial_resource_versions: had.iter().map(|(name, version)| (name.clone(), version.to_string())).collect(),
            ..DeltaDiscoveryRequest::default()
        }).unwrap();
        let sent: BTreeMap<_, _> = delta.push(&after).map(|push| push.resources.into_iter().collect()).unwrap_or_default();
        let all = entitled(&names.into_iter().collect(), &after);
        let differs: BTreeMap<_, _> = all.into_iter().filter(|(name, version)| had.get(name) != Some(version)).collect();
        prop_assert_eq!(sent, differs);
    }
}
