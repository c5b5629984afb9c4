//! A broker at the other end of a connection.

use std::fmt::{self, Display};
use std::sync::Arc;

use platform::tls::PeerVerifier;
use rustls_pki_types::CertificateDer;
use tonic::Status;
use trust_domains::problem::with_causes;
use trust_domains::x509::VerifyError;
use trust_domains::{SpiffeId, Timestamp};

use super::allow_list::{AllowList, ReferenceType};
use super::source::Source;
use crate::endpoints::connection::Peer;

/// Who proved itself in the handshake, and what it may do. Whether it is a broker at all is asked at each call.
pub(in crate::endpoints) struct Broker {
    spiffe_id: SpiffeId,
    not_after: Timestamp,
    chain: Vec<CertificateDer<'static>>,
    source: Source,
    verifier: PeerVerifier,
    allowed: Arc<AllowList>,
}

impl Broker {
    /// Takes the peer of a handshake: its chain is verified here, as the handshake leaves no proof behind that this code made.
    pub(super) fn verify(chain: Vec<CertificateDer<'static>>, source: Source, verifier: PeerVerifier, allowed: Arc<AllowList>) -> Result<Self, VerifyError> {
        let peer = verifier.verify(&chain)?;
        Ok(Self {
            spiffe_id: peer.spiffe_id().clone(),
            not_after: peer.not_after(),
            chain,
            source,
            verifier,
            allowed,
        })
    }

    pub(super) fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the last second of its certificate.
    pub(super) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Refuses one whose certificate has ended, or that no bundle vouches for any more.
    pub(super) fn check_trust(&self) -> Result<(), Status> {
        let verified = self.verifier.verify(&self.chain).map(drop);
        verified.map_err(|error| Status::unauthenticated(with_causes(&error)))
    }

    /// Returns whether it is on the allow-list.
    pub(super) fn is_listed(&self) -> bool {
        self.allowed.lists(&self.spiffe_id)
    }

    /// Refuses a reference of a type that it may not use, or not from where it is.
    pub(super) fn check_reference(&self, reference_type: ReferenceType) -> Result<(), Status> {
        if !self.allowed.permits(&self.spiffe_id, reference_type) {
            return Err(Status::permission_denied(format!(
                "{} may not use {reference_type} references here",
                self.spiffe_id
            )));
        }
        if !self.source.is_in_scope(reference_type) {
            return Err(Status::permission_denied(format!(
                "{reference_type} references mean something on this machine only, and the connection comes from another: use the Unix socket of the machine that the workload runs on"
            )));
        }
        Ok(())
    }
}

impl Peer for Broker {
    type Holder = SpiffeId;

    fn holder(&self) -> SpiffeId {
        self.spiffe_id.clone()
    }

    fn check_call(&self) -> Result<(), Status> {
        if self.is_listed() {
            Ok(())
        } else {
            Err(Status::permission_denied(format!("{} is no broker of this agent", self.spiffe_id)))
        }
    }

    fn too_many_calls(&self) -> Status {
        Status::resource_exhausted(format!(
            "{} has as many calls open as it may; close some, or raise --max-streams-per-uid",
            self.spiffe_id
        ))
    }
}

impl Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.spiffe_id, self.source)
    }
}
