use proptest::prelude::*;

use super::*;
use crate::public_key::KeyHash;
use crate::selector::SelectorSet;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

fn svid(key: u8, expires_at: i64) -> NodeSvid {
    NodeSvid {
        key: KeyHash::of_spki(&[key]),
        serial: Serial::from_parts([key; 4], [0; 11]),
        expires_at: Timestamp::from_unix(expires_at),
    }
}

fn node() -> NodeRecord {
    let id = "spiffe://td/troth/agent/join_token/web-1".parse().unwrap();
    NodeRecord::new(id, SelectorSet::default(), Timestamp::from_unix(0), svid(1, 100)).unwrap()
}

#[test]
fn a_record_is_of_an_agents_id() {
    assert_eq!((node().name().as_str(), node().attestation()), ("web-1", NodeAttestor::JoinToken));
    for text in ["spiffe://td/web", "spiffe://td/troth/server", "spiffe://td"] {
        let id: SpiffeId = text.parse().unwrap();
        let refused = NodeRecord::new(id.clone(), SelectorSet::default(), Timestamp::from_unix(0), svid(1, 100));
        assert_eq!(refused, Err(NotAnAgentId { spiffe_id: id }));
    }
}

#[test]
fn only_the_pinned_keys_are_the_nodes_and_using_the_next_one_drops_the_current() {
    let [one, two, three] = [1, 2, 3].map(|key| svid(key, 100).key);
    let renewing = node().renewing(svid(2, 200));
    assert!(renewing.accepts(&one) && renewing.accepts(&two) && !renewing.accepts(&three));
    assert!(renewing.is_next(&two) && !renewing.is_next(&one));
    assert_eq!(renewing.promoted(&one), None);
    let promoted = renewing.promoted(&two).unwrap();
    assert!(promoted.accepts(&two) && !promoted.accepts(&one));
    assert_eq!(promoted.promoted(&two), None, "promoting twice changes nothing");
}

#[test]
fn a_second_renewal_replaces_the_first_whose_answer_was_lost() {
    let [one, two, three] = [1, 2, 3].map(|key| svid(key, 100).key);
    let record = node().renewing(svid(2, 200)).renewing(svid(3, 300));
    assert!(record.accepts(&one) && !record.accepts(&two) && record.accepts(&three));
}

#[test]
fn a_node_is_served_until_its_last_svid_ends_and_a_ban_comes_first() {
    let at = Timestamp::from_unix;
    assert_eq!(node().state(at(99)), NodeState::Active);
    assert_eq!(node().state(at(100)), NodeState::Expired);
    assert_eq!(node().renewing(svid(2, 200)).state(at(199)), NodeState::Active);
    let banned = node().with_ban(true);
    assert_eq!((banned.state(at(0)), banned.state(at(500))), (NodeState::Banned, NodeState::Banned));
    assert_eq!(banned.with_ban(false).state(at(0)), NodeState::Active);
}

#[test]
fn a_stored_record_comes_back_and_one_of_another_id_does_not() {
    let promoted = node().renewing(svid(2, 200)).promoted(&svid(2, 200).key).unwrap();
    for record in [node(), node().renewing(svid(2, 200)).with_ban(true), promoted] {
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<NodeRecord>(&json).unwrap(), record);
        assert!(serde_json::from_str::<NodeRecord>(&json.replace("/troth/agent/join_token/web-1", "/web")).is_err());
    }
}

#[test]
fn a_record_of_a_version_that_remembered_no_keys_opens() {
    let stored = serde_json::to_string(&node()).unwrap();
    assert!(!stored.contains("earlier"), "a node that never renewed is stored as before: {stored}");
    assert_eq!(serde_json::from_str::<NodeRecord>(&stored).unwrap(), node());
}

#[test]
fn the_newest_keys_that_were_given_up_are_remembered_and_no_more() {
    let most = NodeRecord::EARLIER_KEYS;
    let last = u8::try_from(most).unwrap() + 3;
    let record = (2..=last).fold(node(), |record, key| record.renewing(svid(key, 100)).promoted(&svid(key, 100).key).unwrap());
    let standing = |key: u8| record.standing(&svid(key, 100).key, ProofTime::After);
    assert_eq!(
        (standing(last), standing(last - 1), standing(3)),
        (KeyStanding::Pinned, KeyStanding::Copied, KeyStanding::Copied)
    );
    assert_eq!(standing(2), KeyStanding::Strange, "the oldest is forgotten");
}

#[test]
fn names_that_would_be_no_path_segment_are_refused() {
    let long = "n".repeat(65);
    for text in ["", ".", "..", "a/b", "a b", "../x", "a%2f", "ä", "a\n", &long] {
        assert_eq!(text.parse::<NodeName>(), Err(ParseNodeNameError { limit: 64 }), "{text:?}");
    }
    assert_eq!(NodeName::from_random([0xab; 16]).as_str(), "ab".repeat(16));
}

proptest! {
    #[test]
    fn every_name_makes_an_id_that_gives_it_back(text in any::<String>().prop_union("[a-zA-Z0-9._-]{0,66}")) {
        if let Ok(name) = text.parse::<NodeName>() {
            let id = SpiffeId::agent(&"td".parse().unwrap(), NodeAttestor::JoinToken, &name);
            let reread: SpiffeId = id.as_str().parse().unwrap();
            prop_assert_eq!(reread.as_agent(), Some((NodeAttestor::JoinToken, name.clone())));
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<NodeName>(&json).unwrap(), name);
        }
    }
}
