//! `DeltaSecrets`, as a pure state: what the client asks for and has, and what it is sent next.
//!
//! - The first request asks for its names, or for everything when it has none or has `*`, and says what the client has from an earlier stream. Later ones
//!   add and take away, whatever their nonce.
//! - What is asked for and is not what the client has is sent; what is asked for and does not exist is said to be removed, once.
//! - A name that is asked for again is sent again, even if it is unchanged. One that is taken away while everything is asked for is sent or said to be
//!   removed, for the client cannot know which it is.
//! - Accepted or rejected, it is not sent again until it changes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sds_api::messages::DeltaDiscoveryRequest;
use super::catalog::{Catalog, Version};
use super::exchange::{Answer, Heard, Push, Responses};
use super::interest::{EVERYTHING, Interest, MAX_NAMES, TooMuch};

/// What a client was told of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// There is no such resource.
    Absent,
    /// It has this version.
    Present(Version),
}

/// One stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Delta {
    begun: bool,
    interest: Interest,
    told: BTreeMap<String, Told>,
    /// Names that were taken away while everything is asked for.
    owed: BTreeSet<String>,
    responses: Responses,
}

impl Delta {
    /// Takes a request. Returns how the client took the last response, if it says so for the first time.
    pub(super) fn hear(&mut self, request: DeltaDiscoveryRequest) -> Result<Option<Answer>, TooMuch> {
        let heard = self.responses.hear(&request.response_nonce, request.error_detail);
        let first = !std::mem::replace(&mut self.begun, true);
        if first && request.resource_names_subscribe.is_empty() {
            self.interest = Interest::in_everything();
        }
        for name in request.resource_names_subscribe {
            self.told.remove(&name);
            self.owed.remove(&name);
            self.interest.add(name)?;
        }
        if first {
            self.take_up(request.initial_resource_versions.into_iter().collect())?;
        }
        for name in request.resource_names_unsubscribe {
            self.take_away(name);
        }
        Ok(match heard {
            Heard::Answers(answer) => Some(answer),
            Heard::Asks | Heard::Stale => None,
        })
    }

    /// Notes what the client has from an earlier stream.
    fn take_up(&mut self, versions: BTreeMap<String, String>) -> Result<(), TooMuch> {
        // As many as names, and within their octets: this is remembered as they are.
        Interest::in_names(versions.keys().cloned().collect())?;
        for (name, version) in versions {
            if self.interest.is_in_everything() || self.interest.names().contains(&name) {
                self.told.insert(name, Told::Present(Version::claimed(&version)));
            }
        }
        Ok(())
    }

    fn take_away(&mut self, name: String) {
        if name == EVERYTHING {
            self.interest.remove(&name);
            self.owed.clear();
            self.told.retain(|name, _| self.interest.names().contains(name));
            return;
        }
        if !self.interest.remove(&name) {
            return;
        }
        self.told.remove(&name);
        // Bounded as the names are: a stream that never takes its answers is told nothing of further ones.
        if self.interest.is_in_everything() && self.owed.len() < MAX_NAMES {
            self.owed.insert(name);
        }
    }

    /// Returns what is to be sent now, and takes it as sent.
    pub(super) fn push(&mut self, catalog: &Catalog) -> Option<Push> {
        if !self.begun {
            return None;
        }
        let resources: Vec<(String, Version)> = catalog
            .iter()
            .filter(|(name, version)| self.interest.covers(name, catalog) && !self.has(name, version))
            .map(|(name, version)| (name.to_owned(), version.clone()))
            .collect();
        let removed = self.removed(catalog);
        for (name, version) in &resources {
            self.told.insert(name.clone(), Told::Present(version.clone()));
        }
        for name in &removed {
            if self.interest.names().contains(name) {
                self.told.insert(name.clone(), Told::Absent);
            } else {
                self.told.remove(name);
            }
        }
        self.owed.clear();
        if resources.is_empty() && removed.is_empty() {
            return None;
        }
        Some(Push {
            nonce: self.responses.next_nonce(),
            version: Version::of_all(resources.iter().map(|(name, version)| (name.as_str(), version))),
            resources,
            removed,
        })
    }

    fn has(&self, name: &str, version: &Version) -> bool {
        matches!(self.told.get(name), Some(Told::Present(told)) if told == version)
    }

    /// Returns the names that the client has, or asks for and was not told about, and that there is nothing behind.
    fn removed(&self, catalog: &Catalog) -> Vec<String> {
        let untold = |name: &&String| self.told.get(*name) != Some(&Told::Absent);
        let named = self.interest.names().iter().filter(untold);
        let with_everything = self.told.keys().filter(|name| !self.interest.names().contains(*name));
        let owed = self.owed.iter().filter(|name| !self.told.contains_key(*name));
        let all: BTreeSet<&String> = named.chain(with_everything).chain(owed).collect();
        all.into_iter()
            .filter(|name| catalog.version(name).is_none() || !self.interest.covers(name, catalog))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::catalog::catalog;
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn asking(names: &[&str]) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            resource_names_subscribe: texts(names),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn leaving(names: &[&str]) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            resource_names_unsubscribe: texts(names),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn with_versions(names: &[&str], versions: &[(&str, &str)]) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            initial_resource_versions: versions
                .iter()
                .map(|&(name, version)| (name.to_owned(), version.to_owned()))
                .collect::<HashMap<_, _>>(),
            ..asking(names)
        }
    }

    /// Returns the names that are sent and those that are removed.
    fn told(push: Option<Push>) -> (Vec<String>, Vec<String>) {
        push.map_or_else(Default::default, |push| {
            (push.resources.into_iter().map(|(name, _)| name).collect(), push.removed)
        })
    }

    fn both(sent: &[&str], removed: &[&str]) -> (Vec<String>, Vec<String>) {
        (texts(sent), texts(removed))
    }

    #[test]
    fn only_what_changed_is_sent_and_what_is_not_there_is_said_once() {
        let mut stream = Delta::default();
        assert_eq!(stream.push(&catalog(&[("a", "1")])), None);
        stream.hear(asking(&["a", "b", "unknown"])).unwrap();
        assert_eq!(told(stream.push(&catalog(&[("a", "1"), ("b", "1")]))), both(&["a", "b"], &["unknown"]));
        assert_eq!(stream.push(&catalog(&[("a", "1"), ("b", "1")])), None);
        assert_eq!(told(stream.push(&catalog(&[("a", "2"), ("b", "1"), ("c", "1")]))), both(&["a"], &[]));
        assert_eq!(told(stream.push(&catalog(&[("b", "1"), ("unknown", "1")]))), both(&["unknown"], &["a"]));
        assert_eq!(told(stream.push(&catalog(&[("a", "2"), ("b", "1"), ("unknown", "1")]))), both(&["a"], &[]));
    }

    #[test]
    fn a_name_that_is_asked_for_again_is_sent_again_and_one_that_is_left_is_not() {
        let now = catalog(&[("a", "1"), ("b", "1")]);
        let mut stream = Delta::default();
        stream.hear(asking(&["a", "b"])).unwrap();
        stream.push(&now).unwrap();
        stream.hear(asking(&["a"])).unwrap();
        assert_eq!(told(stream.push(&now)), both(&["a"], &[]));
        stream.hear(leaving(&["a", "never-asked-for"])).unwrap();
        assert_eq!(stream.push(&catalog(&[("b", "1")])), None);
    }

    #[test]
    fn everything_is_asked_for_and_left_as_a_name_is() {
        let mut stream = Delta::default();
        stream.hear(asking(&[])).unwrap();
        assert_eq!(told(stream.push(&catalog(&[("a", "1"), ("b", "1")]))), both(&["a", "b"], &[]));
        assert_eq!(told(stream.push(&catalog(&[("b", "1")]))), both(&[], &["a"]));
        stream.hear(asking(&["default", "b"])).unwrap();
        assert_eq!(told(stream.push(&catalog(&[("b", "1")]))), both(&["b", "default"], &[]));
        // Covered by everything or not: the client is told.
        stream.hear(leaving(&["default", "b"])).unwrap();
        assert_eq!(told(stream.push(&catalog(&[("b", "1")]))), both(&["b"], &["default"]));
        stream.hear(leaving(&["*"])).unwrap();
        assert_eq!(stream.push(&catalog(&[("b", "2"), ("c", "1")])), None);
        stream.hear(asking(&["*"])).unwrap();
        assert_eq!(told(stream.push(&catalog(&[("b", "2")]))), both(&["b"], &[]));
    }

    #[test]
    fn a_client_that_comes_back_is_sent_what_differs_from_what_it_has() {
        let now = catalog(&[("a", "1"), ("b", "2")]);
        let mut stream = Delta::default();
        stream
            .hear(with_versions(&["a", "b", "gone"], &[("a", "1"), ("b", "1"), ("gone", "1")]))
            .unwrap();
        assert_eq!(told(stream.push(&now)), both(&["b"], &["gone"]));
        let mut stream = Delta::default();
        stream.hear(with_versions(&[], &[("a", "1"), ("gone", "1")])).unwrap();
        assert_eq!(told(stream.push(&now)), both(&["b"], &["gone"]));
        let mut stream = Delta::default();
        stream.hear(with_versions(&["a"], &[("a", "1"), ("b", "1")])).unwrap();
        assert_eq!(stream.push(&now), None);
    }

    #[test]
    fn more_than_a_thousand_names_or_versions_are_refused() {
        let names: Vec<String> = (0..=MAX_NAMES).map(|number| number.to_string()).collect();
        let mut stream = Delta::default();
        stream.hear(asking(&["a"])).unwrap();
        let more = DeltaDiscoveryRequest {
            resource_names_subscribe: names.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        assert!(matches!(stream.hear(more), Err(TooMuch::Names { .. })));
        let versions = DeltaDiscoveryRequest {
            initial_resource_versions: names.into_iter().map(|name| (name, String::new())).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        assert!(matches!(Delta::default().hear(versions), Err(TooMuch::Names { .. })));
    }
}
