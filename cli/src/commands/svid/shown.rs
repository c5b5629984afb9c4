//! What is shown of the identities and tokens that came over the Workload API.

use serde::Serialize;
use sidecar::source::{HeldSvid, HeldToken};
use trust_domains::wire::tokens::TokenText;
use trust_domains::{Serial, SpiffeId, Timestamp};

/// An X509-SVID, without its key.
#[derive(Serialize)]
pub(super) struct ShownSvid {
    pub(super) spiffe_id: SpiffeId,
    pub(super) serial: Serial,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) hint: Option<String>,
}

impl From<&HeldSvid> for ShownSvid {
    fn from(svid: &HeldSvid) -> Self {
        Self {
            spiffe_id: svid.spiffe_id().clone(),
            serial: *svid.serial(),
            issued_at: svid.issued_at(),
            expires_at: svid.not_after(),
            hint: svid.hint().map(str::to_owned),
        }
    }
}

/// A token: whoever asks for one is shown it.
#[derive(Serialize)]
pub(super) struct ShownToken {
    pub(super) spiffe_id: SpiffeId,
    pub(super) token: TokenText,
    pub(super) expires_at: Timestamp,
    pub(super) hint: Option<String>,
}

impl From<&HeldToken> for ShownToken {
    fn from(token: &HeldToken) -> Self {
        Self {
            spiffe_id: token.spiffe_id().clone(),
            token: token.token().clone(),
            expires_at: token.expires_at(),
            hint: token.hint().map(str::to_owned),
        }
    }
}
