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
        let identity = asked_identity(spiffe_id)?;
        Ok(Self { audience, identity })
    }
}

/// Reads which identity is asked for; nothing means all.
pub(super) fn asked_identity(text: &str) -> Result<Option<SpiffeId>, Status> {
    let parsed = (!text.is_empty()).then(|| SpiffeId::parse(text.as_bytes())).transpose();
    parsed.map_err(|error| Status::invalid_argument(format!("spiffe_id: {error}")))
}

/// Returns the status of a process that is entitled to nothing, or not to what is asked for.
pub(super) fn refused(subject: &impl Subject, asked: Option<&SpiffeId>) -> Status {
    asked.map_or_else(|| subject.not_entitled(), |asked| subject.not_granted(asked))
}

impl Authority {
    /// Returns a token for each identity of the view, or for the one that is asked for; those that cannot be had are left out unless all are (WAPI-16).
    pub(super) async fn tokens(&self, subject: &impl Subject, view: &IdentityView, asked: &Asked) -> Result<Tokens, Status> {
        let identity = asked.identity.as_ref();
        let granted = view.svids.iter().filter(|svid| identity.is_none_or(|identity| svid.spiffe_id == *identity));
        let entries: Vec<_> = granted.filter_map(|svid| self.cache.entry(&svid.entry_id)).collect();
        if entries.is_empty() {
            return Err(refused(subject, identity));
        }
        let obtained = join_all(entries.iter().map(|entry| self.tokens.fetch(entry, &asked.audience))).await;
        let mut tokens = Vec::with_capacity(entries.len());
        let mut failure = None;
        for (entry, obtained) in entries.into_iter().zip(obtained) {
            match obtained {
                Ok(svid) => tokens.push((entry, svid)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
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
