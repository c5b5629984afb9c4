//! JSON Web Signatures in compact form (RFC 7515), as far as JWT-SVIDs, WIT-SVIDs and proofs of possession are the same.

mod algorithm;
mod compact;
mod error;
mod es256;
mod excerpt;
mod header;
mod json;
mod signing;
mod signing_input;
mod time;

pub use algorithm::JwsAlgorithm;
pub use error::{Claim, JwsError};
pub use es256::{Es256Signature, NotEcdsaDer};
pub use excerpt::Excerpt;
pub use signing::{ParseTokenAlgorithmError, TokenAlgorithm, TokenSignature};
pub use signing_input::SigningInput;

pub(crate) use compact::Compact;
pub(crate) use header::{Header, Types};
pub(crate) use json::object;
pub(crate) use time::{Round, time};
