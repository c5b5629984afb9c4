//! Checking a proof: all that the draft asks for, the costly signature last.

use serde_json::{Map, Value};

use super::{BoundTokens, ProofAudience, ProofError, ProofLife, TYPE, token_hash};
use crate::jws::{Claim, Compact, Excerpt, Header, JwsError, Round, Types, object, time};
use crate::timestamp::Timestamp;
use crate::wit_svid::{ConfirmationKey, WitLeeway};

/// The longest proof that is read: it travels in a header beside its token.
const MAX_PROOF_BYTES: usize = 16 * 1024;

/// The longest `jti` of a proof: recipients remember it.
const MAX_ID_LEN: usize = 256;

/// A media type may be written without `application/` (RFC 7515 section 4.1.9).
static PROOF: Types = Types {
    values: &[TYPE, "application/wpt+jwt"],
    optional: false,
    described: "Workload Proof Token (wpt+jwt)",
};

/// What a recipient expects of a proof.
#[derive(Debug, Clone)]
pub struct ProofExpectation<'a> {
    /// The recipient's own values, from its configuration: the proof must be for one of them, exactly.
    pub audiences: &'a [ProofAudience],
    /// The time of the check.
    pub now: Timestamp,
    /// By how much the sender's clock may differ.
    pub leeway: WitLeeway,
    /// How long a proof may be good from now on.
    pub longest: ProofLife,
    /// The other tokens of the request.
    pub bound: &'a BoundTokens,
}

/// A proof that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wit_svid) struct AcceptedProof {
    id: String,
    expires_at: Timestamp,
    claims: Map<String, Value>,
}

impl AcceptedProof {
    pub(in crate::wit_svid) fn check(proof: &str, wit: &str, key: &ConfirmationKey, expected: &ProofExpectation<'_>) -> Result<Self, ProofError> {
        if proof.len() > MAX_PROOF_BYTES {
            return Err(ProofError::Form(JwsError::TooLong {
                limit: MAX_PROOF_BYTES,
                actual: proof.len(),
            }));
        }
        let compact = Compact::split(proof)?;
        let Header { algorithm, .. } = Header::read(&compact.header()?, &PROOF)?;
        if algorithm != key.algorithm() {
            return Err(ProofError::AlgorithmOther {
                expected: key.algorithm(),
                presented: algorithm,
            });
        }
        let claims = object(&compact.payload()?).ok_or(JwsError::PayloadUnreadable)?;
        check_audience(&claims, expected.audiences)?;
        let expires_at = check_times(&claims, expected)?;
        let id = id(&claims)?;
        check_token(&claims, wit)?;
        BoundTokens::read(&claims)?.check(expected.bound)?;
        if !key.accepts(compact.signed.as_bytes(), &compact.signature()?) {
            return Err(ProofError::SignatureInvalid);
        }
        Ok(Self { id, expires_at, claims })
    }

    pub(in crate::wit_svid) fn id(&self) -> &str {
        &self.id
    }

    pub(in crate::wit_svid) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    pub(in crate::wit_svid) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Reads `aud`: one value, as a text or as a list of one. A proof for several recipients could be shown to each by the others.
fn check_audience(claims: &Map<String, Value>, expected: &[ProofAudience]) -> Result<(), ProofError> {
    let malformed = || ProofError::Form(JwsError::MalformedClaim { claim: Claim::Aud });
    let text = match claims.get(Claim::Aud.name()) {
        None => return Err(ProofError::AudienceMissing),
        Some(Value::String(text)) => text,
        Some(Value::Array(values)) => match values.as_slice() {
            [] => return Err(ProofError::AudienceMissing),
            [only] => only.as_str().ok_or_else(malformed)?,
            _ => return Err(malformed()),
        },
        Some(_) => return Err(malformed()),
    };
    let other = || ProofError::AudienceOther { presented: Excerpt::of(text) };
    let presented = match ProofAudience::new(text) {
        Ok(presented) => presented,
        Err(_) if text.is_empty() => return Err(ProofError::AudienceMissing),
        Err(_) => return Err(other()),
    };
    match expected.contains(&presented) {
        true => Ok(()),
        false => Err(other()),
    }
}

fn check_times(claims: &Map<String, Value>, expected: &ProofExpectation<'_>) -> Result<Timestamp, ProofError> {
    let (now, leeway) = (expected.now, expected.leeway.get());
    let expires_at = time(claims, Claim::Exp, Round::Down)?.ok_or(JwsError::ExpiryMissing)?;
    if now >= expires_at + leeway {
        return Err(ProofError::Expired { expired_at: expires_at, now });
    }
    let latest = now + expected.longest.get() + leeway;
    if expires_at > latest {
        return Err(ProofError::LivesTooLong { expires_at, latest });
    }
    match time(claims, Claim::Nbf, Round::Up)?.filter(|not_before| *not_before > now + leeway) {
        Some(not_before) => Err(ProofError::NotYetValid { not_before, now }),
        None => Ok(expires_at),
    }
}

fn id(claims: &Map<String, Value>) -> Result<String, ProofError> {
    match claims.get(Claim::Jti.name()) {
        Some(Value::String(id)) if (1..=MAX_ID_LEN).contains(&id.len()) => Ok(id.clone()),
        None | Some(Value::String(_)) => Err(ProofError::IdMissing),
        Some(_) => Err(JwsError::MalformedClaim { claim: Claim::Jti }.into()),
    }
}

fn check_token(claims: &Map<String, Value>, wit: &str) -> Result<(), ProofError> {
    match claims.get(Claim::Wth.name()) {
        Some(Value::String(hash)) if *hash == token_hash(wit) => Ok(()),
        None | Some(Value::String(_)) => Err(ProofError::TokenOther),
        Some(_) => Err(JwsError::MalformedClaim { claim: Claim::Wth }.into()),
    }
}
