//! What the node listener shows and believes: the newest server SVID, the newest bundle.

use std::sync::Arc;

use arc_swap::ArcSwap;
use platform::tls::{NodeClientVerifier, TlsConfigError, TlsIdentity, server_config};
use rustls::ServerConfig;
use tokio::sync::watch;
use trust_domains::TrustBundle;
use trust_domains::clock::SharedClock;

use crate::issuance::ServerCredential;

/// The TLS configuration of the node listener, kept up to date.
pub(super) struct NodeTls {
    bundle: watch::Receiver<Arc<TrustBundle>>,
    believed: Arc<ArcSwap<TrustBundle>>,
    credential: watch::Receiver<Arc<ServerCredential>>,
    pub(super) verifier: Arc<NodeClientVerifier>,
    config: watch::Sender<Arc<ServerConfig>>,
}

impl NodeTls {
    pub(super) fn new(
        bundle: watch::Receiver<Arc<TrustBundle>>,
        mut credential: watch::Receiver<Arc<ServerCredential>>,
        clock: SharedClock,
    ) -> Result<Arc<Self>, TlsConfigError> {
        let believed = Arc::new(ArcSwap::new(Arc::clone(&bundle.borrow())));
        let verifier = Arc::new(NodeClientVerifier::new(Arc::clone(&believed), clock));
        let config = config_of(&credential.borrow_and_update(), &verifier)?;
        Ok(Arc::new(Self {
            bundle,
            believed,
            credential,
            verifier,
            config: watch::Sender::new(config),
        }))
    }

    /// Returns the configuration for connections from now on.
    pub(super) fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.subscribe()
    }

    /// Returns the server's own SVID, whole, and each later one.
    pub(super) fn credential(&self) -> watch::Receiver<Arc<ServerCredential>> {
        self.credential.clone()
    }

    /// Follows bundle and credential until their owners end.
    pub(super) async fn follow(self: Arc<Self>) {
        let (mut bundle, mut credential) = (self.bundle.clone(), self.credential.clone());
        loop {
            tokio::select! {
                changed = bundle.changed() => match changed {
                    Ok(()) => self.believed.store(Arc::clone(&bundle.borrow_and_update())),
                    Err(_) => return,
                },
                changed = credential.changed() => match changed {
                    Ok(()) => self.show(&Arc::clone(&credential.borrow_and_update())),
                    Err(_) => return,
                },
            }
        }
    }

    fn show(&self, credential: &ServerCredential) {
        match config_of(credential, &self.verifier) {
            Ok(config) => {
                self.config.send_replace(config);
            }
            Err(error) => tracing::error!(%error, "the renewed server SVID cannot be shown; the one before stays"),
        }
    }
}

fn config_of(credential: &ServerCredential, verifier: &Arc<NodeClientVerifier>) -> Result<Arc<ServerConfig>, TlsConfigError> {
    server_config(&TlsIdentity::from(credential.certified_key()), Arc::clone(verifier))
}
