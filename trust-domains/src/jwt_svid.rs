//! JWT-SVIDs: what one says, how it is written, and how one that somebody presents is read and verified (JWT-SVID; RFC 7515, RFC 7519).

mod audience;
mod claims;
mod error;
mod extra;
mod issuer_url;
mod mint;
mod presented;
mod verify;

pub use audience::{Audience, AudienceRefused};
pub use claims::Claims;
pub use error::JwtSvidError;
pub use extra::{ClaimNames, ClaimRefused, ExtraClaims};
pub use issuer_url::{IssuerUrl, ParseIssuerUrlError};
pub use presented::PresentedClaims;
pub use verify::{Expectation, UnverifiedJwtSvid, VerifiedJwtSvid, verify_jwt_svid};

#[cfg(test)]
mod tests;
