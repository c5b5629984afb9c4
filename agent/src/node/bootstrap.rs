//! Joining: from a link, or a certificate, to an identity (design section 4, "Bootstrap").
//!
//! 1. The key is made here, or taken up again when an earlier attempt with the same link got lost: the token is bound to the first key that used it.
//! 2. The key is sealed on disk before it is shown to anybody.
//! 3. The connection proves the server: a certificate of its chain has a pinned hash, the path validates to it, and the leaf is exactly
//!    `spiffe://TD/troth/server`. Only then is anything sent.
//! 4. The key signs the exporter of this connection, so that nobody in between can pass the proof on.
//! 5. What comes back is checked like any peer's, sealed, and only then used.

use std::sync::Arc;

use platform::tls::{ClientKeyError, Connection, ServerTrust, ServerVerifier, client_config, connect};
use serde::{Deserialize, Serialize};
use trust_domains::bundle::TrustBundle;
use trust_domains::clock::{Clock, SharedClock};
use trust_domains::join_link::ServerAddress;
use trust_domains::plan::rotation::Jitter;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::encoding::{Base64, SecretBase64};
use trust_domains::wire::node::{AttestRequest, NodeCredential, possession_message};

use super::admission::{Admission, AdmissionError, Credentials};
use super::call::{CALL_DEADLINE, CONNECT_DEADLINE, CallError};
use super::identity::{IdentityRefused, NodeIdentity};
use super::key::{KeyError, KeyPair};
use super::sealed::{Record, SealedError, SealedRecords};

/// A node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The call failed, or the server refused.
    #[error("the node could not join at {server}")]
    Call {
        /// The address in the link.
        server: String,
        /// Why.
        #[source]
        source: Box<CallError>,
    },
    /// What is in the files by which the node joins.
    #[error("this node cannot prove itself")]
    Admission(#[from] AdmissionError),
    /// The key of the node's certificate.
    #[error("the key of the node's certificate did not prove anything")]
    CertificateKey(#[from] ClientKeyError),
    /// The server's answer cannot be used.
    #[error("the server's answer is not a usable identity")]
    Identity(#[from] IdentityRefused),
    /// The key.
    #[error("the node's key could not be made or used")]
    Key(#[from] KeyError),
    /// The disk.
    #[error("the node's identity could not be sealed on disk")]
    Sealed(#[from] SealedError),
}

impl JoinError {
    /// Returns whether the same link may work later without anybody's help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            // Whoever keeps the files may be writing them.
            Self::Admission(_) => true,
            Self::Call { source, .. } => source.is_passing(),
            Self::CertificateKey(_) | Self::Identity(_) | Self::Key(_) | Self::Sealed(_) => false,
        }
    }
}

impl Coded for JoinError {
    fn code(&self) -> Code {
        match self {
            Self::Admission(error) => error.code(),
            Self::CertificateKey(_) => Code::FileUnavailable,
            Self::Call { source, .. } => source.code(),
            Self::Identity(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Sealed(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Admission(_) | Self::CertificateKey(_) => "look at the files of --attest-cert, --attest-key and --trust-bundle".to_owned(),
            Self::Call { source, .. } => source.hint(),
            Self::Sealed(error) => error.hint(),
            Self::Identity(_) | Self::Key(_) => self.code().facts().hint.to_owned(),
        }
    }
}

/// Joins by the link or the certificate. The identity is sealed on disk when this returns.
///
/// # Errors
/// [`JoinError`]. After one that passes, the same call takes up where this one ended.
pub async fn join(admission: &Admission, records: &SealedRecords, clock: &SharedClock, jitter: Jitter) -> Result<(NodeIdentity, TrustBundle), JoinError> {
    let credentials = admission.credentials()?;
    let key = begin(&credentials.tag(), records)?;
    let asked = clock.now();
    let credential = attest(admission, &credentials, &key, clock).await?;
    let (identity, bundle) = NodeIdentity::accept(credential, key, admission.server().clone(), admission.trust_domain(), asked, jitter)?;
    identity.save(records, &bundle)?;
    records.remove(Record::Joining)?;
    Ok((identity, bundle))
}

/// What an unfinished join leaves on disk.
#[derive(Serialize, Deserialize)]
struct Begun {
    /// SHA-256 of the token that the key may have been bound to, or of the certificate.
    token_sha256: Base64,
    key: SecretBase64,
}

/// Takes up the key of an earlier attempt with the same link or certificate, or makes one; it is on disk when this returns.
fn begin(tag: &[u8], records: &SealedRecords) -> Result<KeyPair, JoinError> {
    if let Some(plaintext) = records.read(Record::Joining)? {
        let begun: Begun = serde_json::from_slice(&plaintext).map_err(|source| SealedError::Unknown {
            record: Record::Joining,
            source,
        })?;
        if begun.token_sha256.0 == tag {
            return Ok(KeyPair::from_pkcs8(&begun.key.0)?);
        }
    }
    let key = KeyPair::generate()?;
    let begun = Begun {
        token_sha256: Base64(tag.to_vec()),
        key: SecretBase64(key.pkcs8().clone()),
    };
    let plaintext = platform::sealing::plaintext(&begun);
    records.write(
        Record::Joining,
        &plaintext.map_err(|source| SealedError::Unknown {
            record: Record::Joining,
            source,
        })?,
    )?;
    Ok(key)
}

async fn attest(admission: &Admission, credentials: &Credentials, key: &KeyPair, clock: &SharedClock) -> Result<NodeCredential, JoinError> {
    let connection = open_by_pins(admission, admission.server(), clock).await?;
    let message = possession_message(connection.exporter(), key.public().spki(), credentials.evidence());
    let request = AttestRequest {
        evidence: credentials.prove(&message)?,
        public_key: Base64(key.public().spki().to_vec()),
        proof: Base64(key.sign(&message)?),
    };
    connection
        .post("/v1/node/attest", &request, CALL_DEADLINE)
        .await
        .map_err(|error| failed(admission.server(), error.into()))
}

/// Opens a connection to a server that proves itself by the pins of a link, or of a certificate's roots. Nothing is sent on it yet, and no certificate is shown.
///
/// # Errors
/// [`JoinError`].
pub(super) async fn open_by_pins(admission: &Admission, address: &ServerAddress, clock: &SharedClock) -> Result<Connection, JoinError> {
    let trust = ServerTrust::Roots {
        trust_domain: admission.trust_domain().clone(),
        roots: admission.roots()?,
    };
    let config = client_config(None, Arc::new(ServerVerifier::new(trust, clock.clone()))).map_err(|error| failed(address, error.into()))?;
    connect(address, config, CONNECT_DEADLINE).await.map_err(|error| failed(address, error.into()))
}

fn failed(server: &ServerAddress, source: CallError) -> JoinError {
    JoinError::Call {
        server: server.to_string(),
        source: source.into(),
    }
}
