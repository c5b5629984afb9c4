//! Making an authority: a key, a certificate that is recorded before it is signed, and the record to seal.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, Phase};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::encoding::Base64;
use trust_domains::x509::PermittedNames;
use trust_domains::{Timestamp, TrustDomain};

use super::issuer::{Issuer, IssuerError};
use super::key::{AuthorityKey, KeyError};
use super::key_store::KeyStore;
use super::record::{AuthorityRecord, Notes, TokenKeyRecord, ca_format, token_format};
use super::shape;
use super::stored_key::StoredKey;
use crate::issuance::Recorder;
use crate::issuance::error::{PrepareError, SignError};
use crate::issuance::recorded::record_one;
use crate::issuance::stages::{Cause, PreparedCertificate};
use crate::journal::JournalError;

/// An authority that was just made, before it is stored.
#[derive(Debug)]
pub(crate) struct NewAuthority {
    pub(crate) record: AuthorityRecord,
    pub(crate) issuer: Arc<Issuer>,
}

/// A key that signs tokens and was just made, before it is stored.
#[derive(Debug)]
pub(crate) struct NewTokenKey {
    pub(crate) id: AuthorityId,
    pub(crate) record: TokenKeyRecord,
}

/// An authority cannot be made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The encoder refused a name.
    #[error("the certificate cannot be encoded")]
    Encode(#[from] rcgen::Error),
    /// The certificate is not one of the key.
    #[error("the new certificate cannot be used")]
    Issuer(#[from] IssuerError),
    /// The journal did not take the record.
    #[error("the new certificate cannot be recorded")]
    Journal(#[source] JournalError),
    /// No key was made.
    #[error("the key cannot be made")]
    Key(#[from] KeyError),
    /// The certificate was not prepared.
    #[error("the certificate cannot be prepared")]
    Prepare(#[from] PrepareError),
    /// The key did not sign.
    #[error("the certificate cannot be signed")]
    Sign(#[from] SignError),
}

impl Coded for CreateError {
    fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::Prepare(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Sign(error) => error.code(),
            Self::Encode(_) | Self::Issuer(_) => Code::Internal,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Key(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Who makes an authority, when, and until when it shall last.
pub(crate) struct Making<'a> {
    pub(crate) trust_domain: &'a TrustDomain,
    pub(crate) keys: &'a KeyStore,
    pub(crate) recorder: &'a dyn Recorder,
    pub(crate) now: Timestamp,
    pub(crate) skew: Duration,
    pub(crate) not_after: Timestamp,
    /// What an issuing CA is constrained to.
    pub(crate) permitted: &'a PermittedNames,
    pub(crate) actor: &'a str,
}

impl Making<'_> {
    /// Makes a root: it certifies itself.
    pub(crate) async fn root(&self, phase: Phase) -> Result<NewAuthority, CreateError> {
        let (key, stored) = self.keys.make(self.trust_domain, AuthorityKind::X509Root).await?;
        let params = shape::root(self.trust_domain, key.public().key_id(), self.not_before(), self.not_after)?;
        let signer = Arc::new(Issuer::self_signing(&params, key.clone())?);
        let certificate = self.certify(&signer, params, &key).await?;
        self.finish(AuthorityKind::X509Root, phase, None, certificate, key, stored)
    }

    /// Makes an issuing CA under a root. It ends with the root at the latest, and starts no sooner.
    pub(crate) async fn issuing(&self, root: &Arc<Issuer>, phase: Phase) -> Result<NewAuthority, CreateError> {
        let (key, stored) = self.keys.make(self.trust_domain, AuthorityKind::X509Issuing).await?;
        let not_before = self.not_before().max(root.not_before());
        let not_after = self.not_after.min(root.not_after());
        let params = shape::issuing(self.trust_domain, key.public().key_id(), self.permitted, not_before, not_after)?;
        let certificate = self.certify(root, params, &key).await?;
        self.finish(AuthorityKind::X509Issuing, phase, Some(root.id().clone()), certificate, key, stored)
    }

    /// Makes a key that signs tokens; one that is active is published from the start.
    pub(crate) async fn token_key(&self, kind: AuthorityKind, algorithm: TokenAlgorithm, phase: Phase) -> Result<NewTokenKey, CreateError> {
        let (key, stored) = self.keys.make_token_key(self.trust_domain, kind, algorithm).await?;
        let record = TokenKeyRecord {
            format: token_format(algorithm, &stored),
            kind,
            phase,
            created_at: self.now,
            not_before: self.not_before(),
            not_after: self.not_after,
            algorithm,
            published_at: (phase == Phase::Active).then_some(self.now),
            refreshes_s: 0,
            notes: Notes::default(),
            private_key: stored,
        };
        Ok(NewTokenKey {
            id: key.key_id()?.authority_id(),
            record,
        })
    }

    fn not_before(&self) -> Timestamp {
        self.now - self.skew.min(self.now.duration_until(self.not_after))
    }

    /// Prepare, record, sign: an authority's certificate goes the way of every other.
    async fn certify(&self, signer: &Arc<Issuer>, params: rcgen::CertificateParams, key: &AuthorityKey) -> Result<Arc<[u8]>, CreateError> {
        let serial = shape::fresh_serial(signer.key_id()).ok_or(PrepareError::Random)?;
        let cause = Cause {
            entry: None,
            node: None,
            actor: self.actor.to_owned(),
            trace_id: String::new(),
        };
        let prepared = PreparedCertificate::new(Arc::clone(signer), serial, &self.trust_domain.id(), params, key.public(), cause)?;
        let recorded = record_one(self.recorder, prepared).await.map_err(CreateError::Journal)?;
        Ok(recorded.sign().await?.der.into())
    }

    fn finish(
        &self,
        kind: AuthorityKind,
        phase: Phase,
        root: Option<AuthorityId>,
        certificate: Arc<[u8]>,
        key: AuthorityKey,
        stored: StoredKey,
    ) -> Result<NewAuthority, CreateError> {
        let record = AuthorityRecord {
            format: ca_format(&stored),
            kind,
            phase,
            created_at: self.now,
            root,
            published_at: None,
            refreshes_s: 0,
            notes: Notes::default(),
            certificate: Base64(certificate.to_vec()),
            private_key: stored,
        };
        Ok(NewAuthority {
            record,
            issuer: Arc::new(Issuer::new(certificate, key)?),
        })
    }
}
