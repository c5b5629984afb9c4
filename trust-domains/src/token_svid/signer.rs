//! Which key a token names as its signer.

use crate::jws::{Compact, object};
use crate::plan::authority::AuthorityId;

/// Returns the authority that the token's header names (`kid`, RFC 7515 section 4.1.4); `None` when it names none of ours.
///
/// Nothing is verified: it is for whoever verified the token when it came and asks only what has become of its signer.
#[must_use]
pub fn signing_key_of(token: &str) -> Option<AuthorityId> {
    let header = object(&Compact::split(token).ok()?.header().ok()?)?;
    header.get("kid")?.as_str()?.parse().ok()
}
