//! The server's own SVID on a listener for those outside.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::issuance::ServerCredential;

/// Shows the SVID of the moment: leaf, issuing CA and root (FED-22). Each handshake asks anew, so a renewed one is shown at once.
pub(super) struct OwnSvid(watch::Receiver<Arc<ServerCredential>>);

impl OwnSvid {
    pub(super) const fn new(current: watch::Receiver<Arc<ServerCredential>>) -> Self {
        Self(current)
    }
}

impl ResolvesServerCert for OwnSvid {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().certified_key())
    }
}

impl fmt::Debug for OwnSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnSvid").field(&self.0.borrow()).finish()
    }
}
