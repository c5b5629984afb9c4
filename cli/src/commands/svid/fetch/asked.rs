//! The identity that is asked for, of those that this process has.

use std::path::Path;

use sidecar::supervisor::Choice;
use trust_domains::{ConfiguredId, SpiffeId};

use crate::failure::Failure;

/// Returns the whole SPIFFE ID of what is asked for. The Workload API takes no path, so one is looked up among the identities of this process.
pub(super) async fn whole(wanted: Option<ConfiguredId>, socket: &Path) -> Result<Option<SpiffeId>, Failure> {
    let Some(wanted) = wanted else { return Ok(None) };
    if let Some(spiffe_id) = wanted.whole() {
        return Ok(Some(spiffe_id));
    }
    let received = super::first(socket).await?;
    let found = Choice::Id(wanted).find(&received).map_err(|error| Failure::of(&error))?;
    Ok(Some(found.spiffe_id().clone()))
}
