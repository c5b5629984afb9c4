//! What tests of hooks share.

use std::path::Path;
use std::sync::Arc;

use trust_domains::delivery::Part;

use super::context::{HookContext, HookOwner};
use crate::workload::Attestor;

/// Returns a context for files of the process's own user.
pub(crate) fn context(directory: &Path) -> HookContext {
    HookContext {
        spiffe_id: "spiffe://td.example/web".parse().unwrap(),
        directory: directory.to_owned(),
        serial: "0102030405060708090a0b0c0d0e0f10".parse().unwrap(),
        changed: [Part::Crl, Part::Svid].into_iter().collect(),
        leaf: b"leaf".to_vec().into(),
        owner: HookOwner::resolve(None, None).unwrap(),
        attestor: Arc::new(Attestor::new().unwrap()),
    }
}
