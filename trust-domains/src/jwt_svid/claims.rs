//! The claims of a JWT-SVID (JWT-SVID section 3).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Audience, ExtraClaims, IssuerUrl};
use crate::plan::validity::Validity;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;

/// What a JWT-SVID says.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The workload's SPIFFE ID (JWT-07).
    pub sub: SpiffeId,
    /// Whom it is for (JWT-08).
    pub aud: Audience,
    /// When it was issued and when it ends (JWT-10).
    pub validity: Validity,
    /// Whether `nbf` is written: as NotBefore of a certificate, it lies before the moment of issue. Without it a token is good from its issue on.
    pub nbf: bool,
    /// Its own id.
    pub jti: TokenId,
    /// The issuer, where OpenID Connect relying parties are served.
    pub iss: Option<IssuerUrl>,
    /// What else the entry gives it to say (JWT-12).
    pub extra: ExtraClaims,
}

impl Serialize for Claims {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            sub: &self.sub,
            aud: &self.aud,
            exp: self.validity.not_after().unix(),
            iat: self.validity.issued_at().unix(),
            nbf: self.nbf.then(|| self.validity.not_before()).map(Timestamp::unix),
            jti: self.jti,
            iss: self.iss.as_ref(),
            extra: self.extra.iter().collect(),
        }
        .serialize(serializer)
    }
}

/// The claims as they are written: times are NumericDates in whole seconds (RFC 7519 section 2).
#[derive(Serialize)]
struct Written<'a> {
    sub: &'a SpiffeId,
    aud: &'a Audience,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: TokenId,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a IssuerUrl>,
    /// Never one of the names above: that is what [`ExtraClaims`] says.
    #[serde(flatten)]
    extra: BTreeMap<&'a String, &'a Value>,
}
