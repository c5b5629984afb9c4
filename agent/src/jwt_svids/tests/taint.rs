//! Tokens of a tainted key: replaced when they are used, and given to nobody once a successor signs.

use serde_json::json;
use trust_domains::plan::tainted::Tainted;

use super::super::held::Held;
use super::super::testing::signed;
use super::*;

/// Key IDs as a server gives them.
const OLD: &str = "0a0b";
const NEW: &str = "0c0d";

fn list(key: &str) -> Tainted {
    [key.parse().unwrap()].into_iter().collect()
}

impl World {
    /// Answers everything that is due with tokens of this key, and returns for whom, in the order in which they were asked for.
    fn issue_by(&mut self, key: &str) -> Vec<String> {
        let (orders, now) = (self.due(), self.now());
        let audiences = orders.iter().map(|order| order.key.audience().values().concat()).collect();
        let issued = orders.into_iter().map(|order| {
            let Held { svid, times, life } = held(&order.entry, order.key.audience(), now);
            let header = json!({ "alg": "ES256", "kid": key, "typ": "JWT" });
            let claims = json!({ "sub": svid.spiffe_id, "aud": order.key.audience().values(), "exp": svid.expires_at.unix() });
            let svid = Arc::new(JwtSvid {
                spiffe_id: svid.spiffe_id.clone(),
                token: signed(&header, &claims).into(),
                expires_at: svid.expires_at,
            });
            (order, Outcome::Issued(Held { svid, times, life }))
        });
        self.state.settle(issued.collect(), Jitter::NONE, now);
        audiences
    }

    /// Tokens of the old key for these audiences, each asked for since it was issued.
    fn used(entry: &Arc<NodeEntry>, audiences: &[&str]) -> Self {
        let mut world = Self::new();
        for audience in audiences {
            let _caller = world.ask(entry, audience);
            assert_eq!(world.issue_by(OLD), [*audience]);
        }
        for audience in audiences {
            assert!(world.holds(entry, audience));
        }
        world
    }
}

#[test]
fn used_tokens_are_replaced_at_once_the_most_recently_used_first() {
    let web = web();
    let mut world = World::used(&web, &["one", "two", "unused"]);
    world.clock.advance(TOKEN_LIFE / 2);
    assert_eq!(world.issue_by(OLD).len(), 3, "renewed, and nobody has asked since");
    assert!(world.holds(&web, "two") && world.holds(&web, "one"));
    world.state.taint(list(OLD));
    assert!(world.state.shows_tainted());
    assert!(world.holds(&web, "two"), "it is given out until there is another");
    assert_eq!(world.issue_by(NEW), ["one", "two"]);
    assert!(!world.state.shows_tainted());
    assert!(world.holds(&web, "one") && world.holds(&web, "two"));
    assert!(!world.holds(&web, "unused"), "it was dropped: nobody is given it any more");
}

#[test]
fn once_a_successor_signs_no_caller_is_given_a_token_of_the_tainted_key() {
    let web = web();
    let mut world = World::used(&web, &["db"]);
    world.state.taint(list(OLD));
    let order = world.due();
    let fresh = world.ask(&web, "cache");
    assert_eq!(world.issue_by(NEW), ["cache"]);
    told(fresh).unwrap();
    assert!(
        matches!(world.ask(&web, "db"), Asked::Wait(_, None)),
        "its replacement is on the way, and it is not valid meanwhile"
    );
    let now = world.now();
    let failed = order.into_iter().map(|order| (order, Outcome::Unreached("away".to_owned())));
    world.state.settle(failed.collect(), Jitter::NONE, now);
    assert!(!world.holds(&web, "db"));
}

#[test]
fn while_the_server_is_away_a_tainted_token_serves_on() {
    let web = web();
    let mut world = World::used(&web, &["db"]);
    world.state.taint(list(OLD));
    assert_eq!(world.fail(Outcome::Unreached), 1);
    assert!(world.holds(&web, "db"));
    assert!(world.state.shows_tainted());
    world.clock.advance(TOKEN_LIFE / 10);
    assert_eq!(world.issue_by(NEW), ["db"]);
    assert!(!world.state.shows_tainted());
}

#[test]
fn a_server_that_signs_on_with_a_tainted_key_is_not_asked_again_at_once() {
    let web = web();
    let mut world = World::used(&web, &["db"]);
    world.state.taint(list(OLD));
    assert_eq!(world.issue_by(OLD), ["db"]);
    assert!(world.holds(&web, "db"));
    assert_eq!(world.due().len(), 0);
    assert!(world.state.shows_tainted());
}

#[test]
fn another_list_leaves_tokens_of_other_keys_alone() {
    let web = web();
    let mut world = World::used(&web, &["db"]);
    world.state.taint(list(NEW));
    assert!(!world.state.shows_tainted());
    assert_eq!(world.due().len(), 0);
    assert!(world.holds(&web, "db"));
}
