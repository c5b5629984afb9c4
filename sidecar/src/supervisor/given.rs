//! What the agent gave so far: three streams, each kept over its interruptions.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use trust_domains::Timestamp;
use trust_domains::clock::SharedClock;

use super::keys;
use super::run::Options;
use super::tokens::{self, FreshToken};
use crate::source::{JwtKeys, SourceState, X509Source};

/// What the agent gave so far. The tasks that ask for more end with this value.
pub(super) struct Given {
    states: watch::Receiver<SourceState>,
    tokens: watch::Receiver<Vec<FreshToken>>,
    keys: watch::Receiver<Option<JwtKeys>>,
    _source: X509Source,
    _keepers: Vec<AbortOnDropHandle<()>>,
}

impl Given {
    /// Begins to ask for X509-SVIDs, for the tokens that are wanted, and for the keys of tokens if they are.
    pub(super) fn follow(options: &Options, needs_keys: bool, clock: &SharedClock) -> Self {
        let source = X509Source::connect(&options.socket, Arc::clone(clock));
        let (fresh, tokens) = watch::channel(Vec::new());
        let (told, keys) = watch::channel(None);
        let mut keepers = Vec::new();
        if !options.tokens.is_empty() {
            let (socket, specs, choice) = (options.socket.clone(), options.tokens.clone(), options.choice.clone());
            let kept = tokens::keep(socket, specs, choice, Arc::clone(clock), source.states(), fresh);
            keepers.push(AbortOnDropHandle::new(tokio::spawn(kept)));
        }
        if needs_keys {
            keepers.push(AbortOnDropHandle::new(tokio::spawn(keys::keep(options.socket.clone(), told))));
        }
        Self {
            states: source.states(),
            tokens,
            keys,
            _source: source,
            _keepers: keepers,
        }
    }

    /// Waits until any of it is new.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.states.changed() => {}
            Ok(()) = self.tokens.changed() => {}
            Ok(()) = self.keys.changed() => {}
            else => std::future::pending().await,
        }
    }

    /// Returns the state of the stream of X509-SVIDs.
    pub(super) fn state(&self) -> SourceState {
        self.states.borrow().clone()
    }

    /// Returns the tokens that have not ended.
    pub(super) fn tokens(&self, now: Timestamp) -> Vec<FreshToken> {
        self.tokens.borrow().iter().filter(|token| token.is_valid_at(now)).cloned().collect()
    }

    /// Returns the keys of tokens, if they ever came.
    pub(super) fn keys(&self) -> Option<JwtKeys> {
        self.keys.borrow().clone()
    }
}
