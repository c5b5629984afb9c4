//! Making a proof: for one token, one recipient and a short time.

use serde::Serialize;

use super::{BoundTokens, ProofAudience, ProofLife, TYPE, token_hash};
use crate::jws::{JwsAlgorithm, SigningInput, TokenAlgorithm};
use crate::problem::{Code, Coded};
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;
use crate::wit_svid::UnverifiedWitSvid;

/// What a proof shall say.
#[derive(Debug, Clone)]
pub struct ProofRequest<'a> {
    /// Whom it is for.
    pub audience: &'a ProofAudience,
    /// The moment.
    pub now: Timestamp,
    /// How long it is good: it ends with the token at the latest.
    pub life: ProofLife,
    /// Its own id: each proof has another.
    pub id: TokenId,
    /// The other tokens of the request.
    pub bound: &'a BoundTokens,
}

/// The claims as they are written. There is no subject and no issuer: the WIT has them.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    jti: TokenId,
    wth: String,
    #[serde(flatten)]
    bound: &'a BoundTokens,
}

impl UnverifiedWitSvid<'_> {
    /// Returns what the key that the token is bound to signs to prove that its holder sends it: a proof of its own for each request.
    ///
    /// # Errors
    /// The token has ended, or its key is not one for ES256.
    pub fn proof_input(&self, request: &ProofRequest<'_>) -> Result<SigningInput, ProofNotMade> {
        let algorithm = self.confirmation().algorithm();
        if algorithm != JwsAlgorithm::Es256 {
            return Err(ProofNotMade::OtherAlgorithm { algorithm });
        }
        let ends = self.claims().expires_at();
        if ends <= request.now {
            return Err(ProofNotMade::TokenEnded { expired_at: ends });
        }
        let claims = Claims {
            aud: request.audience.as_str(),
            exp: (request.now + request.life.get()).min(ends).unix(),
            jti: request.id,
            wth: token_hash(self.text()),
            bound: request.bound,
        };
        Ok(SigningInput::new(TYPE, TokenAlgorithm::Es256, None, &claims))
    }
}

/// No proof is made for this token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofNotMade {
    /// Its key makes proofs in another way.
    #[error("the key of the WIT-SVID is one for {algorithm}; proofs are made with ES256")]
    OtherAlgorithm {
        /// What the token says.
        algorithm: JwsAlgorithm,
    },
    /// It has ended, and its key with it.
    #[error("the WIT-SVID ended at {expired_at}")]
    TokenEnded {
        /// When.
        expired_at: Timestamp,
    },
}

impl Coded for ProofNotMade {
    fn code(&self) -> Code {
        Code::WitSvidInvalid
    }
}
