//! One batch: tokens asked of the server, and checked like anybody's before a workload gets them.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::clock::{Clock, Reading};
use trust_domains::jwt_svid::{Expectation, JwtSvidError, VerifiedJwtSvid, verify_jwt_svid};
use trust_domains::plan::rotation::{HeldCredential, Jitter};
use trust_domains::problem::with_causes;
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, IssuedToken, JwtRequest, TokenResult};

use super::held::{Held, Order};
use super::state::Outcome;
use super::token::JwtSvid;
use crate::issuing::{Outcomes, Server, all, judged};
use crate::node::CallError;

/// An issued token that the agent does not pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenRefused {
    /// It has ended already.
    #[error("the token had ended when it came")]
    Ended,
    /// It does not say what was asked for.
    #[error("the token's {claim} is not what was asked for")]
    Other {
        /// The claim.
        claim: &'static str,
    },
    /// It does not verify by the trust bundle.
    #[error("the token does not verify: {0}")]
    Unverified(JwtSvidError),
}

/// What the issuing of one batch needs, apart from its orders.
pub(super) struct Issuer {
    pub(super) server: Server,
}

impl Issuer {
    /// Asks for one token each.
    pub(super) async fn issue(self, orders: Vec<Order>) -> Outcomes<Order, Held> {
        let asked = self.server.clock.now();
        match self.ask(&orders).await {
            Ok(answer) => {
                let nothing = vec![(); orders.len()];
                judged(orders, nothing, answer.results, move |order, (), result| self.outcome(order, result, asked)).await
            }
            Err(error) => all(orders, &with_causes(&error), Outcome::Unreached),
        }
    }

    async fn ask(&self, orders: &[Order]) -> Result<IssueTokensResponse, CallError> {
        let requests = orders.iter().map(|order| JwtRequest {
            entry_id: order.entry.id.clone(),
            audience: order.key.audience().values().to_vec(),
        });
        let request = IssueJwtRequest { requests: requests.collect() };
        self.server.client.post("/v1/node/issue-jwt", &request).await
    }

    fn outcome(&self, order: &Order, result: TokenResult, asked: Reading) -> Outcome {
        match result {
            TokenResult::Issued(issued) => match self.held(order, issued, asked) {
                Ok(held) => Outcome::Issued(held),
                Err(error) => {
                    tracing::warn!(spiffe_id = %order.entry.spiffe_id, error = %error, "an issued JWT-SVID is not passed on");
                    Outcome::Refused(error.to_string())
                }
            },
            TokenResult::Refused { problem, .. } => {
                tracing::warn!(spiffe_id = %order.entry.spiffe_id, code = %problem.code, "the server refused to issue a JWT-SVID");
                Outcome::Refused(problem.to_string())
            }
        }
    }

    fn held(&self, order: &Order, issued: IssuedToken, asked: Reading) -> Result<Held, TokenRefused> {
        let verified = self.verified(order, &issued)?;
        let claims = verified.claims();
        if *claims.subject() != order.entry.spiffe_id {
            return Err(TokenRefused::Other { claim: "sub" });
        }
        let mut audience = claims.audience().to_vec();
        audience.sort_unstable();
        if audience != order.key.audience().values() {
            return Err(TokenRefused::Other { claim: "aud" });
        }
        if claims.expires_at() != issued.expires_at {
            return Err(TokenRefused::Other { claim: "exp" });
        }
        let life = Duration::from_secs(issued.expires_in_s);
        let times = HeldCredential::issued(asked, life, issued.expires_at, Jitter::new(crate::sync::jitter()), &self.server.policy);
        if times.has_ended(asked) {
            return Err(TokenRefused::Ended);
        }
        let svid = JwtSvid {
            spiffe_id: order.entry.spiffe_id.clone(),
            token: issued.token,
            expires_at: issued.expires_at,
        };
        Ok(Held {
            svid: Arc::new(svid),
            times,
            life,
        })
    }

    fn verified(&self, order: &Order, issued: &IssuedToken) -> Result<VerifiedJwtSvid, TokenRefused> {
        let expected = Expectation {
            audience: order.key.audience().values().first().map_or("", String::as_str),
            // The server's time of issue: whether this machine's clock is right is no matter of the token.
            now: issued.issued_at,
            leeway: Duration::ZERO,
        };
        let bundle = |trust_domain: &_| Some(self.server.bundle.clone()).filter(|bundle| bundle.trust_domain() == trust_domain);
        verify_jwt_svid(issued.token.as_str(), bundle, &expected).map_err(TokenRefused::Unverified)
    }
}
