//! `StreamSecrets`, as a pure state: what the client asks for and has, and what it is sent next.
//!
//! - The first request asks for its names, or for everything when it has none or has `*`. A later one replaces the names; without any, after names,
//!   it asks for nothing (Envoy's xDS protocol, "how the client specifies what resources to return").
//! - A request with the nonce of an older response is ignored whole: the client answers the newer one with the names that it wants by then.
//! - All that is asked for and exists is sent when some of it is not what the client has. What is withdrawn is no reason to send, since in this form of
//!   the protocol nothing can be said of it, and an empty response is an error to Envoy.
//! - Accepted or rejected, it is not sent again until it changes.
//! - A client that comes back with the version of exactly what it would be sent is sent nothing.

use std::collections::BTreeMap;

use super::super::sds_api::messages::DiscoveryRequest;
use super::catalog::{Catalog, Version};
use super::exchange::{Answer, Heard, Push, Responses};
use super::interest::{Interest, TooMuch};

/// One stream.
#[derive(Debug, Clone, Default)]
pub(super) struct StateOfTheWorld {
    /// Absent before the first request.
    interest: Option<Interest>,
    /// Whether names were ever asked for: from then on a request without any asks for nothing.
    named: bool,
    /// What the client was last sent, or came back with.
    has: BTreeMap<String, Version>,
    /// The version that the first request came with, until it is compared.
    claims: Option<Version>,
    responses: Responses,
}

impl StateOfTheWorld {
    /// Takes a request. Returns how the client took the last response, if it says so for the first time.
    pub(super) fn hear(&mut self, request: DiscoveryRequest) -> Result<Option<Answer>, TooMuch> {
        let heard = self.responses.hear(&request.response_nonce, request.error_detail);
        if heard == Heard::Stale {
            return Ok(None);
        }
        let names: Vec<String> = request.resource_names.into_iter().filter(|name| !name.is_empty()).collect();
        self.named |= !names.is_empty();
        let interest = if self.named { Interest::in_names(names)? } else { Interest::in_everything() };
        if self.interest.is_none() && !request.version_info.is_empty() {
            self.claims = Some(Version::claimed(&request.version_info));
        }
        if !interest.is_in_everything() {
            // What is asked for again later is sent again.
            self.has.retain(|name, _| interest.names().contains(name));
        }
        self.interest = Some(interest);
        Ok(match heard {
            Heard::Answers(answer) => Some(answer),
            Heard::Asks | Heard::Stale => None,
        })
    }

    /// Returns what is to be sent now, and takes it as sent.
    pub(super) fn push(&mut self, catalog: &Catalog) -> Option<Push> {
        let interest = self.interest.as_ref()?;
        let wanted: BTreeMap<String, Version> = catalog
            .iter()
            .filter(|(name, _)| interest.covers(name, catalog))
            .map(|(name, version)| (name.to_owned(), version.clone()))
            .collect();
        let version = Version::of_all(wanted.iter().map(|(name, version)| (name.as_str(), version)));
        if self.claims.take().is_some_and(|claimed| claimed == version) {
            self.has.clone_from(&wanted);
        }
        if wanted.iter().all(|(name, version)| self.has.get(name) == Some(version)) {
            return None;
        }
        self.has.clone_from(&wanted);
        Some(Push {
            nonce: self.responses.next_nonce(),
            version,
            resources: wanted.into_iter().collect(),
            removed: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sds_api::messages::Status;
    use super::super::catalog::catalog;
    use super::*;

    fn asking(names: &[&str]) -> DiscoveryRequest {
        DiscoveryRequest {
            resource_names: names.iter().map(|&name| name.to_owned()).collect(),
            ..DiscoveryRequest::default()
        }
    }

    fn answering(push: &Push, names: &[&str]) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: push.version.to_string(),
            response_nonce: push.nonce.clone(),
            ..asking(names)
        }
    }

    fn rejecting(push: &Push, names: &[&str]) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: String::new(),
            error_detail: Some(Status {
                code: 3,
                message: "no".to_owned(),
            }),
            ..answering(push, names)
        }
    }

    fn sent(push: Option<&Push>) -> Vec<&str> {
        push.iter().flat_map(|push| &push.resources).map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn nothing_is_sent_before_it_is_asked_for_and_nothing_twice() {
        let mut stream = StateOfTheWorld::default();
        let now = catalog(&[("a", "1"), ("b", "1")]);
        assert_eq!(stream.push(&now), None);
        stream.hear(asking(&["a"])).unwrap();
        let push = stream.push(&now);
        assert_eq!(sent(push.as_ref()), ["a"]);
        assert_eq!(stream.push(&now), None);
        assert_eq!(stream.hear(answering(&push.unwrap(), &["a"])), Ok(Some(Answer::Accepted)));
        assert_eq!(stream.push(&catalog(&[("a", "1"), ("b", "2")])), None, "another's change");
        assert_eq!(sent(stream.push(&catalog(&[("a", "2")])).as_ref()), ["a"]);
    }

    #[test]
    fn a_rejected_response_is_not_sent_again_until_it_changes() {
        let mut stream = StateOfTheWorld::default();
        stream.hear(asking(&["a"])).unwrap();
        let push = stream.push(&catalog(&[("a", "1")])).unwrap();
        assert_eq!(stream.hear(rejecting(&push, &["a"])), Ok(Some(Answer::Rejected("no".to_owned()))));
        for _ in 0..100 {
            assert_eq!(stream.hear(rejecting(&push, &["a"])), Ok(None));
            assert_eq!(stream.push(&catalog(&[("a", "1")])), None);
        }
        assert!(stream.push(&catalog(&[("a", "2")])).is_some());
    }

    #[test]
    fn a_stale_nonce_changes_nothing() {
        let mut stream = StateOfTheWorld::default();
        stream.hear(asking(&["a"])).unwrap();
        let first = stream.push(&catalog(&[("a", "1")])).unwrap();
        let now = catalog(&[("a", "2"), ("b", "1")]);
        let second = stream.push(&now).unwrap();
        assert_eq!(stream.hear(answering(&first, &["a", "b"])), Ok(None));
        assert_eq!(stream.push(&now), None);
        stream.hear(answering(&second, &["a", "b"])).unwrap();
        assert_eq!(sent(stream.push(&now).as_ref()), ["a", "b"]);
    }

    #[test]
    fn names_come_and_go_on_a_stream() {
        let now = catalog(&[("a", "1"), ("b", "1")]);
        let mut stream = StateOfTheWorld::default();
        stream.hear(asking(&["a", "unknown"])).unwrap();
        let push = stream.push(&now).unwrap();
        assert_eq!(sent(Some(&push)), ["a"]);
        stream.hear(answering(&push, &["a", "b", "default"])).unwrap();
        let push = stream.push(&now).unwrap();
        assert_eq!(sent(Some(&push)), ["a", "b", "default"]);
        stream.hear(answering(&push, &["b"])).unwrap();
        assert_eq!(stream.push(&now), None, "less is no reason to send");
        stream.hear(answering(&push, &[])).unwrap();
        assert_eq!(stream.push(&catalog(&[("a", "2"), ("b", "2")])), None, "nothing is asked for any more");
        stream.hear(answering(&push, &["b"])).unwrap();
        assert_eq!(sent(stream.push(&now).as_ref()), ["b"], "asked for again");
    }

    #[test]
    fn a_request_without_names_asks_for_everything_but_second_names() {
        let now = catalog(&[("a", "1"), ("b", "1")]);
        for first in [asking(&[]), asking(&["*"]), asking(&[""])] {
            let mut stream = StateOfTheWorld::default();
            stream.hear(first).unwrap();
            assert_eq!(sent(stream.push(&now).as_ref()), ["a", "b"]);
            assert_eq!(sent(stream.push(&catalog(&[("a", "1"), ("b", "1"), ("c", "1")])).as_ref()), ["a", "b", "c"]);
        }
    }

    #[test]
    fn a_client_that_comes_back_with_what_it_would_be_sent_is_sent_nothing() {
        let now = catalog(&[("a", "1"), ("b", "1")]);
        let mut before = StateOfTheWorld::default();
        before.hear(asking(&["a", "b"])).unwrap();
        let version = before.push(&now).unwrap().version.to_string();
        let back = |names: &[&str], version: &str| {
            let mut stream = StateOfTheWorld::default();
            stream
                .hear(DiscoveryRequest {
                    version_info: version.to_owned(),
                    response_nonce: "9".to_owned(),
                    ..asking(names)
                })
                .unwrap();
            stream
        };
        let mut same = back(&["a", "b"], &version);
        assert_eq!(same.push(&now), None);
        assert!(same.push(&catalog(&[("a", "1"), ("b", "2")])).is_some());
        // It wants more than that version was made of, or what it has is old.
        assert!(back(&["a"], &version).push(&now).is_some());
        assert!(back(&["a", "b"], "other").push(&now).is_some());
    }

    #[test]
    fn what_is_withdrawn_is_not_sent_and_what_comes_back_is() {
        let mut stream = StateOfTheWorld::default();
        stream.hear(asking(&["a", "b"])).unwrap();
        assert!(stream.push(&catalog(&[("a", "1"), ("b", "1")])).is_some());
        assert_eq!(stream.push(&catalog(&[("b", "1")])), None);
        assert_eq!(stream.push(&catalog(&[])), None, "never an empty response");
        assert_eq!(sent(stream.push(&catalog(&[("a", "2"), ("b", "1")])).as_ref()), ["a", "b"]);
    }
}
