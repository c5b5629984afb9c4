//! One batch: keys made here, tokens for them asked of the server, and checked like anybody's before a workload gets them.

use std::sync::Arc;
use std::time::Duration;

use trust_domains::clock::{Clock, Reading};
use trust_domains::plan::rotation::{HeldCredential, Jitter};
use trust_domains::problem::{Code, Problem, with_causes};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::EXPORTER_LEN;
use trust_domains::wire::tokens::{IssueTokensResponse, IssueWitRequest, IssuedToken, TokenResult, WitRequest, wit_possession_message};
use trust_domains::wit_svid::{NotTheHolder, UnverifiedWitSvid, WitLeeway, WitSvidError};

use super::held::{Held, Order};
use super::private_jwk::PrivateJwk;
use super::state::Outcome;
use super::token::WitSvid;
use crate::issuing::{Outcomes, Server, all, judged};
use crate::node::{CALL_DEADLINE, CallError, KeyError, KeyPair};

/// An issued token that the agent does not pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum TokenRefused {
    #[error("the token had ended when it came")]
    Ended,
    #[error("its key cannot be written: {0}")]
    Key(#[from] KeyError),
    #[error(transparent)]
    NotOurs(#[from] NotTheHolder),
    #[error("the token's {claim} is not what was asked for")]
    Other { claim: &'static str },
    #[error("the token does not verify: {0}")]
    Unverified(#[from] WitSvidError),
}

/// A batch came to nothing.
#[derive(Debug, thiserror::Error)]
enum BatchFailed {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What the issuing of one batch needs, apart from its orders.
pub(super) struct Issuer {
    pub(super) server: Server,
}

impl Issuer {
    /// Asks for one token each, with a new key each.
    pub(super) async fn issue(self, orders: Vec<Order>) -> Outcomes<Order, Held> {
        match self.ask(&orders).await {
            Ok((keys, asked, answer)) => judged(orders, keys, answer.results, move |order, key, result| self.outcome(order, &key, result, asked)).await,
            Err(error) => failed(orders, &error),
        }
    }

    async fn ask(&self, orders: &[Order]) -> Result<(Vec<KeyPair>, Reading, IssueTokensResponse), BatchFailed> {
        // A proof is of one connection: the request must go over the same.
        let (identity, connection) = self.server.client.connection().await?;
        let (entries, exporter) = (orders.to_vec(), *connection.exporter());
        // 40 us a key and its proof: 500 of them would hold up everything else on this thread.
        let made = tokio::task::spawn_blocking(move || entries.iter().map(|order| proved(order, &exporter)).collect::<Result<Vec<_>, _>>()).await;
        let (keys, requests) = made.map_err(|_| KeyError::Failed)??.into_iter().unzip();
        let asked = self.server.clock.now();
        let answer = connection.post("/v1/node/issue-wit", &IssueWitRequest { requests }, CALL_DEADLINE).await;
        let answer = answer.map_err(|error| self.server.client.refused(&identity, error.into()))?;
        Ok((keys, asked, answer))
    }

    fn outcome(&self, order: &Order, key: &KeyPair, result: TokenResult, asked: Reading) -> Outcome {
        match result {
            TokenResult::Issued(issued) => match self.held(order, key, issued, asked) {
                Ok(held) => Outcome::Issued(held),
                Err(error) => {
                    tracing::warn!(spiffe_id = %order.entry.spiffe_id, error = %error, "an issued WIT-SVID is not passed on");
                    Outcome::Refused(error.to_string())
                }
            },
            TokenResult::Refused { problem, .. } => {
                tracing::warn!(spiffe_id = %order.entry.spiffe_id, code = %problem.code, "the server refused to issue a WIT-SVID");
                Outcome::Refused(problem.to_string())
            }
        }
    }

    /// Takes a token that is what was asked for: of this entry's identity, bound to the key that was made for it, by a key of the bundle, with an end to come.
    fn held(&self, order: &Order, key: &KeyPair, issued: IssuedToken, asked: Reading) -> Result<Held, TokenRefused> {
        // By the server's time of issue: whether this machine's clock is right is no matter of the token.
        let token = UnverifiedWitSvid::parse(issued.token.as_str())?.verify(&self.server.bundle, issued.issued_at, WitLeeway::NONE)?;
        let own = token.held_with(key.public())?;
        if *own.spiffe_id() != order.entry.spiffe_id {
            return Err(TokenRefused::Other { claim: "sub" });
        }
        if own.claims().expires_at() != issued.expires_at {
            return Err(TokenRefused::Other { claim: "exp" });
        }
        let life = Duration::from_secs(issued.expires_in_s);
        let times = HeldCredential::issued(asked, life, issued.expires_at, Jitter::new(crate::sync::jitter()), &self.server.policy);
        if times.has_ended(asked) {
            return Err(TokenRefused::Ended);
        }
        let svid = WitSvid {
            spiffe_id: order.entry.spiffe_id.clone(),
            token: issued.token,
            key: PrivateJwk::of(key)?,
            expires_at: issued.expires_at,
        };
        Ok(Held {
            svid: Arc::new(svid),
            entry_revision: issued.entry_revision,
            times,
            life,
        })
    }
}

/// Makes a key for an entry, and proves that it is held at this end of this connection.
fn proved(order: &Order, exporter: &[u8; EXPORTER_LEN]) -> Result<(KeyPair, WitRequest), KeyError> {
    let key = KeyPair::generate()?;
    let message = wit_possession_message(exporter, key.public().spki(), &order.entry.id);
    let request = WitRequest {
        entry_id: order.entry.id.clone(),
        public_key: Base64(key.public().spki().to_vec()),
        proof: Base64(key.sign(&message)?),
    };
    Ok((key, request))
}

/// Returns what a batch comes to that was refused or lost as a whole.
fn failed(orders: Vec<Order>, error: &BatchFailed) -> Outcomes<Order, Held> {
    let refusal = match error {
        BatchFailed::Call(error) => error.problem(),
        BatchFailed::Key(_) => None,
    };
    match refusal {
        Some(problem) if problem.code() == Code::WitDisabled => all(orders, &disabled(problem), Outcome::Refused),
        _ => all(orders, &with_causes(error), Outcome::Unreached),
    }
}

/// The workload cannot help it, so it is told what its operators can do.
fn disabled(problem: &Problem) -> String {
    format!("{problem}; {}", problem.hint)
}
