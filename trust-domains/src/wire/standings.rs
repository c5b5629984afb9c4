//! How a server stands with partners, for the nodes that need their bundles.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::federation::PartnerState;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// How the server stands with a partner that an entry of the node names: why a bundle is missing, or may be old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartnerStanding {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// How it stands.
    pub state: PartnerState,
    /// Since when, as far as the server that runs now knows.
    pub since: Timestamp,
    /// The stable code of what went wrong last, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
