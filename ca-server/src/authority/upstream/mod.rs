//! Cross-certificates: our roots certified by upstream authorities, CAs outside of the trust domain.
//!
//! The root stays what it is; a cross-certificate lets those who believe the upstream authority believe our leaves too. It comes from the authority's own key in a
//! file, which is read, used and wiped, or by a request that an operator carries to an offline CA and back. What it must be is
//! [`trust_domains::x509::CrossCertificate`]; when one is made or forgotten is [`trust_domains::plan::upstream`].

mod certify;
mod change;
mod cross;
mod csr;
mod error;
mod files;
mod following;
mod key;
mod operate;
mod record;
mod set;
#[cfg(test)]
mod tests;

pub use error::UpstreamError;
pub use files::{Upstream, UpstreamFiles};
pub use following::Following;
pub use operate::TakeCross;

pub(crate) use certify::Certifying;
pub(super) use cross::Cross;
pub(crate) use record::NewCross;
pub(super) use set::CrossSet;
