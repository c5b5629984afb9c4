//! WIT-SVIDs: what one says, how it is written, read and verified, and the proof of possession without which none is accepted (WIT-SVID of 1 July 2026;
//! draft-ietf-wimse-workload-creds, draft-ietf-wimse-wpt-01).
//!
//! A WIT-SVID is no bearer token. The types keep to that (WIT-17): what [`UnverifiedWitSvid::verify`] returns has no identity to read, and only
//! [`UnprovenWitSvid::prove`], with the proof that came with the token, gives one.
//!
//! ```
//! use trust_domains::wit_svid::{BoundTokens, ProofAudience, ProofExpectation, ProofLife, UnverifiedWitSvid, WitLeeway};
//! use trust_domains::{SpiffeId, Timestamp, TrustBundle};
//!
//! /// Returns who sends a request with these two header fields, to a service of this name.
//! fn caller(wit: &str, proof: &str, service: ProofAudience, bundle: &TrustBundle, now: Timestamp) -> Result<SpiffeId, Box<dyn std::error::Error>> {
//!     let unproven = UnverifiedWitSvid::parse(wit)?.verify(bundle, now, WitLeeway::default())?;
//!     let expected = ProofExpectation {
//!         audiences: &[service],
//!         now,
//!         leeway: WitLeeway::default(),
//!         longest: ProofLife::default(),
//!         bound: &BoundTokens::default(),
//!     };
//!     Ok(unproven.prove(proof, &expected)?.spiffe_id().clone())
//! }
//! ```

mod claims;
mod confirmation;
mod error;
mod leeway;
mod proof;
mod verify;

pub use claims::WitClaims;
pub use confirmation::ConfirmationKey;
pub use error::WitSvidError;
pub use leeway::{LeewayTooLong, WitLeeway};
pub use proof::{
    BoundTokens, OtherTokenRepeated, PROOF_HEADER, ProofAudience, ProofError, ProofExpectation, ProofLife, ProofLifeRefused, ProofNotMade, ProofRequest,
    WIT_HEADER,
};
pub use verify::{HeldWitSvid, NotTheHolder, ProvenWitSvid, UnprovenWitSvid, UnverifiedWitSvid};

#[cfg(test)]
mod tests;
