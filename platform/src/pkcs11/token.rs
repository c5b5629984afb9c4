//! A token with the sessions that use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::error::Error;

use super::error::{Pkcs11Error, is_lost};
use super::module::Module;
use super::pin::PinHash;
use super::session::Open;
use super::uri::Pkcs11Uri;

/// The most sessions that wait for work; more are opened when more work at once, and closed after. Small tokens have eight or so for everybody.
const MOST_IDLE: usize = 4;

/// A token, found by its URI. One that goes away is looked for again with the next call.
pub struct Token {
    uri: Pkcs11Uri,
    module: Arc<Module>,
    idle: Mutex<Vec<Open>>,
    /// The PIN that was refused last. Held while one logs in, so that two never try a wrong one at once.
    refused: Mutex<Option<PinHash>>,
}

/// Why one call was not performed.
pub(super) enum CallError {
    /// The token said so.
    Said(&'static str, Error),
    /// It would not help to ask again.
    Final(Pkcs11Error),
}

impl CallError {
    /// Whether another session, found from the start, may do better: the token went away, or its module ended when it could not be started anew.
    fn is_passing(&self) -> bool {
        match self {
            Self::Said(_, error) | Self::Final(Pkcs11Error::Failed { source: error, .. } | Pkcs11Error::Module { source: error, .. }) => is_lost(error),
            Self::Final(error) => matches!(error, Pkcs11Error::Absent { .. } | Pkcs11Error::NoKey { .. }),
        }
    }
}

impl Token {
    /// Finds a token and logs in.
    ///
    /// # Errors
    /// [`Pkcs11Error`] when the module cannot be loaded, the token is not there, or does not take the PIN, which is tried once.
    pub fn open(uri: &Pkcs11Uri) -> Result<Arc<Self>, Pkcs11Error> {
        let token = Arc::new(Self::meant(uri)?);
        token.call(|_| Ok(()))?;
        Ok(token)
    }

    /// Returns a token that was not looked for yet.
    pub(super) fn meant(uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        Ok(Self {
            uri: uri.clone(),
            module: Module::load(uri.module_path())?,
            idle: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Returns how people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.uri.token_name()
    }

    /// Returns the URI that it was found by.
    #[must_use]
    pub fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// Performs a call with a session. If that session turns out to be of no use it is performed once more, with a new one; if the token is not found,
    /// the module is started anew first.
    pub(super) fn call<T>(&self, perform: impl Fn(&mut Open) -> Result<T, CallError>) -> Result<T, Pkcs11Error> {
        let start = self.module.running().start;
        match self.attempt(&perform) {
            Ok(done) => return Ok(done),
            Err(error) if error.is_passing() => self.close_sessions(),
            Err(error) => return Err(self.named(error)),
        }
        match self.attempt(&perform) {
            Ok(done) => return Ok(done),
            Err(error) if error.is_passing() => self.close_sessions(),
            Err(error) => return Err(self.named(error)),
        }
        // Sessions are closed before the module they are of ends.
        self.close_sessions();
        self.module.restart(start)?;
        self.attempt(&perform).map_err(|error| self.named(error))
    }

    fn attempt<T>(&self, perform: &impl Fn(&mut Open) -> Result<T, CallError>) -> Result<T, CallError> {
        let running = self.module.running();
        let mut open = match self.idle_session(running.start) {
            Some(open) => open,
            None => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                Open::begin(&self.uri, &self.module, &running, &mut refused).map_err(CallError::Final)?
            }
        };
        let done = perform(&mut open);
        // A session whose call failed may be in the middle of something.
        if done.is_ok() {
            let mut sessions = self.sessions();
            if sessions.len() < MOST_IDLE {
                sessions.push(open);
            }
        }
        done
    }

    /// Closes the sessions that nobody uses, which is a call of the module like any other.
    fn close_sessions(&self) {
        let _in_the_module = self.module.running();
        self.sessions().clear();
    }

    fn idle_session(&self, start: u64) -> Option<Open> {
        let mut sessions = self.sessions();
        sessions.retain(|open| open.start == start);
        sessions.pop()
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Open>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self, error: CallError) -> Pkcs11Error {
        match error {
            CallError::Final(error) => error,
            CallError::Said(action, source) => Pkcs11Error::Failed {
                token: self.name().to_owned(),
                action,
                source,
            },
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.close_sessions();
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("name", &self.name()).finish_non_exhaustive()
    }
}
