//! The node API: what an agent asks of its server, over mutually authenticated TLS.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `POST /v1/node/attest` | [`AttestRequest`] | [`NodeCredential`] |
//! | `POST /v1/node/renew` | [`RenewRequest`] | [`NodeCredential`] |
//! | `POST /v1/node/renew-expired`, without a client certificate | [`RenewExpiredRequest`] | [`NodeCredential`] |
//! | `GET /v1/node/sync?epoch=E&after=N` | - | a line of JSON ([`SyncMessage`]) for each message, until the stream ends |
//! | `POST /v1/node/ack` | [`Ack`] | 204 |
//! | `POST /v1/node/issue` | [`IssueRequest`] | [`IssueResponse`] |
//! | `POST /v1/node/crls` | [`HandedBack`](super::crls::HandedBack) | 204 |
//! | `POST /v1/node/leave` | - | 204 |
//!
//! `E` and `N` are the two parts of the [`Revision`] that the agent shows, as its text has them (16 hex digits, decimal); an agent that shows nothing leaves both out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::crls::{CrlsChange, CrlsWhole, PartnerCrls};
use super::encoding::Base64;
use super::standings::PartnerStanding;
use crate::bundle::SpiffeBundle;
use crate::class::CredentialClass;
use crate::entry::EntryId;
use crate::plan::authority::AuthorityId;
use crate::problem::Problem;
use crate::revision::Revision;
use crate::selector::Selector;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::x509::PopAlgorithm;

/// The most keys one request may ask to have certified: a batch of 500 answers in about 12 ms of one core.
pub const MAX_ISSUE_BATCH: usize = 500;

/// The TLS exporter label (RFC 8446 section 7.5) of the octets that a possession proof signs.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-troth-node-v1";

/// The length of those exported octets.
pub const EXPORTER_LEN: usize = 32;

/// Returns the octets that a key signs (ECDSA P-256, SHA-256, ASN.1 signature) to prove that its holder is at this end of this connection.
///
/// `evidence` is what is presented with the key: the join token's text, the DER of the certificate that admits the node, or that of the SVID being renewed.
#[must_use]
pub fn possession_message(exporter: &[u8; EXPORTER_LEN], public_key_spki: &[u8], evidence: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut message = Vec::with_capacity(16 + 3 * 32);
    message.extend_from_slice(b"troth-possession");
    message.extend_from_slice(exporter);
    message.extend_from_slice(&Sha256::digest(public_key_spki));
    message.extend_from_slice(&Sha256::digest(evidence));
    message
}

/// How a new node proves itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "attestor", rename_all = "snake_case", deny_unknown_fields)]
pub enum Evidence {
    /// A join token that an operator made for this node.
    JoinToken {
        /// The token's text, as in the join link.
        token: crate::join_link::JoinToken,
    },
    /// A certificate of an authority that the server's operator named, and a proof of its key.
    #[serde(rename = "x509pop")]
    X509Pop {
        /// The certificates in DER, leaf first, without the authority.
        chain: Vec<Base64>,
        /// What its key signed with.
        algorithm: PopAlgorithm,
        /// The signature of the leaf's key over [`possession_message`] with the leaf's DER as evidence.
        signature: Base64,
    },
}

/// A new node asks for its first node SVID.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestRequest {
    /// How the node proves itself.
    pub evidence: Evidence,
    /// The node's public key: a DER SubjectPublicKeyInfo, uncompressed P-256.
    pub public_key: Base64,
    /// The signature of that key over [`possession_message`] with the token, or the DER of the leaf, as evidence.
    pub proof: Base64,
}

/// A node asks for its next node SVID, with a new key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The new public key: a DER SubjectPublicKeyInfo, uncompressed P-256.
    pub public_key: Base64,
    /// The signature of the new key over [`possession_message`] with the current SVID's DER as evidence.
    pub proof: Base64,
}

/// A node whose SVID has ended asks for its next one, within the grace period, with a new key.
///
/// It comes without a client certificate, which the handshake would refuse.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewExpiredRequest {
    /// The ended SVID: its chain in DER, leaf first, without the root.
    pub chain: Vec<Base64>,
    /// The signature of the ended SVID's key over [`possession_message`] with the new public key and that SVID's leaf as evidence.
    pub current_proof: Base64,
    /// The new public key: a DER SubjectPublicKeyInfo, uncompressed P-256.
    pub public_key: Base64,
    /// The signature of the new key over the same octets.
    pub proof: Base64,
}

/// Seconds after the end of a node SVID within which [`RenewExpiredRequest`] is accepted: a machine that was off for a week comes back by itself.
pub const RENEWAL_GRACE_S: u64 = 7 * 86_400;

/// A node SVID and what is needed to use it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeCredential {
    /// The node's SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// The certificates in DER, leaf first, without the root.
    pub chain: Vec<Base64>,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Seconds from this answer until it ends: the agent counts these on its own monotonic clock.
    pub expires_in_s: u64,
    /// The trust bundle of the domain.
    pub bundle: SpiffeBundle,
}

/// What an agent needs to know of an entry under its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeEntry {
    /// The entry.
    pub id: EntryId,
    /// The identity it gives.
    pub spiffe_id: SpiffeId,
    /// What a process must have, all of it.
    pub selectors: Vec<Selector>,
    /// How long its credentials may live.
    pub class: CredentialClass,
    /// The life of its X509-SVIDs, in seconds.
    pub x509_ttl_s: u64,
    /// The label that a workload with several identities tells them apart by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The partner trust domains whose bundles its workload gets, in order; the bundles come in [`SyncMessage`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federates_with: Vec<TrustDomain>,
    /// The DNS names in its certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// The common name in their subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_cn: Option<String>,
    /// When the entry was made: the order of a workload's identities.
    pub created_at: Timestamp,
    /// When the entry itself ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The commit that last changed it.
    pub revision: Revision,
}

/// One line of the sync stream, server to agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SyncMessage {
    /// A part of the whole state; the agent swaps it in when `last` is set. What is not in it is gone.
    Snapshot {
        /// The commit that the whole snapshot shows.
        revision: Revision,
        /// The entries of this part, at most 1,000.
        entries: Vec<NodeEntry>,
        /// The trust bundle; in the last part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<SpiffeBundle>,
        /// In the last part: the bundles of every partner that an entry of the node federates with, as far as there is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        federated: Vec<SpiffeBundle>,
        /// In the last part: the revocation lists of those partners whose lists are delivered.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        federated_crls: Vec<PartnerCrls>,
        /// In the last part: those of these partners with which every entry federates, whatever it names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given_to_all: Vec<TrustDomain>,
        /// In the last part: the issuing CAs and token keys whose credentials are to be replaced now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tainted: Vec<AuthorityId>,
        /// In the last part: the revocation lists of this trust domain, all of them; none where none are delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crls: Option<CrlsWhole>,
        /// Whether the snapshot is complete with this part.
        last: bool,
    },
    /// What one commit changed for this node.
    Delta {
        /// The commit.
        revision: Revision,
        /// Entries made or changed.
        #[serde(default)]
        upserted: Vec<NodeEntry>,
        /// Entries that are gone.
        #[serde(default)]
        removed: Vec<EntryId>,
        /// The trust bundle, when it changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<SpiffeBundle>,
        /// When one of them or the node's need changed: all bundles of partners, as in a snapshot. A partner that is not among them is withdrawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        federated: Option<Vec<SpiffeBundle>>,
        /// The revocation lists of partners whose lists changed, whole. Those of the others stay as long as their bundles do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        federated_crls: Vec<PartnerCrls>,
        /// With `federated`: those of these partners with which every entry federates, whatever it names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given_to_all: Vec<TrustDomain>,
        /// When it changed, and at each resumption: all issuing CAs and token keys whose credentials are to be replaced now, each by
        /// its key identifier (the AKI of a leaf, the `kid` of a token). The commit is acknowledged when nothing that one of them signed is shown any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tainted: Option<Vec<AuthorityId>>,
        /// The revocation lists, when one of them changed. They count for the acknowledgement like a bundle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crls: Option<CrlsChange>,
    },
    /// The agent resumed at a revision that needs nothing more: it is up to date.
    Current {
        /// The commit the agent already shows.
        revision: Revision,
    },
    /// Nothing changed; sent every [`HEARTBEAT_S`] seconds, so that a dead connection is seen.
    Heartbeat {
        /// The newest commit that concerns nothing here.
        revision: Revision,
        /// When it changed: how the server stands with the partners that entries of this node federate with, all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partners: Option<Vec<PartnerStanding>>,
    },
    /// The stream ends and why.
    End {
        /// The reason, with what to do next.
        problem: Problem,
    },
}

/// Seconds between heartbeats of an idle sync stream; an agent that hears nothing for three of them reconnects.
pub const HEARTBEAT_S: u64 = 5;

/// The agent shows everything up to this commit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The commit.
    pub revision: Revision,
}

/// A batch of public keys to certify.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// At most [`MAX_ISSUE_BATCH`].
    pub requests: Vec<KeyRequest>,
}

/// One key to certify.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// The entry to issue for.
    pub entry_id: EntryId,
    /// A DER SubjectPublicKeyInfo, uncompressed P-256, never seen in this batch before.
    pub public_key: Base64,
}

/// The answers to a batch, in its order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IssueResponse {
    /// The issuing certificates that the leaves need, in DER, each once.
    pub issuers: Vec<Base64>,
    /// What follows the issuer in every chain, in DER: the root's cross-certificates by upstream authorities, with the certificates above them. Mostly nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<Base64>,
    /// One for each request.
    pub results: Vec<IssueResult>,
}

/// The answer for one key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum IssueResult {
    /// The certificate.
    Issued(IssuedLeaf),
    /// Why there is none.
    Refused {
        /// The entry asked for.
        entry_id: EntryId,
        /// The reason.
        problem: Problem,
    },
}

/// One issued X509-SVID.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedLeaf {
    /// The entry it was issued for.
    pub entry_id: EntryId,
    /// The commit of the entry that it shows.
    pub entry_revision: Revision,
    /// The leaf in DER.
    pub leaf: Base64,
    /// The position of its issuer in [`IssueResponse::issuers`].
    pub issuer: usize,
    /// Its serial number.
    pub serial: Serial,
    /// When it was issued, by the server's clock.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Seconds from this answer until it ends.
    pub expires_in_s: u64,
}
