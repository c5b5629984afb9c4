//! Workload Proof Tokens: what shows that the sender of a WIT-SVID has its key (draft-ietf-wimse-wpt-01, section 2).

mod audience;
mod bound;
mod check;
mod error;
mod life;
mod make;

pub use audience::ProofAudience;
pub use bound::{BoundTokens, OtherTokenRepeated};
pub use check::ProofExpectation;
pub use error::ProofError;
pub use life::{ProofLife, ProofLifeRefused};
pub use make::{ProofNotMade, ProofRequest};

pub(super) use check::AcceptedProof;

/// The HTTP header field of a WIT (draft-ietf-wimse-workload-creds section 3.1.1). Never `Authorization` (WIT-18).
pub const WIT_HEADER: &str = "Workload-Identity-Token";

/// The HTTP header field of a proof (draft-ietf-wimse-wpt-01 section 2). A request has one of it, and no more.
pub const PROOF_HEADER: &str = "Workload-Proof-Token";

/// The media type of a proof, as `typ` has it.
const TYPE: &str = "wpt+jwt";

/// Returns the hash by which a proof names a token: base64url of SHA-256 over its ASCII text.
fn token_hash(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest, Sha256};
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}
