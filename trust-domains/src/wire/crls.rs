//! Revocation lists on the wire: whole in a snapshot, and what changed in a delta.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::encoding::Base64;
use crate::crl::CrlPatch;
use crate::plan::authority::AuthorityId;
use crate::trust_domain::TrustDomain;

/// A list, and the certificate of the CA that it is verified under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuedCrl {
    /// The CA's certificate in DER: a root of the bundle, or an issuing CA that one of them signed.
    pub issuer: Base64,
    /// The list in DER.
    pub crl: Base64,
}

/// The lists of all CAs whose certificates may still be in use, empty ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CrlsWhole {
    /// One for each CA.
    pub lists: Vec<IssuedCrl>,
}

/// What became of the lists with one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CrlsChange {
    /// The set that the agent holds, with these differences. An agent that holds none, or whose set does not lead there, asks for a snapshot.
    Changed {
        /// Lists of CAs that had none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<IssuedCrl>,
        /// New lists in place of those that are held.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        patches: Vec<CrlPatch>,
        /// CAs whose lists are gone, since they have ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<AuthorityId>,
    },
    /// The whole set.
    Whole(CrlsWhole),
    /// No lists are delivered any more.
    Withdrawn,
}

/// The revocation lists of a partner trust domain, beside its bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartnerCrls {
    /// Whose they are. They are of use with the bundle of that trust domain, and with no other.
    pub trust_domain: TrustDomain,
    /// All of them, each with its CA; none when no lists of the partner are delivered any more.
    pub lists: CrlsWhole,
}

/// The lists that an agent holds, handed back to a server that knows of fewer (`POST /v1/node/crls`): it was restored from an old backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandedBack {
    /// As they were received, each with its CA. The server believes only what it, or a CA under one of its roots, signed.
    pub lists: Vec<IssuedCrl>,
}
