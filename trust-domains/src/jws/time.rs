//! Times in claims (RFC 7519 section 2).

use serde_json::{Map, Value};

use super::error::{Claim, JwsError};
use crate::timestamp::Timestamp;

/// Which way the fraction of a second goes: a token never lives longer for it.
#[derive(Clone, Copy)]
pub(crate) enum Round {
    Down,
    Up,
}

/// Reads a NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction. What no [`Timestamp`] can be becomes the nearest.
pub(crate) fn time(claims: &Map<String, Value>, claim: Claim, round: Round) -> Result<Option<Timestamp>, JwsError> {
    let Some(value) = claims.get(claim.name()) else { return Ok(None) };
    let Value::Number(number) = value else {
        return Err(JwsError::MalformedClaim { claim });
    };
    if let Some(seconds) = number.as_i64() {
        return Ok(Some(Timestamp::from_unix(seconds)));
    }
    let seconds = number.as_f64().unwrap_or(f64::MAX);
    let whole = match round {
        Round::Down => seconds.floor(),
        Round::Up => seconds.ceil(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates, as Timestamp does")]
    let whole = whole as i64;
    Ok(Some(Timestamp::from_unix(whole)))
}
