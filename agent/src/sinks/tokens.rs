//! The tokens of a sink: asked for again and again, so that the cache keeps them fresh.
//!
//! The cache replaces a token that is used at half of its life, and gives none whose key is tainted; here it is only asked. One that cannot be had anew stays
//! until it ends: then its file goes, and the status says why. Nothing here holds up certificates for longer than [`PATIENCE`].

mod found;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use trust_domains::clock::Reading;
use trust_domains::delivery::TokenName;
use trust_domains::{EntryId, Timestamp};

pub(super) use self::found::FoundTokens;
use super::config::SinkToken;
use crate::jwt_svids::{JwtCache, JwtSvid};
use crate::svids::{IdentityView, SvidCache};

/// How often the cache is asked: a token of ten seconds, the shortest, is replaced within a fifth of what is left of it.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long certificates wait for tokens that come with them: the server answers within milliseconds, or something is wrong with it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The tokens that are there, and why others are not.
#[derive(Debug, Default)]
pub(super) struct HeldTokens {
    of: Option<EntryId>,
    valid: BTreeMap<TokenName, Arc<JwtSvid>>,
    missing: BTreeMap<TokenName, String>,
}

impl HeldTokens {
    /// Returns the tokens as text.
    pub(super) fn texts(&self) -> BTreeMap<TokenName, &str> {
        self.valid.iter().map(|(name, token)| (name.clone(), token.token.as_str())).collect()
    }

    /// Returns why a token is not there or not fresh, if one is.
    pub(super) fn lack(&self) -> Option<String> {
        let lacking = self.missing.iter().map(|(name, why)| match self.valid.get(name) {
            Some(held) => format!("the token {name} cannot be renewed and ends at {}: {why}", held.expires_at),
            None => format!("there is no token {name}: {why}"),
        });
        lacking.reduce(|all, next| format!("{all}; {next}"))
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.valid.is_empty()
    }

    /// Returns whether both have the same tokens.
    pub(super) fn same_tokens(&self, other: &Self) -> bool {
        let mut pairs = self.valid.iter().zip(&other.valid);
        self.valid.len() == other.valid.len() && pairs.all(|(one, two)| one.0 == two.0 && Arc::ptr_eq(one.1, two.1))
    }

    fn is(&self, other: &Self) -> bool {
        self.same_tokens(other) && self.of == other.of && self.missing == other.missing
    }
}

/// Where a sink's tokens come from.
#[derive(Clone)]
pub(super) struct SinkTokens {
    wanted: Vec<SinkToken>,
    entries: SvidCache,
    cache: JwtCache,
}

impl SinkTokens {
    pub(super) fn new(wanted: Vec<SinkToken>, entries: SvidCache, cache: JwtCache) -> Self {
        Self { wanted, entries, cache }
    }

    /// Returns what they are called.
    pub(super) fn names(&self) -> impl Iterator<Item = &TokenName> {
        self.wanted.iter().map(|token| &token.name)
    }

    /// Returns whether there are any to ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Returns the tokens of the identity now; the same value while nothing changed.
    pub(super) async fn now(&self, view: &IdentityView, before: Arc<HeldTokens>, clock: impl Fn() -> Reading) -> Arc<HeldTokens> {
        let of = view.svids.first().map(|svid| svid.entry_id.clone());
        let Some(entry) = of.as_ref().and_then(|id| self.entries.entry(id)) else {
            return before;
        };
        let asked = self
            .wanted
            .iter()
            .map(|token| tokio::time::timeout(PATIENCE, self.cache.fetch(&entry, &token.audience)));
        let answers = join_all(asked).await;
        let mut now = HeldTokens { of, ..HeldTokens::default() };
        for (token, answer) in self.wanted.iter().zip(answers) {
            let why = match answer {
                Ok(Ok(fresh)) => {
                    now.valid.insert(token.name.clone(), fresh);
                    continue;
                }
                Ok(Err(unobtained)) => unobtained.to_string(),
                Err(_waited) => "the server has not answered yet".to_owned(),
            };
            let still_good = |held: &&Arc<JwtSvid>| has_time_left(held.expires_at, clock().wall) && before.of == now.of;
            if let Some(held) = before.valid.get(&token.name).filter(still_good) {
                now.valid.insert(token.name.clone(), Arc::clone(held));
            }
            now.missing.insert(token.name.clone(), why);
        }
        if now.is(&before) { before } else { Arc::new(now) }
    }
}

fn has_time_left(end: Timestamp, now: Timestamp) -> bool {
    now < end
}
