//! JWT-SVIDs: bearer tokens that prove an identity to one audience (JWT-01 to JWT-15).

mod algorithm;
mod compact;
mod error;
mod header;
mod json;
mod presented;
mod verify;

pub use algorithm::JwtAlgorithm;
pub use error::{Claim, Excerpt, JwtSvidError};
pub use presented::PresentedClaims;
pub use verify::{DEFAULT_JWT_LEEWAY, Expectation, MAX_JWT_SVID_BYTES, UnverifiedJwtSvid, VerifiedJwtSvid, verify_jwt_svid};

#[cfg(test)]
mod tests;
