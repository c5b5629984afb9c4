//! What the agent shows of itself: its node's own SVID, the present one at each handshake.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use platform::tls::TlsIdentity;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use trust_domains::problem::with_causes;

use crate::node::CurrentIdentity;

/// The node's certificate as TLS wants it, made again after each renewal.
pub(super) struct NodeCertificate {
    identity: watch::Receiver<Option<CurrentIdentity>>,
    made: Mutex<Option<(CurrentIdentity, Arc<CertifiedKey>)>>,
}

impl NodeCertificate {
    pub(super) fn new(identity: watch::Receiver<Option<CurrentIdentity>>) -> Self {
        Self {
            identity,
            made: Mutex::default(),
        }
    }

    /// Returns the present certificate; nothing before the node joined.
    fn present(&self) -> Option<Arc<CertifiedKey>> {
        let identity = self.identity.borrow().clone()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, certified)) = &*made
            && Arc::ptr_eq(of, &identity)
        {
            return Some(Arc::clone(certified));
        }
        match TlsIdentity::new(&identity.chain, identity.key.pkcs8()) {
            Ok(tls) => {
                let certified = tls.certified_key();
                *made = Some((identity, Arc::clone(&certified)));
                Some(certified)
            }
            Err(error) => {
                tracing::error!(error = %with_causes(&error), "the node's SVID cannot be shown to brokers");
                None
            }
        }
    }
}

impl ResolvesServerCert for NodeCertificate {
    /// The name that the client asks for does not matter: a SPIFFE ID is no host name.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.present()
    }
}

impl fmt::Debug for NodeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCertificate").finish_non_exhaustive()
    }
}
