//! Selectors: those of one kind of fact are written alike in both, for the most part.

use super::NoCounterpart;
use crate::selector::{UnixKey, X509PopKey};

/// What a SHA-1 has in hex: SPIRE names authorities of x509pop so.
const SHA1_HEX: usize = 40;

/// Returns the selector of a process that says the same.
pub(super) fn of_process(text: &str) -> Result<String, NoCounterpart> {
    let refused = |key: &str, reason| Err(NoCounterpart::Selector { key: key.to_owned(), reason });
    match text.split_once(':') {
        Some((UnixKey::KIND, value)) if value.starts_with("supplementary_group:") => refused(
            "unix:supplementary_group",
            "a supplementary group is named by its number: unix:supplementary_gid:N",
        ),
        Some((UnixKey::KIND, _)) | None => Ok(text.to_owned()),
        Some((kind, _)) => refused(kind, "this version tells processes apart by unix selectors alone"),
    }
}

/// Returns the selector of a node that says the same.
pub(super) fn of_node(text: &str) -> Result<String, NoCounterpart> {
    let refused = |key: &str, reason| Err(NoCounterpart::Selector { key: key.to_owned(), reason });
    let Some((kind, value)) = text.split_once(':') else {
        return Ok(text.to_owned());
    };
    if kind != X509PopKey::KIND {
        return refused(kind, "in this version only x509pop proves facts about nodes");
    }
    if let Some(serial) = value.strip_prefix("serialnumber:") {
        return Ok(format!("{}:{serial}", X509PopKey::Serial));
    }
    match value {
        _ if value.strip_prefix("ca:fingerprint:").is_some_and(|hash| hash.len() == SHA1_HEX) => {
            refused("x509pop:ca:fingerprint", "SPIRE names an authority by its SHA-1, and here it is the SHA-256")
        }
        _ if value.starts_with("san:") => refused("x509pop:san", "SPIRE's come from URIs of their own; here they are DNS names (x509pop:san:dns)"),
        _ => Ok(text.to_owned()),
    }
}
