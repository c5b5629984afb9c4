//! What an earlier run of the agent delivered and was killed before it sealed: it stays until there is a newer one.

use std::sync::Arc;

use bytes::Bytes;
use trust_domains::Timestamp;
use trust_domains::delivery::{FileName, Format, FoundSvid, HeldSvid, LaterSvid, Proof};
use zeroize::Zeroizing;

use super::error::SinkError;
use crate::svids::{IdentityView, IssuedSvid};

/// Looks into the set in place when the SVID to be delivered is one of an earlier run.
#[derive(Debug, Default)]
pub(super) struct LaterInPlace {
    /// What was decided last, and about what.
    decided: Option<(Arc<IdentityView>, Arc<IdentityView>)>,
}

impl LaterInPlace {
    /// Returns the view with the SVID that the set in place holds, if that one is as good and ends later; otherwise the view as it is. `read` returns a file of
    /// the set.
    pub(super) fn or_held(
        &mut self,
        view: &Arc<IdentityView>,
        formats: &[Format],
        now: Timestamp,
        read: impl FnMut(&FileName) -> Result<Option<Zeroizing<Vec<u8>>>, SinkError>,
    ) -> Result<Arc<IdentityView>, SinkError> {
        let Some(held) = view.svids.first().filter(|held| held.is_of_earlier_run) else {
            return Ok(Arc::clone(view));
        };
        if let Some((about, decided)) = &self.decided
            && Arc::ptr_eq(about, view)
        {
            return Ok(Arc::clone(decided));
        }
        let found = FoundSvid::read(formats, read)?;
        let decided = match found.and_then(|found| later(found, held, view, now)) {
            Some(later) => Arc::new(with_first(view, adopted(later, held))),
            None => Arc::clone(view),
        };
        self.decided = Some((Arc::clone(view), Arc::clone(&decided)));
        Ok(decided)
    }
}

fn later(found: FoundSvid, held: &IssuedSvid, view: &IdentityView, now: Timestamp) -> Option<LaterSvid> {
    let spiffe_id = &held.spiffe_id;
    let proof = Proof {
        bundle: &view.bundle,
        lists: view.crls.set(),
        now,
    };
    let held = HeldSvid {
        spiffe_id,
        expires_at: held.expires_at,
    };
    match found.later_than(held, proof) {
        Ok(later) => {
            tracing::info!(%spiffe_id, serial = %later.serial, ends = %later.not_after, "the SVID in place ends later than the one that was sealed; it stays until the next one");
            Some(later)
        }
        Err(reason) => {
            tracing::debug!(%spiffe_id, %reason, "the SVID in place is replaced");
            None
        }
    }
}

/// Returns what is in place as if it had been held; the rest is that of the entry.
fn adopted(later: LaterSvid, held: &IssuedSvid) -> IssuedSvid {
    IssuedSvid {
        entry_id: held.entry_id.clone(),
        spiffe_id: held.spiffe_id.clone(),
        hint: held.hint.clone(),
        chain: later.chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
        key_pkcs8: later.key,
        serial: later.serial,
        issued_at: later.not_before,
        expires_at: later.not_after,
        next_renewal: held.next_renewal,
        is_of_earlier_run: true,
    }
}

fn with_first(view: &IdentityView, first: IssuedSvid) -> IdentityView {
    let rest = view.svids.iter().skip(1).cloned();
    IdentityView {
        svids: std::iter::once(Arc::new(first)).chain(rest).collect(),
        bundle: Arc::clone(&view.bundle),
        federated: view.federated.clone(),
        crls: Arc::clone(&view.crls),
        federated_crls: view.federated_crls.clone(),
        revision: view.revision,
    }
}
