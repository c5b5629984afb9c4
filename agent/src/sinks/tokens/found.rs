//! Tokens that an earlier run of the agent delivered: they are good until they end, and may be all there is while the server is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trust_domains::delivery::TokenName;
use trust_domains::jwt_svid::{Expectation, UnverifiedJwtSvid};
use trust_domains::{SpiffeId, Timestamp};
use zeroize::Zeroizing;

use super::{HeldTokens, SinkTokens};
use crate::jwt_svids::JwtSvid;
use crate::sinks::config::SinkToken;
use crate::svids::IdentityView;

/// The files of tokens as they lie in a directory, not believed yet.
#[derive(Default)]
pub(in crate::sinks) struct FoundTokens(pub(in crate::sinks) BTreeMap<TokenName, Zeroizing<Vec<u8>>>);

impl SinkTokens {
    /// Returns those that prove the identity to the audiences of this sink now, as any validator would have it.
    pub(in crate::sinks) fn believed(&self, found: &FoundTokens, view: &IdentityView, now: Timestamp) -> HeldTokens {
        let Some(svid) = view.svids.first() else { return HeldTokens::default() };
        let believed = self.wanted.iter().filter_map(|token| {
            let text = std::str::from_utf8(found.0.get(&token.name)?).ok()?;
            let held = believed(text, token, &svid.spiffe_id, view, now)?;
            Some((token.name.clone(), Arc::new(held)))
        });
        HeldTokens {
            of: Some(svid.entry_id.clone()),
            valid: believed.collect(),
            missing: BTreeMap::new(),
        }
    }
}

fn believed(text: &str, wanted: &SinkToken, spiffe_id: &SpiffeId, view: &IdentityView, now: Timestamp) -> Option<JwtSvid> {
    let audiences = wanted.audience.values();
    let expected = Expectation {
        audience: audiences.first()?,
        now,
        leeway: Duration::ZERO,
    };
    let verified = UnverifiedJwtSvid::parse(text).ok()?.verify(&view.bundle, &expected).ok()?;
    let mut presented: Vec<&String> = verified.claims().audience().iter().collect();
    presented.sort_unstable();
    let is_wanted = verified.spiffe_id() == spiffe_id && presented.into_iter().eq(audiences);
    is_wanted.then(|| JwtSvid {
        spiffe_id: spiffe_id.clone(),
        token: text.to_owned().into(),
        expires_at: verified.claims().expires_at(),
    })
}
