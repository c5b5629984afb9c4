//! An entry as a store holds it.

use serde::{Deserialize, Serialize};

use super::{CertificateNames, EntryId, EntryRefused, EntrySpec, Hint, Partners, RegistrationEntry};
use crate::class::CredentialClass;
use crate::jwt_svid::ExtraClaims;
use crate::selector::SelectorSet;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;

/// The fields of a stored entry; the store's format version says how to read them.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredEntry {
    id: EntryId,
    spiffe_id: SpiffeId,
    parent_id: SpiffeId,
    selectors: SelectorSet,
    class: CredentialClass,
    x509_ttl_s: u32,
    jwt_ttl_s: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<Hint>,
    #[serde(default, skip_serializing_if = "ExtraClaims::is_empty")]
    claims: ExtraClaims,
    /// Absent in what versions before federation wrote.
    #[serde(default, skip_serializing_if = "Partners::is_empty")]
    federates_with: Partners,
    /// Absent in what versions before DNS names wrote.
    #[serde(default, skip_serializing_if = "CertificateNames::is_empty")]
    names: CertificateNames,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<RegistrationEntry> for StoredEntry {
    fn from(entry: RegistrationEntry) -> Self {
        let EntrySpec {
            spiffe_id,
            parent_id,
            selectors,
            class,
            x509_ttl_s,
            jwt_ttl_s,
            hint,
            claims,
            federates_with,
            names,
            expires_at,
        } = entry.spec;
        Self {
            id: entry.id,
            spiffe_id,
            parent_id,
            selectors,
            class,
            x509_ttl_s,
            jwt_ttl_s,
            hint,
            claims,
            federates_with,
            names,
            expires_at,
            created_at: entry.created_at,
        }
    }
}

impl TryFrom<StoredEntry> for RegistrationEntry {
    type Error = EntryRefused;

    fn try_from(stored: StoredEntry) -> Result<Self, Self::Error> {
        let StoredEntry {
            id,
            spiffe_id,
            parent_id,
            selectors,
            class,
            x509_ttl_s,
            jwt_ttl_s,
            hint,
            claims,
            federates_with,
            names,
            expires_at,
            created_at,
        } = stored;
        let spec = EntrySpec {
            spiffe_id,
            parent_id,
            selectors,
            class,
            x509_ttl_s,
            jwt_ttl_s,
            hint,
            claims,
            federates_with,
            names,
            expires_at,
        }
        .checked()?;
        Ok(Self { id, spec, created_at })
    }
}
