//! What the agent shows of itself: its node's own SVID, the present one at each handshake.
//!
//! The node's key signs one other thing: proofs of possession towards the server. A client of TLS 1.2 chooses 32 of the octets that the agent signs in the handshake; no
//! choice makes a proof of them, as a proof has another length (a test below compares them). In TLS 1.3 what is signed begins with 64 spaces.

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

#[cfg(test)]
mod tests {
    use platform::tls::provider;
    use rustls::NamedGroup;
    use trust_domains::wire::node::{EXPORTER_LEN, possession_message};

    /// What is signed in TLS 1.2 beside the public key of the exchange: both random values, and type, name and length of the curve (RFC 8422 section 5.4).
    const BESIDE_KEY: usize = 32 + 32 + 1 + 2 + 1;

    #[test]
    fn no_handshake_signs_a_proof_of_possession() {
        let proof = possession_message(&[0; EXPORTER_LEN], b"key", b"evidence").len();
        for group in &provider().kx_groups {
            let key = match group.name() {
                NamedGroup::X25519 => 32,
                NamedGroup::secp256r1 => 65,
                NamedGroup::secp384r1 => 97,
                // Of TLS 1.3 only.
                NamedGroup::X25519MLKEM768 | NamedGroup::secp256r1MLKEM768 | NamedGroup::MLKEM768 => continue,
                other => panic!("a group that was not thought of: {other:?}"),
            };
            assert_ne!(BESIDE_KEY + key, proof);
        }
    }
}
