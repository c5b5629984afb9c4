//! Tokens of a tainted key: those that are followed are replaced at once, the others dropped.

use super::super::held::Held;
use super::super::testing::WitToken;
use super::*;
use crate::node::KeyPair;

const OLD: &str = "0a0b";
const NEW: &str = "0c0d";

impl World {
    fn issue_by(&self, key_id: &str) -> usize {
        let (orders, now) = (self.due(), self.clock.now());
        let count = orders.len();
        let issued = orders.into_iter().map(|order| {
            let held = held(&order.entry, now);
            let mut token = WitToken::new(order.entry.spiffe_id.as_str(), KeyPair::generate().unwrap().public(), now.wall);
            token.header["kid"] = key_id.into();
            let svid = Arc::into_inner(held.svid).unwrap();
            let svid = Arc::new(WitSvid {
                token: token.sign().into(),
                ..svid
            });
            (order, Outcome::Issued(Held { svid, ..held }))
        });
        self.tokens.settle(issued.collect(), Jitter::NONE);
        count
    }

    fn taint(&self, key_id: &str) {
        self.tokens.taint([key_id.parse().unwrap()].into_iter().collect());
    }
}

#[test]
fn a_followed_token_of_a_tainted_key_is_replaced_at_once_and_shown_meanwhile() {
    let world = World::new(vec![entry("a", 1), entry("b", 2)]);
    let (mut followed, left) = (world.follow("a"), world.follow("b"));
    assert_eq!(world.issue_by(OLD), 2);
    assert!(rings(&mut followed));
    drop(left);
    let first = served(&followed);
    world.taint(NEW);
    assert_eq!((world.due().len(), world.tokens.held()), (0, 2), "another key is no concern of theirs");
    world.taint(OLD);
    assert_eq!(world.tokens.held(), 1, "the one that nobody follows is dropped");
    assert!(Arc::ptr_eq(&served(&followed), &first));
    assert_eq!(world.issue_by(NEW), 1);
    assert!(rings(&mut followed) && !Arc::ptr_eq(&served(&followed), &first));
    assert_eq!(world.due().len(), 0);
}

#[test]
fn the_list_is_done_when_no_token_of_its_keys_is_shown() {
    let world = World::new(vec![entry("a", 1)]);
    let replacer = world.entries.register_replacer();
    let _followed = world.follow("a");
    assert_eq!(world.issue_by(OLD), 1);
    let acknowledged = || world.entries.acknowledgeable().borrow().map(|revision| revision.counter);
    world.entries.apply(crate::svids::Update {
        tainted: Some(vec![OLD.parse().unwrap()]),
        ..crate::svids::testing::delta(2, vec![], &[])
    });
    world.taint(OLD);
    world.tokens.tell_replaced(&replacer);
    assert_ne!(acknowledged(), Some(2));
    assert_eq!(world.issue_by(OLD), 1, "of the same key");
    world.tokens.tell_replaced(&replacer);
    assert_ne!(acknowledged(), Some(2));
    world.clock.advance(WIT_LIFE / 10);
    assert_eq!(world.issue_by(NEW), 1);
    world.tokens.tell_replaced(&replacer);
    assert_ne!(acknowledged(), Some(1));
}
