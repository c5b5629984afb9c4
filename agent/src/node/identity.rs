//! The node's own identity, in memory and sealed on disk.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trust_domains::bundle::{SpiffeBundle, TrustBundle};
use trust_domains::clock::Reading;
use trust_domains::join_link::ServerAddress;
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::problem::{Code, Coded};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::{Base64, SecretBase64};
use trust_domains::wire::node::NodeCredential;
use trust_domains::x509::{VerifyError, verify_svid};
use trust_domains::{SpiffeId, Timestamp, TrustDomain};

use super::key::{KeyError, KeyPair};
use super::sealed::{Record, SealedError, SealedRecords};

/// The version of the stored form.
const FORMAT: u32 = 1;

/// Who this node is: its SVID with the key, and the server that gave it.
pub struct NodeIdentity {
    /// Where the server listens.
    pub server: ServerAddress,
    /// The node's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The certificates in DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf.
    pub key: KeyPair,
    /// When the SVID was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When the SVID ends, by the server's clock.
    pub expires_at: Timestamp,
    /// When it is renewed and when it ends, on the agent's clocks.
    pub times: HeldCredential,
}

/// A node SVID from the server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityRefused {
    /// The bundle holds no root, or is another domain's.
    #[error("the answer has no usable trust bundle of {trust_domain}")]
    Bundle {
        /// The trust domain of this node.
        trust_domain: TrustDomain,
    },
    /// The SVID is of another key than the one made here.
    #[error("the SVID is not of the key that this node made")]
    Key,
    /// The SVID is not the identity that the answer names, or not an agent's.
    #[error("the SVID is that of {presented}, which is not an agent of {trust_domain}")]
    NotAnAgent {
        /// The trust domain of this node.
        trust_domain: TrustDomain,
        /// Whose it is.
        presented: SpiffeId,
    },
    /// The chain does not verify.
    #[error("the SVID does not verify")]
    Verify(#[from] VerifyError),
}

impl Coded for IdentityRefused {
    fn code(&self) -> Code {
        Code::SvidInvalid
    }
}

impl NodeIdentity {
    /// Checks what the server answered and joins it with its key. `asked` is the reading before the request: the end is early rather than late.
    ///
    /// # Errors
    /// [`IdentityRefused`]: nothing is taken that this agent could not use itself.
    pub fn accept(
        credential: NodeCredential,
        key: KeyPair,
        server: ServerAddress,
        trust_domain: &TrustDomain,
        asked: Reading,
        jitter: Jitter,
    ) -> Result<(Self, TrustBundle), IdentityRefused> {
        let bundle = own_bundle(credential.bundle, trust_domain)?;
        let chain: Vec<Vec<u8>> = credential.chain.into_iter().map(|certificate| certificate.0).collect();
        check(&chain, key.public(), &credential.spiffe_id, &bundle, credential.issued_at)?;
        let identity = Self {
            server,
            spiffe_id: credential.spiffe_id,
            chain,
            key,
            issued_at: credential.issued_at,
            expires_at: credential.expires_at,
            times: HeldCredential::issued(
                asked,
                Duration::from_secs(credential.expires_in_s),
                credential.expires_at,
                jitter,
                &RotationPolicy::default(),
            ),
        };
        Ok((identity, bundle))
    }

    /// Returns the trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.spiffe_id.trust_domain()
    }

    /// Returns whether the SVID has ended.
    #[must_use]
    pub fn has_ended(&self, now: Reading) -> bool {
        self.times.has_ended(now)
    }

    /// Returns the leaf in DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Reads the identity that an earlier run sealed.
    ///
    /// # Errors
    /// [`SealedError`] when the record is there and cannot be used.
    pub fn load(records: &SealedRecords, now: Reading, jitter: Jitter) -> Result<Option<(Self, TrustBundle)>, IdentityUnreadable> {
        let Some(plaintext) = records.read(Record::Identity)? else { return Ok(None) };
        let stored: Stored = serde_json::from_slice(&plaintext).map_err(|source| SealedError::Unknown {
            record: Record::Identity,
            source,
        })?;
        if stored.format != FORMAT {
            return Err(IdentityUnreadable::Format { found: stored.format });
        }
        let key = KeyPair::from_pkcs8(&stored.key.0)?;
        let identity = Self {
            server: stored.server,
            spiffe_id: stored.spiffe_id,
            chain: stored.chain.into_iter().map(|certificate| certificate.0).collect(),
            key,
            issued_at: stored.issued_at,
            expires_at: stored.expires_at,
            times: HeldCredential::restored(now, stored.issued_at, stored.expires_at, jitter),
        };
        Ok(Some((identity, stored.bundle.into_bundle())))
    }

    /// Seals the identity with the bundle; durable when this returns, which is before its key is used.
    ///
    /// # Errors
    /// [`SealedError`]; the identity before is then still there.
    pub fn save(&self, records: &SealedRecords, bundle: &TrustBundle) -> Result<(), SealedError> {
        let stored = Stored {
            format: FORMAT,
            server: self.server.clone(),
            spiffe_id: self.spiffe_id.clone(),
            chain: self.chain.iter().map(|certificate| Base64(certificate.clone())).collect(),
            key: SecretBase64(self.key.pkcs8().clone()),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            bundle: bundle.into(),
        };
        let plaintext = platform::sealing::plaintext(&stored).map_err(|source| SealedError::Unknown {
            record: Record::Identity,
            source,
        });
        records.write(Record::Identity, &plaintext?)
    }
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeIdentity")
            .field("spiffe_id", &self.spiffe_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The sealed identity is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityUnreadable {
    /// Another version wrote it.
    #[error("the sealed identity has format {found}; this version knows {FORMAT}")]
    Format {
        /// The format it names.
        found: u32,
    },
    /// Its key.
    #[error("the sealed identity has no usable key")]
    Key(#[from] KeyError),
    /// The record.
    #[error(transparent)]
    Sealed(#[from] SealedError),
}

impl Coded for IdentityUnreadable {
    fn code(&self) -> Code {
        match self {
            Self::Format { .. } => Code::StoreFormatUnknown,
            Self::Key(error) => error.code(),
            Self::Sealed(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Sealed(error) => error.hint(),
            Self::Format { .. } | Self::Key(_) => self.code().facts().hint.to_owned(),
        }
    }
}

/// The stored form. Its key is wiped by whoever makes one.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    server: ServerAddress,
    spiffe_id: SpiffeId,
    chain: Vec<Base64>,
    key: SecretBase64,
    issued_at: Timestamp,
    expires_at: Timestamp,
    bundle: SpiffeBundle,
}

/// Takes a bundle only of the own domain, and only with a root: with an empty one the agent could not find its server again.
fn own_bundle(bundle: SpiffeBundle, trust_domain: &TrustDomain) -> Result<TrustBundle, IdentityRefused> {
    let bundle = bundle.into_bundle();
    if bundle.trust_domain() != trust_domain || bundle.x509_authorities().is_empty() {
        return Err(IdentityRefused::Bundle {
            trust_domain: trust_domain.clone(),
        });
    }
    Ok(bundle)
}

/// Checks by the server's own time of issue: whether the agent's clock is right is no matter of the certificate.
fn check(chain: &[Vec<u8>], key: &PublicKey, named: &SpiffeId, bundle: &TrustBundle, issued_at: Timestamp) -> Result<(), IdentityRefused> {
    let ders: Vec<_> = chain.iter().map(|certificate| certificate.as_slice().into()).collect();
    let peer = verify_svid(&ders, bundle, issued_at)?;
    if *peer.key_hash() != key.hash() {
        return Err(IdentityRefused::Key);
    }
    let is_agent = peer.spiffe_id().path().starts_with("/troth/agent/");
    if peer.spiffe_id() != named || !is_agent {
        return Err(IdentityRefused::NotAnAgent {
            trust_domain: bundle.trust_domain().clone(),
            presented: peer.spiffe_id().clone(),
        });
    }
    Ok(())
}

/// The identity as everybody else here sees it: replaced whole.
pub type CurrentIdentity = Arc<NodeIdentity>;
