//! JWT-SVIDs that the Workload API delivered, read and checked as a validator would.

use std::collections::HashMap;

use agent::workload_api::messages::{JwtBundlesResponse, Jwtsvid};
use serde::Serialize;
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::problem::Code;
use trust_domains::token_svid::DEFAULT_LEEWAY;
use trust_domains::wire::tokens::TokenText;
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

use super::received::named;
use crate::failure::Failure;

/// One token.
#[derive(Serialize)]
pub(crate) struct ReceivedToken {
    pub(crate) spiffe_id: SpiffeId,
    pub(crate) token: TokenText,
    pub(crate) expires_at: Timestamp,
    pub(crate) hint: Option<String>,
}

impl ReceivedToken {
    /// Reads a token, and verifies it for each audience that was asked for.
    pub(crate) fn read(message: Jwtsvid, bundles: &HashMap<TrustDomain, TrustBundle>, audience: &[String], now: Timestamp) -> Result<Self, Failure> {
        let token = TokenText::from(message.svid);
        let mut verified = None;
        for audience in audience {
            let expected = Expectation {
                audience,
                now,
                leeway: DEFAULT_LEEWAY,
            };
            let checked = verify_jwt_svid(token.as_str(), |trust_domain| bundles.get(trust_domain), &expected);
            verified = Some(checked.map_err(|error| Failure::of(&error))?);
        }
        let verified = verified.ok_or_else(|| Failure::new(Code::Usage, "no audience is named"))?;
        if verified.spiffe_id().as_str() != message.spiffe_id {
            return Err(Failure::new(
                Code::JwtSvidInvalid,
                format!("the message says {}, its token {}", message.spiffe_id, verified.spiffe_id()),
            ));
        }
        Ok(Self {
            spiffe_id: verified.spiffe_id().clone(),
            expires_at: verified.claims().expires_at(),
            token,
            hint: Some(message.hint).filter(|hint| !hint.is_empty()),
        })
    }
}

/// Reads the JWT bundles as the Workload API sends them.
pub(crate) fn jwt_bundles_of(response: JwtBundlesResponse) -> Result<HashMap<TrustDomain, TrustBundle>, Failure> {
    let read = |(id, keys): (String, bytes::Bytes)| {
        let trust_domain = named(&id)?;
        let bundle = TrustBundle::new(trust_domain.clone()).with_jwks(&keys).map_err(|error| Failure::of(&error))?;
        Ok((trust_domain, bundle))
    };
    response.bundles.into_iter().map(read).collect()
}
