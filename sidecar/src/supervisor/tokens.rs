//! JWT-SVIDs as files: `jwt/NAME.token`, each renewed at half of its life.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::backoff::{Backoff, jitter};
use platform::clock::sleep_until_boot;
use tokio::sync::watch;
use trust_domains::clock::{Clock as _, SharedClock};
use trust_domains::delivery::{self, TokenName};
use trust_domains::jwt_svid::Audience;
use trust_domains::{SpiffeId, Timestamp};
use zeroize::Zeroizing;

use super::choice::Choice;
use crate::source::{SourceError, SourceState, WorkloadClient};

/// The longest name: `NAME.token` is a file.
const LONGEST_NAME: usize = 64;

/// How long all tokens of one round may take.
const WITHIN: Duration = Duration::from_secs(30);

/// The shortest wait between two rounds, however short tokens live, or when one failed.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A token that is asked for: `NAME=AUDIENCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec(delivery::TokenSpec);

/// The text is not `NAME=AUDIENCE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is not NAME=AUDIENCE, with a name of up to {LONGEST_NAME} of a-z 0-9 - _")]
pub struct ParseTokenSpecError {
    presented: String,
}

impl FromStr for TokenSpec {
    type Err = ParseTokenSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-' || letter == '_';
        let refused = || ParseTokenSpecError { presented: text.to_owned() };
        let (name, audience) = text.split_once('=').ok_or_else(refused)?;
        if name.len() > LONGEST_NAME || !name.chars().all(allowed) {
            return Err(refused());
        }
        Ok(Self(delivery::TokenSpec {
            name: name.parse().map_err(|_| refused())?,
            audience: Audience::new(vec![audience.to_owned()]).map_err(|_| refused())?,
        }))
    }
}

impl TokenSpec {
    /// Returns its file's name in the directory.
    pub(super) fn file(&self) -> &str {
        self.0.name.file().as_str()
    }

    /// Returns it as a set of files takes it.
    pub(super) fn of_set(&self) -> delivery::TokenSpec {
        self.0.clone()
    }

    /// Returns the environment variable that names its file.
    pub(super) fn variable(&self) -> String {
        format!("TROTH_JWT_{}_FILE", self.0.name.to_string().replace('-', "_").to_uppercase())
    }
}

/// A token that has not ended.
#[derive(Clone)]
pub(super) struct FreshToken {
    spec: TokenSpec,
    token: Zeroizing<String>,
    expires_at: Timestamp,
}

impl FreshToken {
    pub(super) fn name(&self) -> &TokenName {
        &self.spec.0.name
    }

    pub(super) fn text(&self) -> &str {
        &self.token
    }

    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Keeps the tokens of the chosen identity fresh for as long as somebody listens; what has not ended stays when a round fails.
pub(super) async fn keep(
    socket: PathBuf,
    specs: Vec<TokenSpec>,
    choice: Choice,
    clock: SharedClock,
    mut states: watch::Receiver<SourceState>,
    fresh: watch::Sender<Vec<FreshToken>>,
) {
    let mut backoff = Backoff::new(SHORTEST_WAIT, LONGEST_WAIT);
    while !fresh.is_closed() {
        let Ok(id) = chosen(&mut states, &choice).await else { return };
        let wait = match fetch(&socket, &specs, &id, &clock).await {
            Ok(tokens) => {
                backoff.reset();
                let wait = fresh_for(&tokens, clock.now().wall);
                fresh.send_replace(tokens);
                wait
            }
            Err(error) => {
                tracing::warn!(error = %error, "the tokens could not be renewed");
                backoff.next(jitter())
            }
        };
        let due = clock.now().since_boot.saturating_add(wait);
        sleep_until_boot(&clock, due).await;
    }
}

/// Waits until the agent gives the chosen identity.
async fn chosen(states: &mut watch::Receiver<SourceState>, choice: &Choice) -> Result<SpiffeId, watch::error::RecvError> {
    loop {
        let context = states.borrow_and_update().context.clone();
        if let Some(svid) = context.as_ref().and_then(|context| choice.find(context).ok()) {
            return Ok(svid.spiffe_id().clone());
        }
        states.changed().await?;
    }
}

/// Fetches every token of an identity.
async fn fetch(socket: &Path, specs: &[TokenSpec], id: &SpiffeId, clock: &SharedClock) -> Result<Vec<FreshToken>, SourceError> {
    let all = async {
        let mut client = WorkloadClient::connect(socket).await?;
        let mut tokens = Vec::with_capacity(specs.len());
        for spec in specs {
            let held = client.jwt_svids(spec.0.audience.values(), Some(id), clock).await?;
            let held = held.first().ok_or(SourceError::Ended)?;
            tokens.push(FreshToken {
                spec: spec.clone(),
                token: Zeroizing::new(held.token().as_str().to_owned()),
                expires_at: held.expires_at(),
            });
        }
        Ok(tokens)
    };
    let late = |_| SourceError::Late { socket: socket.to_owned() };
    tokio::time::timeout(WITHIN, all).await.map_err(late)?
}

/// Returns how long the tokens are fresh: to half of what is left to the first that ends.
pub(super) fn fresh_for(tokens: &[FreshToken], now: Timestamp) -> Duration {
    let left = tokens.iter().map(|token| now.duration_until(token.expires_at)).min();
    left.map_or(SHORTEST_WAIT, |left| (left / 2).max(SHORTEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_file_and_of_a_variable() {
        let spec: TokenSpec = "my-vault=https://vault.example/?a=b".parse().unwrap();
        assert_eq!((spec.file(), spec.variable().as_str()), ("jwt/my-vault.token", "TROTH_JWT_MY_VAULT_FILE"));
        assert_eq!(spec.0.audience.values(), ["https://vault.example/?a=b"]);
        for text in ["", "=a", "a=", "a", "../x=a", "A=b", "a b=c"] {
            assert!(text.parse::<TokenSpec>().is_err(), "{text}");
        }
    }
}
