//! The part of the admin API about upstream authorities: CAs outside of the trust domain that certify our root's key.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/admin/upstreams` | - | [`Page`](super::admin::Page) of [`CrossView`], all at once |
//! | `POST /v1/admin/upstreams/csr` | [`CsrRequest`] | [`Csr`] |
//! | `POST /v1/admin/upstreams` | [`CrossSign`] | [`CrossView`] |
//! | `DELETE /v1/admin/upstreams/{id}` | - | - |

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::plan::authority::AuthorityId;
use crate::plan::upstream::CrossId;
use crate::timestamp::Timestamp;

/// The longest PEM text that is taken: five certificates of the size that is read, with their explanations.
pub const MAX_CHAIN_PEM: usize = 128 * 1024;

/// A cross-certificate as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrossView {
    /// What it is known by; a renewed one has the same id.
    pub id: CrossId,
    /// The root that it certifies.
    pub root: AuthorityId,
    /// The name of the upstream authority that signed it.
    pub upstream: String,
    /// That authority's key: the first 160 bits of the SHA-256 of its SubjectPublicKeyInfo.
    pub upstream_key_id: AuthorityId,
    /// How it came.
    pub source: CrossSource,
    /// Whether chains carry it.
    pub sent: bool,
    /// Whether the upstream authority issues for this trust domain alone, and its root stands in the bundle.
    pub dedicated: bool,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// When it ends, or one of those above it does.
    pub not_after: Timestamp,
    /// When it was taken.
    pub created_at: Timestamp,
    /// The cross-certificate, and the certificates above it, in PEM.
    pub chain_pem: String,
}

/// How a cross-certificate came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum CrossSource {
    /// The upstream authority's key was in a file.
    Files,
    /// An operator carried a request to the upstream authority, and its answer back.
    Request,
}

/// Asks for a certificate request by a root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CsrRequest {
    /// Which root; absent for the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<AuthorityId>,
}

/// A certificate request (PKCS#10, RFC 2986), signed by a root's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Csr {
    /// The root.
    pub root: AuthorityId,
    /// Its name, which the certificate must have.
    pub subject: String,
    /// The request in PEM.
    pub csr_pem: String,
}

/// Takes what an upstream authority returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossSign {
    /// Which root; absent for the one whose key is in the first certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<AuthorityId>,
    /// The cross-certificate first, then the certificates of the upstream authority, the one that signed it first; in PEM.
    pub chain_pem: String,
    /// Whether chains shall carry it.
    #[serde(default)]
    pub sent: bool,
    /// Whether the upstream authority issues for this trust domain alone: its root, which must then be in the chain, comes into the bundle.
    #[serde(default)]
    pub dedicated: bool,
}
