//! JWT-SVIDs for a process: what it asks for, and what it gets.

use std::sync::Arc;

use futures_util::future::join_all;
use tonic::Status;
use trust_domains::SpiffeId;
use trust_domains::wire::node::NodeEntry;

use super::service::Authority;
use super::subject::Subject;
use crate::jwt_svids::{Audience, JwtSvid, Unobtained};
use crate::svids::IdentityView;

/// Tokens, each with the entry that gives it, in the order of the entries.
pub(super) type Tokens = Vec<(Arc<NodeEntry>, Arc<JwtSvid>)>;

/// Which tokens are asked for.
pub(super) struct Asked {
    audience: Audience,
    /// One identity; nothing means all.
    identity: Option<SpiffeId>,
}

impl Asked {
    /// Reads a request, before anything is looked up or waited for (WAPI-07).
    pub(super) fn of(audience: &[String], spiffe_id: &str) -> Result<Self, Status> {
        let audience = Audience::of(audience.to_vec()).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let identity = (!spiffe_id.is_empty()).then(|| SpiffeId::parse(spiffe_id.as_bytes())).transpose();
        let identity = identity.map_err(|error| Status::invalid_argument(format!("spiffe_id: {error}")))?;
        Ok(Self { audience, identity })
    }
}

impl Authority {
    /// Returns a token for each identity of the view, or for the one that is asked for; those that cannot be had are left out unless all are (WAPI-16).
    pub(super) async fn tokens(&self, subject: &impl Subject, view: &IdentityView, asked: &Asked) -> Result<Tokens, Status> {
        let identity = asked.identity.as_ref();
        let granted = view.svids.iter().filter(|svid| identity.is_none_or(|identity| svid.spiffe_id == *identity));
        let entries: Vec<_> = granted.filter_map(|svid| self.cache.entry(&svid.entry_id)).collect();
        if entries.is_empty() {
            return Err(identity.map_or_else(|| subject.not_entitled(), |identity| subject.not_granted(identity)));
        }
        let obtained = join_all(entries.iter().map(|entry| self.tokens.fetch(entry, &asked.audience))).await;
        let mut tokens = Vec::with_capacity(entries.len());
        let mut refused = None;
        for (entry, obtained) in entries.into_iter().zip(obtained) {
            match obtained {
                Ok(svid) => tokens.push((entry, svid)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if tokens.is_empty() => Err(unobtained(&error)),
            _ => Ok(tokens),
        }
    }
}

fn unobtained(error: &Unobtained) -> Status {
    match error {
        Unobtained::Full { .. } => Status::resource_exhausted(error.to_string()),
        Unobtained::EntryChanged | Unobtained::Refused(_) | Unobtained::Unreached(_) => Status::unavailable(error.to_string()),
    }
}
