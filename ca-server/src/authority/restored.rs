//! What becomes of stored authorities when their store is restored from a backup.
//!
//! The old server may have lived on after the backup, or live still: every key below the root is replaced. What was active becomes old, so that what it signed
//! stays good until it ends; what was prepared signed nothing that anybody knows of here, and is left out. Roots stay: the fleet trusts them.

use trust_domains::plan::authority::{AuthorityKind, Phase};

use super::record::{AuthorityRecord, Header, TokenKeyRecord};
use crate::seal::{SealError, SealedRecords};
use crate::store::{Key, Write};

/// Returns the write that keeps a stored authority after a restore, or `None` for one that is left out. Its key is not looked at: it may live elsewhere.
///
/// # Errors
/// The record cannot be opened or sealed.
pub(crate) fn restored(records: &SealedRecords, key: &Key, sealed: &[u8]) -> Result<Option<Write>, SealError> {
    let Header { kind, .. } = records.open(key, sealed)?;
    match kind {
        AuthorityKind::X509Root => Ok(Some(Write::Put(key.clone(), sealed.to_vec().into()))),
        AuthorityKind::X509Issuing => {
            let record: AuthorityRecord = records.open(key, sealed)?;
            let kept = after(record.phase).map(|phase| records.put(key.clone(), &AuthorityRecord { phase, ..record }));
            kept.transpose()
        }
        AuthorityKind::Jwt | AuthorityKind::Wit => {
            let record: TokenKeyRecord = records.open(key, sealed)?;
            let kept = after(record.phase).map(|phase| records.put(key.clone(), &TokenKeyRecord { phase, ..record }));
            kept.transpose()
        }
    }
}

fn after(phase: Phase) -> Option<Phase> {
    match phase {
        Phase::Prepared => None,
        Phase::Active | Phase::Old => Some(Phase::Old),
        Phase::Tainted | Phase::Revoked => Some(phase),
    }
}

/// Returns the kind and the phase of each stored authority.
#[cfg(test)]
pub(crate) fn phases(records: &SealedRecords, items: &[crate::store::Item]) -> Vec<(AuthorityKind, Phase)> {
    let authorities = items.iter().filter(|item| crate::store::Prefix::AUTHORITIES.contains(&item.key));
    let phase = |item| match records.open_item::<Header>(item).unwrap().kind {
        kind @ (AuthorityKind::X509Root | AuthorityKind::X509Issuing) => (kind, records.open_item::<AuthorityRecord>(item).unwrap().phase),
        kind @ (AuthorityKind::Jwt | AuthorityKind::Wit) => (kind, records.open_item::<TokenKeyRecord>(item).unwrap().phase),
    };
    authorities.map(phase).collect()
}
