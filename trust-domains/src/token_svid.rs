//! What JWT-SVIDs and WIT-SVIDs have in common: a subject with an end, vouched for by a key of its trust domain's bundle.

mod claims;
mod error;
mod signer;
mod token_id;
mod unverified;

pub use claims::SvidClaims;
pub use error::{TokenKind, TokenSvidError};
pub use signer::signing_key_of;
pub use token_id::{ParseTokenIdError, TokenId};

pub(crate) use unverified::{Profile, Unverified};

use std::time::Duration;

/// The longest token that is read: several times what fits into an HTTP header, where tokens travel. Checked before anything is decoded.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// How far clocks may differ when nothing else is said: machines with NTP differ by far less, and a token of five minutes lives a tenth longer at most.
pub const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
