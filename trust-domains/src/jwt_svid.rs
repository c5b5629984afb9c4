//! JWT-SVIDs: what one says, how it is written, and how one that somebody presents is read and verified (JWT-SVID; RFC 7515, RFC 7519).

mod algorithm;
mod audience;
mod claims;
mod compact;
mod error;
mod es256;
mod extra;
mod header;
mod issuer_url;
mod json;
mod mint;
mod presented;
mod signing;
mod token_id;
mod verify;

pub use algorithm::JwtAlgorithm;
pub use audience::{Audience, AudienceRefused};
pub use claims::Claims;
pub use error::{Claim, Excerpt, JwtSvidError};
pub use es256::{Es256Signature, NotEcdsaDer};
pub use extra::{ClaimNames, ClaimRefused, ExtraClaims};
pub use issuer_url::{IssuerUrl, ParseIssuerUrlError};
pub use mint::SigningInput;
pub use presented::PresentedClaims;
pub use signing::{ParseTokenAlgorithmError, TokenAlgorithm, TokenSignature};
pub use token_id::{ParseTokenIdError, TokenId};
pub use verify::{DEFAULT_JWT_LEEWAY, Expectation, MAX_JWT_SVID_BYTES, UnverifiedJwtSvid, VerifiedJwtSvid, verify_jwt_svid};

#[cfg(test)]
mod tests;
