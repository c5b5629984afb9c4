//! A node proves the key of a certificate of an authority that the operator named (`x509pop`), as often as it likes: nobody makes a link for it.
//!
//! - The certificate names the node, by the template; the same certificate is the same node, so a machine that was imaged anew is the old one again.
//! - With another key than the one on record it takes the node over, which is recorded, and only while the node is away. While it is connected, somebody
//!   else with its certificate is refused: neither a thief nor a second machine with a copied image can put it out, and two do not take turns.
//! - The keys before a takeover are refused from then on, and are no sign of a copy: the machine that has them may be the honest one before.

use std::path::{Path, PathBuf};

use platform::files::{self, FileError};
use rustls::pki_types::CertificateDer;
use trust_domains::SpiffeId;
use trust_domains::node::{NodeAttestor, NodeName, NodeNameTemplate, NodeRecord};
use trust_domains::problem::Coded as _;
use trust_domains::public_key::PublicKey;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{AttestRequest, EXPORTER_LEN, NodeCredential, possession_message};
use trust_domains::x509::{NodeCertificate, PopAlgorithm, PopAuthorities};

use super::attest::{ATTEMPTS, Attestation, svid_of};
use super::error::AttestError;
use super::identity::NodeRefused;
use crate::decisions::Cause;
use crate::issuance::PreparedSvid;
use crate::registry::{HeldNode, records};
use crate::store::{Commit, CommitError, Key};

/// The largest file of authorities or lists that is read: a CRL of 100,000 certificates has about 4 MB.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// Which certificates admit nodes, and how those are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509PopPolicy {
    /// The authorities, in PEM.
    pub authorities: PathBuf,
    /// What they revoked, in PEM.
    pub crls: Option<PathBuf>,
    /// The names of nodes.
    pub names: NodeNameTemplate,
}

impl X509PopPolicy {
    /// Reads the files, as they are now: they are read at each attestation, so that a change counts from then on. Blocks on the disk.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub fn read(&self) -> Result<PopAuthorities, AttestError> {
        let read = |path: &Path| files::read_limited(path, MAX_FILE).map_err(|source: FileError| AttestError::AuthoritiesFile { source });
        let crls = self.crls.as_deref().map(read).transpose()?;
        Ok(PopAuthorities::from_pem(&read(&self.authorities)?, crls.as_deref())?)
    }
}

/// What a node presents.
pub(super) struct Presented<'a> {
    pub(super) chain: &'a [Base64],
    pub(super) algorithm: PopAlgorithm,
    pub(super) signature: &'a [u8],
}

/// What became of a node that proved a certificate.
enum Standing {
    /// It is new here.
    New,
    /// It is the one on record, with the same key: an answer was lost.
    Same(HeldNode),
    /// Its certificate is that of a node on record, which is away and had another key.
    Takeover(HeldNode),
}

impl Attestation {
    /// Admits a node that proves the key of a certificate, and its own.
    pub(super) async fn attest_by_certificate(
        &self,
        presented: &Presented<'_>,
        exporter: &[u8; EXPORTER_LEN],
        request: &AttestRequest,
        trace_id: &str,
    ) -> Result<NodeCredential, AttestError> {
        let certificate = self.certificate(presented).await.inspect_err(refused)?;
        let public_key = PublicKey::from_spki(&request.public_key.0)?;
        let leaf = presented.chain.first().map(|leaf| leaf.0.as_slice()).unwrap_or_default();
        // One message for both keys: it binds the node's key, the certificate and this connection.
        let message = possession_message(exporter, public_key.spki(), leaf);
        public_key.verify(&message, &request.proof.0)?;
        certificate
            .verify_signature(presented.algorithm, &message, presented.signature)
            .map_err(AttestError::from)
            .inspect_err(refused)?;
        let cause = Cause {
            actor: format!("x509pop:{}", certificate.fingerprint()),
            trace_id: trace_id.to_owned(),
        };
        let outcome = self.admit_repeatedly(&certificate, &public_key, &cause).await;
        if let Err(error) = &outcome {
            self.note_refused_certificate(error, &cause).await;
        }
        outcome
    }

    /// Verifies the certificates by the authorities as their file is now.
    async fn certificate(&self, presented: &Presented<'_>) -> Result<NodeCertificate, AttestError> {
        let policy = self.x509pop.clone().ok_or(AttestError::CertificatesOff)?;
        let now = self.clock.now().wall;
        let chain: Vec<_> = presented.chain.iter().map(|certificate| CertificateDer::from(certificate.0.clone())).collect();
        let verifying = tokio::task::spawn_blocking(move || Ok(policy.read()?.verify(&chain, now)?));
        verifying.await.map_err(|_| AttestError::CertificatesOff)?
    }

    async fn admit_repeatedly(&self, certificate: &NodeCertificate, public_key: &PublicKey, cause: &Cause) -> Result<NodeCredential, AttestError> {
        for _ in 1..ATTEMPTS {
            match self.admit_certificate(certificate, public_key, cause).await {
                Err(AttestError::Commit(CommitError::Conflict { .. })) => self.registry.settled(self.store.revision()).await,
                outcome => return outcome,
            }
        }
        self.admit_certificate(certificate, public_key, cause).await
    }

    /// Judges by what is on record now; prepares; records the decision; commits the node; records, signs and answers.
    async fn admit_certificate(&self, certificate: &NodeCertificate, public_key: &PublicKey, cause: &Cause) -> Result<NodeCredential, AttestError> {
        let names = self.x509pop.as_ref().map(|policy| &policy.names).ok_or(AttestError::CertificatesOff)?;
        let name = names.name(certificate)?;
        let node = SpiffeId::agent(&self.trust_domain, NodeAttestor::X509Pop, &name);
        let standing = self.standing(&name, &node, public_key)?;
        let prepared = self.issuance.prepare_node_svid(&node, public_key, &cause.actor, &cause.trace_id)?;
        let mut decision = cause.decision("node_attested", &node);
        if let Standing::Takeover(_) = &standing {
            tracing::warn!(%node, "a machine with the certificate of a node that is away took its place");
            decision.action = "node_taken_over".to_owned();
            decision.reason = Some("the same certificate, another key, while the node was away".to_owned());
        }
        let commit = self.certified_commit(certificate, public_key, &node, standing, &prepared)?;
        self.decisions.record(vec![decision]).await?;
        self.committed(commit).await?;
        Ok(self.credential(self.issuance.issue_prepared(prepared).await?))
    }

    fn standing(&self, name: &NodeName, node: &SpiffeId, public_key: &PublicKey) -> Result<Standing, AttestError> {
        let Some(held) = self.registry.view(|state| state.nodes.named(name).cloned()) else {
            return Ok(Standing::New);
        };
        if held.record.is_banned() {
            return Err(NodeRefused::Banned { node: node.clone() }.into());
        }
        if held.record.spiffe_id() != node {
            // A certificate is no proof of what a join token made.
            return Err(AttestError::NameTaken {
                name: name.clone(),
                by: held.record.attestation(),
            });
        }
        if held.record.current().key == public_key.hash() {
            return Ok(Standing::Same(held));
        }
        match self.registry.presence().is_connected(node) {
            true => Err(AttestError::NodeConnected { node: node.clone() }),
            false => Ok(Standing::Takeover(held)),
        }
    }

    /// The node's facts are those of the certificate that it proved last.
    fn certified_commit(
        &self,
        certificate: &NodeCertificate,
        public_key: &PublicKey,
        node: &SpiffeId,
        standing: Standing,
        prepared: &PreparedSvid,
    ) -> Result<Commit, AttestError> {
        let svid = svid_of(public_key, prepared);
        let begun = NodeRecord::new(node.clone(), certificate.selectors(), self.clock.now().wall, svid)?;
        match standing {
            Standing::New => {
                let key = Key::node(begun.name());
                let stored = records::encode(&key, &begun)?;
                Ok(Commit::new("node_attested").absent(key.clone()).put(key, stored))
            }
            Standing::Same(held) => self.replacing("node_attested_again", &held, &held.record.reissued(svid)),
            Standing::Takeover(held) => self.replacing("node_taken_over", &held, &begun),
        }
    }

    /// A certificate of ours that was refused is worth a record: somebody has the key of a banned node, or of one that is there.
    async fn note_refused_certificate(&self, error: &AttestError, cause: &Cause) {
        tracing::info!(actor = %cause.actor, code = %error.code(), %error, "a node was refused");
        let (AttestError::Node(NodeRefused::Banned { node }) | AttestError::NodeConnected { node }) = error else {
            return;
        };
        // A second machine asks every few seconds: once a minute is enough to know.
        if self.certificate_refusals.is_due(node, self.clock.now().since_boot) {
            let mut refusal = cause.decision("attest_refused", node);
            refusal.reason = Some(error.code().word().to_owned());
            self.decisions.record_refusal(refusal).await;
        }
    }
}

fn refused(error: &AttestError) {
    tracing::info!(code = %error.code(), %error, "a certificate was refused");
}
