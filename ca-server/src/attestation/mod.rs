//! How nodes prove themselves: join tokens, the first node SVID, its renewal, and who a connection is on every call.

mod attest;
mod error;
pub mod identity;
mod promotions;
mod renew;
mod repeated;
mod restored;
mod token;
mod tokens;
mod turns;
mod x509pop;

pub use attest::Attestation;
pub use error::{AttestError, TokenError};
pub use identity::{AuthenticatedNode, NodeRefused};
pub use promotions::Promotions;
pub use renew::RenewalGrace;
pub use repeated::RepeatedRefusals;
pub use restored::{RestoreWindow, Restored, RestoredError};
pub use token::{SealedTokenError, TokenId};
pub use tokens::{JoinTokens, KEPT_AFTER_END, MAX_TOKENS, NewToken, TOKEN_TTL_S};
pub use turns::Turns;
pub use x509pop::X509PopPolicy;
