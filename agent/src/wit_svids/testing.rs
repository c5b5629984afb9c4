//! What tests of this room and of the endpoints share: WIT-SVIDs as a server would sign them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trust_domains::clock::{Clock as _, Reading, SharedClock};
use trust_domains::jwk::EcJwk;
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Timestamp, TrustBundle};

use super::cache::WitCache;
use super::held::{Held, Order};
use super::private_jwk::PrivateJwk;
use super::state::Outcome;
use super::token::WitSvid;
use crate::jwt_svids::testing::{signed, with_keys_for};
use crate::node::KeyPair;

/// The life of the tokens here.
pub(crate) const WIT_LIFE: Duration = Duration::from_secs(300);

/// The key ID of the one key.
pub(crate) const WIT_KEY_ID: &str = "w1";

/// Returns the bundle with these WIT keys in place of its own, each the one key under another ID.
pub(crate) fn with_wit_keys(bundle: &TrustBundle, key_ids: &[&str]) -> TrustBundle {
    with_keys_for(bundle, "wit-svid", key_ids)
}

/// A token before it is signed.
pub(crate) struct WitToken {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

/// What is made of a token before it is signed.
pub(crate) type Lie = fn(&mut WitToken);

impl WitToken {
    /// A token as the server would make it at this moment.
    pub(crate) fn new(subject: &str, key: &PublicKey, now: Timestamp) -> Self {
        let EcJwk { kty, crv, x, y } = EcJwk::of(key);
        Self {
            header: json!({ "alg": "ES256", "kid": WIT_KEY_ID, "typ": "wit+jwt" }),
            claims: json!({
                "sub": subject, "iat": now.unix(), "exp": (now + WIT_LIFE).unix(),
                "cnf": { "jwk": { "kty": kty, "crv": crv, "x": x, "y": y, "alg": "ES256" } },
            }),
        }
    }

    pub(crate) fn sign(&self) -> String {
        signed(&self.header, &self.claims)
    }
}

pub(super) fn held(entry: &NodeEntry, now: Reading) -> Held {
    let key = KeyPair::generate().unwrap();
    let svid = WitSvid {
        spiffe_id: entry.spiffe_id.clone(),
        token: WitToken::new(entry.spiffe_id.as_str(), key.public(), now.wall).sign().into(),
        key: PrivateJwk::of(&key).unwrap(),
        expires_at: now.wall + WIT_LIFE,
    };
    Held {
        svid: Arc::new(svid),
        entry_revision: entry.revision,
        times: HeldCredential::issued(now, WIT_LIFE, now.wall + WIT_LIFE, Jitter::NONE, &RotationPolicy::default()),
        life: WIT_LIFE,
    }
}

pub(super) fn issued(order: Order, now: Reading) -> (Order, Outcome) {
    let held = held(&order.entry, now);
    (order, Outcome::Issued(held))
}

/// Issues everything that is wanted now, as a server would at once. Returns how many.
pub(crate) fn issue_all(tokens: &WitCache, now: Reading) -> usize {
    answer_all(tokens, now, |_| Ok(()))
}

/// Refuses everything that is wanted now. Returns how much that was.
pub(crate) fn refuse_all(tokens: &WitCache, now: Reading, reason: &str) -> usize {
    answer_all(tokens, now, |_| Err(reason.to_owned()))
}

/// Issues or refuses what is wanted now, by the entry. Returns how much that was.
pub(crate) fn answer_all(tokens: &WitCache, now: Reading, judge: impl Fn(&NodeEntry) -> Result<(), String>) -> usize {
    let orders = tokens.due(&RotationPolicy::default()).issue;
    let count = orders.len();
    let answered = orders.into_iter().map(|order| match judge(&order.entry) {
        Ok(()) => issued(order, now),
        Err(reason) => (order, Outcome::Refused(reason)),
    });
    tokens.settle(answered.collect(), Jitter::NONE);
    count
}

/// Issues whatever is wanted, for ever.
pub(crate) async fn issue_forever(tokens: WitCache, clock: SharedClock) {
    loop {
        tokens.work().await;
        issue_all(&tokens, clock.now());
    }
}
