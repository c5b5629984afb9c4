//! The upstream authority in files: two paths, and what its cross-certificates are used for.

use std::path::PathBuf;

use platform::config::Mistakes;
use thiserror::Error;
use trust_domains::plan::upstream::AskedUse;

use super::raw::RawServerConfig;
use crate::authority::upstream::UpstreamFiles;

/// The upstream authority that certifies the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Where it is.
    pub files: UpstreamFiles,
    /// What its cross-certificates are used for; what is absent stays as it is recorded.
    pub used: AskedUse,
}

/// An option of the upstream authority stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it needs {0} as well")]
struct Alone(&'static str);

/// Reads the options: both files, or none of the four.
pub(super) fn read(raw: &RawServerConfig, mistakes: &mut Mistakes) -> Option<Option<UpstreamConfig>> {
    let used = AskedUse {
        is_sent: raw.send_cross_certificate,
        is_dedicated: raw.upstream_dedicated,
    };
    match (&raw.upstream_cert, &raw.upstream_key) {
        (Some(certificate), Some(key)) => Some(Some(UpstreamConfig {
            files: UpstreamFiles {
                certificate: PathBuf::from(certificate),
                key: PathBuf::from(key),
            },
            used,
        })),
        (Some(_), None) => mistakes.check("upstream_cert", Err(Alone("upstream_key"))),
        (None, Some(_)) => mistakes.check("upstream_key", Err(Alone("upstream_cert"))),
        (None, None) if used.is_dedicated.is_some() => mistakes.check("upstream_dedicated", Err(Alone("upstream_cert"))),
        (None, None) if used.is_sent.is_some() => mistakes.check("send_cross_certificate", Err(Alone("upstream_cert"))),
        (None, None) => Some(None),
    }
}
