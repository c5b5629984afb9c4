//! The agent's one connection to its server, opened with the node's current SVID.

use std::sync::Arc;

use arc_swap::ArcSwap;
use platform::client::JsonLines;
use platform::tls::{ConnectError, Connection, ServerTrust, ServerVerifier, TlsIdentity, client_config, connect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::SharedClock;
use trust_domains::crl::CrlSet;
use trust_domains::problem::Code;

use super::call::{CALL_DEADLINE, CONNECT_DEADLINE, CallError};
use super::identity::{CurrentIdentity, NodeIdentity};
use super::refusal::{Refusal, Verdict};

/// Calls the server as this node. A clone is the same client.
///
/// Every call is made on one HTTP/2 connection; when the node's SVID was renewed, the next call opens another with the new one. A refusal of the
/// identity itself is reported, once for all who call, unless the identity was replaced meanwhile: then the refusal was of one that no longer counts.
#[derive(Clone)]
pub struct ServerClient(Arc<Inner>);

struct Inner {
    identity: watch::Receiver<CurrentIdentity>,
    verifier: Arc<ServerVerifier>,
    open: Mutex<Option<(CurrentIdentity, Connection)>>,
    refusals: watch::Sender<Option<Refusal>>,
    /// The identity that the server accepts for a renewal only.
    to_renew: watch::Sender<Option<CurrentIdentity>>,
    /// Whether the server proved itself, at the last attempt, by roots only that this node does not know.
    unknown_roots: watch::Sender<bool>,
}

impl ServerClient {
    /// Returns a client that follows the node's identity and the trust bundle, and refuses a server that is on one of the revocation lists.
    #[must_use]
    pub fn new(identity: watch::Receiver<CurrentIdentity>, bundle: Arc<ArcSwap<TrustBundle>>, lists: watch::Receiver<Arc<CrlSet>>, clock: SharedClock) -> Self {
        let verifier = Arc::new(ServerVerifier::new(ServerTrust::Bundle(bundle), clock).with_lists(lists));
        Self(Arc::new(Inner {
            identity,
            verifier,
            open: Mutex::new(None),
            refusals: watch::Sender::new(None),
            to_renew: watch::Sender::new(None),
            unknown_roots: watch::Sender::new(false),
        }))
    }

    /// Returns the refusals of this node's identity.
    #[must_use]
    pub fn refusals(&self) -> watch::Receiver<Option<Refusal>> {
        self.0.refusals.subscribe()
    }

    /// Returns the identity that the server said it accepts for a renewal only.
    pub(crate) fn to_renew(&self) -> watch::Receiver<Option<CurrentIdentity>> {
        self.0.to_renew.subscribe()
    }

    /// Returns whether the server proved itself, at the last attempt, by roots only that this node does not know.
    pub(crate) fn unknown_roots(&self) -> watch::Receiver<bool> {
        self.0.unknown_roots.subscribe()
    }

    /// Returns the node's identity as it changes.
    #[must_use]
    pub fn identity(&self) -> watch::Receiver<CurrentIdentity> {
        self.0.identity.clone()
    }

    /// Reports what the server said in a stream, as if it had refused a call.
    pub(crate) fn refused(&self, identity: &CurrentIdentity, error: CallError) -> CallError {
        self.judge(identity, error, Verdict::of)
    }

    /// Reports what the server said to a late renewal.
    pub(crate) fn refused_late(&self, identity: &CurrentIdentity, error: CallError) -> CallError {
        self.judge(identity, error, Verdict::of_late_renewal)
    }

    /// Posts a body and reads the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        let (identity, connection) = self.connection().await?;
        connection
            .post(path, body, CALL_DEADLINE)
            .await
            .map_err(|error| self.refused(&identity, error.into()))
    }

    /// Opens a stream of JSON lines, and says for which identity.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn lines(&self, path: &str) -> Result<(CurrentIdentity, JsonLines), CallError> {
        let (identity, connection) = self.connection().await?;
        match connection.lines(path, CALL_DEADLINE).await {
            Ok(lines) => Ok((identity, lines)),
            Err(error) => Err(self.refused(&identity, error.into())),
        }
    }

    /// Returns the open connection of the current identity, or opens it; those who come meanwhile wait for the same.
    pub(crate) async fn connection(&self) -> Result<(CurrentIdentity, Connection), CallError> {
        let mut open = self.0.open.lock().await;
        let identity = self.0.identity.borrow().clone();
        if let Some((of, connection)) = &*open
            && Arc::ptr_eq(of, &identity)
            && !connection.is_closed()
        {
            return Ok((identity, connection.clone()));
        }
        *open = None;
        let connection = self.dial(&identity, Some(&tls_identity(&identity)?)).await?;
        *open = Some((identity.clone(), connection.clone()));
        Ok((identity, connection))
    }

    /// Lets go of the open connection: the next call opens another.
    pub(crate) async fn hang_up(&self) {
        *self.0.open.lock().await = None;
    }

    /// Opens a connection of its own without a certificate: all that a node can do whose SVID has ended.
    pub(crate) async fn connect_without_certificate(&self, identity: &NodeIdentity) -> Result<Connection, CallError> {
        self.dial(identity, None).await
    }

    async fn dial(&self, identity: &NodeIdentity, certificate: Option<&TlsIdentity>) -> Result<Connection, CallError> {
        let config = client_config(certificate, self.0.verifier.clone())?;
        let connected = connect(&identity.server, config, CONNECT_DEADLINE).await;
        let unknown = matches!(&connected, Err(ConnectError::NotTrusted { source, .. }) if source.is_of_unknown_authority());
        self.0.unknown_roots.send_if_modified(|known| std::mem::replace(known, unknown) != unknown);
        Ok(connected?)
    }

    /// Reports a refusal of the identity itself.
    fn judge(&self, identity: &CurrentIdentity, error: CallError, verdict: fn(Code) -> Verdict) -> CallError {
        let Some(problem) = error.problem() else { return error };
        let verdict = verdict(problem.code());
        if verdict == Verdict::Passing {
            return error;
        }
        if !Arc::ptr_eq(identity, &self.0.identity.borrow()) {
            return CallError::Superseded;
        }
        if verdict == Verdict::Renew {
            self.0.to_renew.send_replace(Some(identity.clone()));
            return error;
        }
        self.0.refusals.send_replace(Some(Refusal {
            verdict,
            problem: problem.clone(),
        }));
        error
    }
}

fn tls_identity(identity: &NodeIdentity) -> Result<TlsIdentity, CallError> {
    Ok(TlsIdentity::new(&identity.chain, identity.key.pkcs8())?)
}
