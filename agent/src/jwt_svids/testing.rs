//! What tests of this room and of the endpoints share: a key that signs tokens as a server would.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use trust_domains::clock::Reading;
use trust_domains::jwk::EcJwk;
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Timestamp, TrustBundle};

use super::audience::Audience;
use super::cache::JwtCache;
use super::held::{Held, Order};
use super::state::Outcome;
use super::token::JwtSvid;

/// The life of the tokens here.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// The key ID of the one key.
pub(crate) const KEY_ID: &str = "k1";

fn key() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

/// Returns the bundle with these JWT keys in place of its own, each the one key under another ID.
pub(crate) fn with_keys(bundle: &TrustBundle, key_ids: &[&str]) -> TrustBundle {
    with_keys_for(bundle, "jwt-svid", key_ids)
}

/// Returns the bundle with these keys of one use in place of its own.
pub(crate) fn with_keys_for(bundle: &TrustBundle, purpose: &str, key_ids: &[&str]) -> TrustBundle {
    let EcJwk { kty, crv, x, y } = EcJwk::of(&PublicKey::from_sec1(key().public_key().as_ref()).unwrap());
    let mut document: Value = serde_json::from_str(&bundle.to_spiffe_json()).unwrap();
    let keys = document["keys"].as_array_mut().unwrap();
    keys.retain(|key| key["use"] != purpose);
    keys.extend(
        key_ids
            .iter()
            .map(|kid| json!({ "use": purpose, "kid": kid, "kty": kty, "crv": crv, "x": x, "y": y })),
    );
    TrustBundle::parse_spiffe_json(bundle.trust_domain(), document.to_string().as_bytes()).unwrap()
}

/// Signs a token with this header and these claims.
pub(crate) fn signed(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = key().sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token as the server would make it at this moment.
pub(crate) fn token(subject: &str, audience: &[String], now: Timestamp) -> String {
    signed(
        &json!({ "alg": "ES256", "kid": KEY_ID, "typ": "JWT" }),
        &json!({ "sub": subject, "aud": audience, "iat": now.unix(), "exp": (now + TOKEN_LIFE).unix() }),
    )
}

pub(super) fn held(entry: &NodeEntry, audience: &Audience, now: Reading) -> Held {
    let svid = JwtSvid {
        spiffe_id: entry.spiffe_id.clone(),
        token: token(entry.spiffe_id.as_str(), audience.values(), now.wall).into(),
        expires_at: now.wall + TOKEN_LIFE,
    };
    Held {
        svid: Arc::new(svid),
        times: HeldCredential::issued(now, TOKEN_LIFE, now.wall + TOKEN_LIFE, Jitter::NONE, &RotationPolicy::default()),
        life: TOKEN_LIFE,
    }
}

pub(super) fn issued(order: Order, now: Reading) -> (Order, Outcome) {
    let held = held(&order.entry, order.key.audience(), now);
    (order, Outcome::Issued(held))
}

/// Issues everything that is wanted now, as a server would at once. Returns how many.
pub(crate) fn issue_all(tokens: &JwtCache, now: Reading) -> usize {
    let orders = tokens.due(&RotationPolicy::default());
    let count = orders.len();
    tokens.settle(orders.into_iter().map(|order| issued(order, now)).collect(), Jitter::NONE);
    count
}

/// Issues whatever is wanted, for ever.
pub(crate) async fn issue_forever(tokens: JwtCache, clock: trust_domains::clock::SharedClock) {
    loop {
        tokens.work().await;
        issue_all(&tokens, trust_domains::Clock::now(&clock));
    }
}
