//! Reading and verifying a WIT-SVID: from a text to an identity in three steps, of which none can be left out.

use std::fmt;

use serde_json::{Map, Value};

use super::confirmation::ConfirmationKey;
use super::error::WitSvidError;
use super::leeway::WitLeeway;
use super::proof::{AcceptedProof, ProofError, ProofExpectation};
use crate::bundle::TrustBundle;
use crate::jws::Types;
use crate::problem::{Code, Coded};
use crate::public_key::PublicKey;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::{Profile, SvidClaims, TokenKind, Unverified};
use crate::trust_domain::TrustDomain;

/// `typ` is there, and it is this (WIT-03): neither a JWT-SVID nor a proof passes for a WIT-SVID.
static WIT_SVID: Profile = Profile {
    kind: TokenKind::Wit,
    types: Types {
        values: &["wit+jwt"],
        optional: false,
        described: "WIT-SVID (wit+jwt)",
    },
};

/// A token whose form is right and whose signature nobody has checked: it proves nothing yet.
pub struct UnverifiedWitSvid<'a> {
    text: &'a str,
    token: Unverified<'a>,
    confirmation: ConfirmationKey,
}

impl fmt::Debug for UnverifiedWitSvid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnverifiedWitSvid").field(&self.token).finish()
    }
}

impl<'a> UnverifiedWitSvid<'a> {
    /// Reads a token without checking its signature, its times or who shows it.
    ///
    /// # Errors
    ///
    /// When it is not in the form of a WIT-SVID, or longer than [`MAX_TOKEN_BYTES`](crate::token_svid::MAX_TOKEN_BYTES).
    pub fn parse(text: &'a str) -> Result<Self, WitSvidError> {
        let token = Unverified::parse(text, &WIT_SVID)?;
        let claims = token.claims.all();
        if claims.contains_key("aud") {
            return Err(WitSvidError::AudiencePresent);
        }
        let confirmation = ConfirmationKey::read(claims)?;
        Ok(Self { text, token, confirmation })
    }

    /// Returns the claims, which nobody has vouched for.
    #[must_use]
    pub fn claims(&self) -> &SvidClaims {
        &self.token.claims
    }

    /// Returns the key that it says it is bound to.
    #[must_use]
    pub fn confirmation(&self) -> &ConfirmationKey {
        &self.confirmation
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Returns whose bundle it must be verified with: that of its subject's trust domain, and no other.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.token.claims.subject().trust_domain()
    }

    /// Verifies that the subject's trust domain issued it and that it is good now. Who shows it is still to be proved. `iat` decides nothing (WIT-12).
    ///
    /// # Errors
    ///
    /// When the bundle has no WIT key for it, its time is over or has not come, or its signature is not one of the key.
    pub fn verify(self, bundle: &TrustBundle, now: Timestamp, leeway: WitLeeway) -> Result<UnprovenWitSvid<'a>, WitSvidError> {
        let key = self.token.key(bundle)?;
        self.token.check_times(now, leeway.get())?;
        self.token.check_signature(key, bundle)?;
        Ok(UnprovenWitSvid {
            text: self.text,
            claims: self.token.claims,
            confirmation: self.confirmation,
        })
    }
}

/// A genuine token that anybody may be showing: it has no identity to read until its proof is checked (WIT-17).
pub struct UnprovenWitSvid<'a> {
    text: &'a str,
    claims: SvidClaims,
    confirmation: ConfirmationKey,
}

impl fmt::Debug for UnprovenWitSvid<'_> {
    /// Says nothing of it: not even whose it is, which nobody has proved.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnprovenWitSvid").finish_non_exhaustive()
    }
}

impl UnprovenWitSvid<'_> {
    /// Checks the proof that came with the token.
    ///
    /// # Errors
    ///
    /// When it is not one of the token's key, for this token, this recipient and this moment.
    pub fn prove(self, proof: &str, expected: &ProofExpectation<'_>) -> Result<ProvenWitSvid, ProofError> {
        let proof = AcceptedProof::check(proof, self.text, &self.confirmation, expected)?;
        Ok(ProvenWitSvid { claims: self.claims, proof })
    }

    /// Takes it for one's own: for its holder, who has the private key of `own` and nothing to prove to itself. Never for a token that somebody shows.
    ///
    /// # Errors
    ///
    /// When the token is bound to another key.
    pub fn held_with(self, own: &PublicKey) -> Result<HeldWitSvid, NotTheHolder> {
        match self.confirmation.is(own) {
            true => Ok(HeldWitSvid { claims: self.claims }),
            false => Err(NotTheHolder),
        }
    }
}

/// Who showed a token and proved to be its holder.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvenWitSvid {
    claims: SvidClaims,
    proof: AcceptedProof,
}

impl ProvenWitSvid {
    /// Returns who presented it.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.claims.subject()
    }

    /// Returns what the token says. Its `jti` says nothing about replays: copies of a workload may share it (WIT-09).
    #[must_use]
    pub fn claims(&self) -> &SvidClaims {
        &self.claims
    }

    /// Returns the proof's own id. A recipient that takes a proof once remembers it until [`proof_expires_at`](Self::proof_expires_at) and its leeway (WIT-20).
    #[must_use]
    pub fn proof_id(&self) -> &str {
        self.proof.id()
    }

    /// Returns when the proof ends.
    #[must_use]
    pub fn proof_expires_at(&self) -> Timestamp {
        self.proof.expires_at()
    }

    /// Returns every claim of the proof as it has it, with those of a deployment's own.
    #[must_use]
    pub fn proof_claims(&self) -> &Map<String, Value> {
        self.proof.claims()
    }
}

/// A token of one's own, verified as a relying party would before it asks for the proof.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldWitSvid {
    claims: SvidClaims,
}

impl HeldWitSvid {
    /// Returns whose it is.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.claims.subject()
    }

    /// Returns what it says.
    #[must_use]
    pub fn claims(&self) -> &SvidClaims {
        &self.claims
    }
}

/// The token is bound to another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is bound to another key than this one")]
pub struct NotTheHolder;

impl Coded for NotTheHolder {
    fn code(&self) -> Code {
        Code::WitSvidInvalid
    }
}
